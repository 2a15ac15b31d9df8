/*
 * What a client may use, and for how long: every limit of the configuration, and the timeouts that a session sets for
 * itself, answered with the errors that one PostgreSQL has for them.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startupPacket } from '../support/chaos-sessions.js';
import { metric } from '../support/chaos-watch.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { bindValue, errorFields, frame, int16, int32, rowTexts } from '../support/wire-messages.js';
import type { WireMessage } from '../support/wire-messages.js';
import { sqlStates, typesOf } from '../support/wire-pair.js';

const TABLES = { main: { lone: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } };
const TIMEOUT_MS = 400;
/** Rows that take a shard some seconds to look at. */
const MANY = 40_000_000;

let scene: Scene;
/** A second proxy over the same servers, with limits that the first does not have. */
let strict: Proxy;

beforeAll(async () => {
  scene = await openScene('limits', TABLES, [
    'CREATE TABLE items (id int PRIMARY KEY, n int, name text)',
    'CREATE TABLE lone (id int PRIMARY KEY, n int)',
    `INSERT INTO items VALUES ${Array.from({ length: 40 }, (_, i) => `(${i}, ${i % 7}, 'x')`).join()}`,
    'INSERT INTO lone SELECT i, i FROM generate_series(1, 40) AS i',
  ]);
  strict = await startProxy({
    config: clusterConfig(scene.databases, TABLES, {
      pool: { size: 4 },
      limits: {
        max_clients: 5,
        idle_in_transaction_timeout: `${TIMEOUT_MS}ms`,
        idle_session_timeout: `${2 * TIMEOUT_MS}ms`,
        transaction_timeout: `${3 * TIMEOUT_MS}ms`,
        statement_timeout: `${TIMEOUT_MS}ms`,
        stalled_client_timeout: `${TIMEOUT_MS}ms`,
        login_timeout: '1s',
        message_size: '64kB',
        prepared_statements: 3,
        portals: 3,
      },
    }),
  });
});
afterAll(async () => {
  await strict.stop();
  await scene.close();
});

/** Waits until the clients of earlier tests have left the stricter proxy. */
async function alone(): Promise<void> {
  await expect.poll(() => metric(strict, 'shardgate_clients_connected')).toBe(0);
}

function login(proxy: Proxy = strict): Promise<WireClient> {
  return WireClient.login({ port: proxy.port, database: scene.databases.name });
}

async function ask(client: WireClient, sql: string): Promise<WireMessage[]> {
  client.query(sql);
  return client.until('Z');
}

/** How a session ends by itself: SQLSTATE and severity of its last words, and after how long. */
async function ending(client: WireClient): Promise<{ words: string; ms: number }> {
  const start = performance.now();
  const messages = await client.closed();
  const errors = messages.filter((message) => message.type === 'E').map(errorFields);
  const words = errors.map(({ S, C, M }) => `${S ?? ''} ${C ?? ''} ${M ?? ''}`).join('; ');
  return { words, ms: performance.now() - start };
}

