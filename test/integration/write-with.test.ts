import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Comparison } from '../support/oracle.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * Statements of several shards whose WITH queries change rows of the table that the statement changes too, of reference
 * tables, and of tables that foreign keys refer to. Each inside a transaction that is rolled back.
 */

let scene: Scene;
let comparison: Comparison;

beforeAll(async () => {
  scene = await openScene(
    'write_with',
    {
      main: { settings: {} },
      shop: {
        accounts: { shard_key: 'id', vindex: 'by_key' },
        orders: { shard_key: 'customer', vindex: 'by_key' },
        items: { shard_key: 'customer', vindex: 'by_key' },
        events: { shard_key: 'source', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE accounts (id int4 PRIMARY KEY, balance int4 NOT NULL CHECK (balance >= 0))',
      'CREATE TABLE orders (customer int4, id int4, note text, PRIMARY KEY (customer, id))',
      'CREATE TABLE items (customer int4, order_id int4, no int4, PRIMARY KEY (customer, order_id, no), FOREIGN KEY (customer, order_id) REFERENCES orders ON DELETE CASCADE)',
      'CREATE TABLE events (source int4, n int4, body text)',
      'CREATE TABLE countries (code text PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value int4)',
      'INSERT INTO accounts SELECT g, 100 FROM generate_series(1, 12) g',
      `INSERT INTO orders SELECT g % 6, g, 'n' || g FROM generate_series(1, 18) g`,
      'INSERT INTO items SELECT customer, id, 1 FROM orders',
      `INSERT INTO events SELECT g % 5, g, 'b' || g FROM generate_series(1, 20) g`,
      `INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')`,
      `INSERT INTO settings VALUES ('a', 1), ('b', 2)`,
    ],
  );
  comparison = scene.comparison;
});
afterAll(async () => {
  await scene.close();
});
afterEach(async () => {
  await comparison.both('ROLLBACK');
});

const CONTENTS = [
  'SELECT * FROM accounts ORDER BY id',
  'SELECT * FROM orders ORDER BY customer, id',
  'SELECT * FROM items ORDER BY customer, order_id, no',
  'SELECT * FROM events ORDER BY source, n, body',
  'SELECT * FROM countries ORDER BY code',
  'SELECT * FROM settings ORDER BY key',
];

type Statement = [sql: string, params?: readonly unknown[]];

/** Runs a statement inside a transaction, looks at what it has changed, and undoes it. */
async function same(sql: string, params?: readonly unknown[]): Promise<void> {
  await comparison.expectSame('BEGIN');
  const { error } = await comparison.expectSame(sql, params, { ordered: false });
  if (error === null) {
    for (const contents of CONTENTS) await comparison.expectSame(contents);
  }
  await comparison.expectSame('ROLLBACK');
}

/** Refused, with nothing changed. */
async function refused(sql: string, params?: readonly unknown[]): Promise<void> {
  await comparison.expectRefused(sql, params);
  await comparison.expectSame('SELECT * FROM accounts ORDER BY id');
}

describe('parts of a statement that change one table', () => {
  test.each<Statement>([
    [
      'WITH a AS (UPDATE accounts SET balance = balance - 10 WHERE id = 1 RETURNING balance), b AS (UPDATE accounts SET balance = balance + 10 WHERE id = 2 RETURNING balance) SELECT * FROM a, b',
    ],
    [
      'WITH a AS (UPDATE accounts SET balance = balance - $3 WHERE id = $1 RETURNING id) UPDATE accounts SET balance = balance + $3 WHERE id = $2 AND EXISTS (SELECT FROM a) RETURNING *',
      [3, 4, 5],
    ],
    [
      'WITH a AS (UPDATE accounts SET balance = balance - 500 WHERE id = 1) UPDATE accounts SET balance = 7 WHERE id = 2',
    ],
    [
      'WITH a AS (UPDATE orders SET note = NULL WHERE customer = 1 RETURNING id), b AS (UPDATE orders SET note = $1 WHERE customer IN (2, 3) RETURNING id) SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)',
      ['x'],
    ],
    [
      'WITH n AS (INSERT INTO accounts VALUES (50, 5)), d AS (DELETE FROM accounts WHERE id IN (5, 6, 7) RETURNING id) SELECT count(*) FROM d',
    ],
  ])('are done where they are bound to different keys: %s', same);

  test.each<Statement>([
    [
      'WITH a AS (UPDATE accounts SET balance = 1 WHERE id = $1), b AS (UPDATE accounts SET balance = 2 WHERE id IN ($2, 2, 3)) SELECT 1',
      [4, 4],
    ],
    [
      'WITH a AS (UPDATE accounts SET balance = 1 WHERE id < 4) UPDATE accounts SET balance = 2 WHERE id > 7',
    ],
    [
      'WITH a AS (INSERT INTO accounts SELECT g, 1 FROM generate_series(70, 75) g) UPDATE accounts SET balance = 2',
    ],
  ])('are refused where they may meet: %s', refused);
});

describe('an INSERT beside WITH queries that change its table', () => {
  test.each<Statement>([
    [
      'WITH d AS (DELETE FROM events WHERE n < 6 RETURNING *) INSERT INTO events SELECT source + 100, n, body FROM d RETURNING n',
    ],
    [
      'WITH d AS (DELETE FROM accounts WHERE id < $1 RETURNING *) INSERT INTO accounts SELECT id + 100, balance + 1 FROM d ORDER BY id RETURNING *',
      [6],
    ],
    [
      'WITH d AS (DELETE FROM accounts WHERE id < 6 RETURNING *) INSERT INTO accounts SELECT id, balance + 1 FROM d',
    ],
    [
      'WITH d (b, a) AS (DELETE FROM accounts WHERE id < 6 RETURNING balance, id) INSERT INTO accounts (id, balance) SELECT a, b + 1 FROM d',
    ],
    [
      'WITH d (a, b) AS (DELETE FROM accounts WHERE id < 6 RETURNING id, balance) INSERT INTO accounts SELECT a + 30, b FROM d',
    ],
    [
      'WITH d AS (DELETE FROM items WHERE order_id < 9 RETURNING *) INSERT INTO items SELECT customer, order_id, no + 10 FROM d',
    ],
    [
      'WITH d AS (DELETE FROM orders WHERE customer = 1 RETURNING *) INSERT INTO orders SELECT 2, id, note FROM d',
    ],
    [
      'WITH d AS (DELETE FROM accounts WHERE id < 9 RETURNING id, balance) INSERT INTO accounts SELECT 50, sum(balance) FROM d',
    ],
    [
      'WITH d AS (DELETE FROM accounts WHERE id = 1 RETURNING id) INSERT INTO accounts VALUES (50, 1), (51, 2)',
    ],
    [
      'WITH u AS (UPDATE accounts a SET balance = s.b FROM (VALUES (3, 33), (99, 9)) s (i, b) WHERE a.id = s.i RETURNING a.id) INSERT INTO accounts SELECT * FROM (VALUES (3, 33), (99, 9)) s (i, b) WHERE i NOT IN (SELECT id FROM u)',
    ],
    [
      'WITH n AS (INSERT INTO accounts SELECT g, 5 FROM generate_series(20, 25) g RETURNING id) INSERT INTO accounts SELECT id + 100, 6 FROM n',
    ],
    [
      'WITH d AS (DELETE FROM accounts WHERE id < 6 RETURNING id), e AS (INSERT INTO accounts SELECT id + 50, 1 FROM d RETURNING *) SELECT count(*), min(id) FROM e',
    ],
    [
      'WITH d AS (DELETE FROM settings RETURNING value) INSERT INTO accounts SELECT id + 50, 1 FROM accounts WHERE id NOT IN (SELECT value FROM d)',
    ],
  ])('%s', same);

  test.each<Statement>([
    [
      'WITH d AS (DELETE FROM accounts RETURNING *) INSERT INTO accounts SELECT id + 1, balance FROM d',
    ],
    [
      'WITH d AS (DELETE FROM accounts WHERE id = 3 RETURNING *) INSERT INTO accounts VALUES (3, 1), (50, 1)',
    ],
    ['WITH d AS (DELETE FROM accounts WHERE id = 3) INSERT INTO accounts VALUES (50, 1), (51, 1)'],
    ['WITH d AS (DELETE FROM orders RETURNING *) INSERT INTO orders SELECT * FROM d'],
    [
      'WITH d AS (DELETE FROM accounts RETURNING *) INSERT INTO accounts SELECT * FROM d ON CONFLICT DO NOTHING',
    ],
  ])('is refused where a new row may be in the way of a deleted one: %s', refused);
});

describe('WITH queries that change reference tables', () => {
  test.each<Statement>([
    [`WITH c AS (INSERT INTO countries VALUES ('es', $1) RETURNING *) SELECT * FROM c`, ['Spain']],
    [
      `WITH c AS (DELETE FROM countries WHERE code = 'fr' RETURNING name) INSERT INTO events SELECT 7, 70, name FROM c`,
    ],
    [
      `WITH c AS (UPDATE countries SET name = upper(name) RETURNING *) SELECT c.code, a.id, (SELECT max(name) FROM countries) FROM c JOIN accounts a ON a.id = length(c.name)`,
    ],
    [
      `WITH c AS (INSERT INTO countries SELECT 'x' || id, 'X' FROM accounts WHERE id > 9 RETURNING code) UPDATE events SET body = 'seen' WHERE body IN (SELECT replace(code, 'x', 'b') FROM c)`,
    ],
  ])('every copy is changed: %s', same);

  test('all copies are the same afterwards', async () => {
    const client = await connectPg(scene.proxy.url);
    await client.query(
      `WITH c AS (INSERT INTO countries VALUES ('it', 'Italy') RETURNING code) INSERT INTO settings SELECT code, 3 FROM c`,
    );
    for (const shard of ['s0', 's1', 's2', 's3']) {
      const copy = `/* shardgate: shard=${shard} */ SELECT name FROM countries WHERE code = 'it'`;
      expect((await client.query(copy)).rows).toEqual([{ name: 'Italy' }]);
    }
    await client.query(`DELETE FROM settings WHERE key = 'it'`);
    await client.query(`DELETE FROM countries WHERE code = 'it'`);
    await client.end();
  });
});

describe('WITH queries that delete rows which others refer to', () => {
  test.each<Statement>([
    [
      'WITH d AS (DELETE FROM orders WHERE id < 6 RETURNING id) SELECT d.id, a.balance FROM d JOIN accounts a ON a.id = d.id',
    ],
    [
      `WITH d AS (DELETE FROM orders WHERE id < 6 RETURNING *) INSERT INTO events SELECT customer, id, note FROM d`,
    ],
    [
      'WITH d AS (DELETE FROM orders WHERE id < 6 RETURNING id) UPDATE accounts SET balance = 0 FROM d WHERE d.id = accounts.id',
    ],
  ])('beside other tables: %s', same);

  test.each<Statement>([
    [
      'WITH i AS (DELETE FROM items WHERE order_id < 9 RETURNING *), o AS (DELETE FROM orders WHERE id < 9 RETURNING *) SELECT (SELECT count(*) FROM i), (SELECT count(*) FROM o)',
    ],
    [
      `WITH i AS (DELETE FROM items WHERE order_id IN (SELECT id FROM orders WHERE note > 'n5') RETURNING *), o AS (DELETE FROM orders WHERE note > 'n5' RETURNING *) INSERT INTO events SELECT customer, id, note FROM o`,
    ],
    [
      'WITH e AS (DELETE FROM events WHERE n IN (SELECT balance - 95 FROM accounts) RETURNING n), a AS (UPDATE accounts SET balance = 0 RETURNING id) SELECT (SELECT count(*) FROM e), (SELECT count(*) FROM a)',
    ],
  ])('behind what changes or reads those that refer to them: %s', same);

  test('not beside those that would be deleted with them', async () => {
    await refused(
      'WITH d AS (DELETE FROM orders WHERE id < 6 RETURNING id) DELETE FROM items USING d WHERE items.order_id = d.id',
    );
  });
});

describe('parts that are bound to different keys, which are read where the statement stands', () => {
  const statement = (id: number): string =>
    `WITH a AS (UPDATE accounts SET balance = balance - 1 WHERE id = ${id} RETURNING balance) ` +
    `UPDATE accounts SET balance = accounts.balance + 1 FROM a WHERE accounts.id = ${id + 5} RETURNING id, a.balance`;

  test.each([1, 2, 3, 4, 5, 6])('behind other statements of a Query (%i)', async (id) => {
    await comparison.both('BEGIN');
    for (const first of ['SELECT 1, 2', `UPDATE settings SET value = 7 WHERE key = 'a'`]) {
      await comparison.expectSame(`${first}; ${statement(id)}; SELECT 3`);
    }
    for (const sql of CONTENTS) await comparison.expectSame(sql);
  });

  test.each([1, 2, 3, 4, 5, 6])('with the time of a transaction (%i)', async (id) => {
    await comparison.both('BEGIN');
    await comparison.expectSame('SELECT balance FROM accounts WHERE id = 12');
    await comparison.expectSame(
      statement(id).replace('balance - 1', 'balance - length(now()::date::text)'),
    );
    for (const sql of CONTENTS) await comparison.expectSame(sql);
  });
});
