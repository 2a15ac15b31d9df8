import type { KeyDirectory } from '../../keyspace/key-directory.js';
import { signedId, type KeyspaceId } from '../../keyspace/keyspace-id.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import { SET_UP_LOCK } from '../../transaction/decisions.js';

type Table = KeyDirectory['table'];

/** An entry that is to be made. `key` is for people; null: only its hash is known. */
export interface NewEntry {
  readonly id: KeyspaceId;
  readonly key: string | null;
  readonly shard: string;
}

/** Makes a directory's table; on every shard, as any table. `kind`: of its periods; null: it has none. */
export function setUpSql(table: Table, kind: number | null): string {
  const name = nameOf(table);
  const index = quoteIdentifier(`${table.name.slice(0, 50)}_moving`);
  const comment =
    kind === null
      ? 'On which shard each key is, by the hash of keys; kept by Shardgate: leave it alone'
      : 'On which shard each period is; kept by Shardgate: leave it alone';
  const check = kind === null ? '' : ` CHECK (${isKind(kind)})`;
  return (
    'SET LOCAL client_min_messages = warning;' +
    `SELECT pg_catalog.pg_advisory_xact_lock(${SET_UP_LOCK});` +
    `CREATE TABLE IF NOT EXISTS ${name} (key_hash bigint PRIMARY KEY${check}, key text, shard text NOT NULL,` +
    ' moving boolean NOT NULL DEFAULT false, changed_at timestamptz NOT NULL DEFAULT clock_timestamp());' +
    `CREATE INDEX IF NOT EXISTS ${index} ON ${name} (key_hash) WHERE moving;` +
    `COMMENT ON TABLE ${name} IS ${quoteLiteral(comment)}`
  );
}

/** One row: whether the table is there, with all that belongs to it. */
export function isThereSql(table: Table): string {
  return `SELECT pg_catalog.to_regclass(${quoteLiteral(nameOf(table))}) IS NOT NULL`;
}

/** A row where some entry is of another kind of periods. */
export function otherKindSql(table: Table, kind: number): string {
  return `SELECT 1 FROM ${nameOf(table)} WHERE NOT ${isKind(kind)} LIMIT 1`;
}

function isKind(kind: number): string {
  return `(key_hash & 3) = ${kind}`;
}

/** Keys of these directories that are on the move: the place of the directory in the list, and the hash. */
export function movingSql(tables: readonly Table[]): string {
  const each = tables.map(
    (table, place) => `SELECT ${place}, key_hash FROM ${nameOf(table)} WHERE moving`,
  );
  return each.join(' UNION ALL ');
}

/** Of those keys that have an entry: hash, shard, whether it moves. */
export function entriesSql(table: Table, ids: readonly KeyspaceId[]): string {
  return (
    `SELECT key_hash, shard, moving FROM ${nameOf(table)}` +
    ` WHERE key_hash = ANY ('{${ids.map(signedId).join(',')}}'::pg_catalog.int8[])`
  );
}

/** The shards of all periods from one to another, and whether one of them moves. */
export function betweenSql(table: Table, first: KeyspaceId, last: KeyspaceId): string {
  return (
    `SELECT shard, pg_catalog.bool_or(moving) FROM ${nameOf(table)}` +
    ` WHERE key_hash BETWEEN ${signedId(first)} AND ${signedId(last)} GROUP BY shard`
  );
}

/** How many keys each shard has. */
export function countsSql(table: Table): string {
  return `SELECT shard, pg_catalog.count(*) FROM ${nameOf(table)} GROUP BY shard`;
}

/** All periods in their order: id, shard, whether it moves, and the time of the server in milliseconds. */
export function periodsSql(table: Table, kind: number): string {
  return (
    'SELECT key_hash, shard, moving,' +
    ' (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::pg_catalog.int8' +
    ` FROM ${nameOf(table)} WHERE ${isKind(kind)} ORDER BY key_hash`
  );
}

/** Gives keys their shards, but for those that have got one meanwhile. */
export function assignSql(table: Table, entries: readonly NewEntry[]): string {
  const rows = entries.map(({ id, key, shard }) => {
    const text = key === null ? 'NULL' : quoteLiteral(key);
    return `(${signedId(id)}, ${text}, ${quoteLiteral(shard)})`;
  });
  return `INSERT INTO ${nameOf(table)} (key_hash, key, shard) VALUES ${rows.join(', ')} ON CONFLICT DO NOTHING`;
}

/** Marks a key as moving; one that is new gets a shard. Where it is does not change yet. One row: its shard. */
export function beginMoveSql(table: Table, id: KeyspaceId, key: string, shard: string): string {
  return (
    `INSERT INTO ${nameOf(table)} (key_hash, key, shard, moving)` +
    ` VALUES (${signedId(id)}, ${quoteLiteral(key)}, ${quoteLiteral(shard)}, true)` +
    ' ON CONFLICT (key_hash) DO UPDATE SET key = excluded.key, moving = true, changed_at = clock_timestamp()' +
    ' RETURNING shard'
  );
}

/** Gives a key another shard, or says that it has arrived. One row where the key is there. */
export function moveSql(
  table: Table,
  id: KeyspaceId,
  change: { readonly shard: string } | { readonly moving: false },
): string {
  const what = 'shard' in change ? `shard = ${quoteLiteral(change.shard)}` : 'moving = false';
  return (
    `UPDATE ${nameOf(table)} SET ${what}, changed_at = clock_timestamp()` +
    ` WHERE key_hash = ${signedId(id)} RETURNING 1`
  );
}

/** Of whoever moves keys of a directory, in his session at its home: one at a time. One row: whether he has it. */
export function lockMovesSql({ schema, name }: Table): string {
  const key = quoteLiteral(`shardgate directory ${schema}.${name}`);
  return `SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(${key}, 0))`;
}

function nameOf({ schema, name }: Table): string {
  return quoteQualified(schema, name);
}
