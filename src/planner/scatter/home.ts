import type { ShardSelector } from '../plan.js';

/** Any server of the keyspace that an input comes from: its own rows need not travel. */
export function homeOf(shards: ShardSelector): ShardSelector {
  const keyspace = 'keyspace' in shards ? shards.keyspace : null;
  return { kind: 'any', keyspace };
}
