/* The process ids that clients know: told, cancelled, terminated. */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { sqlStates, typesOf, WirePair } from '../support/wire-pair.js';

type Connected = pg.Client & { readonly processID: number };

let scene: Scene;
const clients: pg.Client[] = [];

beforeAll(async () => {
  scene = await openScene(
    'process_ids',
    { shop: { items: { shard_key: 'id' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY)',
      'INSERT INTO items SELECT i FROM generate_series(1, 9) i',
    ],
    {
      auth: {
        method: 'trust',
        users: [{ name: 'postgres' }, { name: 'somebody' }, { name: 'boss', role: 'admin' }],
      },
    },
  );
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  await scene.close();
});

async function connect(user = 'postgres', place: 'proxy' | 'oracle' = 'proxy'): Promise<Connected> {
  const url = new URL(place === 'proxy' ? scene.proxy.url : scene.databases.urls.oracle);
  url.username = user;
  const client = await connectPg(url.href);
  clients.push(client);
  return client as Connected;
}

/** SQLSTATE of what a query ends in; null: it ended well. */
function codeOf(query: Promise<unknown>): Promise<string | null> {
  return query.then(
    () => null,
    (error: pg.DatabaseError) => error.code ?? error.message,
  );
}

test('pg_backend_pid() is the one of the login, again and again, as on one Postgres', async () => {
  for (const place of ['proxy', 'oracle'] as const) {
    const client = await connect('postgres', place);
    const { processID: pid } = client;
    for (const [sql, values, row] of [
      ['SELECT pg_backend_pid()', [], { pg_backend_pid: pid }],
      ['SELECT pg_catalog.pg_backend_pid() AS me', [], { me: pid }],
      ['SELECT pg_backend_pid()::text, 7 AS x', [], { pg_backend_pid: String(pid), x: 7 }],
      ['SELECT pg_backend_pid() = $1 AS same', [pid], { same: true }],
      ['SELECT abs(-pg_backend_pid()), $1::int AS n', [3], { abs: pid, n: 3 }],
      ['SELECT (SELECT count(*)::int FROM items) AS n, pg_backend_pid()', [], { n: 9 }],
    ] as const) {
      for (let i = 0; i < 2; i++) {
        const { rows } = await client.query(sql, [...values]);
        expect(rows[0]).toMatchObject(row);
      }
    }
    await client.query('BEGIN');
    await client.query('SELECT * FROM items');
    expect((await client.query('SELECT pg_backend_pid()')).rows[0]).toEqual({
      pg_backend_pid: pid,
    });
    await client.query('COMMIT');
  }
});

test('beside tables it is the one of the server', async () => {
  const client = await connect();
  const sql = 'SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = pg_backend_pid()';
  expect((await client.query(sql)).rows).toEqual([{ n: 1 }]);
});

describe.each(['proxy', 'oracle'] as const)('by its process id (%s)', (place) => {
  test('a query is cancelled, on whatever shards it runs', async () => {
    const [victim, other] = [await connect('postgres', place), await connect('postgres', place)];
    for (const sql of [
      'SELECT pg_sleep(20)',
      'SELECT id, pg_sleep(20) FROM items WHERE id = 1',
      'SELECT id, pg_sleep(20) FROM items ORDER BY id',
    ]) {
      const ended = codeOf(victim.query(sql));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const cancel = 'SELECT pg_cancel_backend($1)';
      expect((await other.query(cancel, [victim.processID])).rows).toEqual([
        { pg_cancel_backend: true },
      ]);
      expect(await ended).toBe('57014');
      await victim.query('SELECT 1');
    }
    // Nothing runs: nothing happens.
    await other.query(`SELECT pg_cancel_backend(${victim.processID})`);
    await victim.query('SELECT 1');
  });

  test('a session is terminated', async () => {
    const [victim, other] = [await connect('postgres', place), await connect('postgres', place)];
    await victim.query('BEGIN');
    await victim.query('INSERT INTO items VALUES (100)');
    const ended = codeOf(victim.query('SELECT pg_sleep(20)'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { rows } = await other.query(`SELECT pg_terminate_backend(${victim.processID}) AS gone`);
    expect(rows).toEqual([{ gone: true }]);
    expect(await ended).toBe('57P01');
    await expect
      .poll(async () => {
        return (await other.query('SELECT id FROM items WHERE id = 100')).rows;
      })
      .toEqual([]);
  });
});

test('who is not there, or is oneself, as on one Postgres', async () => {
  const open = (): Promise<WirePair> =>
    WirePair.open(scene.proxy.port, scene.oraclePort, { database: 'process_ids' });
  const pair = await open();
  for (const sql of ['SELECT pg_cancel_backend(pg_backend_pid())', 'SELECT 1']) {
    const states = await Promise.all(
      [pair.proxy, pair.oracle].map(async (client) => {
        client.query(sql);
        return sqlStates(await client.until('Z'));
      }),
    );
    expect(states[0]).toEqual(states[1]);
  }
  const [proxy, oracle] = await Promise.all(
    [pair.proxy, pair.oracle].map(async (client) => {
      client.query('SELECT pg_terminate_backend(2000000000)');
      return typesOf(await client.until('Z'))
        .split('')
        .sort()
        .join('');
    }),
  );
  expect(proxy).toBe(oracle);
  for (const client of [pair.proxy, pair.oracle]) {
    client.query('SELECT pg_terminate_backend(pg_backend_pid())');
    expect(sqlStates(await client.closed())).toEqual(['57P01']);
  }
});

test('another user, and processes of servers, are let alone', async () => {
  const [one, two] = [await connect(), await connect('somebody')];
  const sql = 'SELECT pg_terminate_backend($1)';
  expect(await codeOf(two.query(sql, [one.processID]))).toBe('42501');
  expect(await codeOf(one.query('SELECT pg_cancel_backend(1234)'))).toBe('0A000');
  const all = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity';
  expect(await codeOf(one.query(all))).toBe('0A000');
  await one.query('SELECT 1');
  const boss = await connect('boss');
  expect((await boss.query(sql, [two.processID])).rows).toEqual([{ pg_terminate_backend: true }]);
  await expect.poll(() => codeOf(two.query('SELECT 1'))).not.toBeNull();
});
