import { sqlError, type SqlError } from '../../errors/sql-error.js';
import {
  lookupKey,
  lookupShards,
  type Lookup,
  type Shard,
  type Topology,
} from '../../keyspace/topology.js';
import { quoteLiteral } from '../../sql/quote.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import { completeSql, STATES_SQL } from './lookup-states.js';

const TIMEOUT_MS = 30_000;

/** The advisory lock, on the first shard with its entries, of whoever builds a lookup, as SQL. */
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
  const [first] = lookups;
  if (first === undefined) return move();
  // The first shard is the last one that hears that a lookup is complete.
  const leadOf = (lookup: Lookup): Shard => lookupShards(topology, lookup)[0]!;
  const home = leadOf(first);
  const own = lookups.filter((lookup) => leadOf(lookup) === home);
  const others = lookups.filter((lookup) => !own.includes(lookup));
  return links.session(home, TIMEOUT_MS, async (ask) => {
    // First without the locks: they would turn away who is about to build one.
    await checkComplete(own, ask);
    try {
      const locks = own.map(
        (lookup) => `pg_catalog.pg_try_advisory_lock_shared(${buildLockSql(lookup)})`,
      );
      const [free = []] = await ask(`SELECT ${locks.join(', ')}`);
      for (const [place, lookup] of own.entries()) {
        if (free[place] !== 't') throw incomplete(lookup);
      }
      await checkComplete(own, ask);
      return await whileComplete(others, { links, topology }, move);
    } finally {
      await ask('SELECT pg_catalog.pg_advisory_unlock_all()');
    }
  });
}

/** Throws SqlError 55000 where a lookup is not complete. */
async function checkComplete(
  lookups: readonly Lookup[],
  ask: (sql: string) => Promise<(string | null)[][]>,
): Promise<void> {
  const [[isThere] = []] = await ask(STATES_SQL);
  for (const lookup of lookups) {
    const complete = isThere === 't' ? await ask(completeSql(lookup)) : [];
    if (complete.length === 0) throw incomplete(lookup);
  }
}

function incomplete({ column, table }: Lookup): SqlError {
  return sqlError(
    'object_not_in_prerequisite_state',
    `the lookup of column "${column}" of table "${table}" is not complete yet`,
    { hint: 'Try again when the log says that it is ready.' },
  );
}
