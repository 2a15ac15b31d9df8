import type { Config, ServerAddress } from '../config/config.js';
import { lookupKey, type Shard } from '../keyspace/topology.js';
import type { Metrics, PoolGauge } from '../metrics/metrics.js';
import type { Logger } from '../util/logger.js';
import { Pool, type PoolOptions } from './pool.js';
import { Reserve } from './reserve.js';
import { BackendError } from './backend-error.js';
import { InternalQuery } from './internal-query.js';
import { ClusterOids, type FreshOids } from './oids/cluster-oids.js';
import { LOOKUPS_SETTING } from './postgres/lookup-notices.js';
import { TableRows } from './table-rows.js';

/** The pools of all shards. A reload makes new pools where a server or the pool settings changed and drains the old. */
export class Cluster {
  private pools: readonly Pool[];
  private addresses: readonly ServerAddress[];
  private options: PoolOptions;
  private readonly metrics: Metrics;
  private readonly logger: Logger;
  private readonly oids: ClusterOids;
  private readonly rows = new TableRows();
  private readonly reserve: Reserve;
  private nextAny = 0;

  constructor(config: Config, metrics: Metrics, logger: Logger) {
    this.metrics = metrics;
    this.logger = logger;
    this.oids = new ClusterOids(logger);
    this.options = poolOptions(config);
    this.reserve = new Reserve(config.pool.reserve);
    this.addresses = config.servers.map((servers) => servers.primary);
    metrics.setShards(config.topology.shards.map((shard) => shard.name));
    this.pools = config.topology.shards.map((shard) => this.makePool(shard));
    metrics.poolGauges = () => this.gauges();
  }

  /** By `Shard.index`. */
  get all(): readonly Pool[] {
    return this.pools;
  }

  /** Throws SqlError 08006 where a reload has removed the shard from the configuration. */
  pool(shard: Shard): Pool {
    const pool = this.pools[shard.index];
    if (pool?.shard === shard) return pool;
    // Planned before a reload, which may have put the shards in another order.
    const known = this.pools.find((other) => isSame(other.shard, shard));
    if (known !== undefined) return known;
    const gone = new BackendError(shard.name, 'connection_failure', 'it is no longer configured');
    throw gone.toSqlError();
  }

  /**
   * One of these shards, in turn, so that statements which any can answer spread. None that is known to be down or is
   * paused, unless they all are.
   */
  pickAny(shards: readonly Shard[]): Shard {
    for (let tried = 0; ; tried++) {
      this.nextAny = (this.nextAny + 1) % 0x3fffffff;
      const shard = shards[this.nextAny % shards.length]!;
      if (tried === shards.length) return shard;
      const pool = this.pool(shard);
      if (pool.problem === null && !pool.isPaused) return shard;
    }
  }

  /** Per shard, why it cannot be used; empty when all is well. */
  problems(): readonly { readonly shard: string; readonly reason: string }[] {
    return this.pools.flatMap((pool) =>
      pool.problem === null ? [] : [{ shard: pool.shard.name, reason: pool.problem }],
    );
  }

  warmUp(): void {
    for (const pool of this.pools) pool.warmUp();
  }

  /** Applies a new configuration: pools whose server and settings stay the same stay. */
  update(config: Config): void {
    const options = poolOptions(config);
    const addresses = config.servers.map((servers) => servers.primary);
    const sameOptions = JSON.stringify(options) === JSON.stringify(this.options);
    const before = this.pools;
    const old = new Map(before.map((pool, i) => [poolKey(pool.shard, this.addresses[i]!), pool]));
    this.metrics.setShards(config.topology.shards.map((shard) => shard.name));
    this.options = options;
    this.reserve.borrowersMax = config.pool.reserve;
    this.addresses = addresses;
    this.pools = config.topology.shards.map((shard, i) => {
      const key = poolKey(shard, addresses[i]!);
      const known = old.get(key);
      if (known === undefined || !sameOptions) {
        const pool = this.makePool(shard);
        if (known !== undefined) pool.inherit(known);
        else if (before.some((other) => other.isPaused && isSame(other.shard, shard))) {
          // Paused for its move to another server.
          void pool.pause();
        }
        return pool;
      }
      old.delete(key);
      known.rename(shard);
      return known;
    });
    for (const pool of old.values()) {
      // Transactions that run on it go on there: they must find their backends under the shard's new value.
      const shard = config.topology.shards.find((other) => isSame(other, pool.shard));
      if (shard !== undefined) pool.rename(shard);
      void pool.close(shard === undefined ? null : this.pools[shard.index]);
    }
  }

