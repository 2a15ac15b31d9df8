import { keyList } from './key-columns.js';
import { formatKeyRange } from './key-range.js';
import type { Lookup, Shard, ShardedTable } from './topology.js';

/** A lookup as it is configured. */
export type LookupSpec = Omit<Lookup, 'definition'>;

/** What `Lookup.definition` is. `owner`: the lookup's table. */
export function lookupDefinition(
  { schema, table, column, unique }: LookupSpec,
  owner: Pick<ShardedTable, 'keyspace' | 'vindex' | 'keyColumns'>,
): string {
  const { vindex, keyspace } = owner;
  const parts: unknown[] = [keyspace.name, schema, table, column, unique, keyList(owner)];
  // Entries are keyspace ids, so they are others where the vindex gives others.
  parts.push(vindex.mapping);
  if (vindex.followsRanges) parts.push(rangesOf(keyspace.shards));
  return JSON.stringify(parts);
}

function rangesOf(shards: readonly Shard[]): string[] {
  return shards.map(({ name, ranges }) => `${name} ${ranges.map(formatKeyRange).join(' ')}`);
}
