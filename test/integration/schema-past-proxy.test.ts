/*
 * The types of columns change on the shards, past the proxy, which reads the catalog once in a while only. What it has
 * learnt of its statements is void then: it must not read values of the new types as those of the old ones, nor order
 * labels of an enum that it does not know.
 */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { serverNames } from '../support/servers.js';

let scene: Scene;
let proxy: pg.Client;
let oracle: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'schema_past_proxy',
    {
      main: {},
      shop: {
        items: { shard_key: 'id', vindex: 'by_key' },
        wishes: { shard_key: 'id', vindex: 'by_key' },
        tasks: { shard_key: 'id', vindex: 'by_key' },
      },
    },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, n int4, m int4)',
      'INSERT INTO items SELECT g, g % 5, g % 7 FROM generate_series(1, 24) AS g',
      'CREATE TABLE wishes (id int8 PRIMARY KEY, m int4)',
      'INSERT INTO wishes SELECT g, g % 6 FROM generate_series(1, 24) AS g',
      `CREATE TYPE state AS ENUM ('new', 'late', 'done')`,
      'CREATE TABLE tasks (id int8 PRIMARY KEY, s state)',
      `INSERT INTO tasks SELECT g, (ARRAY['late', 'done', 'new'])[1 + g % 3]::state FROM generate_series(1, 24) AS g`,
    ],
  );
  proxy = await connectPg(scene.proxy.url);
  oracle = await connectPg(scene.databases.urls.oracle);
});
afterAll(async () => {
  await proxy.end();
  await oracle.end();
  await scene.close();
});

const statements = [
  'SELECT id FROM items ORDER BY n DESC, id LIMIT 7',
  'SELECT n, count(*) AS c, sum(n) AS s FROM items GROUP BY n ORDER BY n',
  'SELECT max(n) AS top, avg(m) AS mean FROM items',
  'SELECT i.id, w.id AS wish FROM items i JOIN wishes w ON w.m = i.n ORDER BY i.n, 1, 2',
  'SELECT id, rank() OVER (ORDER BY n, m, id) AS r FROM items ORDER BY 1',
];

/** Rows and types, or the SQLSTATE. */
async function answer(client: pg.Client, sql: string, isPrepared: boolean): Promise<unknown> {
  try {
    const query = isPrepared
      ? { text: sql, values: [], rowMode: 'array' }
      : { text: sql, rowMode: 'array' };
    const { rows, fields } = await client.query(query as pg.QueryArrayConfig);
    return { rows, types: fields.map(({ dataTypeID }) => dataTypeID) };
  } catch (error) {
    return (error as pg.DatabaseError).code;
  }
}

test.each([
  ['numeric', 'ALTER TABLE items ALTER n TYPE numeric USING n + 0.5'],
  ['as many bytes', 'ALTER TABLE items ALTER n TYPE float4 USING -n'],
  ['text', `ALTER TABLE items ALTER n TYPE date USING date '2024-01-01' + n::int4`],
  ['back', `ALTER TABLE items ALTER n TYPE int4 USING extract(day FROM n)`],
])('to %s', async (_what, change) => {
  for (const sql of statements) {
    for (const isPrepared of [false, true]) {
      expect(await answer(proxy, sql, isPrepared), sql).toEqual(
        await answer(oracle, sql, isPrepared),
      );
    }
  }
  for (const server of serverNames) await scene.databases.query(server, change);
  for (const sql of statements) {
    for (const isPrepared of [false, true]) {
      const wanted = await answer(oracle, sql, isPrepared);
      const first = await answer(proxy, sql, isPrepared);
      if (first !== '0A000' && first !== '08P01') expect(first, sql).toEqual(wanted);
      // It has learnt of it by then.
      await expect.poll(() => answer(proxy, sql, isPrepared), { timeout: 10_000 }).toEqual(wanted);
    }
  }
});

/** As text: types of users have other OIDs on each server. */
const byState = 'SELECT id, s::text AS s FROM tasks ORDER BY tasks.s, id';

/** Rows of a cursor, or the SQLSTATE. */
async function fetched(client: pg.Client): Promise<unknown> {
  await client.query('BEGIN');
  await client.query(`DECLARE c CURSOR FOR ${byState}`);
  const rows = await answer(client, 'FETCH ALL FROM c', false);
  await client.query('ROLLBACK');
  return rows;
}

test.each([
  ['added', `ADD VALUE 'first' BEFORE 'new'`, `s = 'first' WHERE id % 5 = 0`],
  ['added, and met by a cursor first', `ADD VALUE 'mid' AFTER 'new'`, `s = 'mid' WHERE id % 7 = 0`],
  ['renamed', `RENAME VALUE 'mid' TO 'middle'`, `s = 'done' WHERE id = 3`],
])('a label is %s', async (what, change, update) => {
  // It may have to notice the change before this one still.
  await answer(proxy, byState, true);
  expect(await answer(proxy, byState, true)).toEqual(await answer(oracle, byState, true));
  for (const server of serverNames) {
    await scene.databases.query(server, `ALTER TYPE state ${change}`);
    await scene.databases.query(server, `UPDATE tasks SET ${update}`);
  }
  const first = what.includes('cursor')
    ? fetched
    : (client: pg.Client) => answer(client, byState, true);
  const met = await first(proxy);
  if (met !== '0A000') expect(met).toEqual(await first(oracle));
  expect(await first(proxy)).toEqual(await first(oracle));
});

test('looking at the schema opens no backends again and again', async () => {
  const url = new URL(scene.proxy.url);
  url.pathname = '/shardgate';
  const admin = await connectPg(url.href);
  const seen = new Set<unknown>();
  for (let look = 0; look < 10; look++) {
    await admin.query('RELOAD');
    const before = Date.now();
    // It is read behind the reload.
    while (Date.now() < before + 150) {
      const pids = await scene.databases.query(
        'main',
        `SELECT pid FROM pg_stat_activity
           WHERE datname = current_database() AND application_name = 'shardgate'`,
      );
      for (const [pid] of pids) seen.add(pid);
    }
  }
  await admin.end();
  expect(seen.size).toBeGreaterThan(0);
  // Those of the pool: this file's clients may have opened them all.
  expect(seen.size).toBeLessThanOrEqual(4);
});
