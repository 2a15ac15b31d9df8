import { afterEach, describe, expect, test } from 'vitest';
import type { BackendError } from '../../../src/backend/backend-error.js';
import { Pool, type PoolOptions } from '../../../src/backend/pool.js';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import type { BackendWaiter } from '../../../src/backend/waiting-line.js';
import { DROP, PASS } from '../../../src/backend/postgres/expected-replies.js';
import { ShardMetrics } from '../../../src/metrics/metrics.js';
import { createLogger } from '../../../src/util/logger.js';
import { pause } from '../net/loopback.js';
import { answerQueries, FakeServer, type FakeConnection } from './fake-server.js';
import { RecordingSink } from './postgres/recording-sink.js';
import { replies } from './postgres/replies.js';
import { shard } from './postgres/scripted-transport.js';

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Rig {
  readonly pool: Pool;
  readonly server: FakeServer;
  readonly metrics: ShardMetrics;
  /** Every packet of all connections, as `connection: message`. */
  readonly log: () => string[];
}

const defaults: PoolOptions = {
  size: 2,
  queueTimeoutMs: 5000,
  idleTimeoutMs: 60_000,
  maxLifetimeMs: 60_000,
  connectTimeoutMs: 1000,
  healthCheckIntervalMs: 0,
  preparedStatementsMax: 10,
  batchMax: 8,
  settings: { application_name: 'shardgate' },
};

async function rig(
  options: Partial<PoolOptions> = {},
  serve: (connection: FakeConnection) => Promise<void> | void = answerQueries,
  login?: (connection: FakeConnection) => Promise<void> | void,
): Promise<Rig> {
  const server = await FakeServer.start(serve, login);
  const metrics = new ShardMetrics('s0');
  const pool = new Pool(
    shard,
    server.address,
    { ...defaults, ...options },
    metrics,
    createLogger('silent'),
  );
  cleanups.push(() => {
    pool.destroy();
    server.close();
  });
  const log = (): string[] =>
    server.connections.flatMap((each, i) => each.log.slice(1).map((line) => `${i}: ${line}`));
  return { pool, server, metrics, log };
}

/** Waits for a backend; rejects with the pool's error. */
function lease(pool: Pool): Promise<BackendConnection> {
  return new Promise((resolve, reject) => {
    const waiter: BackendWaiter = { onBackend: resolve, onBackendError: reject };
    const backend = pool.tryLease();
    if (backend === null) pool.wait(waiter);
    else resolve(backend);
  });
}

async function failure(promise: Promise<unknown>): Promise<BackendError> {
  try {
    await promise;
  } catch (error) {
    return error as BackendError;
  }
  throw new Error('a backend came');
}

/** Looks again every few milliseconds until it is so. */
async function eventually(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 1000) throw new Error('never');
    await pause(3);
  }
}

/** Runs a statement without an end, as a session does. */
function runs(backend: BackendConnection, sql: string): RecordingSink {
  const sink = new RecordingSink();
  backend.sink = sink;
  backend.query(sql, PASS);
  backend.flush();
  return sink;
}

describe('size', () => {
  test('opens as many as are wanted, never more than allowed', async () => {
    const { pool, server } = await rig({ size: 2 });
    const order: number[] = [];
    const waits = [0, 1, 2, 3, 4].map((i) =>
      lease(pool).then((backend) => {
        order.push(i);
        return backend;
      }),
    );
    const first = await Promise.all(waits.slice(0, 2));
    await pause(30);
    expect(server.connections).toHaveLength(2);
    expect(pool.gauge).toEqual({ active: 2, idle: 0, waiting: 3, max: 2 });
    // Whoever came first is served first.
    pool.release(first[0]!);
    expect(await waits[2]).toBe(first[0]);
    pool.release(first[1]!);
    expect(await waits[3]).toBe(first[1]);
    pool.release(first[0]!);
    await waits[4];
    expect(order.slice(2)).toEqual([2, 3, 4]);
    expect(server.connections).toHaveLength(2);
  });

  test('one waiter opens one backend, even while the login takes its time', async () => {
    const { pool, server } = await rig({ size: 10 }, answerQueries, async (connection) => {
      await pause(20);
      connection.welcome();
    });
    const waits = [lease(pool), lease(pool)];
    await Promise.all(waits);
    expect(server.connections).toHaveLength(2);
  });

  test('a waiter that gave up gets none; the backend it caused is kept', async () => {
    const { pool } = await rig();
    const told: string[] = [];
    const waiter: BackendWaiter = {
      onBackend: () => told.push('backend'),
      onBackendError: () => told.push('error'),
    };
    pool.wait(waiter);
    pool.giveUp(waiter);
    await eventually(() => pool.gauge.idle === 1);
    expect(told).toEqual([]);
  });
});

