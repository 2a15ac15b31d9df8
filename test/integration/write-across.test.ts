import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runStatement, type Comparison } from '../support/oracle.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * UPDATE and DELETE that look at rows of other shards and keyspaces, each inside a transaction that
 * is rolled back, so that every statement meets the same rows.
 */

let scene: Scene;
let comparison: Comparison;

const customers = Array.from({ length: 12 }, (_, i) => {
  return `(${i + 1}, 'c${i + 1}', ${i % 4 === 0 ? 'NULL' : `'k${i % 3}'`}, ${i * 1.5}, '{${i},${i + 1}}', '${i % 2 === 0 ? 'good' : 'bad'}')`;
});
const orders = Array.from({ length: 30 }, (_, i) => {
  return `(${1 + (i % 12)}, ${100 + i}, ${(i * 7) % 11}, '2024-01-${10 + (i % 9)}', ${i % 5 === 0 ? 'NULL' : `'s${i % 4}'`})`;
});
const visits = Array.from({ length: 20 }, (_, i) => {
  return `(${1000 + i}, ${1 + ((i * 5) % 14)}, ${100 + ((i * 3) % 33)}, ${i % 7})`;
});

beforeAll(async () => {
  scene = await openScene(
    'write_across',
    {
      main: { settings: {}, notes: {} },
      shop: {
        customers: { shard_key: 'id', vindex: 'by_key' },
        orders: { shard_key: 'customer_id', vindex: 'by_key' },
        visits: { shard_key: 'id', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    },
    [
      `CREATE TYPE mood AS ENUM ('bad', 'good')`,
      'CREATE TABLE customers (id int8 PRIMARY KEY, name varchar(20), country text, credit numeric(8,2), tags int4[], temper mood)',
      'CREATE TABLE orders (customer_id int8, id int4, amount int4, placed date, status text, PRIMARY KEY (customer_id, id))',
      'CREATE TABLE visits (id int8 PRIMARY KEY, customer int8, order_id int4, stars int2)',
      'CREATE TABLE countries (code text PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      'CREATE TABLE notes (id int4 PRIMARY KEY, customer int8, body text)',
      'CREATE VIEW happy AS SELECT c.id, c.name, count(*) AS n FROM customers c JOIN visits v ON v.customer = c.id WHERE v.stars > 2 GROUP BY c.id, c.name',
      `INSERT INTO customers VALUES ${customers.join(', ')}`,
      `INSERT INTO orders VALUES ${orders.join(', ')}`,
      `INSERT INTO visits VALUES ${visits.join(', ')}`,
      `INSERT INTO countries VALUES ('k0', 'Zero'), ('k1', 'One'), ('k2', 'Two')`,
      `INSERT INTO settings VALUES ('limit', '5'), ('s1', 'shipped'), ('s2', 'sent')`,
      `INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, NULL), (4, 99, 'd')`,
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
  'SELECT * FROM customers ORDER BY id',
  'SELECT * FROM orders ORDER BY customer_id, id',
  'SELECT * FROM visits ORDER BY id',
  'SELECT * FROM settings ORDER BY key',
  'SELECT * FROM notes ORDER BY id',
];

/** Runs a statement inside a transaction, looks at what it has changed, and undoes it. */
async function same(sql: string, params?: readonly unknown[]): Promise<void> {
  await comparison.expectSame('BEGIN');
  const { error } = await comparison.expectSame(sql, params, { ordered: false });
  if (error === null) {
    for (const contents of CONTENTS) await comparison.expectSame(contents);
  }
  await comparison.expectSame('ROLLBACK');
}

describe('UPDATE ... FROM and DELETE ... USING', () => {
  test.each([
    ['UPDATE orders o SET amount = v.stars FROM visits v WHERE v.order_id = o.id AND v.stars = 4'],
    [
      'UPDATE orders o SET amount = o.amount + 1 FROM visits v WHERE v.order_id = o.id RETURNING o.*',
    ],
    ['UPDATE visits v SET stars = 9 FROM orders o WHERE o.id = v.order_id RETURNING v.id, v.stars'],
    [
      'UPDATE customers c SET name = s.value, credit = credit * 2 FROM settings s WHERE s.key = $1 RETURNING c.*',
      ['limit'],
    ],
    [
      'UPDATE customers c SET country = k.name FROM countries k, visits v WHERE k.code = c.country AND v.customer = c.id AND v.stars >= $1',
      [3],
    ],
    [
      'UPDATE visits v SET stars = 0 FROM customers c LEFT JOIN countries k ON k.code = c.country WHERE c.id = v.customer AND k.code IS NULL RETURNING v.*, c.name',
    ],
    [
      'UPDATE orders o SET status = c.name FROM customers c, settings s WHERE c.id = o.customer_id AND s.key = o.status RETURNING *',
    ],
    [
      'DELETE FROM visits USING customers WHERE customers.id = visits.customer AND customers.credit > 5',
    ],
    [
      'DELETE FROM visits v USING customers c, orders o WHERE c.id = v.customer AND o.customer_id = c.id AND o.amount > 8 RETURNING v.id, v.customer',
    ],
    [
      'DELETE FROM orders o USING orders p WHERE p.customer_id <> o.customer_id AND p.id = o.id + 1 AND p.amount > o.amount RETURNING o.id',
    ],
    ['DELETE FROM notes n USING customers c WHERE c.id = n.customer RETURNING *'],
    ['DELETE FROM visits v USING orders o WHERE o.id = v.order_id RETURNING o, v.id'],
    ['UPDATE visits v SET stars = 1 FROM orders o WHERE o.id = v.order_id RETURNING v, o'],
    [
      'UPDATE settings s SET value = c.name FROM customers c WHERE c.id = 3 AND s.key = $1 RETURNING s.*',
      ['limit'],
    ],
    [
      'UPDATE visits v SET stars = h.n FROM happy h WHERE h.id = v.customer RETURNING v.id, h.name, v.stars',
    ],
    [
      'UPDATE visits v SET stars = 1 FROM customers c WHERE c.id = v.customer AND c.temper = $1 AND c.tags[1] > 3 RETURNING v.id, c.temper, c.tags',
      ['good'],
    ],
    [
      'UPDATE orders o SET amount = x.n FROM (VALUES (100, 7), (101, 8)) AS x (id, n), visits v WHERE x.id = o.id AND v.order_id = o.id',
    ],
  ])('%s', same);
});

describe('sub-selects', () => {
  test.each([
    ['UPDATE orders SET amount = (SELECT max(stars) FROM visits)'],
    [
      'UPDATE orders SET amount = (SELECT count(*) FROM visits v WHERE v.order_id = orders.id) RETURNING customer_id, id, amount',
    ],
    [
      'UPDATE customers SET credit = (SELECT sum(stars) FROM visits v WHERE v.customer = customers.id) WHERE id IN (SELECT customer FROM visits)',
    ],
    [
      'UPDATE customers SET (name, credit) = (SELECT min(v.id)::text, avg(v.stars) FROM visits v WHERE v.customer = customers.id)',
    ],
    [
      'UPDATE customers SET (name, credit) = (SELECT value, 4 FROM settings WHERE key = $1), country = NULL WHERE id < 4 RETURNING *',
      ['s1'],
    ],
    ['UPDATE customers SET credit = (SELECT stars FROM visits)'],
    ['DELETE FROM visits WHERE customer IN (SELECT customer_id FROM orders WHERE amount > 8)'],
    ['DELETE FROM visits WHERE customer NOT IN (SELECT id FROM customers)'],
    ['DELETE FROM visits WHERE customer NOT IN (SELECT NULLIF(id, 3) FROM customers) RETURNING *'],
    [
      'DELETE FROM visits v WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = v.order_id) RETURNING *',
    ],
    ['DELETE FROM visits v WHERE EXISTS (SELECT * FROM orders o WHERE o.amount > $1)', [10]],
    ['DELETE FROM visits v WHERE EXISTS (SELECT * FROM orders o WHERE o.amount > $1)', [9]],
    ['DELETE FROM visits WHERE stars > (SELECT avg(stars) FROM visits) RETURNING id'],
    [
      'DELETE FROM visits WHERE id = ANY (ARRAY(SELECT id FROM visits ORDER BY stars DESC, id LIMIT 3)) RETURNING id',
    ],
    [
      'DELETE FROM visits WHERE id IN (SELECT id FROM visits ORDER BY stars, id LIMIT 5 OFFSET 1) RETURNING id',
    ],
    [
      'DELETE FROM orders WHERE (customer_id, id) IN (SELECT customer_id, id FROM orders ORDER BY amount, id LIMIT $1)',
      [4],
    ],
    [
      'UPDATE orders SET status = (SELECT name FROM countries k JOIN customers c ON c.country = k.code WHERE c.id = 2) WHERE customer_id = 7 RETURNING *',
    ],
    [
      'UPDATE visits SET stars = stars + 1 WHERE customer = 1 RETURNING id, (SELECT name FROM customers c WHERE c.id = visits.customer)',
    ],
    ['UPDATE notes SET body = (SELECT name FROM customers WHERE id = notes.customer)'],
    ['DELETE FROM settings WHERE key IN (SELECT status FROM orders) RETURNING key'],
    ['DELETE FROM visits v WHERE v.stars >= ALL (SELECT amount FROM orders WHERE amount < 4)'],
    ['UPDATE visits v SET stars = (SELECT count(*) FROM visits w WHERE w.stars = v.stars)'],
  ])('%s', same);
});

describe('WITH', () => {
  test.each([
    [
      'WITH best AS (SELECT customer, max(stars) AS most FROM visits GROUP BY customer) UPDATE customers c SET credit = best.most FROM best WHERE best.customer = c.id RETURNING c.id, c.credit',
    ],
    [
      'WITH old AS (SELECT id FROM orders ORDER BY placed, id LIMIT 7) DELETE FROM orders o USING old WHERE old.id = o.id RETURNING *',
    ],
    [
      'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3), v AS (SELECT stars FROM visits) UPDATE orders SET amount = n.i FROM n WHERE n.i = orders.amount AND n.i IN (SELECT stars FROM v)',
    ],
    [
      'WITH RECURSIVE t (id) AS (SELECT id FROM visits WHERE stars = 6 UNION SELECT v.id FROM visits v JOIN t ON v.id = t.id + 3) DELETE FROM visits USING t WHERE t.id = visits.id',
    ],
  ])('%s', same);
});

describe('WITH queries that change rows', () => {
  test.each([
    ['WITH d AS (DELETE FROM visits WHERE stars < 2 RETURNING *) SELECT * FROM d'],
    [
      'WITH d AS (DELETE FROM visits WHERE stars < $1 RETURNING id, stars) SELECT stars, count(*), max(id) FROM d GROUP BY stars HAVING count(*) > 1',
      [5],
    ],
    [
      'WITH d AS (DELETE FROM visits RETURNING customer) SELECT c.name, count(*) FROM d JOIN customers c ON c.id = d.customer GROUP BY c.name',
    ],
    [
      'WITH moved AS (DELETE FROM visits WHERE stars > 3 RETURNING *) INSERT INTO orders (customer_id, id, amount, status) SELECT customer, id, stars, $1 FROM moved',
      ['archived'],
    ],
    [
      'WITH moved AS (DELETE FROM orders WHERE amount > 7 RETURNING *) INSERT INTO notes SELECT id, customer_id, status FROM moved RETURNING *',
    ],
    [
      'WITH moved AS (DELETE FROM notes RETURNING *) INSERT INTO visits (id, customer) SELECT id, customer FROM moved',
    ],
    [
      'WITH batch AS (SELECT id FROM visits ORDER BY stars, id LIMIT 6), d AS (DELETE FROM visits v USING batch b WHERE b.id = v.id RETURNING v.*) SELECT sum(stars), count(*) FROM d',
    ],
    [
      'WITH u AS (UPDATE orders SET amount = amount + 1 WHERE amount > 5 RETURNING customer_id, amount), s AS (SELECT max(amount) AS top FROM u) SELECT u.*, s.top FROM u, s',
    ],
    [
      'WITH n AS (INSERT INTO visits (id, customer, stars) VALUES (5001, 1, 4), (5002, 2, 5), (5003, 3, 1) RETURNING id, stars) SELECT * FROM n WHERE stars > 3',
    ],
    [
      'WITH n AS (INSERT INTO visits (id, customer) VALUES ($1, 3) RETURNING id) INSERT INTO notes (id, customer) SELECT 77, id FROM n RETURNING *',
      [6001],
    ],
    ['WITH d AS (DELETE FROM visits) SELECT 1 AS one'],
    [
      'WITH d AS (DELETE FROM visits WHERE stars = 0 RETURNING order_id) UPDATE orders o SET status = $1 FROM d WHERE d.order_id = o.id RETURNING o.id',
      ['gone'],
    ],
    [
      'WITH d AS (DELETE FROM orders WHERE amount < 3 RETURNING customer_id) DELETE FROM settings s WHERE EXISTS (SELECT FROM d)',
    ],
    [
      'WITH a AS (DELETE FROM visits WHERE stars = 6 RETURNING id, customer), b AS (INSERT INTO notes (id, customer, body) SELECT id, customer, $1 FROM a RETURNING id) SELECT count(*) FROM b',
      ['b'],
    ],
    [
      'WITH a AS (DELETE FROM visits WHERE stars = 6 RETURNING id), b AS (UPDATE settings SET value = $1 RETURNING key) SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)',
      ['z'],
    ],
    ['WITH d AS (DELETE FROM visits WHERE 1 / (stars - 3) > 0 RETURNING id) SELECT * FROM d'],
  ])('%s', same);

  test.each([
    ['WITH d AS (DELETE FROM visits WHERE stars > 2 RETURNING id) SELECT count(*) FROM visits, d'],
    [
      'WITH u AS (UPDATE orders SET amount = amount + 100 WHERE amount > $1 RETURNING id, amount) SELECT u.id, u.amount, o.amount AS before FROM u JOIN orders o ON o.id = u.id ORDER BY 1',
      [4],
    ],
    [
      'WITH n AS (INSERT INTO visits (id, customer, stars) VALUES (5001, 1, 4), (5002, 2, 5) RETURNING id) SELECT sum(id), (SELECT count(*) FROM visits), (SELECT max(id) FROM visits WHERE stars > 3) FROM n',
    ],
    [
      'WITH d AS (DELETE FROM visits WHERE stars = 1 RETURNING id), s AS (SELECT v.id, v.stars FROM visits v JOIN d ON d.id = v.id) SELECT * FROM s ORDER BY id',
    ],
    [
      'WITH d AS (DELETE FROM customers WHERE id > 3 RETURNING id), e AS (UPDATE notes SET body = $1 RETURNING id) SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM e), count(*), (SELECT count(*) FROM notes WHERE body = $1) FROM customers',
      ['changed'],
    ],
    [
      'WITH m AS (DELETE FROM visits WHERE stars = 6 RETURNING *) SELECT h.name, h.n FROM happy h WHERE EXISTS (SELECT FROM m WHERE m.customer = h.id) ORDER BY 1',
    ],
    ['WITH d AS (DELETE FROM visits) SELECT count(*) FROM visits'],
    [
      'WITH d AS (DELETE FROM visits WHERE stars = 1 RETURNING id) SELECT id, (SELECT max(amount) FROM orders), (SELECT 1 + max(amount) FROM orders), ARRAY(SELECT id FROM orders WHERE amount > 8 ORDER BY 1) FROM d',
    ],
    [
      'UPDATE visits SET stars = 0 WHERE stars = 2 RETURNING id, (SELECT max(amount) FROM orders), (SELECT min(o.id) AS least FROM orders o)',
    ],
  ])('a query beside them sees nothing of them: %s', same);

  test('that are seen elsewhere in the statement are refused', async () => {
    const refused = [
      'WITH d AS (DELETE FROM visits RETURNING *) INSERT INTO visits SELECT id + 1, customer FROM d',
      'WITH d AS (DELETE FROM visits WHERE stars = 1 RETURNING id), e AS (DELETE FROM visits WHERE stars = 2 RETURNING id) SELECT * FROM d, e',
      'WITH b AS (SELECT id FROM visits LIMIT 1), d AS (DELETE FROM visits v USING b WHERE v.id = b.id RETURNING v.id) SELECT * FROM d, b',
      'WITH d AS (DELETE FROM visits RETURNING id, id) SELECT * FROM d',
      'WITH m AS (UPDATE visits SET id = id + 700 WHERE stars = 1 RETURNING id) SELECT * FROM m',
    ];
    for (const sql of refused) await comparison.expectRefused(sql);
  });
});

test('EXPLAIN shows what is read first, and what the shards run', async () => {
  const client = await connectPg(scene.proxy.url);
  const explained = async (sql: string): Promise<string> => {
    const { results } = await runStatement(client, `EXPLAIN ${sql}`);
    return results[0]!.rows.join('\n');
  };
  const spread = await explained(
    'DELETE FROM visits v USING customers c WHERE c.id = v.customer AND c.id IN (3, 4)',
  );
  expect(spread).toMatch(/^ ?Spread/);
  expect(spread).toMatch(/Input: customers c/);
  expect(spread).toMatch(/Each Shard: DELETE FROM visits v USING <customers c> c/);
  const move = await explained('UPDATE visits SET id = id + 1 WHERE customer = 3');
  expect(move).toMatch(/^ ?Move Rows/);
  expect(move).toMatch(/Each Shard: SELECT visits.ctid.* FOR UPDATE OF visits/);
  await client.end();
});

test('what is refused says so', async () => {
  await comparison.expectRefused(
    'DELETE FROM visits v USING orders o WHERE o.id = v.order_id AND o.ctid IS NOT NULL',
  );
  await comparison.expectRefused(
    'DELETE FROM visits WHERE id IN (SELECT id FROM visits ORDER BY stars LIMIT 1 FOR UPDATE NOWAIT)',
  );
  await comparison.expectRefused(
    'DELETE FROM visits v USING pg_class c WHERE c.relname = v.id::text',
  );
});
