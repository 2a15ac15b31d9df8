import type { Pool } from '../../backend/pool.js';
import type { PoolCensus } from '../../backend/pool-census.js';
import type { ServerAddress } from '../../config/config.js';
import { splitWait } from '../clock-text.js';
import { showCommand } from '../show.js';

/** One shard's pool now. */
interface PoolRow {
  readonly pool: Pool;
  readonly census: PoolCensus;
  readonly address: ServerAddress;
}

/** A pool is a shard's, so `database` names the shard, as in SHOW DATABASES and PAUSE. */
export const showPools = showCommand<PoolRow>({
  name: 'POOLS',
  help: 'The backends of each shard, and who waits for them',
  columns: [
    { name: 'database', type: 'text', of: ({ pool }) => pool.shard.name },
    { name: 'user', type: 'text', of: ({ address }) => address.user },
    { name: 'cl_active', type: 'int4', of: ({ census }) => census.active },
    { name: 'cl_waiting', type: 'int4', of: ({ census }) => census.waiting },
    { name: 'cl_active_cancel_req', type: 'int4', of: () => 0 },
    { name: 'cl_waiting_cancel_req', type: 'int4', of: () => 0 },
    { name: 'sv_active', type: 'int4', of: ({ census }) => census.active },
    { name: 'sv_active_cancel', type: 'int4', of: ({ census }) => census.canceled },
    { name: 'sv_being_canceled', type: 'int4', of: () => 0 },
    { name: 'sv_idle', type: 'int4', of: ({ census }) => census.idle },
    { name: 'sv_used', type: 'int4', of: () => 0 },
    { name: 'sv_tested', type: 'int4', of: ({ census }) => census.checking },
    { name: 'sv_login', type: 'int4', of: ({ census }) => census.connecting },
    { name: 'maxwait', type: 'int4', of: ({ census }) => splitWait(census.longestWaitMs).seconds },
    { name: 'maxwait_us', type: 'int4', of: ({ census }) => splitWait(census.longestWaitMs).us },
    { name: 'pool_mode', type: 'text', of: () => 'transaction' },
    { name: 'load_balance_hosts', type: 'text', of: () => null },
    { name: 'keyspace', type: 'text', of: ({ pool }) => pool.shard.keyspace },
    { name: 'problem', type: 'text', of: ({ pool }) => pool.problem },
  ],
  items: ({ proxy }) =>
    proxy.cluster.all.map((pool, index) => ({
      pool,
      census: pool.census,
      address: proxy.config.servers[index]!.primary,
    })),
});
