/* PAUSE, RESUME, RECONNECT, DISABLE: what runs comes to its end, what is new waits, nobody is disconnected. */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;
let admin: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'console_pause',
    { shop: { orders: { shard_key: 'id' } } },
    [
      'CREATE TABLE orders (id int PRIMARY KEY, note text)',
      `INSERT INTO orders VALUES ${Array.from({ length: 20 }, (_, i) => `(${i}, 'x')`).join()}`,
    ],
    { pool: { size: 2, queue_timeout: '300ms' } },
  );
});

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  const address = new URL(scene.proxy.url);
  address.pathname = '/shardgate';
  admin = await connectPg(address.href);
});

afterEach(async () => {
  await admin.query('RESUME').catch(() => undefined);
  await admin.query('ENABLE');
  await admin.end();
});

async function shardOf(id: number): Promise<string> {
  const { rows } = await admin.query<{ shard: string }>(`SHOW SHARD FOR orders ${id}`);
  return rows[0]!.shard;
}

/** 'waits' while a promise is open for so long, else what it came to. */
function soon<T>(promise: Promise<T>, ms = 700): Promise<T | 'waits'> {
  return Promise.race([promise, sleep(ms, 'waits' as const)]);
}

test('PAUSE waits for a transaction, which may even go to further shards; new statements wait for RESUME', async () => {
  const first = 0;
  let second = 1;
  while ((await shardOf(second)) === (await shardOf(first))) second++;
  const running = await connectPg(scene.proxy.url);
  const other = await connectPg(scene.proxy.url);
  await running.query('BEGIN');
  await running.query("UPDATE orders SET note = 'a' WHERE id = $1", [first]);

  const pause = admin.query('PAUSE');
  expect(await soon(pause)).toBe('waits');
  // Longer than queue_timeout.
  const waiting = other.query('SELECT count(*)::int AS n FROM orders');
  expect(await soon(waiting)).toBe('waits');
  await running.query("UPDATE orders SET note = 'a' WHERE id = $1", [second]);
  await running.query('COMMIT');
  expect((await pause).command).toBe('PAUSE');

  const { rows } = await admin.query('SHOW SERVERS');
  expect(rows).toEqual([]);
  const paused = await admin.query<{ paused: number }>('SHOW DATABASES');
  expect(paused.rows.every((row) => row.paused === 1)).toBe(true);
  expect(await soon(waiting)).toBe('waits');

  await admin.query('RESUME');
  expect((await waiting).rows).toEqual([{ n: 20 }]);
  expect((await running.query("SELECT id FROM orders WHERE note = 'a' ORDER BY 1")).rowCount).toBe(
    2,
  );
  await expect(admin.query('RESUME')).rejects.toMatchObject({ code: '55000' });
  await running.end();
  await other.end();
});

test('who waits can cancel, and a pause of one shard leaves the others alone', async () => {
  const shard = await shardOf(3);
  let elsewhere = 4;
  while ((await shardOf(elsewhere)) === shard) elsewhere++;
  await admin.query(`PAUSE ${shard}`);
  const client = await connectPg(scene.proxy.url);
  const { rows } = await client.query('SELECT id FROM orders WHERE id = $1', [elsewhere]);
  expect(rows).toEqual([{ id: elsewhere }]);
  const { rows: own } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const waiting = client.query('SELECT id FROM orders WHERE id = 3');
  expect(await soon(waiting.catch((error: unknown) => error))).toBe('waits');
  const { rows: clients } = await admin.query("SHOW CLIENTS WHERE state = 'waiting'");
  expect(clients).toHaveLength(1);
  const killer = await connectPg(scene.proxy.url);
  await killer.query(`SELECT pg_cancel_backend(${own[0]!.pid})`);
  await expect(waiting).rejects.toMatchObject({ code: '57014' });
  await admin.query(`RESUME ${shard}`);
  expect((await client.query('SELECT id FROM orders WHERE id = 3')).rows).toEqual([{ id: 3 }]);
  await expect(admin.query('PAUSE nowhere')).rejects.toMatchObject({ code: '42704' });
  await client.end();
  await killer.end();
});

test('RECONNECT takes new connections, without an error for anybody', async () => {
  const client = await connectPg(scene.proxy.url);
  await client.query('SELECT count(*) FROM orders');
  await client.query('BEGIN');
  await client.query('SELECT id FROM orders WHERE id = 3');
  const before = await admin.query<{ ptr: string }>('SHOW SERVERS');
  await admin.query('RECONNECT');
  await client.query('SELECT id FROM orders WHERE id = 3');
  await client.query('COMMIT');
  await client.query('SELECT count(*) FROM orders');
  const after = await admin.query<{ ptr: string }>('SHOW SERVERS');
  const old = new Set(before.rows.map(({ ptr }) => ptr));
  expect(after.rows.filter(({ ptr }) => old.has(ptr))).toEqual([]);
  await client.end();
});

test('DISABLE keeps new clients out until ENABLE', async () => {
  const client = await connectPg(scene.proxy.url);
  await admin.query('DISABLE');
  await expect(connectPg(scene.proxy.url)).rejects.toMatchObject({ code: '57P03' });
  await client.query('SELECT 1');
  await admin.query('ENABLE');
  await (await connectPg(scene.proxy.url)).end();
  await client.end();
});
