import { keyList } from './key-columns.js';
import { formatKeyRange } from './key-range.js';
import type { Shard, ShardedTable } from './topology.js';

/** All that decides on which shard a row of the table is to be. Of a directory, its table decides. */
export function rowPlacement(table: ShardedTable): string {
  const { keyspace, vindex } = table;
  const parts: unknown[] = [keyspace.name, keyList(table), vindex.mapping];
  if (vindex.directory === undefined) parts.push(rangesOf(keyspace.shards));
  return JSON.stringify(parts);
}

/** Which key ranges each shard has. */
export function rangesOf(shards: readonly Pick<Shard, 'name' | 'ranges'>[]): string[] {
  return shards.map(({ name, ranges }) => `${name} ${ranges.map(formatKeyRange).join(' ')}`);
}
