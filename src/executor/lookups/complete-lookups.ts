import { sqlError, type SqlError } from '../../errors/sql-error.js';
import { keyList } from '../../keyspace/key-columns.js';
import { formatKeyRange } from '../../keyspace/key-range.js';
import { lookupKey, type Lookup, type Shard, type Topology } from '../../keyspace/topology.js';
import { quoteLiteral } from '../../sql/quote.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import { ownerOf } from './key-ids.js';
import { STATES_SQL, statesSql } from './lookup-states.js';

const TIMEOUT_MS = 30_000;

/** A complete lookup is another one's when any of this has changed. */
export function definitionOf(lookup: Lookup, topology: Topology): string {
  const owner = ownerOf(lookup, topology);
  const { vindex, keyspace } = owner;
  const { schema, table, column, unique } = lookup;
  const definition: unknown[] = [keyspace.name, schema, table, column, unique, keyList(owner)];
  definition.push(vindex.type, vindex.name);
  // Entries are keyspace ids, so they are others where the vindex gives others.
  if (vindex.followsRanges) definition.push(vindex.mapping, rangesOf(keyspace.shards));
  return JSON.stringify(definition);
}

function rangesOf(shards: readonly Shard[]): string[] {
  return shards.map(({ name, ranges }) => `${name} ${ranges.map(formatKeyRange).join(' ')}`);
}

/** The advisory lock, on the catalog shard, of whoever builds a lookup, as SQL. */
export function buildLockSql(lookup: Lookup): string {
  return `pg_catalog.hashtextextended(${quoteLiteral(`shardgate lookup ${lookupKey(lookup)}`)}, 0)`;
}

/**
 * Moves rows of a table that has lookups. Who builds a lookup reads shard after shard, so a row that goes to a shard
 * which has been read already would be left out: nobody builds one meanwhile. Throws SqlError 55000 where one is not
 * complete.
 */
export async function whileComplete<T>(
  lookups: readonly Lookup[],
  { links, topology }: { readonly links: Pick<OwnLinks, 'session'>; readonly topology: Topology },
  move: () => Promise<T>,
): Promise<T> {
  if (lookups.length === 0) return move();
  return links.session(topology.catalogShard, TIMEOUT_MS, async (ask) => {
    // First without the locks: they would turn away who is about to build one.
    await checkComplete(lookups, topology, ask);
    try {
      const locks = lookups.map(
        (lookup) => `pg_catalog.pg_try_advisory_lock_shared(${buildLockSql(lookup)})`,
      );
      const [free = []] = await ask(`SELECT ${locks.join(', ')}`);
      for (const [place, lookup] of lookups.entries()) {
        if (free[place] !== 't') throw incomplete(lookup);
      }
      await checkComplete(lookups, topology, ask);
      return await move();
    } finally {
      await ask('SELECT pg_catalog.pg_advisory_unlock_all()');
    }
  });
}

/** Throws SqlError 55000 where a lookup is not complete. */
async function checkComplete(
  lookups: readonly Lookup[],
  topology: Topology,
  ask: (sql: string) => Promise<(string | null)[][]>,
): Promise<void> {
  const [[isThere] = []] = await ask(STATES_SQL);
  const states = isThere === 't' ? await ask(statesSql) : [];
  const known = new Map(states.map(([key, definition]) => [key, definition]));
  for (const lookup of lookups) {
    if (known.get(lookupKey(lookup)) !== definitionOf(lookup, topology)) throw incomplete(lookup);
  }
}

function incomplete({ column, table }: Lookup): SqlError {
  return sqlError(
    'object_not_in_prerequisite_state',
    `the lookup of column "${column}" of table "${table}" is not complete yet`,
    { hint: 'Try again when the log says that it is ready.' },
  );
}
