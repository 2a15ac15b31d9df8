import type { Pool } from '../../backend/pool.js';
import type { ServerAddress } from '../../config/config.js';
import { showCommand } from '../show.js';

/** What clients connect to, and behind it what the shards are. */
interface DatabaseRow {
  readonly name: string;
  /** Null: the database of the clients. */
  readonly shard: { readonly pool: Pool; readonly address: ServerAddress } | null;
  readonly poolSize: number;
  readonly connectionsMax: number;
  readonly connections: number;
  readonly paused: boolean;
  readonly disabled: boolean;
}

export const showDatabases = showCommand<DatabaseRow>({
  name: 'DATABASES',
  help: 'The database that clients connect to, and those of the shards',
  columns: [
    { name: 'name', type: 'text', of: ({ name }) => name },
    { name: 'host', type: 'text', of: ({ shard }) => shard?.address.host ?? null },
    { name: 'port', type: 'int4', of: ({ shard }) => shard?.address.port ?? null },
    { name: 'database', type: 'text', of: ({ name, shard }) => shard?.address.database ?? name },
    { name: 'force_user', type: 'text', of: ({ shard }) => shard?.address.user ?? null },
    { name: 'pool_size', type: 'int4', of: ({ poolSize }) => poolSize },
    { name: 'min_pool_size', type: 'int4', of: () => 0 },
    { name: 'reserve_pool', type: 'int4', of: () => 0 },
    { name: 'pool_mode', type: 'text', of: () => 'transaction' },
    { name: 'max_connections', type: 'int4', of: ({ connectionsMax }) => connectionsMax },
    { name: 'current_connections', type: 'int4', of: ({ connections }) => connections },
    { name: 'paused', type: 'int4', of: ({ paused }) => (paused ? 1 : 0) },
    { name: 'disabled', type: 'int4', of: ({ disabled }) => (disabled ? 1 : 0) },
    { name: 'keyspace', type: 'text', of: ({ shard }) => shard?.pool.shard.keyspace ?? null },
  ],
  items: ({ proxy, door }) => {
    const { config, cluster, metrics } = proxy;
    const shards = cluster.all.map((pool, index): DatabaseRow => {
      const { max, active, idle } = pool.gauge;
      return {
        name: pool.shard.name,
        shard: { pool, address: config.servers[index]!.primary },
        poolSize: max,
        connectionsMax: max,
        connections: active + idle,
        paused: pool.isPaused,
        disabled: false,
      };
    });
    const own: DatabaseRow = {
      name: config.database,
      shard: null,
      poolSize: config.pool.size,
      connectionsMax: config.limits.maxClients,
      connections: metrics.clientsConnected,
      paused: cluster.all.every((pool) => pool.isPaused),
      disabled: door.disabled,
    };
    return [own, ...shards];
  },
});
