import { InternalQuery } from '../backend/internal-query.js';
import { Pool } from '../backend/pool.js';
import type { Config } from '../config/config.js';
import type { Shard } from '../keyspace/topology.js';
import { ShardMetrics } from '../metrics/metrics.js';
import type { Logger } from '../util/logger.js';

/** Recovery: one that waits for a decider in flight, one for everything else. */
const LINKS_PER_SHARD = 2;

/**
 * Connections of our own to the shards, apart from the clients' pools: what waits for the locks of an unfinished
 * transaction may hold every backend of a pool, and only recovery can end that wait; and whoever waits for an id may
 * hold one himself. They carry nobody's settings.
 */
export class OwnLinks {
  private readonly config: () => Config;
  private readonly logger: Logger;
  private readonly purpose: string;
  private readonly perShard: number;
  private pools = new Map<string, Pool>();
  private configured: Config | null = null;
  private closed = false;

  /** `purpose`: for the servers' `application_name`. */
  constructor(
    config: () => Config,
    logger: Logger,
    purpose: string,
    perShard: number = LINKS_PER_SHARD,
  ) {
    this.config = config;
    this.perShard = perShard;
    this.logger = logger;
    this.purpose = purpose;
  }

  /** Rows of one query, values as text. Rejects with BackendError or SqlError. */
  async query(shard: Shard, sql: string, timeoutMs: number): Promise<(string | null)[][]> {
    return InternalQuery.run(this.pool(shard), sql, timeoutMs);
  }

  /** Several queries on one connection, so that a transaction may span them. */
  async session<T>(
    shard: Shard,
    timeoutMs: number,
    act: (query: (sql: string) => Promise<(string | null)[][]>) => Promise<T>,
  ): Promise<T> {
    return InternalQuery.session(this.pool(shard), timeoutMs, act);
  }

  close(): void {
    this.closed = true;
    for (const pool of this.pools.values()) pool.destroy();
    this.pools.clear();
  }

  private pool(shard: Shard): Pool {
    this.followConfig();
    const config = this.config();
    const key = linkKey(config, shard);
    let pool = this.pools.get(key);
    if (pool === undefined) {
      const address = config.servers[shard.index]!.primary;
      const options = {
        ...config.pool,
        size: this.perShard,
        settings: { application_name: `shardgate ${this.purpose}`, client_encoding: 'UTF8' },
      };
      const metrics = new ShardMetrics(shard.name);
      pool = new Pool(shard, address, options, metrics, this.logger);
      if (this.closed) pool.destroy();
      else this.pools.set(key, pool);
    }
    return pool;
  }

  /** After a reload: servers that are no longer ours are left. */
  private followConfig(): void {
    const config = this.config();
    if (this.configured === config) return;
    this.configured = config;
    const wanted = new Set(config.topology.shards.map((shard) => linkKey(config, shard)));
    for (const [key, pool] of this.pools) {
      if (wanted.has(key)) continue;
      this.pools.delete(key);
      void pool.close();
    }
  }
}

function linkKey(config: Config, shard: Shard): string {
  const { primary } = config.servers[shard.index]!;
  return JSON.stringify([shard.keyspace, shard.name, primary, config.pool]);
}
