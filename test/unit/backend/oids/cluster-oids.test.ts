import { afterEach, describe, expect, test } from 'vitest';
import { ClusterOids } from '../../../../src/backend/oids/cluster-oids.js';
import { serverOidsQuery } from '../../../../src/backend/oids/server-oids.js';
import { Pool } from '../../../../src/backend/pool.js';
import type { BackendConnection } from '../../../../src/backend/postgres/connection.js';
import { ShardMetrics } from '../../../../src/metrics/metrics.js';
import { createLogger } from '../../../../src/util/logger.js';
import { int32, message } from '../../protocol/messages.js';
import { FakeServer, type FakeConnection } from '../fake-server.js';
import { replies } from '../postgres/replies.js';
import { shard } from '../postgres/scripted-transport.js';

const cleanups: (() => void)[] = [];
const logger = createLogger('silent');

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A server that has one type, mood; null: it refuses to tell. */
class MoodServer {
  oid: number | null;
  asked = 0;
  server!: FakeServer;
  pool!: Pool;

  constructor(oid: number | null) {
    this.oid = oid;
  }

  async open(): Promise<this> {
    this.server = await FakeServer.start((connection) => this.serve(connection));
    const options = {
      size: 2,
      queueTimeoutMs: 1000,
      idleTimeoutMs: 60_000,
      maxLifetimeMs: 60_000,
      connectTimeoutMs: 1000,
      healthCheckIntervalMs: 0,
      preparedStatementsMax: 10,
      batchMax: 8,
      settings: {},
    };
    const { address } = this.server;
    this.pool = new Pool(shard, address, options, new ShardMetrics('s0'), logger);
    cleanups.push(() => {
      this.pool.destroy();
      this.server.close();
    });
    return this;
  }

  private async serve(connection: FakeConnection): Promise<void> {
    for (;;) {
      const { type, body } = await connection.next();
      if (type !== 'Q') continue;
      expect(body.toString()).toBe(`${serverOidsQuery}\0`);
      this.asked++;
      const row = ['t', 'public', 'mood', 'f', String(this.oid)];
      const values = row.flatMap((value) => [int32(value.length), value]);
      if (this.oid === null) connection.send(replies.error('42501'), replies.ready());
      else {
        const answer = [message('D', row.length, ...values), replies.complete('SELECT 1')];
        connection.send(...answer, replies.ready());
      }
    }
  }
}

function lease(pool: Pool): Promise<BackendConnection> {
  return new Promise((onBackend, onBackendError) => {
    const backend = pool.tryLease();
    if (backend === null) pool.wait({ onBackend, onBackendError });
    else onBackend(backend);
  });
}

/** A catalog shard and another one, as the servers have them. */
async function cluster(
  catalog: number | null,
  other: number | null,
): Promise<{ oids: ClusterOids; catalog: MoodServer; other: MoodServer; pools: Pool[] }> {
  const servers = [new MoodServer(catalog), new MoodServer(other)] as const;
  for (const server of servers) await server.open();
  const oids = new ClusterOids(logger);
  for (const { pool } of servers) oids.watch(pool);
  return { oids, catalog: servers[0], other: servers[1], pools: servers.map(({ pool }) => pool) };
}

describe('OIDs of a cluster', () => {
  test('are known from the first round on; nothing changes before it is applied', async () => {
    const { oids, catalog, other, pools } = await cluster(20001, 30001);
    const fresh = await oids.read(pools, catalog.pool);
    expect(fresh.changed).toBe(true);
    expect(other.pool.oids).toBeNull();
    fresh.apply();
    expect(catalog.pool.oids).toBeNull();
    expect(other.pool.oids!.catalogType(30001)).toBe(20001);
    expect((await oids.read(pools, catalog.pool)).changed).toBe(false);
    other.oid = 30002;
    const again = await oids.read(pools, catalog.pool);
    expect(again.changed).toBe(true);
    again.apply();
    expect(other.pool.oids!.catalogType(30002)).toBe(20001);
  });

  test('are learnt before a backend is lent, where a pool is new', async () => {
    const { oids, catalog, other } = await cluster(20001, 30001);
    (await oids.read([catalog.pool], catalog.pool)).apply();
    const [first, second] = await Promise.all([lease(other.pool), lease(other.pool)]);
    expect(first.owner.oids!.shardType(20001)).toBe(30001);
    const { asked } = other;
    other.pool.discard(first);
    other.pool.discard(second);
    other.pool.discard(await lease(other.pool));
    expect(other.asked).toBe(asked);
  });

  test('of a shard that cannot tell stay as they were, and are asked for again', async () => {
    const { oids, catalog, other, pools } = await cluster(20001, 30001);
    (await oids.read(pools, catalog.pool)).apply();
    other.oid = null;
    const fresh = await oids.read(pools, catalog.pool);
    expect(fresh.changed).toBe(false);
    fresh.apply();
    expect(other.pool.oids!.shardType(20001)).toBe(30001);
    // Two at once: one of them is new.
    other.oid = 30009;
    const held = await Promise.all([lease(other.pool), lease(other.pool)]);
    expect(other.pool.oids!.shardType(20001)).toBe(30009);
    for (const backend of held) other.pool.discard(backend);
  });

  test('that nobody can tell keep no client waiting', async () => {
    const { oids, catalog, other } = await cluster(20001, null);
    (await oids.read([catalog.pool], catalog.pool)).apply();
    const backend = await lease(other.pool);
    expect(backend.owner.oids).toBeNull();
    other.pool.discard(backend);
  });

  test('of the catalog shard must be known', async () => {
    const { oids, catalog, pools } = await cluster(null, 30001);
    await expect(oids.read(pools, catalog.pool)).rejects.toThrow();
  });
});
