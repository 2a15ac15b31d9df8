/*
 * Views with security_invoker read with the privileges of who asks, and under the policies for him: those whose rows
 * must be brought together, too.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';

const own = { shard_key: 'customer_id', vindex: 'by_key' };
let scene: Scene;

beforeAll(async () => {
  scene = await openScene(
    'invoker_views',
    {
      main: { settings: {} },
      shop: { orders: own, items: own, countries: { type: 'reference' } },
    },
    [
      'CREATE TABLE orders (customer_id int8, id int, tenant text, amount int, PRIMARY KEY (customer_id, id))',
      'CREATE TABLE items (customer_id int8, id int, sku text)',
      'CREATE TABLE countries (code text PRIMARY KEY, name text)',
      'CREATE TABLE settings (name text PRIMARY KEY, value text)',
      `INSERT INTO orders SELECT i, i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, i * 10 FROM generate_series(1, 20) i`,
      `INSERT INTO items SELECT i, i, 'sku' || i % 3 FROM generate_series(1, 20) i`,
      `INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')`,
      `INSERT INTO settings VALUES ('x', '1')`,
      'CREATE ROLE invoker_views_app',
      'CREATE ROLE invoker_views_none',
      'GRANT SELECT, INSERT, UPDATE, DELETE ON orders, countries, settings TO invoker_views_app',
      'GRANT SELECT ON countries, settings TO invoker_views_none',
      'ALTER TABLE orders ENABLE ROW LEVEL SECURITY',
      `CREATE POLICY tenant ON orders TO invoker_views_app USING (tenant = current_setting('app.tenant', true))`,
      'CREATE VIEW mine WITH (security_invoker) AS SELECT customer_id, id, tenant, amount FROM orders WHERE amount > 30',
      `CREATE VIEW totals WITH (security_invoker = true) AS
         SELECT tenant, count(*) AS n, sum(amount) AS total FROM orders GROUP BY tenant`,
      `CREATE VIEW joined WITH (security_invoker = on) AS
         SELECT m.id, s.name, c.code FROM mine m JOIN settings s ON s.name = 'x' JOIN countries c ON c.code = 'de'`,
      'CREATE VIEW lines WITH (security_invoker) AS SELECT sku, customer_id FROM items',
      'GRANT SELECT, INSERT, UPDATE, DELETE ON mine, totals, joined, lines TO invoker_views_app, invoker_views_none',
    ],
  );
});
afterAll(async () => {
  for (const sql of [
    'RESET ROLE',
    'DROP OWNED BY invoker_views_app, invoker_views_none',
    'DROP ROLE invoker_views_app, invoker_views_none',
  ]) {
    await scene.comparison.both(sql);
  }
  await scene.close();
});

async function same(...queries: readonly string[]): Promise<void> {
  for (const sql of queries) await scene.comparison.expectSame(sql);
}

const queries = [
  'SELECT count(*), sum(amount) FROM mine',
  'SELECT * FROM mine WHERE customer_id = 8',
  'SELECT * FROM mine ORDER BY amount DESC LIMIT 3',
  'SELECT * FROM totals ORDER BY tenant',
  'SELECT t.n, m.id FROM totals t JOIN mine m USING (tenant) ORDER BY m.id LIMIT 4',
  'SELECT * FROM joined ORDER BY id',
  'SELECT sku, count(*) FROM lines GROUP BY sku ORDER BY sku',
  'SELECT a.id FROM mine a JOIN orders b ON a.amount = b.amount + 20 ORDER BY 1',
] as const;

describe.each([
  ['the owner', []],
  ['somebody with a policy', ['SET ROLE invoker_views_app', `SET app.tenant = 'a'`]],
  ['somebody whom no row is for', ['SET ROLE invoker_views_app', `SET app.tenant = 'c'`]],
  ['somebody without rights to the sharded tables', ['SET ROLE invoker_views_none']],
])('%s', (_, settings) => {
  beforeAll(async () => {
    await scene.comparison.both('RESET ROLE');
    for (const sql of settings) await scene.comparison.both(sql);
  });

  test.each(queries)('%s', async (sql) => {
    await same(sql);
  });

  test('writes through the view', async () => {
    await same(
      'BEGIN',
      'UPDATE mine SET amount = amount + 1 WHERE customer_id < 12',
      'ROLLBACK',
      'BEGIN',
      `INSERT INTO mine VALUES (101, 1, 'a', 5), (102, 1, 'a', 6)`,
      'ROLLBACK',
      'BEGIN',
      'DELETE FROM mine',
      'ROLLBACK',
    );
  });
});

test("a view that reads rows with its owner's rights, where row security tells them apart, is refused", async () => {
  await scene.comparison.both('RESET ROLE');
  await scene.comparison.both('CREATE VIEW owned AS SELECT * FROM orders');
  await scene.comparison.expectRefused('SELECT count(*) FROM owned');
  await scene.comparison.both('ALTER VIEW owned SET (security_invoker = true)');
  await same('SELECT count(*) FROM owned');
});
