import { createHash } from 'node:crypto';
import { LOOKUP_CHANGES, LOOKUPS_SETTING } from '../../backend/postgres/lookup-notices.js';
import { lookupKey, type Lookup, type ShardedTable } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import { blocksCondition } from '../table-parts.js';
import { beingBuiltSql, completeSql } from './lookup-states.js';

/**
 * The SQL that keeps lookups. A lookup's table has one entry for each value and keyspace id:
 *
 *     customer_email_idx:  value | keyspace_id        unique: value is the primary key, else both are
 *
 * Triggers on the sharded table tell the proxy what a statement has changed, as messages that it takes
 * out of the answer (`LOOKUP_CHANGES`), whatever the statement was: COPY, MERGE, a cascade of a foreign
 * key. The proxy then changes the lookup's table in the same transaction.
 */

/** What one message tells of. */
const CHANGES_PER_MESSAGE = 500;

/** Stands in the place of the lookups that a backend keeps up, and is no name of one. */
const UNCHANGED = 'unchanged';

/** For a transaction whose rows go from shard to shard as they are: their entries stay what they are. */
export const ENTRIES_STAY = `SET LOCAL ${LOOKUPS_SETTING} = '${UNCHANGED}'`;

/** On every shard of a keyspace with lookups. Texts of values are the same whatever a session has set. */
export const FUNCTION_SQL = `
SET LOCAL client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS shardgate;
CREATE OR REPLACE FUNCTION shardgate.tell_lookup() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
  SET intervalstyle = 'postgres' SET extra_float_digits = '1' SET bytea_output = 'hex'
AS $body$
DECLARE
  key text;
  entry text;
  part text;
  rows text;
BEGIN
  IF current_setting('${LOOKUPS_SETTING}', true) = '${UNCHANGED}' THEN
    RETURN NULL;
  END IF;
  IF NOT TG_ARGV[0] = ANY (string_to_array(current_setting('${LOOKUPS_SETTING}', true), ',')) IS TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
      MESSAGE = format('lookup "%s" of table "%s" would miss this change', TG_ARGV[0], TG_TABLE_NAME),
      HINT = 'Write through Shardgate, with a configuration that has the lookup.';
  END IF;
  IF TG_OP = 'TRUNCATE' THEN
    RAISE INFO USING ERRCODE = '${LOOKUP_CHANGES}',
      MESSAGE = json_build_object('lookup', TG_ARGV[0], 'mapping', TG_ARGV[1], 'truncated', true)::text;
    RETURN NULL;
  END IF;
  SELECT string_agg(format('%I::text', name), ', ' ORDER BY place) INTO key
    FROM unnest(TG_ARGV[3:]) WITH ORDINALITY AS k (name, place);
  entry := format('json_build_array(%I::text, %s)::text', TG_ARGV[2], key);
  rows := CASE TG_OP
    WHEN 'INSERT' THEN 'SELECT ''added'' AS what, %1$s AS e FROM new_rows WHERE %2$I IS NOT NULL'
    WHEN 'DELETE' THEN 'SELECT ''removed'' AS what, %1$s AS e FROM old_rows WHERE %2$I IS NOT NULL'
    ELSE
      '(SELECT ''removed'' AS what, %1$s AS e FROM old_rows WHERE %2$I IS NOT NULL'
      ' EXCEPT ALL SELECT ''removed'', %1$s FROM new_rows WHERE %2$I IS NOT NULL)'
      ' UNION ALL (SELECT ''added'', %1$s FROM new_rows WHERE %2$I IS NOT NULL'
      ' EXCEPT ALL SELECT ''added'', %1$s FROM old_rows WHERE %2$I IS NOT NULL)'
    END;
  FOR part IN EXECUTE format(
    'SELECT json_build_object(''lookup'', %3$L, ''mapping'', %4$L, what, json_agg(e::json))::text'
    ' FROM (SELECT what, e, (row_number() OVER (PARTITION BY what) - 1) / ${CHANGES_PER_MESSAGE} AS n'
    ' FROM (' || rows || ') AS r) AS s GROUP BY what, n', entry, TG_ARGV[2], TG_ARGV[0], TG_ARGV[1])
  LOOP
    RAISE INFO USING ERRCODE = '${LOOKUP_CHANGES}', MESSAGE = part;
  END LOOP;
  RETURN NULL;
END
$body$;
COMMENT ON FUNCTION shardgate.tell_lookup() IS
  'Tells Shardgate what changes in columns with lookups: leave it alone'`;

