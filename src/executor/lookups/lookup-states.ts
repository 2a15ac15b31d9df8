import { lookupKey, type Lookup } from '../../keyspace/topology.js';
import { SET_UP_LOCK } from '../../transaction/decisions.js';
import { quoteIdentifier, quoteLiteral } from '../../sql/quote.js';
import { blocksCondition } from '../table-parts.js';

/*
 * What is known of a lookup is a row of `shardgate.lookups`, on each shard with entries of it, so that one statement
 * sees both as of one moment:
 *
 *     name | definition        what it is complete for (`Lookup.definition`)
 *          | building ...      what it is being built for
 *          | guarded ...       the same; values of rows that have not been read yet have an entry without an id
 */

/** Whether the table of states is there. */
export const STATES_SQL = `SELECT pg_catalog.to_regclass('shardgate.lookups') IS NOT NULL`;

/** A row where the lookup is complete with this definition. Fails where there is no table of states. */
export function completeSql(lookup: Lookup): string {
  return (
    `SELECT 1 FROM shardgate.lookups WHERE name = ${quoteLiteral(lookupKey(lookup))}` +
    ` AND definition = ${quoteLiteral(lookup.definition)}`
  );
}

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

/** A row of TRIGGERS_SQL. */
export type TriggerRow = readonly (string | null)[];

/** The lookup that a trigger (of TRIGGERS_SQL) tells, as `lookupKey` has it, and the column whose changes it tells. */
export function tellsOf([, , , , args]: TriggerRow): {
  readonly key: string;
  readonly column: string;
} {
  const [key = '', , column = ''] = Buffer.from(args!, 'hex').toString().split('\0');
  return { key, column };
}

/** Whether a trigger tells changes of the column that the lookup is for, be it to another one. */
export function isAbout(
  row: TriggerRow,
  lookup: Pick<Lookup, 'schema' | 'table' | 'column'>,
): boolean {
  const [, schema, table] = row;
  return (
    schema === lookup.schema && table === lookup.table && tellsOf(row).column === lookup.column
  );
}

/** Makes the table of states. Roles that clients take read it within their transactions. */
export const SET_UP_STATES_SQL =
  'SET LOCAL client_min_messages = warning;' +
  `SELECT pg_catalog.pg_advisory_xact_lock(${SET_UP_LOCK});` +
  'CREATE SCHEMA IF NOT EXISTS shardgate;' +
  'CREATE TABLE IF NOT EXISTS shardgate.lookups (name text PRIMARY KEY, definition text,' +
  ' changed_at timestamptz NOT NULL DEFAULT clock_timestamp());' +
  'GRANT USAGE ON SCHEMA shardgate TO PUBLIC; GRANT SELECT ON shardgate.lookups TO PUBLIC';

type Stage = 'building' | 'guarded';
const GUARDED = 'guarded ';

function stageText({ definition }: Lookup, stage: Stage): string {
  return `${stage} ${definition}`;
}

/** Notes that a lookup is being built. */
export function buildingSql(lookup: Lookup, stage: Stage): string {
  return (
    `INSERT INTO shardgate.lookups (name, definition)` +
    ` VALUES (${quoteLiteral(lookupKey(lookup))}, ${quoteLiteral(stageText(lookup, stage))})` +
    ' ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, changed_at = clock_timestamp()'
  );
}

/** The condition for the state of a lookup that is being built with this definition. */
function isBeingBuilt(lookup: Lookup): string {
  const stages = (['building', 'guarded'] as const).map((one) => stageText(lookup, one));
  return (
    `name = ${quoteLiteral(lookupKey(lookup))}` +
    ` AND definition IN (${stages.map(quoteLiteral).join(', ')})`
  );
}

/** A row where the lookup is being built with this definition. */
export function beingBuiltSql(lookup: Lookup): string {
  return `SELECT 1 FROM shardgate.lookups WHERE ${isBeingBuilt(lookup)}`;
}

/** Notes that a lookup is complete. No row: somebody has taken back that it was being built. */
export function builtSql(lookup: Lookup): string {
  return (
    `UPDATE shardgate.lookups SET definition = ${quoteLiteral(lookup.definition)},` +
    ` changed_at = clock_timestamp() WHERE ${isBeingBuilt(lookup)} RETURNING 1`
  );
}

/** What is known of a lookup: its definition, or NULL. */
export function stateSql(key: string): string {
  return `SELECT definition FROM shardgate.lookups WHERE name = ${quoteLiteral(key)}`;
}

/** The definition for which every value of a row has an entry; null: there is none. */
export function guardedBy(state: string): string | null {
  const definition = state.startsWith(GUARDED) ? state.slice(GUARDED.length) : state;
  return definition.startsWith('[') ? definition : null;
}

/** From now on nobody takes the lookup for complete (with this definition). For any shard. */
export function forgetSql(key: string, definition?: string): string {
  const only = definition === undefined ? '' : ` AND definition = ${quoteLiteral(definition)}`;
  return (
    `DO $body$ BEGIN IF pg_catalog.to_regclass('shardgate.lookups') IS NOT NULL THEN` +
    ` DELETE FROM shardgate.lookups WHERE name = ${quoteLiteral(key)}${only}; END IF; END $body$`
  );
}

/** Not: arrays and rows of other types, and what is read by settings (search_path, IntervalStyle, lc_monetary). */
const PLAIN_TEXTS =
  `t.typtype = 'e' OR t.typtype = 'b' AND t.typcategory <> 'A' AND t.typname !~ '^reg'` +
  ` AND t.typname NOT IN ('time', 'timetz', 'interval', 'money')`;

/**
 * The place of each lookup whose column exists, the type of its values (as SQL, its OID, `plainTexts`), and the name of
 * a unique constraint or index of the column alone.
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
SELECT c.place, pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.typname), t.oid, ${PLAIN_TEXTS},
       (SELECT ic.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
        WHERE i.indrelid = c.relid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
          AND i.indnkeyatts = 1 AND i.indkey[0] = c.attnum
        ORDER BY ic.relname LIMIT 1)
FROM columns c
JOIN bases b ON b.place = c.place
JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace`;
}

/** Value and shard key, as columns, of the rows in some blocks that have a value. */
export function rowValuesSql(
  part: string,
  column: string,
  key: readonly string[],
  from: number,
  to: number,
): string {
  const texts = [column, ...key].map((name) => `${quoteIdentifier(name)}::text`);
  return (
    `SELECT ${texts.join(', ')} FROM ONLY ${part}` +
    ` WHERE ${blocksCondition(from, to)} AND ${quoteIdentifier(column)} IS NOT NULL`
  );
}
