import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';

/*
 * What cannot be answered exactly is refused with a hint, never answered wrongly; queries are answered as by one
 * Postgres, over several shards and bound to one.
 */
let scene: Scene;

beforeAll(async () => {
  const sharded = (key: string): object => ({ shard_key: key, vindex: 'by_key' });
  scene = await openScene(
    'refusals',
    {
      main: { settings: {}, counters: {} },
      shop: {
        customers: sharded('id'),
        orders: sharded('customer_id'),
        countries: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE customers (id int8 PRIMARY KEY, name text, country text)',
      'CREATE TABLE orders (customer_id int8, id int4, total numeric, PRIMARY KEY (customer_id, id))',
      'CREATE TABLE countries (code text PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      'CREATE TABLE counters (id int4 PRIMARY KEY, n int8)',
      `CREATE FUNCTION looked_up(int8) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT name FROM customers WHERE id = $1'`,
      `CREATE FUNCTION doubled(int8) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'`,
      `INSERT INTO customers VALUES (1, 'a', 'de'), (2, 'b', 'fr'), (3, 'c', 'de'), (4, 'd', 'fr'),
        (5, 'e', 'de'), (6, 'f', NULL), (7, NULL, 'de'), (8, 'h', 'it')`,
      `INSERT INTO orders VALUES (1, 1, 10), (1, 2, 20), (2, 1, 5), (3, 1, 7.5), (3, 2, 1), (7, 1, 3)`,
      `INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')`,
      `INSERT INTO settings VALUES ('a', 'b')`,
    ],
  );
});
afterAll(async () => {
  await scene.close();
});

describe('a query is answered over several shards, and when it is bound to one', () => {
  /** `?` stands for nothing over several shards, and for a condition that binds the key otherwise. */
  const queries: readonly (readonly [sql: string, binding: string])[] = [
    ['SELECT sum(id) FROM customers ?', 'WHERE id = 3'],
    ['SELECT avg(total) FROM orders ?', 'WHERE customer_id = 3'],
    ['SELECT min(name), max(name) FROM customers ?', 'WHERE id = 3'],
    ['SELECT count(*), max(id) FROM customers ?', 'WHERE id = 3'],
    ['SELECT count(DISTINCT country) FROM customers ?', 'WHERE id = 3'],
    ['SELECT count(*) + 1 FROM customers ?', 'WHERE id = 3'],
    ['SELECT count(*) FILTER (WHERE id > 2) * 2 FROM customers ?', 'WHERE id = 3'],
    [`SELECT string_agg(name, ',' ORDER BY id) FROM customers ?`, 'WHERE id = 3'],
    ['SELECT country, count(*) FROM customers ? GROUP BY country', 'WHERE id = 3'],
    ['SELECT country FROM customers ? GROUP BY country HAVING count(*) > 0', 'WHERE id = 3'],
    ['SELECT 1 FROM customers ? HAVING count(*) > 0', 'WHERE id = 3'],
    [
      'SELECT country, name, count(*) FROM customers ? GROUP BY ROLLUP (country, name)',
      'WHERE id = 3',
    ],
    ['SELECT DISTINCT country FROM customers ?', 'WHERE id = 3'],
    [
      'SELECT DISTINCT ON (country) country, id FROM customers ? ORDER BY country, id',
      'WHERE id = 3',
    ],
    ['SELECT * FROM customers ? ORDER BY id', 'WHERE id = 3'],
    ['SELECT name FROM customers ? ORDER BY id DESC', 'WHERE id = 3'],
    ['SELECT * FROM customers ? ORDER BY country, id FETCH FIRST 1 ROW WITH TIES', 'WHERE id = 3'],
    ['SELECT id, row_number() OVER (ORDER BY id) FROM customers ?', 'WHERE id = 3'],
    ['SELECT id, sum(id) OVER () FROM customers ?', 'WHERE id = 3'],
    [
      'SELECT rank() OVER w FROM customers ? WINDOW w AS (PARTITION BY country ORDER BY id)',
      'WHERE id = 3',
    ],
    [
      'SELECT a.id FROM customers a JOIN customers b ON a.country = b.country ?',
      'WHERE a.id = 3 AND b.id = 3',
    ],
    [
      'SELECT * FROM customers c JOIN orders o ON o.id = c.id ?',
      'WHERE c.id = 3 AND o.customer_id = 3',
    ],
    ['SELECT * FROM customers c CROSS JOIN orders o ?', 'WHERE c.id = 3 AND o.customer_id = 3'],
    [
      'SELECT * FROM customers c FULL JOIN orders o ON o.id = c.id ?',
      'WHERE c.id = 3 AND o.customer_id = 3',
    ],
    ['SELECT * FROM countries k LEFT JOIN customers c ON c.country = k.code ?', 'AND c.id = 3'],
    [
      'SELECT (SELECT max(total) FROM orders ?) FROM customers WHERE id = 3',
      'WHERE customer_id = 3',
    ],
    [
      'SELECT * FROM customers WHERE id = 3 AND id = (SELECT max(customer_id) FROM orders ?)',
      'WHERE customer_id = 3',
    ],
    [
      'SELECT * FROM customers WHERE id = 3 AND EXISTS (SELECT FROM orders WHERE total > 0 ?)',
      'AND customer_id = 3',
    ],
    [
      'SELECT * FROM customers WHERE id = 3 AND id NOT IN (SELECT customer_id FROM orders ?)',
      'WHERE customer_id = 3',
    ],
    ['SELECT * FROM (SELECT count(*) FROM orders ?) o', 'WHERE customer_id = 3'],
    ['WITH o AS (SELECT count(*) AS n FROM orders ?) SELECT n FROM o', 'WHERE customer_id = 3'],
    [
      'WITH RECURSIVE r AS (SELECT id FROM customers ? UNION SELECT id + 100 FROM r WHERE id < 100) SELECT * FROM r',
      'WHERE id = 3',
    ],
    [
      'SELECT id FROM customers ? UNION SELECT customer_id FROM orders WHERE customer_id = 3',
      'WHERE id = 3',
    ],
    [
      'SELECT id FROM customers ? EXCEPT SELECT customer_id FROM orders WHERE customer_id = 3',
      'WHERE id = 3',
    ],
    [
      'SELECT id FROM customers ? INTERSECT SELECT customer_id FROM orders WHERE customer_id = 3',
      'WHERE id = 3',
    ],
    ['SELECT id FROM customers ? UNION ALL SELECT 1', 'WHERE id = 3'],
  ];

  for (const [sql, binding] of queries) {
    test(sql, async () => {
      const { comparison } = scene;
      await comparison.expectSame(sql.replace('?', ''));
      await comparison.expectSame(sql.replace('?', binding));
    });
  }
});

test('functions that may do anything are refused', async () => {
  await scene.comparison.expectRefused('SELECT looked_up(id) FROM customers');
  await scene.comparison.expectRefused('SELECT looked_up(id) FROM customers WHERE id = 3');
});

describe('what stays exact over several shards is answered', () => {
  test.each([
    ['SELECT count(*) FROM customers'],
    ['SELECT count(*), count(name) FROM customers WHERE id > 2'],
    ['SELECT count(*) FROM customers WHERE id IN (1, 2, 3, 4, 5)'],
    ['SELECT count(*) AS n FROM customers WHERE false'],
    ['SELECT doubled(id), upper(name) FROM customers'],
    ['SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id'],
    ['SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id'],
    ['SELECT * FROM customers c JOIN countries k ON k.code = c.country'],
    ['SELECT * FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id)'],
    [
      'SELECT * FROM customers c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id)',
    ],
    ['SELECT id, (SELECT sum(total) FROM orders o WHERE o.customer_id = c.id) FROM customers c'],
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });
});

describe('writes that would go wrong over several shards are refused, and change nothing', () => {
  test.each([
    ['UPDATE customers SET id = id + 1'],
    ['UPDATE countries SET name = random()::text'],
    ['INSERT INTO customers (name) VALUES (1)'],
    ['INSERT INTO customers DEFAULT VALUES'],
    [`INSERT INTO customers VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET id = 77`],
    [
      'WITH d AS (DELETE FROM customers RETURNING *) INSERT INTO customers SELECT id + 1, name FROM d',
    ],
    [`UPDATE customers SET name = looked_up(1)`],
    [`SELECT * FROM customers FOR UPDATE NOWAIT LIMIT 1`],
  ])('%s', async (sql) => {
    const { comparison } = scene;
    const before = await comparison.expectSame('SELECT count(*) FROM customers');
    await comparison.expectRefused(sql);
    expect(await comparison.expectSame('SELECT count(*) FROM customers')).toEqual(before);
    for (const table of ['customers', 'orders', 'countries']) {
      await comparison.expectSame(`SELECT * FROM ${table}`);
    }
  });
});

describe('tables of different keyspaces', () => {
  test.each([
    ['SELECT * FROM customers c JOIN settings s ON s.key = c.name WHERE c.id = 3'],
    ['SELECT * FROM countries k JOIN settings s ON s.key = k.code'],
    ['SELECT * FROM settings WHERE EXISTS (SELECT FROM customers WHERE id = 3)'],
    ['SELECT * FROM settings UNION ALL SELECT * FROM countries'],
  ])('meet in a query: %s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });

  test.each([
    ['TRUNCATE settings, customers'],
    ['TRUNCATE countries, settings, orders RESTART IDENTITY'],
    ['LOCK TABLE settings, customers IN EXCLUSIVE MODE'],
    ['TRUNCATE settings, nowhere'],
  ])('are emptied and locked together: %s', async (sql) => {
    const { comparison } = scene;
    await comparison.expectSame('BEGIN');
    const { error } = await comparison.expectSame(sql);
    for (const table of error === null ? ['settings', 'customers', 'countries', 'orders'] : []) {
      await comparison.expectSame(`SELECT count(*) FROM ${table}`);
    }
    await comparison.expectSame('ROLLBACK');
    await comparison.expectSame('SELECT count(*) FROM customers, settings');
  });

  test('tables of one unsharded keyspace do, whatever the query', async () => {
    await scene.comparison.expectSame(
      'SELECT s.key, count(*) OVER () FROM settings s LEFT JOIN counters c ON true GROUP BY 1 ORDER BY 1 LIMIT 5',
    );
    await scene.comparison.expectSame(
      `INSERT INTO counters SELECT g, g FROM generate_series(1, 3) g RETURNING *`,
    );
  });
});

describe('what belongs to one server session is refused, since clients share those', () => {
  test.each([
    [`SELECT pg_notify('news', name) FROM customers`],
    ['CREATE TEMP VIEW v AS SELECT 1'],
    ['SELECT * FROM pg_prepared_statements'],
    ['INSERT INTO settings SELECT name FROM pg_cursors'],
    ['SELECT pg_advisory_lock(id) FROM customers WHERE id = 1'],
    ['SELECT setseed(0.5)'],
    ['SET SESSION AUTHORIZATION postgres'],
    ['SET client_encoding = latin1'],
    ['SET standard_conforming_strings = off'],
    ["LOAD 'auto_explain'"],
    ["DO 'BEGIN PERFORM 1 FROM customers; END'"],
    ["PREPARE TRANSACTION 'x'"],
    ['CREATE DATABASE elsewhere'],
    ['ALTER SYSTEM SET work_mem = 1'],
    ['SELECT pg_terminate_backend(1)'],
    ["COPY customers TO '/tmp/x'"],
    ["COPY customers FROM PROGRAM 'true'"],
    ['SELECT lo_create(0)'],
  ])('%s', async (sql) => {
    const { hint } = await scene.comparison.expectRefused(sql);
    expect(hint!.length).toBeGreaterThan(10);
  });
});

describe('a refusal', () => {
  test('ends a transaction as any error does', async () => {
    const { comparison } = scene;
    await comparison.both('BEGIN');
    await comparison.both(`UPDATE customers SET name = 'gone' WHERE id = 1`);
    await comparison.expectRefused('SELECT looked_up(id) FROM customers');
    await comparison.both('ROLLBACK');
    await comparison.expectSame('SELECT * FROM customers WHERE id = 1');
  });

  test('of a statement with several key values depends on where they lead', async () => {
    const { comparison, databases } = scene;
    const same: string[] = [];
    const ids = (await databases.query('s1', 'SELECT id::text FROM customers')).flat();
    same.push(...(ids as string[]));
    expect(same.length).toBeGreaterThanOrEqual(1);
    const all = '1, 2, 3, 4, 5, 6';
    const locking = (condition: string): string =>
      `SELECT * FROM customers WHERE ${condition} ORDER BY id LIMIT 3 FOR UPDATE NOWAIT`;
    await comparison.expectSame(locking(`id IN (${same.join(', ')})`));
    await comparison.expectRefused(locking(`id IN (${all})`));
    await comparison.expectSame(locking('id = ANY ($1)'), [same]);
    await comparison.expectRefused(locking('id = ANY ($1)'), [[1, 2, 3, 4, 5, 6]]);
  });
});
