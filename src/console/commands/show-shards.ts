import type { Pool } from '../../backend/pool.js';
import type { ServerAddress } from '../../config/config.js';
import { formatKeyRange } from '../../keyspace/key-range.js';
import { showCommand } from '../show.js';

interface ShardRow {
  readonly pool: Pool;
  readonly address: ServerAddress;
}

export const showShards = showCommand<ShardRow>({
  name: 'SHARDS',
  help: 'The shards, what they own and whether they can be reached',
  columns: [
    { name: 'shard', type: 'text', of: ({ pool }) => pool.shard.name },
    { name: 'keyspace', type: 'text', of: ({ pool }) => pool.shard.keyspace },
    {
      name: 'ranges',
      type: 'text',
      of: ({ pool }) => pool.shard.ranges.map(formatKeyRange).join(' '),
    },
    { name: 'host', type: 'text', of: ({ address }) => address.host },
    { name: 'port', type: 'int4', of: ({ address }) => address.port },
    { name: 'database', type: 'text', of: ({ address }) => address.database },
    { name: 'state', type: 'text', of: ({ pool }) => stateOf(pool) },
    { name: 'problem', type: 'text', of: ({ pool }) => pool.problem },
  ],
  items: ({ proxy }) =>
    proxy.cluster.all.map((pool, index) => ({
      pool,
      address: proxy.config.servers[index]!.primary,
    })),
});

function stateOf(pool: Pool): 'up' | 'down' | 'paused' {
  if (pool.isPaused) return 'paused';
  return pool.problem === null ? 'up' : 'down';
}