/** A lookup's definition in short, as its triggers tell it. */
export function mappingOf({ definition }: Lookup): string {
  return createHash('sha256').update(definition).digest('hex').slice(0, 16);
}

/** The arguments of a lookup's triggers. */
export function triggerArguments(lookup: Lookup, owner: ShardedTable): readonly string[] {
  return [lookupKey(lookup), mappingOf(lookup), lookup.column, ...owner.keyColumns];
}

/** The triggers of a lookup, by name; they run whatever `session_replication_role` says. */
export function triggersSql(lookup: Lookup, owner: ShardedTable): ReadonlyMap<string, string> {
  const table = quoteQualified(lookup.schema, lookup.table);
  const args = triggerArguments(lookup, owner).map(quoteLiteral).join(', ');
  // Names of columns may be as long as those of triggers.
  const digest = createHash('sha256').update(lookupKey(lookup)).digest('hex').slice(0, 12);
  const events: readonly (readonly [string, string])[] = [
    ['INSERT', 'REFERENCING NEW TABLE AS new_rows'],
    ['UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'],
    ['DELETE', 'REFERENCING OLD TABLE AS old_rows'],
    ['TRUNCATE', ''],
  ];
  return new Map(
    events.map(([event, tables]) => {
      const name = `shardgate_lookup_${digest}_${event.toLowerCase()}`;
      const sql =
        `CREATE OR REPLACE TRIGGER ${quoteIdentifier(name)} AFTER ${event} ON ${table} ${tables}` +
        ` FOR EACH STATEMENT EXECUTE FUNCTION shardgate.tell_lookup(${args});` +
        `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${quoteIdentifier(name)}`;
      return [name, sql];
    }),
  );
}

/** Makes the lookup's table; on every shard, as any table. `type`: of its values, with collation, as SQL. */
export function indexTableSql({ index, unique, table, column }: Lookup, type: string): string {
  const name = quoteQualified(index.schema, index.name);
  const comment = `Where rows of ${table} with a ${column} are; kept by Shardgate: leave it alone`;
  return (
    `SET LOCAL client_min_messages = warning;` +
    `CREATE TABLE IF NOT EXISTS ${name} (value ${type}, keyspace_id bigint, PRIMARY KEY (${keyOf(unique)}));` +
    `COMMENT ON TABLE ${name} IS ${quoteLiteral(comment)}`
  );
}

function keyOf(unique: boolean): string {
  return unique ? 'value' : 'value, keyspace_id';
}

/**
 * What a lookup's table is like, one row: how many columns it has but `value` and `keyspace_id`, whether its values are
 * of the type, how many columns its primary key has, that one's name, and whether ids must be given.
 */
export function shapeSql({ index }: Lookup, type: string): string {
  const table = `${quoteLiteral(quoteQualified(index.schema, index.name))}::pg_catalog.regclass`;
  const columns = `FROM pg_catalog.pg_attribute WHERE attrelid = ${table} AND attnum > 0 AND NOT attisdropped`;
  return (
    `SELECT (SELECT pg_catalog.count(*) ${columns} AND attname NOT IN ('value', 'keyspace_id')),` +
    ` (SELECT atttypid = ${quoteLiteral(type)}::pg_catalog.regtype ${columns} AND attname = 'value'),` +
    ` (SELECT pg_catalog.cardinality(conkey) FROM pg_catalog.pg_constraint WHERE conrelid = ${table} AND contype = 'p'),` +
    ` (SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = ${table} AND contype = 'p'),` +
    ` (SELECT attnotnull ${columns} AND attname = 'keyspace_id')`
  );
}