test('the backend used last is used next', async () => {
  const { pool } = await rig({ size: 3 });
  const [a, b, c] = await Promise.all([lease(pool), lease(pool), lease(pool)]);
  for (const backend of [b, c, a]) pool.release(backend);
  expect(pool.tryLease()).toBe(a);
  expect(pool.tryLease()).toBe(c);
  expect(pool.tryLease()).toBe(b);
  expect(pool.tryLease()).toBeNull();
});

test('nobody overtakes those who wait', async () => {
  const { pool } = await rig({ size: 1 });
  const backend = await lease(pool);
  const waiting = lease(pool);
  expect(pool.tryLease()).toBeNull();
  pool.release(backend);
  expect((await waiting) === backend).toBe(true);
});

test('waiting ends in time, with what to do about it', async () => {
  const { pool } = await rig({ size: 1, queueTimeoutMs: 50 });
  const backend = await lease(pool);
  const start = performance.now();
  const error = await failure(lease(pool));
  expect(performance.now() - start).toBeGreaterThan(45);
  expect(performance.now() - start).toBeLessThan(1000);
  expect(error.toSqlError()).toMatchObject({
    code: '53000',
    message: 'shard "s0": no backend became free within 50 ms (pool size 1)',
    hint: 'Raise pool.size or pool.queue_timeout, or shorten transactions.',
  });
  pool.release(backend);
  expect((await lease(pool)) === backend).toBe(true);
});

describe('a shard that cannot be reached', () => {
  test('everybody who waits is told at once, and later ones without a try while it backs off', async () => {
    const { pool, server, metrics } = await rig({ size: 5 });
    server.close();
    await pause(5);
    const errors = await Promise.all([failure(lease(pool)), failure(lease(pool))]);
    for (const error of errors) expect(error.toSqlError().code).toBe('08001');
    expect(pool.problem).toMatch(/ECONNREFUSED/);
    const tries = metrics.connectFailures;
    const start = performance.now();
    expect(await failure(lease(pool))).toMatchObject({ state: 'sqlclient_unable_to_establish' });
    expect(performance.now() - start).toBeLessThan(40);
    expect(metrics.connectFailures).toBe(tries);
  });

  test('it is tried again, and forgotten when it is back', async () => {
    let refuse = true;
    const { pool } = await rig({ size: 1 }, answerQueries, (connection) => {
      if (refuse) connection.send(replies.error('57P03', 'starting up'));
      else connection.welcome();
    });
    expect(pool.problem).toBe('not connected yet');
    expect((await failure(lease(pool))).message).toMatch(/^starting up/);
    expect(pool.problem).toMatch(/^starting up/);
    refuse = false;
    await eventually(() => pool.problem === null);
    expect(await lease(pool)).toMatchObject({ alive: true });
  });

  test('where others still run, one failed connect fails nobody', async () => {
    let logins = 0;
    const { pool } = await rig({ size: 2 }, answerQueries, (connection) => {
      if (logins++ === 0) connection.welcome();
      else connection.send(replies.error('53300', 'too many'));
    });
    const backend = await lease(pool);
    const waiting = lease(pool);
    await eventually(() => logins === 2);
    await pause(20);
    pool.release(backend);
    expect((await waiting) === backend).toBe(true);
  });
});

