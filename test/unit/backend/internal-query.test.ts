import { afterEach, describe, expect, test } from 'vitest';
import { InternalQuery } from '../../../src/backend/internal-query.js';
import { Pool } from '../../../src/backend/pool.js';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { ShardMetrics } from '../../../src/metrics/metrics.js';
import { createLogger } from '../../../src/util/logger.js';
import { int32, message } from '../protocol/messages.js';
import { FakeServer, type FakeConnection } from './fake-server.js';
import { replies } from './postgres/replies.js';
import { shard } from './postgres/scripted-transport.js';

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A pool of one backend whose server answers each query with the next of these. */
async function poolOf(...answers: readonly Buffer[][]): Promise<Pool> {
  const server = await FakeServer.start(async (connection: FakeConnection) => {
    for (const answer of answers) {
      await connection.next();
      connection.send(...answer);
    }
  });
  const options = {
    size: 1,
    queueTimeoutMs: 1000,
    idleTimeoutMs: 60_000,
    maxLifetimeMs: 60_000,
    connectTimeoutMs: 1000,
    healthCheckIntervalMs: 0,
    preparedStatementsMax: 10,
    batchMax: 8,
    settings: {},
  };
  const metrics = new ShardMetrics('s0');
  const pool = new Pool(shard, server.address, options, metrics, createLogger('silent'));
  cleanups.push(() => {
    pool.destroy();
    server.close();
  });
  return pool;
}

/** Waits for a backend as a client does. */
function lease(pool: Pool): Promise<BackendConnection> {
  return new Promise((onBackend, onBackendError) => {
    const backend = pool.tryLease();
    if (backend === null) pool.wait({ onBackend, onBackendError });
    else onBackend(backend);
  });
}

const end = [replies.complete('SELECT 1'), replies.ready()];

describe('a query of our own', () => {
  test('answers rows as text; the backend serves the next one', async () => {
    const row = message('D', 2, int32(1), 'a', int32(-1));
    const pool = await poolOf([replies.rowDescription, row, row, ...end], end);
    expect(await InternalQuery.run(pool, 'select', 1000)).toEqual([
      ['a', null],
      ['a', null],
    ]);
    expect(await InternalQuery.run(pool, 'select', 1000)).toEqual([]);
    expect(pool.size).toBe(1);
  });

  test('is answered while clients hold the whole pool, by one backend more, for this only', async () => {
    const pool = await poolOf(end, end);
    const held = await lease(pool);
    const waits = lease(pool);
    expect(await InternalQuery.run(pool, 'select', 1000)).toEqual([]);
    expect(pool.size).toBe(1);
    pool.release(held);
    expect(await waits).toBe(held);
  });

  test('on a new backend: clients get it once the rows have been used', async () => {
    const row = message('D', 1, int32(1), 'a');
    const pool = await poolOf([replies.rowDescription, row, ...end]);
    const story: string[] = [];
    pool.firstTask = (backend) => {
      InternalQuery.runOn(pool, backend, 'select', 1000, {
        onRows: (rows) => {
          story.push(`rows ${JSON.stringify(rows)}`);
          pool.firstTaskDone = true;
        },
        onFailed: (error) => story.push(error.message),
      });
    };
    const held = await lease(pool);
    story.push('lent');
    expect(story).toEqual(['rows [["a"]]', 'lent']);
    pool.discard(held);
  });

  test('rows of any size, over many reads', async () => {
    const large = 'x'.repeat(300_000);
    const pool = await poolOf([
      replies.rowDescription,
      replies.row(large),
      replies.row('y'),
      ...end,
    ]);
    expect(await InternalQuery.run(pool, 'select', 1000)).toEqual([[large], ['y']]);
  });

  test('an error of the server rejects, and keeps the backend', async () => {
    const pool = await poolOf([replies.error('42P01', 'no table'), replies.ready()], end);
    await expect(InternalQuery.run(pool, 'select', 1000)).rejects.toThrow('no table');
    expect(await InternalQuery.run(pool, 'select', 1000)).toEqual([]);
  });

  test('silence rejects in time, and closes the backend', async () => {
    const pool = await poolOf([]);
    await expect(InternalQuery.run(pool, 'select', 40)).rejects.toThrow('no answer within 40 ms');
    await expect.poll(() => pool.size).toBe(0);
  });

  test.each([
    ['more columns than it has', message('D', 5, int32(-1))],
    ['a value beyond its end', message('D', 1, int32(100), 'x')],
    ['no column count', message('D')],
  ])('a row with %s rejects, and closes the backend: nothing is thrown', async (_name, row) => {
    const pool = await poolOf([replies.rowDescription, row, ...end]);
    await expect(InternalQuery.run(pool, 'select', 1000)).rejects.toThrow(/protocol violation/);
    expect(pool.size).toBe(0);
  });
});