describe('a session that is idle', () => {
  test('outside a transaction ends with 57P05', async () => {
    const client = await login();
    await ask(client, 'SELECT id FROM items WHERE id = 1');
    const { words, ms } = await ending(client);
    expect(words).toBe('FATAL 57P05 terminating connection due to idle-session timeout');
    expect(ms).toBeGreaterThan(1.5 * TIMEOUT_MS);
  });

  test.each([
    ['that has no backend yet', 'BEGIN'],
    ['on one shard', 'BEGIN; SELECT id FROM items WHERE id = 1'],
    ['on several', 'BEGIN; SELECT id FROM items'],
    ['that has failed', 'BEGIN; SELECT 1/0'],
  ])('in a transaction %s ends with 25P03', async (_what, sql) => {
    const client = await login();
    await ask(client, sql);
    const { words, ms } = await ending(client);
    expect(words).toBe('FATAL 25P03 terminating connection due to idle-in-transaction timeout');
    expect(ms).toBeLessThan(1.9 * TIMEOUT_MS);
  });

  test('is idle only when it is the client that is waited for', async () => {
    const client = await login();
    await ask(client, 'BEGIN; SET LOCAL statement_timeout = 0');
    client.query('SELECT pg_sleep(0.6)');
    expect(typesOf(await client.until('Z'))).toBe('TDCZ');
    await ask(client, 'ROLLBACK');
    client.query('COPY items FROM STDIN');
    await client.until('G');
    await sleep(2.2 * TIMEOUT_MS);
    client.copyFail('enough');
    expect(sqlStates(await client.until('Z'))).not.toContain('57P05');
    client.terminate();
  });

  test('may set the limits for itself, as on one PostgreSQL', async () => {
    const { name } = scene.databases;
    for (const port of [scene.proxy.port, scene.oraclePort]) {
      const client = await WireClient.login({
        port,
        database: name,
        parameters: { options: '-c idle_session_timeout=500' },
      });
      expect(
        (await ask(client, 'SHOW idle_session_timeout'))
          .filter((m) => m.type === 'D')
          .map(rowTexts),
      ).toEqual([['500ms']]);
      expect((await ending(client)).words).toMatch(/^FATAL 57P05/);
      for (const [setting, code] of [
        ['idle_in_transaction_session_timeout', '25P03'],
        ['transaction_timeout', '25P04'],
      ] as const) {
        for (const sql of [
          `SET ${setting} = '0.3s'; BEGIN`,
          `SET ${setting} = '300ms'; BEGIN; SELECT id FROM items WHERE id = 1`,
          `BEGIN; SET LOCAL ${setting} = 300; SELECT id FROM items WHERE id = 1`,
        ]) {
          const other = await WireClient.login({ port, database: name });
          await ask(other, sql);
          expect((await ending(other)).words, `${port} ${sql}`).toMatch(
            new RegExp(`^FATAL ${code} `),
          );
        }
      }
    }
  });

  test('whose backend has its idle timeout set disturbs nobody else', async () => {
    const client = await login(scene.proxy);
    await ask(client, `SET idle_session_timeout = '700ms'; SELECT id FROM items`);
    const other = await login(scene.proxy);
    const end = Date.now() + 1500;
    while (Date.now() < end) {
      expect(typesOf(await ask(other, 'SELECT id FROM items WHERE id = 1'))).toBe('TDCZ');
    }
    expect((await ending(client)).words).toMatch(/^FATAL 57P05/);
    other.terminate();
  });
});

test('a transaction that takes too long ends its session with 25P04, busy or not', async () => {
  const client = await login();
  await ask(client, 'BEGIN; SET LOCAL statement_timeout = 0');
  client.query('SELECT pg_sleep(10) FROM items');
  const { words, ms } = await ending(client);
  expect(words).toMatch(/^FATAL 25P04 terminating connection due to transaction timeout/);
  expect(ms).toBeLessThan(4.5 * TIMEOUT_MS);
  // One that ends in time leaves no timer behind, however many there are.
  const other = await login();
  for (let i = 0; i < 8; i++) {
    await ask(other, 'BEGIN');
    await sleep(TIMEOUT_MS / 2);
    expect(typesOf(await ask(other, 'COMMIT; BEGIN; COMMIT'))).toBe('CCCZ');
  }
  other.terminate();
});

describe('a statement that takes too long ends with 57014, and its session lives', () => {
  test.each([
    ['one shard', 'SELECT pg_sleep(5) FROM items WHERE id = 1'],
    ['no table', 'SELECT pg_sleep(5)'],
    ['concatenated', 'SELECT pg_sleep(0.2) FROM items'],
    ['merged', 'SELECT id, pg_sleep(0.2)::text FROM items ORDER BY id'],
    ['aggregated', 'SELECT max(n), count(pg_sleep(0.2)::text) FROM items'],
    [
      'gathered',
      'SELECT count(*) FROM items a JOIN lone b ON a.n = b.n WHERE pg_sleep(0.2) IS NULL',
    ],
    [
      'UPDATE on all shards',
      `UPDATE items SET n = n FROM generate_series(1, ${MANY}) AS g WHERE g = -1`,
    ],
    [
      'INSERT of travelling rows',
      'INSERT INTO items SELECT id + 1000, n FROM lone WHERE pg_sleep(0.2)::text IS NOT NULL',
    ],
    [
      'COPY',
      `COPY (SELECT id FROM items, generate_series(1, ${MANY}) AS g WHERE g = -1) TO STDOUT`,
    ],
  ])('%s', async (_what, sql) => {
    const client = await login();
    const start = performance.now();
    expect(sqlStates(await ask(client, sql))).toEqual(['57014']);
    expect(performance.now() - start).toBeLessThan(4 * TIMEOUT_MS);
    expect(typesOf(await ask(client, 'SELECT 1'))).toBe('TDCZ');
    client.terminate();
  });
});