/** Makes a lookup's table that was one of another kind, or for other values, this one's. Its entries are gone then. */
export function reshapeSql({ index, unique }: Lookup, type: string, key: string | null): string {
  const name = quoteQualified(index.schema, index.name);
  const changes = [
    ...(key === null ? [] : [`DROP CONSTRAINT ${quoteIdentifier(key)}`]),
    `ALTER COLUMN value TYPE ${type} USING value::pg_catalog.text::${type}`,
    'ALTER COLUMN keyspace_id DROP NOT NULL',
    `ADD PRIMARY KEY (${keyOf(unique)})`,
  ];
  return `TRUNCATE ${name}; ALTER TABLE ${name} ${changes.join(', ')}`;
}

/** Lets entries of a lookup's table have no ids. */
export function idsOptionalSql({ index }: Lookup): string {
  return `ALTER TABLE ${quoteQualified(index.schema, index.name)} ALTER COLUMN keyspace_id DROP NOT NULL`;
}

/**
 * Entries of a unique lookup that is being built again keep their values from others, and tell no ids: the rows have
 * not been read again.
 */
export function guardsSql({ index }: Lookup): string {
  const name = quoteQualified(index.schema, index.name);
  return `UPDATE ${name} SET keyspace_id = NULL WHERE keyspace_id IS NOT NULL`;
}

/** Writes such entries. */
export function addGuardsSql({ index }: Lookup, type: string, values: readonly string[]): string {
  return (
    `INSERT INTO ${quoteQualified(index.schema, index.name)} (value)` +
    ` SELECT x.v::${type} FROM pg_catalog.unnest(${textArray(values)}) AS x(v) ON CONFLICT DO NOTHING`
  );
}

/** Deletes entries, whatever their ids. */
export function dropValuesSql({ index }: Lookup, type: string, values: readonly string[]): string {
  return (
    `DELETE FROM ${quoteQualified(index.schema, index.name)} AS i` +
    ` USING pg_catalog.unnest(${textArray(values)}) AS x(v) WHERE i.value = x.v::${type}`
  );
}

/** Deletes what is left of such entries when all rows have been read: values that no row has. */
export function dropGuardsSql({ index }: Lookup): string {
  return `DELETE FROM ${quoteQualified(index.schema, index.name)} WHERE keyspace_id IS NULL`;
}

/** Writes the entries of rows that were there before; where another proxy builds another lookup by now, nothing. */
export function fillSql(lookup: Lookup, type: string, list: readonly LookupEntry[]): string {
  const { schema, name } = lookup.index;
  const distinct = lookup.unique ? `DISTINCT ON (x.v::${type}) ` : '';
  const conflict = lookup.unique
    ? '(value) DO UPDATE SET keyspace_id = excluded.keyspace_id WHERE i.keyspace_id IS NULL'
    : 'DO NOTHING';
  return (
    `INSERT INTO ${quoteQualified(schema, name)} AS i (value, keyspace_id)` +
    ` SELECT ${distinct}x.v::${type}, x.k FROM ${entries(list)} WHERE EXISTS (${beingBuiltSql(lookup)})` +
    ` ON CONFLICT ${conflict}`
  );
}

/**
 * The keyspace ids of values: rows of the value's place in the list, from 1, and an id; and one of place 0 where, at
 * that moment, the lookup was complete.
 */
export function findSql(lookup: Lookup, type: string, values: readonly string[]): string {
  const { schema, name } = lookup.index;
  return (
    `SELECT 0::pg_catalog.int8, NULL::pg_catalog.int8 WHERE EXISTS (${completeSql(lookup)})` +
    ` UNION ALL SELECT x.n, i.keyspace_id FROM pg_catalog.unnest(${textArray(values)}) WITH ORDINALITY AS x(v, n)` +
    ` JOIN ${quoteQualified(schema, name)} AS i ON i.value = x.v::${type}`
  );
}

/** What such a query has found, place and id each; null: the lookup was not complete. */
export function entriesIn(
  rows: readonly (readonly (string | null)[])[],
): readonly (readonly (string | null)[])[] | null {
  const entries = rows.filter(([place]) => place !== '0');
  return entries.length === rows.length ? null : entries;
}