describe('a session that vanishes', () => {
  test('idle in a transaction: rolled back, and the next one gets the backend', async () => {
    const { pool, log, server } = await rig({ size: 1 }, async (connection) => {
      let open = false;
      for (;;) {
        const { type, body } = await connection.next();
        const sql = body.toString();
        if (type === 'Q') open = sql.startsWith('BEGIN');
        if (type === 'Q') connection.send(replies.complete('X'));
        connection.send(replies.ready(open ? 'T' : 'I'));
      }
    });
    const backend = await lease(pool);
    const sink = runs(backend, 'BEGIN');
    await sink.until(() => sink.statuses.length > 0);
    const waiting = lease(pool);
    pool.release(backend);
    expect((await waiting) === backend).toBe(true);
    expect(log()).toEqual(['0: Q BEGIN', '0: S', '0: Q ROLLBACK']);
    expect(server.cancels).toEqual([]);
    // What it had set is not known any more.
    expect(backend.settingsKey).toBeNull();
    expect(sink.calls.filter((call) => call === 'ready')).toHaveLength(1);
  });

  test('in a statement: cancelled, drained, rolled back, handed on when the cancel has arrived', async () => {
    let cancelled!: () => void;
    const signal = new Promise<void>((resolve) => {
      cancelled = resolve;
    });
    const { pool, log, server } = await rig({ size: 1 }, async (connection) => {
      await connection.next();
      connection.send(replies.rowDescription, replies.row('half a row').subarray(0, 7));
      await signal;
      connection.send(replies.row('half a row').subarray(7), replies.error('57014'));
      connection.send(replies.ready());
      await answerQueries(connection);
    });
    const backend = await lease(pool);
    const sink = runs(backend, 'select pg_sleep(1000)');
    await sink.until(() => sink.passed.length > 20);
    let letGo!: () => void;
    server.onCancel = () => {
      cancelled();
      return new Promise((resolve) => {
        letGo = resolve;
      });
    };
    const passed = sink.passed;
    const waiting = lease(pool);
    pool.abandon(backend);
    await eventually(() => log().length === 3 && server.cancels.length === 1);
    await pause(20);
    // The signal may still be on its way: the next client's statement must not be hit by it.
    expect(pool.gauge.waiting).toBe(1);
    letGo();
    expect((await waiting) === backend).toBe(true);
    expect(server.cancels).toEqual([backend.pid]);
    expect(log()).toEqual(['0: Q select pg_sleep(1000)', '0: S', '0: Q ROLLBACK']);
    expect(sink.passed).toBe(passed);
    expect(backend.quiet).toBe(true);
  });

  test('in COPY FROM STDIN: the copy is failed', async () => {
    const { pool, log } = await rig({ size: 1 }, async (connection) => {
      await connection.next();
      connection.send(replies.copyIn);
      while ((await connection.next()).type !== 'f');
      connection.send(replies.error('57014'), replies.ready());
      await answerQueries(connection);
    });
    const backend = await lease(pool);
    const sink = runs(backend, 'copy t from stdin');
    await sink.until(() => sink.calls.includes('copyInStarted'));
    pool.abandon(backend);
    expect((await lease(pool)) === backend).toBe(true);
    expect(log()).toEqual([
      '0: Q copy t from stdin',
      '0: f the client has gone',
      '0: S',
      '0: Q ROLLBACK',
    ]);
  });

  test('while its client was slow: what waits is read and dropped', async () => {
    const { pool } = await rig({ size: 1 }, async (connection) => {
      await connection.next();
      const rows = Array.from({ length: 100 }, () => replies.row('x'.repeat(10_000)));
      connection.send(...rows, replies.complete('SELECT 100'), replies.ready());
      await answerQueries(connection);
    });
    const backend = await lease(pool);
    const sink = new RecordingSink();
    sink.takes = () => false;
    backend.sink = sink;
    backend.query('select', PASS);
    backend.flush();
    await sink.until(() => sink.calls.length > 0);
    pool.abandon(backend);
    expect((await lease(pool)) === backend).toBe(true);
    expect(sink.calls).toEqual(['pass']);
  });
});

test('a server that never leaves its transaction is cut off, not asked for ever', async () => {
  let queries = 0;
  const { pool } = await rig({ size: 1 }, async (connection) => {
    for (;;) {
      const { type } = await connection.next();
      if (type === 'Q') connection.send(replies.complete('X'));
      if (type === 'Q') queries++;
      connection.send(replies.ready('T'));
    }
  });
  const backend = await lease(pool);
  const sink = runs(backend, 'BEGIN');
  await sink.until(() => sink.statuses.length > 0);
  pool.release(backend);
  await eventually(() => !backend.alive);
  expect(queries).toBe(2);
});