describe('sizes and numbers', () => {
  test('one client too many is told at once, and a flood of them harms nobody', async () => {
    await alone();
    const few = await Promise.all(Array.from({ length: 5 }, () => login()));
    const start = performance.now();
    const extra = await WireClient.open({ port: strict.port });
    extra.startup({ port: strict.port, database: scene.databases.name });
    const { words } = await ending(extra);
    expect(words).toBe('FATAL 53300 sorry, too many clients already');
    expect(performance.now() - start).toBeLessThan(500);
    const flood = Array.from({ length: 700 }, () => connect(strict.port, '127.0.0.1'));
    for (const socket of flood) socket.on('error', () => undefined);
    await sleep(200);
    for (const client of few) expect(typesOf(await ask(client, 'SELECT 1'))).toBe('TDCZ');
    for (const socket of flood) socket.destroy();
    for (const client of few) client.terminate();
    await alone();
  });

  test('a user may have so many sessions of its own', async () => {
    const config = clusterConfig(scene.databases, TABLES, {
      auth: { method: 'trust', users: [{ name: 'postgres' }, { name: 'few', max_clients: 2 }] },
    });
    const proxy = await startProxy({ config });
    const options = { port: proxy.port, database: scene.databases.name, user: 'few' };
    const sessions = [await WireClient.login(options), await WireClient.login(options)];
    const third = await WireClient.open(options);
    third.startup(options);
    const { words } = await ending(third);
    expect(words).toBe('FATAL 53300 too many connections for role "few"');
    const other = await WireClient.login({ ...options, user: 'postgres' });
    sessions.pop()!.terminate();
    await expect.poll(() => metric(proxy, 'shardgate_clients_connected')).toBe(2);
    sessions.push(await WireClient.login(options));
    for (const client of [...sessions, other]) client.terminate();
    await proxy.stop();
  });

  test('logins that drip in byte by byte end in time', async () => {
    const socket = connect(strict.port, '127.0.0.1');
    const start = performance.now();
    const closed = new Promise<number>((resolve) => {
      socket.once('close', () => resolve(performance.now() - start));
    });
    socket.on('error', () => undefined).resume();
    for (const byte of startupPacket(scene.databases.name)) {
      if (socket.destroyed) break;
      socket.write(Buffer.from([byte]));
      await sleep(100);
    }
    expect(await closed).toBeLessThan(2000);
  });

  test('statements and portals have a number, messages a size', async () => {
    const client = await login();
    for (let i = 0; i < 4; i++) client.parse('SELECT 1', `s${i}`);
    client.sync();
    expect(sqlStates(await client.until('Z'))).toEqual(['54000']);
    await ask(client, 'BEGIN');
    client.parse('SELECT 1');
    for (let i = 0; i < 4; i++) client.bind({ portal: `p${i}` });
    client.sync();
    expect(sqlStates(await client.until('Z'))).toEqual(['54000']);
    await ask(client, 'ROLLBACK');
    client.query(`SELECT '${'x'.repeat(70_000)}'`);
    expect((await ending(client)).words).toMatch(/^FATAL 54000 /);
  });

  test.each([
    ['65,535 parameters are taken', 65_535],
    ['one more is refused as PostgreSQL refuses it', 65_536],
  ])('%s', async (_what, count) => {
    const list = Array.from({ length: count }, (_, i) => `$${i + 1}::int`).join();
    // The message cannot say more.
    const values = Array.from({ length: Math.min(count, 65_535) }, () => bindValue(int32(1)));
    const outcomes = [];
    for (const port of [scene.proxy.port, scene.oraclePort]) {
      const client = await WireClient.login({ port, database: scene.databases.name });
      client.parse(`SELECT cardinality(ARRAY[${list}])`);
      client.send(
        frame('B', '', '', int16(1), int16(1), int16(values.length), ...values, int16(0)),
        frame('E', '', int32(0)),
      );
      client.sync();
      const messages = await client.until('Z', 30_000);
      outcomes.push([
        typesOf(messages),
        sqlStates(messages),
        messages.filter((message) => message.type === 'D').map(rowTexts),
      ]);
      client.terminate();
    }
    expect(outcomes[0]).toEqual(outcomes[1]);
  });

  test('who never reads is cut off, and its backend serves others', async () => {
    const socket = connect(strict.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(startupPacket(scene.databases.name));
    await sleep(100);
    socket.pause();
    socket.write(frame('Q', `SELECT repeat('x', 1000000) FROM generate_series(1, 1000)`));
    await expect
      .poll(() => metric(strict, 'shardgate_clients_connected'), { timeout: 5000 })
      .toBe(0);
    await expect.poll(() => strict.logs()).toContain('takes nothing of its answer');
    socket.destroy();
  });
});