/** What changes in a lookup; keyspace ids as signed decimals. */
export interface LookupEntry {
  readonly value: string;
  readonly id: string;
}

/**
 * The statements that make a lookup agree with its table again, in their order. `moved`: of a unique
 * lookup, values whose row has gone to another keyspace id.
 */
export function applySql(
  lookup: Lookup,
  type: string,
  changes: {
    readonly truncated: boolean;
    readonly removed: readonly LookupEntry[];
    readonly moved: readonly LookupEntry[];
    readonly added: readonly LookupEntry[];
  },
): string[] {
  const name = quoteQualified(lookup.index.schema, lookup.index.name);
  const out: string[] = [];
  if (changes.truncated) out.push(`DELETE FROM ${name}`);
  if (changes.removed.length > 0) {
    out.push(
      `DELETE FROM ${name} AS i USING ${entries(changes.removed)}` +
        ` WHERE i.value = x.v::${type} AND (i.keyspace_id = x.k OR i.keyspace_id IS NULL)`,
    );
  }
  if (changes.moved.length > 0) {
    out.push(
      `UPDATE ${name} AS i SET keyspace_id = x.k FROM ${entries(changes.moved)} WHERE i.value = x.v::${type}`,
    );
  }
  if (changes.added.length > 0) {
    const quietly = lookup.unique ? '' : ' ON CONFLICT DO NOTHING';
    out.push(
      `INSERT INTO ${name} (value, keyspace_id) SELECT x.v::${type}, x.k FROM ${entries(changes.added)}${quietly}`,
    );
  }
  return out;
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

/** Which of some entries the lookup does not have: their places in the list, from 1. */
export function missingSql({ index }: Lookup, type: string, list: readonly LookupEntry[]): string {
  const name = quoteQualified(index.schema, index.name);
  return (
    `SELECT x.n FROM ${rowsOf(list)} WITH ORDINALITY AS x(v, k, n)` +
    ` WHERE NOT EXISTS (SELECT FROM ${name} AS i WHERE i.value = x.v::${type} AND i.keyspace_id = x.k)`
  );
}

/** The entries in some blocks of a lookup's table: value, id. */
export function someEntriesSql(part: string, from: number, to: number): string {
  return `SELECT value::text, keyspace_id FROM ONLY ${part} WHERE ${blocksCondition(from, to)}`;
}

/**
 * The rows that have one of some values: the value's place in the list, from 1, and the columns of the shard key.
 * `locked`: they stay as they are until the transaction ends.
 */
export function rowsOfValuesSql(
  { column }: Lookup,
  { schema, name, keyColumns }: ShardedTable,
  type: string,
  values: readonly string[],
  locked: boolean,
): string {
  const key = keyColumns.map((own) => `t.${quoteIdentifier(own)}::text`).join(', ');
  return (
    `SELECT x.n, ${key} FROM pg_catalog.unnest(${textArray(values)}) WITH ORDINALITY AS x(v, n)` +
    ` JOIN ${quoteQualified(schema, name)} AS t ON t.${quoteIdentifier(column)} = x.v::${type}` +
    (locked ? ' FOR SHARE OF t' : '')
  );
}

/** Entries as a relation `x (v, k)`, values as text. */
export function entries(list: readonly LookupEntry[]): string {
  return `${rowsOf(list)} AS x(v, k)`;
}

function rowsOf(list: readonly LookupEntry[]): string {
  const values = textArray(list.map(({ value }) => value));
  const ids = `'{${list.map(({ id }) => id).join(',')}}'::pg_catalog.int8[]`;
  return `ROWS FROM (pg_catalog.unnest(${values}), pg_catalog.unnest(${ids}))`;
}

/** A text[] of these values, none of which is NULL. */
function textArray(values: readonly string[]): string {
  const items = values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`);
  return `${quoteLiteral(`{${items.join(',')}}`)}::pg_catalog.text[]`;
}
