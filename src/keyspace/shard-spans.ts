import { compareKeyspaceIds, type KeyspaceId } from './keyspace-id.js';
import type { Keyspace, Shard } from './topology.js';

/** Visits the shards of the ids from `from` to `to`, both included. */
export function eachShardOf(
  keyspace: Keyspace,
  from: KeyspaceId,
  to: KeyspaceId,
  visit: (shard: Shard) => void,
): void {
  if (from === to) {
    visit(keyspace.shardOf(from.hi, from.lo));
    return;
  }
  for (const shard of keyspace.shards) {
    const meets = shard.ranges.some(
      (range) =>
        compareKeyspaceIds(range.from, to) <= 0 &&
        (range.to === null || compareKeyspaceIds(from, range.to) < 0),
    );
    if (meets) visit(shard);
  }
}