  /** Runs one query of our own on a shard; rows as text. Rejects with BackendError or SqlError. */
  query(shard: Shard, sql: string, timeoutMs: number): Promise<(string | null)[][]> {
    return InternalQuery.run(this.pool(shard), sql, timeoutMs);
  }

  /**
   * Queries of our own on one backend of a shard, one after the other however many are asked for at once: else they
   * would take as many backends. Those behind one that fails fail as it does.
   */
  inTurn<T>(
    shard: Shard,
    timeoutMs: number,
    act: (query: (sql: string) => Promise<(string | null)[][]>) => Promise<T>,
  ): Promise<T> {
    return InternalQuery.session(this.pool(shard), timeoutMs, (query) => {
      let last: Promise<unknown> = Promise.resolve();
      return act((sql) => {
        const own = last.then(() => query(sql));
        last = own;
        return own;
      });
    });
  }

  /** Asks all shards for their OIDs. Rejects where the catalog shard, whose OIDs clients see, fails. */
  readOids(catalogShard: Shard): Promise<FreshOids> {
    return this.oids.read(this.pools, this.pool(catalogShard));
  }

  /** What tells a shard's server from others, whatever addresses they have; null: not known. */
  serverOf(shard: Shard): string | null {
    return this.oids.serverOf(this.pool(shard));
  }

  /** Asks all shards how many rows their tables have. Never rejects. */
  readTableRows(): Promise<void> {
    return this.rows.read(this.pools);
  }

  /** By `schema.name`: about how many rows a table has on all shards together, as last asked. */
  tableRows(): ReadonlyMap<string, number> {
    return this.rows.total(this.pools);
  }

  /** What a server says of itself at login: the ParameterStatus values of a fresh connection. */
  parameters(shard: Shard, timeoutMs: number): Promise<ReadonlyMap<string, string>> {
    return InternalQuery.parameters(this.pool(shard), timeoutMs);
  }

  async close(): Promise<void> {
    await Promise.all(this.pools.map((pool) => pool.close()));
  }

  destroy(): void {
    for (const pool of this.pools) pool.destroy();
  }

  private makePool(shard: Shard): Pool {
    const address = this.addresses[shard.index];
    if (address === undefined) {
      throw new BackendError(shard.name, 'internal_error', 'no server is configured');
    }
    const metrics = this.metrics.shards[shard.index]!;
    const pool = new Pool(shard, address, this.options, metrics, this.logger, this.reserve);
    this.oids.watch(pool);
    return pool;
  }

  private gauges(): readonly PoolGauge[] {
    return this.pools.map((pool) => ({ shard: pool.shard.name, role: 'primary', ...pool.gauge }));
  }
}

function isSame(a: Shard, b: Shard): boolean {
  return a.keyspace === b.keyspace && a.name === b.name;
}

function poolKey(shard: Shard, address: ServerAddress): string {
  return JSON.stringify([shard.keyspace, shard.name, address]);
}

function poolOptions(config: Config): PoolOptions {
  const { pool, limits, transactions, topology } = config;
  const settings: Record<string, string> = {
    application_name: 'shardgate',
    client_encoding: 'UTF8',
    // So that SHOW and RESET know them.
    'shardgate.cross_shard': transactions.crossShard,
    'shardgate.scatter': topology.scatter ? 'on' : 'off',
    'shardgate.role': 'primary',
    'shardgate.shard': '',
    'shardgate.key': '',
    'shardgate.keyspace': '',
  };
  if (topology.lookups.length > 0) {
    settings[LOOKUPS_SETTING] = topology.lookups.map(lookupKey).join(',');
  }
  if (limits.statementTimeoutMs > 0) {
    settings['options'] = `-c statement_timeout=${limits.statementTimeoutMs}`;
  }
  return { ...pool, settings };
}
