import { lookupKey, type Lookup } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import { blocksCondition } from '../table-parts.js';
import { entries, type LookupEntry } from './lookup-sql.js';

/** Whether the table of states is there. */
export const STATES_SQL = `SELECT to_regclass('shardgate.lookups') IS NOT NULL`;

/** The lookups that are complete, with what they were built for. */
export const statesSql =
  'SELECT name, definition FROM shardgate.lookups WHERE definition IS NOT NULL';

/**
 * The triggers that keep lookups: whether nothing keeps them from running, schema, table, name, arguments
 * (each with a NUL behind it, in hex).
 */
export const TRIGGERS_SQL = `
SELECT t.tgenabled = 'A', n.nspname, c.relname, t.tgname, pg_catalog.encode(t.tgargs, 'hex')
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal
  AND t.tgfoid = pg_catalog.to_regprocedure('shardgate.tell_lookup()')`;

/** Notes that a lookup is complete; `definition` null: that it is being built. */
export function stateSql(lookup: Lookup, definition: string | null): string {
  const value = definition === null ? 'NULL' : quoteLiteral(definition);
  return (
    'SET LOCAL client_min_messages = warning;' +
    'CREATE SCHEMA IF NOT EXISTS shardgate;' +
    'CREATE TABLE IF NOT EXISTS shardgate.lookups (name text PRIMARY KEY, definition text,' +
    ' changed_at timestamptz NOT NULL DEFAULT clock_timestamp());' +
    `INSERT INTO shardgate.lookups (name, definition) VALUES (${quoteLiteral(lookupKey(lookup))}, ${value})` +
    ' ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, changed_at = clock_timestamp()'
  );
}

/**
 * The place of each lookup whose column exists, the type of its values, and the name of a unique
 * constraint or index of the column alone.
 */
export function typesSql(lookups: readonly Lookup[]): string {
  const list = lookups
    .map(({ schema, table, column }, place) => {
      return `(${place}, ${quoteLiteral(schema)}, ${quoteLiteral(table)}, ${quoteLiteral(column)})`;
    })
    .join(', ');
  return `
WITH RECURSIVE asked (place, nspname, relname, attname) AS (VALUES ${list}),
columns AS (
  SELECT l.place, c.oid AS relid, a.attnum, a.atttypid AS type
  FROM asked l
  JOIN pg_catalog.pg_namespace n ON n.nspname = l.nspname::name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = l.relname::name
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = l.attname::name AND NOT a.attisdropped
), bases AS (
  SELECT place, type FROM columns
  UNION ALL
  SELECT b.place, t.typbasetype FROM bases b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT c.place, pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.typname),
       (SELECT ic.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
        WHERE i.indrelid = c.relid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
          AND i.indnkeyatts = 1 AND i.indkey[0] = c.attnum
        ORDER BY ic.relname LIMIT 1)
FROM columns c
JOIN bases b ON b.place = c.place
JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace`;
}

/** Value and shard key of the rows in some blocks, which stay as they are until the transaction ends. */
export function lockedRowsSql(
  part: string,
  column: string,
  key: string,
  from: number,
  to: number,
): string {
  return (
    `SELECT ${quoteIdentifier(column)}::text, ${quoteIdentifier(key)}::text FROM ONLY ${part}` +
    ` WHERE ${blocksCondition(from, to)} AND ${quoteIdentifier(column)} IS NOT NULL FOR SHARE`
  );
}

/** A value among these of which another row has the entry; none where there is none. */
export function duplicatesSql(
  { index }: Lookup,
  type: string,
  list: readonly LookupEntry[],
): string {
  const name = quoteQualified(index.schema, index.name);
  return (
    `SELECT x.v FROM ${entries(list)}` +
    ` JOIN ${name} AS i ON i.value = x.v::${type} WHERE i.keyspace_id <> x.k LIMIT 1`
  );
}