describe('ages', () => {
  test('a backend that has lived its time is closed at its return, and replaced when wanted', async () => {
    const { pool, server, log } = await rig({ size: 1, maxLifetimeMs: 30 });
    const backend = await lease(pool);
    // Ages are seen when the pool is swept, every 250 ms.
    await pause(300);
    pool.release(backend);
    expect(pool.size).toBe(0);
    expect((await lease(pool)) === backend).toBe(false);
    expect(server.connections).toHaveLength(2);
    expect(log()).toContain('0: X');
  });

  test('idle ones close in time, the ones that are used stay', async () => {
    const { pool, metrics } = await rig({ size: 2, idleTimeoutMs: 30 });
    const [a, b] = await Promise.all([lease(pool), lease(pool)]);
    pool.release(a);
    await eventually(() => pool.gauge.idle === 0);
    expect(pool.gauge).toMatchObject({ active: 1, idle: 0 });
    expect(a.alive).toBe(false);
    expect(b.alive).toBe(true);
    expect(metrics.closes).toBe(1);
  });

  test('idle ones are asked whether they live', async () => {
    let answers = 0;
    const { pool, log } = await rig(
      { size: 2, healthCheckIntervalMs: 20, connectTimeoutMs: 50 },
      async (connection) => {
        // The first lives; the second hangs.
        while (connection.pid === 100 && (await connection.next()).type === 'S') {
          answers++;
          connection.send(replies.ready());
        }
      },
    );
    const both = await Promise.all([lease(pool), lease(pool)]);
    for (const backend of both) pool.release(backend);
    await eventually(() => answers > 0 && pool.size === 1);
    expect(log()).toContain('0: S');
    expect(both.filter((backend) => backend.alive)).toHaveLength(1);
  });

  test('one that dies while idle is not lent', async () => {
    const { pool, server } = await rig({ size: 2 });
    const backend = await lease(pool);
    pool.release(backend);
    server.connections[0]!.socket.resetAndDestroy();
    await eventually(() => pool.size === 0);
    expect((await lease(pool)) === backend).toBe(false);
  });
});

describe('one that breaks off while it is lent', () => {
  test('makes room for another one', async () => {
    const { pool, server, metrics } = await rig({ size: 1 });
    const backend = await lease(pool);
    const sink = new RecordingSink();
    backend.sink = sink;
    const waiting = lease(pool);
    server.connections[0]!.socket.resetAndDestroy();
    await sink.until(() => sink.closes.length > 0);
    pool.lost(backend);
    expect((await waiting) === backend).toBe(false);
    expect(pool.size).toBe(1);
    expect(metrics.closes).toBe(1);
  });

  test('discarding one does too', async () => {
    const { pool } = await rig({ size: 1 });
    const backend = await lease(pool);
    const waiting = lease(pool);
    pool.discard(backend);
    expect(backend.alive).toBe(false);
    expect((await waiting) === backend).toBe(false);
  });
});

test('closing: no new leases, waiters are told, those who have a backend may finish', async () => {
  const { pool, server, log } = await rig({ size: 2 });
  const [a, b] = await Promise.all([lease(pool), lease(pool)]);
  pool.release(a);
  const waiting = failure(Promise.all([lease(pool), lease(pool)]));
  let closed = false;
  const closing = pool.close().then(() => {
    closed = true;
  });
  expect((await waiting).message).toBe('the pool is closing');
  expect((await failure(lease(pool))).message).toBe('the pool is closing');
  await pause(10);
  expect(closed).toBe(false);
  const sink = runs(b, 'select 1');
  await sink.until(() => sink.statuses.length > 0);
  pool.release(b);
  pool.release(a);
  await closing;
  expect(pool.size).toBe(0);
  await eventually(() => log().filter((line) => line.endsWith(' X')).length === 2);
  expect(server.connections).toHaveLength(2);
});

test('closing with a successor: who waits, or comes late, is served by that one', async () => {
  const { pool } = await rig({ size: 1 });
  const { pool: next } = await rig({ size: 1 });
  const backend = await lease(pool);
  const waiting = lease(pool);
  const given: BackendConnection[] = [];
  const goesAway = {
    onBackend: (late: BackendConnection) => given.push(late),
    onBackendError() {},
  };
  pool.wait(goesAway);
  const closed = pool.close(next);
  pool.giveUp(goesAway);
  const served = await waiting;
  expect(served).not.toBe(backend);
  next.release(served);
  const late = await lease(pool);
  expect(late).toBe(served);
  next.release(late);
  pool.release(backend);
  await closed;
  expect([pool.size, next.size, given.length]).toEqual([0, 1, 0]);
  await next.close();
});

test('settings of the pool are sent at login; metrics count', async () => {
  const { pool, server, metrics } = await rig();
  const backend = await lease(pool);
  expect(server.connections[0]!.log[0]).toContain('application_name shardgate');
  expect(metrics.connects).toBe(1);
  const before = metrics.bytesIn;
  backend.sink = new RecordingSink();
  backend.query('select', DROP);
  backend.flush();
  await eventually(() => backend.quiet);
  expect(metrics.bytesIn).toBeGreaterThan(before);
  expect(metrics.bytesOut).toBeGreaterThan(0);
});
