import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Comparison } from '../support/oracle.js';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';

/*
 * Writes to views that PostgreSQL updates by itself, each inside a transaction that is rolled back, so
 * that every statement meets the same rows.
 */

let scene: Scene;
let comparison: Comparison;

const orders = Array.from({ length: 24 }, (_, i) => {
  return `(${1 + (i % 8)}, ${100 + i}, ${(i * 7) % 11}, ${i % 5 === 0 ? 'NULL' : `'s${i % 4}'`})`;
});

beforeAll(async () => {
  scene = await openScene(
    'written_views',
    {
      main: { settings: {} },
      shop: {
        customers: { shard_key: 'id', vindex: 'by_key' },
        orders: { shard_key: 'customer_id', vindex: 'by_key' },
        tasks: { shard_key: 'id', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE customers (id int8 PRIMARY KEY, name varchar(20), credit numeric(8,2) DEFAULT 3.5)',
      `CREATE TABLE orders (customer_id int8, id int4, amount int4 DEFAULT 7, status text DEFAULT 'new', PRIMARY KEY (customer_id, id))`,
      'CREATE TABLE tasks (id serial PRIMARY KEY, title text)',
      'CREATE TABLE countries (code text PRIMARY KEY, name text, size int4)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text, n serial)',
      'CREATE VIEW plain_orders AS SELECT * FROM orders',
      'CREATE VIEW renamed (state, buyer, number, twice, sum) AS SELECT o.status, o.customer_id, o.id, o.amount * 2, o.amount FROM orders o',
      'CREATE VIEW cheap AS SELECT * FROM orders WHERE amount < 5',
      'CREATE VIEW cheap_checked AS SELECT * FROM orders WHERE amount < 5 WITH CHECK OPTION',
      'CREATE VIEW cheap_open AS SELECT * FROM cheap WHERE customer_id > 2 WITH LOCAL CHECK OPTION',
      'CREATE VIEW cheap_cascaded AS SELECT number, buyer, sum, state FROM renamed WHERE sum < 5 WITH CASCADED CHECK OPTION',
      'CREATE VIEW of_three AS SELECT id, amount, status, customer_id FROM orders WHERE customer_id = 3',
      'CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM orders WHERE amount > 2',
      'CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM customers',
      'CREATE VIEW defaults AS SELECT customer_id AS c, id, amount AS a, status AS s FROM orders',
      `ALTER VIEW defaults ALTER COLUMN s SET DEFAULT 'by view'`,
      'ALTER VIEW defaults ALTER COLUMN a SET DEFAULT 99',
      'CREATE VIEW known AS SELECT * FROM orders o WHERE EXISTS (SELECT 1 FROM customers c WHERE c.id = o.customer_id AND c.credit > 1)',
      'CREATE VIEW titles AS SELECT title AS t, id AS number FROM tasks',
      'CREATE VIEW titles_alone AS SELECT title FROM tasks',
      'CREATE VIEW small AS SELECT name, code FROM countries WHERE size < 10 WITH CHECK OPTION',
      'CREATE VIEW sets AS SELECT key AS k, value AS v FROM settings WHERE key < $$m$$',
      'CREATE VIEW totals AS SELECT customer_id, sum(amount) AS total FROM orders GROUP BY customer_id',
      'CREATE VIEW distincts AS SELECT DISTINCT status FROM orders',
      'CREATE VIEW joined AS SELECT c.name, o.id FROM customers c JOIN orders o ON o.customer_id = c.id',
      'CREATE VIEW over_totals AS SELECT * FROM totals',
      'CREATE VIEW top AS SELECT * FROM orders LIMIT 3',
      'CREATE VIEW ranked AS SELECT id, rank() OVER () FROM orders',
      'CREATE VIEW both_kinds AS SELECT 1 AS a UNION SELECT 2',
      'CREATE VIEW numbers AS SELECT generate_series(1, 3), id FROM orders',
      'CREATE VIEW withs AS WITH x AS (SELECT 1) SELECT id FROM orders',
      `INSERT INTO customers VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 0), (4, 'd', 5), (9, 'e', 2)`,
      `INSERT INTO orders VALUES ${orders.join(', ')}`,
      `INSERT INTO countries VALUES ('x', 'X', 5), ('y', 'Y', 15)`,
      `INSERT INTO settings (key, value) VALUES ('a', '1'), ('z', '26')`,
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
  'SELECT * FROM tasks ORDER BY id',
  'SELECT * FROM countries ORDER BY code',
  'SELECT key, value FROM settings ORDER BY key',
];

async function same(sql: string, params?: readonly unknown[]): Promise<void> {
  await comparison.expectSame('BEGIN');
  const { error } = await comparison.expectSame(sql, params, { ordered: false });
  if (error === null) {
    for (const contents of CONTENTS) await comparison.expectSame(contents);
    expect(
      await misplacedRows(scene.databases, 'orders', 'customer_id', 'hashint8extended'),
    ).toEqual([]);
  }
  await comparison.expectSame('ROLLBACK');
}

describe('views that show a table', () => {
  test.each([
    `INSERT INTO plain_orders VALUES (5, 500, 1, 'x')`,
    `INSERT INTO plain_orders (id, customer_id) VALUES (500, 5), (501, 6), (502, 7) RETURNING *`,
    `INSERT INTO renamed (number, buyer, state) VALUES (500, 1, 'x'), (501, 2, DEFAULT), (502, 3, 'z') RETURNING *, twice + 1`,
    `INSERT INTO renamed (number, twice, buyer) VALUES (500, 1, 1)`,
    `INSERT INTO renamed VALUES ('s', 1, 500)`,
    `INSERT INTO renamed (state, buyer, number) SELECT name, id + 1, 700 FROM customers RETURNING buyer, state`,
    `INSERT INTO plain_orders SELECT id, 600, 2, name FROM customers`,
    `INSERT INTO plain_orders SELECT id + 1, 600, 2, name FROM customers ORDER BY name RETURNING id, customer_id`,
    `UPDATE renamed SET state = 'q' || sum, sum = sum + 1 WHERE twice > 6 RETURNING *`,
    `UPDATE renamed SET sum = DEFAULT WHERE buyer = 4 RETURNING state, sum`,
    `UPDATE renamed SET state = c.name FROM customers c WHERE c.id = renamed.buyer AND c.credit > 1 RETURNING c.name, renamed.*`,
    `UPDATE renamed r SET state = c.name FROM customers c WHERE c.id = r.sum RETURNING r.number, c.id`,
    `UPDATE renamed SET twice = 4`,
    `UPDATE plain_orders SET nothing = 4`,
    `UPDATE plain_orders SET amount = (SELECT max(amount) FROM orders) WHERE customer_id IN (SELECT id FROM customers WHERE credit > 1)`,
    `DELETE FROM renamed WHERE sum IN (SELECT id FROM customers)`,
    `DELETE FROM renamed WHERE buyer = 3 RETURNING old.number, new.number`,
    `DELETE FROM renamed USING customers WHERE customers.id = sum RETURNING number`,
    `INSERT INTO renamed (buyer, number, sum) VALUES (1, 100, 5), (2, 900, 6) ON CONFLICT (buyer, number) DO UPDATE SET sum = excluded.sum, buyer = excluded.buyer RETURNING *`,
    `INSERT INTO renamed (buyer, number, sum) SELECT id, 100, 5 FROM customers ON CONFLICT (buyer, number) DO UPDATE SET state = 'met' || renamed.twice`,
    `INSERT INTO plain_orders SELECT customer_id + 1, id, 3 FROM orders ON CONFLICT DO NOTHING`,
    `MERGE INTO renamed r USING customers c ON r.buyer = c.id WHEN MATCHED AND r.sum > 4 THEN DELETE WHEN MATCHED THEN UPDATE SET state = c.name WHEN NOT MATCHED THEN INSERT (buyer, number, sum) VALUES (c.id, 7, c.credit::int) RETURNING merge_action(), r.*`,
    `MERGE INTO plain_orders USING customers c ON customer_id = c.id WHEN NOT MATCHED THEN INSERT VALUES (c.id, 1, 2, 'merged') WHEN NOT MATCHED BY SOURCE THEN DELETE`,
    `WITH gone AS (DELETE FROM renamed WHERE sum < 5 RETURNING buyer, state) INSERT INTO customers SELECT buyer + 100, max(state) FROM gone GROUP BY buyer`,
    `WITH gone AS (DELETE FROM customers RETURNING id, name) INSERT INTO renamed (buyer, number, state) SELECT id, 800, name FROM gone`,
    `UPDATE renamed SET buyer = buyer WHERE sum > 3`,
    `UPDATE invoker SET credit = credit + 1 WHERE name > 'a' RETURNING *`,
    `INSERT INTO invoker VALUES (50, 'new')`,
  ])('%s', async (sql) => {
    await same(sql);
  });

  test('take parameters', async () => {
    await same(
      'INSERT INTO renamed (buyer, number, sum) VALUES ($1, $2, $3), ($4, $2, $3) RETURNING *',
      [1, 2000, 3, 4],
    );
    await same('UPDATE renamed SET sum = $1 WHERE buyer = $2', [5, 3]);
    await same('DELETE FROM renamed WHERE buyer = ANY($1) RETURNING number', [[1, 2, 5]]);
  });

  test('are written where the key of their table lies', async () => {
    const { results } = await comparison.expectSame('BEGIN').then(async () => {
      return comparison.expectSame(`INSERT INTO renamed (buyer, number) VALUES (77, 1)`);
    });
    expect(results[0]!.rowCount).toBe(1);
    expect(await scene.databases.query('main', 'SELECT * FROM orders')).toEqual([]);
  });
});

describe('views with conditions', () => {
  test.each([
    `UPDATE cheap SET amount = amount + 4 RETURNING *`,
    `UPDATE cheap_checked SET amount = 4 WHERE customer_id > 3`,
    `UPDATE cheap_checked SET amount = 6 WHERE customer_id = 3`,
    `INSERT INTO cheap VALUES (1, 500, 50)`,
    `INSERT INTO cheap_checked VALUES (1, 500, 50)`,
    `INSERT INTO cheap_checked (customer_id, id) VALUES (1, 500)`,
    `INSERT INTO cheap_open VALUES (1, 500, 3)`,
    `INSERT INTO cheap_open VALUES (5, 500, 50)`,
    `INSERT INTO cheap_cascaded (buyer, number, sum) VALUES (5, 500, 50)`,
    `INSERT INTO cheap_cascaded (buyer, number, sum) VALUES (5, 500, 4), (6, 500, 3) RETURNING *`,
    `INSERT INTO cheap_cascaded (buyer, number, sum) SELECT id + 3, 900, credit::int FROM customers`,
    `UPDATE of_three SET amount = 1`,
    `DELETE FROM of_three WHERE amount > 3 RETURNING *`,
    `INSERT INTO of_three (id, customer_id) VALUES (900, 3)`,
    `INSERT INTO of_three (id, customer_id) VALUES (900, 4), (901, 5), (902, 6)`,
    `INSERT INTO of_three (id, customer_id) VALUES (100, 1) ON CONFLICT (customer_id, id) DO UPDATE SET amount = 77 RETURNING *`,
    `UPDATE of_three SET customer_id = 3`,
    `UPDATE barrier SET status = 'b' WHERE amount < 6 RETURNING id`,
    `DELETE FROM barrier`,
    `INSERT INTO barrier VALUES (4, 999, 0)`,
    `UPDATE known SET amount = amount + 1`,
    `DELETE FROM known WHERE id % 2 = 0 RETURNING *`,
    `INSERT INTO known VALUES (40, 1, 1)`,
  ])('%s', async (sql) => {
    await same(sql);
  });
});

describe('defaults', () => {
  test.each([
    `INSERT INTO defaults (c, id) VALUES (1, 500), (2, 501) RETURNING *`,
    `INSERT INTO defaults VALUES (1, 500), (2, 501)`,
    `INSERT INTO defaults (c, id, a) SELECT id, 500, DEFAULT_ FROM (SELECT id, 3 AS DEFAULT_ FROM customers) x`,
    `INSERT INTO defaults (c, id) SELECT id + 1, 500 FROM customers`,
    `UPDATE defaults SET a = DEFAULT, s = DEFAULT WHERE c < 4`,
    `INSERT INTO titles (t) VALUES ('one'), ('two') RETURNING t`,
    `INSERT INTO titles VALUES ('one', 1000)`,
    `INSERT INTO sets VALUES ('b', '2') RETURNING *`,
    `INSERT INTO sets VALUES ('y', '2')`,
    `UPDATE sets SET v = v || '!'`,
  ])('%s', async (sql) => {
    await comparison.expectSame('BEGIN');
    const { error } = await comparison.expectSame(sql, undefined, { ordered: false });
    expect(error).toBeNull();
    await comparison.expectSame('SELECT * FROM orders ORDER BY customer_id, id');
    await comparison.expectSame('SELECT title FROM tasks ORDER BY title');
    await comparison.expectSame('SELECT key, value FROM settings ORDER BY key');
  });

  test('that the proxy makes need a column of the view', async () => {
    await comparison.expectRefused(
      `INSERT INTO titles_alone VALUES ('x')`,
      undefined,
      /does not show/,
    );
  });
});

describe('views of reference tables', () => {
  test.each([
    `INSERT INTO small VALUES ('N', 'n')`,
    `UPDATE small SET name = name || '!' RETURNING *`,
    `DELETE FROM small WHERE code = 'x'`,
    `DELETE FROM small WHERE code = 'y'`,
  ])('%s', async (sql) => {
    await same(sql);
    const copies = await Promise.all(
      (['s0', 's1', 's2', 's3'] as const).map((name) =>
        scene.databases.query(name, 'SELECT * FROM countries ORDER BY code'),
      ),
    );
    for (const copy of copies) expect(copy).toEqual(copies[0]);
  });
});

describe('views that cannot be written', () => {
  test.each([
    `INSERT INTO totals VALUES (1, 2)`,
    `UPDATE totals SET total = 1`,
    `DELETE FROM totals WHERE customer_id = 3`,
    `DELETE FROM over_totals`,
    `UPDATE distincts SET status = 'x'`,
    `DELETE FROM joined`,
    `UPDATE top SET id = 1`,
    `UPDATE ranked SET id = 1`,
    `DELETE FROM both_kinds`,
    `DELETE FROM numbers`,
    `DELETE FROM withs`,
  ])('%s', async (sql) => {
    const { error } = await comparison.expectSame(sql);
    expect(error?.code).toBe('55000');
  });

  test('over several shards: keys that change, sub-selects of theirs', async () => {
    await comparison.expectRefused(
      'UPDATE renamed SET buyer = buyer + 1',
      undefined,
      /through view/,
    );
    await comparison.expectRefused(
      'UPDATE known SET amount = 1 FROM customers c WHERE c.id = known.amount',
      undefined,
      /sub-selects/,
    );
  });
});
