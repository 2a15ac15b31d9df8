import { quoteLiteral } from '../sql/quote.js';

/** Texts of values are the same whatever a session, a role or a server has set. For an open transaction. */
export const EXACT_TEXTS =
  "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL intervalstyle = 'postgres';" +
  " SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'";

/**
 * The parts of a table that hold rows on a shard (itself, or its partitions): their names as SQL, and the number of
 * their blocks, of 8 kB as a rule. No rows where the table is not there.
 * @param name as SQL, with its schema
 */
export function partsSql(name: string): string {
  const table = `pg_catalog.to_regclass(${quoteLiteral(name)})`;
  return (
    `SELECT c.oid::pg_catalog.regclass::text,` +
    ` pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8` +
    ` FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND (c.oid = ${table}` +
    ` OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(${table}) WHERE isleaf))`
  );
}

/** The condition for rows in some blocks of a part; PostgreSQL reads nothing else. */
export function blocksCondition(from: number, to: number): string {
  return `ctid >= '(${from},0)' AND ctid < '(${to},0)'`;
}
