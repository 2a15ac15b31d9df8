import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import type { Keyspace, Shard } from '../keyspace/topology.js';
import { MAPPED, NO_MATCH, NO_SHARD, type KeyMapper } from '../keyspace/vindex.js';

/** The shards with rows whose shard key is one of these values, in binary format; null: cannot be told. */
export function shardsOfValues(
  keyspace: Keyspace,
  mapper: KeyMapper,
  values: readonly Buffer[],
): Set<Shard> | null {
  const shards = new Set<Shard>();
  const id = new KeyspaceIdCell();
  for (const value of values) {
    const outcome = mapper.binary(value, 0, value.length, id);
    if (outcome === MAPPED) shards.add(keyspace.shardOf(id.hi, id.lo));
    else if (outcome !== NO_MATCH && outcome !== NO_SHARD) return null;
  }
  return shards;
}
