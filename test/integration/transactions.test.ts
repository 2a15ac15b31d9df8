import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Comparison, runStatement } from '../support/oracle.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';

let scene: Scene;
let comparison: Comparison;

beforeAll(async () => {
  // One backend per shard: whatever a client leaves behind meets the next one.
  scene = await openScene(
    'transactions',
    { main: { settings: {} }, shop: { items: { shard_key: 'id' }, parts: { shard_key: 'item' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')`,
    ],
    { pool: { size: 1, queue_timeout: '2s' } },
  );
  comparison = scene.comparison;
});
afterAll(async () => {
  await scene.close();
});

// A test that fails half-way must not fail those behind it.
afterEach(async () => {
  await comparison.both('ROLLBACK');
});

async function same(...statements: readonly string[]): Promise<void> {
  for (const sql of statements) await comparison.expectSame(sql);
}

describe('a transaction on one shard', () => {
  test('commits, rolls back, and is seen by nobody before', async () => {
    await same(
      'BEGIN',
      "INSERT INTO items VALUES (10, 'x')",
      'SELECT * FROM items WHERE id = 10',
      'COMMIT',
    );
    await same(
      'BEGIN',
      "UPDATE items SET name = 'y' WHERE id = 10",
      'ROLLBACK',
      'SELECT * FROM items WHERE id = 10',
    );
    await same('START TRANSACTION READ ONLY', 'DELETE FROM items WHERE id = 10', 'ROLLBACK');
    await same(
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      'SELECT * FROM items WHERE id = 1',
      'SHOW transaction_isolation',
      'END',
    );
    await same('BEGIN', 'COMMIT', 'BEGIN', 'ROLLBACK', 'BEGIN', 'ABORT');
  });

  test('keeps its snapshot there, whatever it asks that reads no table', async () => {
    for (const id of [1, 2, 3, 4]) {
      await same('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SHOW transaction_isolation', 'SELECT 1');
      await same('LOCK TABLE items IN ACCESS SHARE MODE');
      await same(`SELECT * FROM items WHERE id = ${id}`, 'SHOW server_version_num');
      await same(`UPDATE items SET name = name WHERE id = ${id}`, 'COMMIT');
    }
    await same('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', 'LOCK TABLE items IN SHARE MODE');
    await same('ROLLBACK', 'BEGIN READ ONLY', 'LOCK TABLE items IN ACCESS SHARE MODE', 'COMMIT');
    await same('BEGIN ISOLATION LEVEL SERIALIZABLE', 'SELECT 1');
    await comparison.expectRefused('SELECT * FROM items ORDER BY id');
  });

  test('defers constraints wherever they are', async () => {
    await same(`CREATE TABLE parts (id int8, item int8 REFERENCES items (id) DEFERRABLE,
      PRIMARY KEY (item, id))`);
    const rows = [31, 32, 33, 34];
    await same('SET CONSTRAINTS ALL DEFERRED', 'BEGIN', 'SET CONSTRAINTS ALL DEFERRED');
    for (const id of rows) await same(`INSERT INTO parts VALUES (1, ${id})`);
    for (const id of rows) await same(`INSERT INTO items VALUES (${id}, 'late')`);
    await same('SET CONSTRAINTS parts_item_fkey IMMEDIATE', 'INSERT INTO parts VALUES (1, 35)');
    await same('ROLLBACK', 'BEGIN', 'SET CONSTRAINTS nope DEFERRED', 'ROLLBACK');
    await same('BEGIN', 'INSERT INTO parts VALUES (1, 36)', 'ROLLBACK', 'DROP TABLE parts');
  });

  test('fails as a whole at the first error, and COMMIT says ROLLBACK', async () => {
    await same('BEGIN', "INSERT INTO items VALUES (11, 'x')", 'SELECT 1/0', 'SELECT 1', 'COMMIT');
    await same('BEGIN', 'SELECT nothing', 'INSERT INTO items VALUES (11)', 'ROLLBACK');
    await same('SELECT * FROM items WHERE id = 11');
  });

  test('goes back to savepoints', async () => {
    await same('BEGIN', 'SAVEPOINT a', "INSERT INTO items VALUES (12, 'x')", 'SAVEPOINT b');
    await same("UPDATE items SET name = 'y' WHERE id = 12", 'SELECT 1/0', 'ROLLBACK TO b');
    await same('SELECT * FROM items WHERE id = 12', 'RELEASE b', 'ROLLBACK TO SAVEPOINT a');
    await same('SELECT * FROM items WHERE id = 12', 'RELEASE SAVEPOINT nope', 'ROLLBACK TO a');
    await same("INSERT INTO items VALUES (12, 'z')", 'COMMIT', 'SELECT * FROM items WHERE id = 12');
  });

  test('goes back to savepoints set before the shard was known', async () => {
    await same(
      'BEGIN',
      'SAVEPOINT early',
      'SELECT * FROM items WHERE id = 14',
      "INSERT INTO items VALUES (14, 'q')",
    );
    await same(
      'ROLLBACK TO early',
      'SELECT * FROM items WHERE id = 14',
      'SAVEPOINT early',
      'ROLLBACK TO early',
      'COMMIT',
    );
    await same('SELECT * FROM items WHERE id = 14');
  });

  test('chains', async () => {
    await same('BEGIN', "INSERT INTO items VALUES (15, 'x')", 'COMMIT AND CHAIN');
    await same(
      "INSERT INTO items VALUES (16, 'x')",
      'ROLLBACK AND CHAIN',
      "INSERT INTO items VALUES (17, 'x')",
      'ROLLBACK',
    );
    await same('SELECT * FROM items WHERE id IN (15, 16, 17)');
    await same(
      'BEGIN',
      "INSERT INTO items VALUES (18, 'x')",
      'SELECT 1/0',
      'COMMIT AND CHAIN',
      'SELECT 1',
      'COMMIT',
    );
    await same(
      'BEGIN; INSERT INTO items VALUES (19); COMMIT AND CHAIN; INSERT INTO items VALUES (20); ROLLBACK',
      'SELECT * FROM items WHERE id IN (19, 20)',
    );
  });

  const characteristics = [
    'SHOW transaction_isolation',
    'SHOW transaction_read_only',
    'SHOW transaction_deferrable',
  ];
  const strict = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';
  const failing = 'SELECT name::int FROM items WHERE id = 1';
  test.each([
    ['nothing before', [strict]],
    ['statements before', [strict, 'SELECT * FROM items WHERE id = 1']],
    ['an error of a shard', [strict, failing]],
    ['an error of the proxy', [strict, 'SELECT * FROM nowhere']],
    ['an error behind a savepoint', [strict, 'SAVEPOINT a', failing]],
    ['an error behind SET TRANSACTION', ['BEGIN', 'SET TRANSACTION READ ONLY', failing]],
    [
      'SET TRANSACTION',
      ['BEGIN', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE'],
    ],
    ['a setting', ['BEGIN', 'SET transaction_read_only = on', 'SELECT * FROM items']],
  ] as const)('chains with the characteristics that PostgreSQL keeps: %s', async (_what, first) => {
    for (const end of ['COMMIT AND CHAIN', 'ROLLBACK AND CHAIN']) {
      await same(...first, end, ...characteristics, 'SELECT * FROM items WHERE id = 1', 'COMMIT');
    }
  });

  test('takes SET TRANSACTION behind a savepoint as PostgreSQL does, before any shard is there', async () => {
    const level = 'SET TRANSACTION ISOLATION LEVEL';
    const deferrable = 'SET TRANSACTION DEFERRABLE';
    for (const set of [`${level} SERIALIZABLE`, `${level} READ COMMITTED`, deferrable]) {
      await same('BEGIN', 'SAVEPOINT a', set, 'ROLLBACK TO a', ...characteristics, 'COMMIT');
    }
    await same(
      'BEGIN',
      'SAVEPOINT a',
      'SET TRANSACTION READ ONLY',
      "UPDATE items SET name = 'again' WHERE id = 1",
      'ROLLBACK TO a',
      'SHOW transaction_read_only',
      "UPDATE items SET name = 'again' WHERE id = 1",
      'ROLLBACK',
    );
  });

  test('that has written on several shards is not made one that only reads', async () => {
    const update = "UPDATE items SET name = name || '!'";
    for (const how of ['SET TRANSACTION READ ONLY', 'SET LOCAL transaction_read_only = on']) {
      await same('BEGIN', update);
      await comparison.expectRefused(how);
      await same('ROLLBACK');
    }
    await comparison.expectRefused(`${update}; START TRANSACTION READ ONLY`);
    await same('BEGIN', update, 'SET TRANSACTION READ WRITE', 'COMMIT');
    await same('BEGIN', `${update} WHERE id = 1`, 'SET TRANSACTION READ ONLY', update, 'ROLLBACK');
    await same('BEGIN', `${update} WHERE id = 1`, 'SET TRANSACTION READ ONLY', 'COMMIT');
    await same('SELECT * FROM items ORDER BY id');
  });

  test('of two shards chains afresh after an error', async () => {
    await same(
      'BEGIN READ ONLY',
      'SELECT * FROM items WHERE id = 1',
      'SELECT * FROM items WHERE id = 2',
      failing,
      'ROLLBACK AND CHAIN',
      ...characteristics,
      "UPDATE items SET name = 'again' WHERE id = 1",
      "UPDATE items SET name = 'again' WHERE id = 2",
      'ROLLBACK',
    );
  });

  test('that has failed is rolled back by PREPARE TRANSACTION', async () => {
    await same('BEGIN', 'SELECT 1/0', "PREPARE TRANSACTION 'x'", 'SELECT 1');
    await same('BEGIN', failing, "PREPARE TRANSACTION 'x'", 'SELECT 1');
  });

  test('reads what it wrote over all shards, and of no other shard until commit', async () => {
    await same(
      'BEGIN',
      "UPDATE items SET name = 'seen' WHERE id = 1",
      'SELECT * FROM items',
      'ROLLBACK',
    );
  });
});

describe('a transaction that meets a second shard', () => {
  test('writes there too, and rolls back and commits as one', async () => {
    for (const end of ['ROLLBACK', 'COMMIT']) {
      await same('BEGIN', "INSERT INTO settings VALUES ('k', 'v')");
      await same("UPDATE items SET name = 'n' WHERE id = 1", end);
      await same('SELECT * FROM settings', 'SELECT * FROM items WHERE id = 1');
    }
    await same('DELETE FROM settings');
  });

  test('may read there', async () => {
    await same('BEGIN', "INSERT INTO settings VALUES ('k', 'v')", 'SELECT * FROM items', 'COMMIT');
    await same('SELECT * FROM settings', 'DELETE FROM settings');
  });

  test('keeps one statement over several shards in one piece', async () => {
    await same(
      "INSERT INTO items VALUES (101, 'n'), (102, 'n'), (103, 'n'), (1, 'exists'), (104, 'n')",
    );
    await same(
      'SELECT * FROM items WHERE id > 100',
      "UPDATE items SET name = 'all'",
      'SELECT * FROM items',
    );
    await same('UPDATE items SET name = (1 / (id - 3))::text', 'SELECT * FROM items');
  });
});

describe('settings', () => {
  test('follow their client and never leak to another, though both use the same backend', async () => {
    const [one, two] = await Promise.all([connectPg(scene.proxy.url), connectPg(scene.proxy.url)]);
    const shown = async (client: pg.Client): Promise<unknown> => {
      const sql =
        "SELECT current_setting('TimeZone') || current_setting('work_mem') AS s FROM items WHERE id = $1";
      const values: unknown[] = [];
      for (const id of [1, 2, 3, 4]) values.push((await client.query(sql, [id])).rows[0].s);
      return new Set(values);
    };
    const base = await shown(two);
    await one.query("SET TimeZone = 'Asia/Tokyo'");
    await one.query("SELECT set_config('work_mem', '7MB', false)");
    for (let i = 0; i < 3; i++) {
      expect(await shown(one)).toEqual(new Set(['Asia/Tokyo7MB']));
      expect(await shown(two)).toEqual(base);
    }
    await one.query('RESET work_mem');
    await one.query('RESET TimeZone');
    expect(await shown(one)).toEqual(base);
    await one.query("SET TimeZone = 'Asia/Tokyo'");
    await one.query('DISCARD ALL');
    expect(await shown(one)).toEqual(base);
    await one.query("SET search_path = nowhere; SET statement_timeout = '1s'");
    await one.end();
    expect((await two.query('SHOW search_path')).rows[0].search_path).toMatch(/public/);
    expect((await two.query('SHOW statement_timeout')).rows[0].statement_timeout).toBe('0');
    await two.end();
  });

  test('are undone with their transaction, wherever it had begun', async () => {
    await same(
      "SET TimeZone = 'Europe/Rome'",
      'BEGIN',
      "SET TimeZone = 'Asia/Tokyo'",
      'ROLLBACK',
      'SHOW TimeZone',
    );
    await same(
      'BEGIN',
      'SELECT * FROM items WHERE id = 1',
      "SET TimeZone = 'Asia/Tokyo'",
      'ROLLBACK',
      'SHOW TimeZone',
    );
    await same(
      'BEGIN',
      "SET TimeZone = 'Asia/Tokyo'",
      'SELECT current_setting($$TimeZone$$) FROM items WHERE id = 1',
      'COMMIT',
      'SHOW TimeZone',
    );
    await same('BEGIN', "SET TimeZone = 'UTC'", 'SELECT 1/0', 'COMMIT', 'SHOW TimeZone');
    await same(
      'BEGIN',
      'SAVEPOINT a',
      "SET TimeZone = 'UTC'",
      'ROLLBACK TO a',
      'SHOW TimeZone',
      'COMMIT',
    );
    await same("SET TimeZone = 'UTC'; SELECT 1/0", 'SHOW TimeZone');
    await same('RESET ALL', 'SHOW TimeZone');
  });

  test('SET LOCAL holds to the end of the transaction, on every shard it meets', async () => {
    const zone = (id: number): string =>
      `SELECT current_setting('TimeZone') FROM items WHERE id = ${id}`;
    await same(
      'BEGIN',
      "SET LOCAL TimeZone = 'Asia/Tokyo'",
      zone(1),
      zone(2),
      zone(3),
      zone(4),
      'COMMIT',
      zone(1),
      zone(4),
    );
    await same(
      'BEGIN',
      zone(1),
      "SET LOCAL TimeZone = 'Asia/Tokyo'",
      zone(1),
      zone(3),
      'ROLLBACK',
      zone(3),
    );
    await same("SET LOCAL TimeZone = 'Asia/Tokyo'", 'SHOW TimeZone');
  });

  test('that do not exist, or values that do not fit, are the errors of Postgres', async () => {
    await same(
      'SET nonsense = 1',
      "SET work_mem = 'much'",
      'RESET nonsense',
      'SHOW nonsense',
      "SET TimeZone = 'Moon/Base'",
    );
  });

  test('of the startup message apply everywhere and are what RESET goes back to', async () => {
    const options = '-c work_mem=9MB -c search_path=pg_catalog,public';
    const url = (base: string): string =>
      `${base}?options=${encodeURIComponent(options)}&application_name=me`;
    const pair = await Comparison.open(url(scene.proxy.url), url(scene.databases.urls.oracle));
    for (const sql of [
      "SELECT current_setting('work_mem'), current_setting('search_path'), current_setting('application_name') FROM items WHERE id = 1",
      'SHOW work_mem',
      "SET work_mem = '5MB'",
      "SELECT current_setting('work_mem') FROM items WHERE id = 4",
      'RESET work_mem',
      'SHOW work_mem',
      'BEGIN',
      'SELECT * FROM items WHERE id = 1',
      'RESET ALL',
      'SHOW work_mem',
      'COMMIT',
      'RESET ALL',
      'SHOW search_path',
    ]) {
      await pair.expectSame(sql);
    }
    await pair.close();
  });
});

describe('a client that vanishes', () => {
  const openTransactions = async (): Promise<unknown[]> => {
    const open: unknown[] = [];
    for (const shard of shardNames) {
      const rows = await scene.databases.query(
        shard,
        `SELECT query, state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
           AND backend_type = 'client backend' AND (state <> 'idle' OR xact_start IS NOT NULL)`,
      );
      open.push(...rows);
    }
    return open;
  };
  const leaves: Record<string, (client: WireClient) => void> = {
    'in a transaction': (c) => c.query("BEGIN; UPDATE items SET name = 'lost' WHERE id = 2"),
    'in a failed transaction': (c) => c.query('BEGIN; SELECT 1/0 FROM items WHERE id = 2'),
    'while a query runs': (c) => c.query('SELECT pg_sleep(30) FROM items WHERE id = 3'),
    'while a query runs on every shard': (c) => c.query('SELECT id, pg_sleep(30) FROM items'),
    'in the middle of a result': (c) =>
      c.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"),
    'in the middle of a pipeline': (c) => {
      c.parse("UPDATE items SET name = 'lost' WHERE id = $1");
      c.bind({ values: ['2'] });
      c.execute();
      c.flush();
    },
    'in the middle of COPY': (c) => {
      c.query('COPY items FROM STDIN');
      c.copyData('900\tlost\n');
    },
    'in the middle of a message': (c) => c.send(Buffer.from('Q\0\0\0\x50SELECT')),
  };

  for (const [when, act] of Object.entries(leaves)) {
    test(`${when} leaves nothing open and its backends to others`, async () => {
      const client = await WireClient.login({ port: scene.proxy.port, database: 'transactions' });
      act(client);
      await sleep(100);
      client.destroy();
      const other = await connectPg(scene.proxy.url);
      const { rows } = await other.query('SELECT id, name FROM items');
      expect(rows.some((row: { name: string }) => row.name === 'lost')).toBe(false);
      await other.end();
      await expect.poll(openTransactions, { timeout: 4000 }).toEqual([]);
    });
  }
});

test('a client that waits for a busy backend too long is told so, and lives', async () => {
  const [holder, waiter] = await Promise.all([
    connectPg(scene.proxy.url),
    connectPg(scene.proxy.url),
  ]);
  await holder.query("BEGIN; UPDATE items SET name = 'held' WHERE id = 1");
  const { error } = await runStatement(waiter, 'SELECT * FROM items WHERE id = 1');
  expect(error?.code).toBe('53000');
  expect(error?.message).toMatch(/no backend became free within 2000 ms/);
  await holder.query('ROLLBACK');
  expect((await runStatement(waiter, 'SELECT * FROM items WHERE id = 1')).error).toBeNull();
  await Promise.all([holder.end(), waiter.end()]);
});
