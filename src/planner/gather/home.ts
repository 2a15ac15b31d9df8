import type { Keyspace, Table } from '../../keyspace/topology.js';
import type { Analysis } from '../analysis.js';
import type { Entry, Occurrence } from '../model.js';
import type { Tables } from '../placement.js';
import type { ShardSelector } from '../plan.js';
import { refuse } from '../refusals.js';

/** Rows of a table whose size is not known, on each of its shards. */
export const ROWS_UNKNOWN = 10_000;

/** Where the final statement runs, and which tables are there with all rows that it needs where they stand. */
export interface Home {
  readonly shards: ShardSelector;
  readonly holds: (table: Table, entry: Entry) => boolean;
}

/**
 * The server that the fewest rows travel to, where nothing else decides: system catalogs are read on
 * the catalog shard, and sequences are only where they are.
 */
export function homeOf(tables: Tables, analysis: Analysis): Home {
  const sequences = sequencesOf(tables);
  const { topology } = analysis.names;
  if (tables.system.length > 0 || analysis.readsCatalog || analysis.systemColumn !== null) {
    const shard = topology.catalogShard;
    if (sequences.some(({ shards }) => shards[0] !== shard)) refuseSequence();
    const holds = (table: Table): boolean =>
      table.type !== 'sharded' && table.keyspace.shards.includes(shard);
    return { shards: { kind: 'catalog' }, holds };
  }
  // No other server knows their names.
  const temporary = tables.unsharded.find(({ relation }) => relation.temporary === true);
  const bound = new Set([...sequences, ...(temporary ? [temporary.table!.keyspace] : [])]);
  if (bound.size > 1) refuseSequence();
  const [keyspace = cheapest(tables)] = bound;
  return homeAt(keyspace);
}

/** Keyspaces of sequences whose next value the statement takes. */
function sequencesOf(tables: Tables): Keyspace[] {
  const written = tables.unsharded.filter((occurrence) => occurrence.written);
  return [...new Set(written.map(({ table }) => table!.keyspace))];
}

function refuseSequence(): never {
  refuse(
    'sequences and other tables that are read together, but on several servers, are not supported',
    'Take the value of the sequence in a statement of its own.',
  );
}

function homeAt(keyspace: Keyspace | null): Home {
  const shards: ShardSelector =
    keyspace === null || keyspace.sharded
      ? { kind: 'any', keyspace }
      : { kind: 'shard', shard: keyspace.shards[0]! };
  return { shards, holds: (table) => table.keyspace === keyspace && table.type !== 'sharded' };
}

/** The keyspace whose servers need the fewest rows from elsewhere. */
function cheapest(tables: Tables): Keyspace | null {
  const { sharded, reference, unsharded } = tables;
  let best: Keyspace | null = null;
  let bestRows = Infinity;
  for (const { table } of [...sharded, ...unsharded, ...reference]) {
    const { keyspace } = table!;
    if (keyspace === best) continue;
    let rows = 0;
    for (const occurrence of sharded) rows += travellingRows(occurrence, keyspace);
    for (const occurrence of [...unsharded, ...reference]) {
      if (occurrence.table!.keyspace !== keyspace) {
        rows += estimatedRows(occurrence) ?? ROWS_UNKNOWN;
      }
    }
    if (rows >= bestRows) continue;
    best = keyspace;
    bestRows = rows;
  }
  return best;
}

/** Rows of a sharded table that a home in this keyspace does not have. */
function travellingRows(occurrence: Occurrence, keyspace: Keyspace): number {
  const { shards } = occurrence.table!.keyspace;
  const rows = estimatedRows(occurrence) ?? ROWS_UNKNOWN * shards.length;
  if (occurrence.table!.keyspace !== keyspace) return rows;
  return (rows * (shards.length - 1)) / shards.length;
}

/** Rows of a table, as the catalog estimates; null: not known. */
export function estimatedRows({ relation, table }: Occurrence): number | null {
  const rows = relation.estimatedRows ?? null;
  if (rows === null || table!.type !== 'reference') return rows;
  return rows / table!.keyspace.shards.length;
}
