import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Comparison } from '../support/oracle.js';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';

/* MERGE into sharded, reference and unsharded tables, from anything; one Postgres says what is right. */

let scene: Scene;
let comparison: Comparison;

beforeAll(async () => {
  scene = await openScene(
    'merge_into',
    {
      main: { settings: {} },
      shop: {
        stock: { shard_key: 'item', vindex: 'by_key' },
        deliveries: { shard_key: 'id', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    },
    [
      'CREATE TABLE stock (item int8 PRIMARY KEY, amount int4, note varchar(20))',
      'CREATE TABLE deliveries (id int8 PRIMARY KEY, item int4, amount int4, tags text[])',
      'CREATE TABLE countries (id int4 PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO stock SELECT g, g, 'old' FROM generate_series(1, 30) g`,
      `INSERT INTO deliveries SELECT g, g + 20, 5, ARRAY['a', 'b'] FROM generate_series(1, 20) g`,
      `INSERT INTO countries VALUES (1, 'de'), (2, 'fr')`,
      `INSERT INTO settings VALUES ('1', 'x'), ('2', 'y')`,
    ],
  );
  comparison = scene.comparison;
});
afterAll(async () => {
  await scene.close();
});
afterEach(async () => {
  for (const table of ['stock', 'countries', 'settings']) {
    await comparison.expectSame(`SELECT * FROM ${table} ORDER BY 1`);
  }
  expect(await misplacedRows(scene.databases, 'stock', 'item', 'hashint8extended')).toEqual([]);
});

const same = async (sql: string, params?: readonly unknown[]): Promise<void> => {
  await comparison.expectSame(sql, params);
};

test('goes by the key that ON compares, from tables that are sharded otherwise', async () => {
  await same(
    `MERGE INTO stock AS s USING deliveries d ON s.item = d.item
       WHEN MATCHED AND s.amount > 25 THEN DELETE
       WHEN MATCHED THEN UPDATE SET amount = s.amount + d.amount, note = d.tags[1]
       WHEN NOT MATCHED THEN INSERT VALUES (d.item, d.amount, 'new')
       RETURNING merge_action(), s.*, d.id, d.tags`,
  );
  await same(
    `WITH x AS (SELECT id AS item, $1::int4 AS amount FROM deliveries WHERE id < $2)
     MERGE INTO stock USING x ON x.item = stock.item AND stock.amount < 100
       WHEN MATCHED THEN UPDATE SET amount = x.amount WHEN NOT MATCHED THEN DO NOTHING`,
    [77, 5],
  );
  await same(
    `MERGE INTO stock s USING (VALUES (3, 'three'), (303, NULL)) v (id, note) ON s.item = v.id
       WHEN MATCHED THEN UPDATE SET note = v.note
       WHEN NOT MATCHED THEN INSERT (note, item) VALUES (v.note, v.id) RETURNING *`,
  );
  await same(
    `MERGE INTO stock s USING (SELECT 4 AS id FROM generate_series(1, 2)) v ON s.item = v.id
       WHEN MATCHED THEN UPDATE SET note = 'twice'`,
  );
});

test('into tables that are not sharded', async () => {
  await same(
    `MERGE INTO settings s USING stock k ON s.key = k.item::text
       WHEN MATCHED THEN UPDATE SET value = k.note
       WHEN NOT MATCHED AND k.item < 6 THEN INSERT VALUES (k.item, k.amount)
       WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING s.key, k.amount`,
  );
  await same(
    `MERGE INTO countries c USING (SELECT id, max(item)::text AS name FROM deliveries WHERE id < 5 GROUP BY id) d
       ON c.id = d.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.name)`,
  );
  await same(
    'MERGE INTO countries c USING countries d ON c.id = d.id WHEN MATCHED THEN UPDATE SET name = d.name || $1',
    ['!'],
  );
});

test.each([
  `MERGE INTO stock s USING deliveries d ON s.item = d.item WHEN NOT MATCHED BY SOURCE THEN DELETE`,
  `MERGE INTO stock s USING (SELECT id, item FROM deliveries WHERE id = 1) d ON s.item = d.item
     WHEN MATCHED THEN UPDATE SET amount = 77 WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = s.amount + 1
     RETURNING merge_action(), s.item, s.amount, d.id`,
  `MERGE INTO stock s USING (SELECT id, item FROM deliveries WHERE false) d ON s.item = d.item
     WHEN NOT MATCHED BY SOURCE AND s.item % 2 = 0 THEN DELETE RETURNING merge_action(), s.*`,
])('rows that no source row matches, on every shard: %s', async (sql) => {
  await comparison.both('BEGIN');
  await comparison.expectSame(sql, undefined, { ordered: false });
  await comparison.expectSame('SELECT * FROM stock ORDER BY item');
  await comparison.both('ROLLBACK');
});

test.each([
  `MERGE INTO stock s USING deliveries d ON s.item = d.item + 1 WHEN MATCHED THEN DELETE`,
  `MERGE INTO stock s USING deliveries d ON s.item = d.item OR d.id = 1 WHEN MATCHED THEN DELETE`,
  `MERGE INTO stock s USING (SELECT DISTINCT amount FROM deliveries) d ON s.amount = d.amount
     WHEN MATCHED AND s.item > 2 THEN UPDATE SET note = 'met' WHEN NOT MATCHED BY SOURCE THEN DELETE
     WHEN NOT MATCHED THEN DO NOTHING RETURNING merge_action(), s.item`,
  `MERGE INTO stock s USING stock d ON s.item = d.item + 1 WHEN MATCHED THEN UPDATE SET amount = d.amount`,
  `MERGE INTO stock s USING (VALUES (0), (0)) d (x) ON s.amount > d.x WHEN MATCHED THEN UPDATE SET note = 'twice'`,
])('compared by something else than the shard key, on every shard: %s', async (sql) => {
  await comparison.both('BEGIN');
  const { error } = await comparison.expectSame(sql, undefined, { ordered: false });
  if (error === null) await comparison.expectSame('SELECT * FROM stock ORDER BY item');
  await comparison.both('ROLLBACK');
});

test('refuses what rows on other shards would have a say in', async () => {
  for (const sql of [
    `MERGE INTO stock s USING deliveries d ON s.amount = d.amount WHEN NOT MATCHED THEN INSERT VALUES (d.item, 1, '')`,
    `MERGE INTO stock s USING deliveries d ON s.item = d.item WHEN NOT MATCHED THEN INSERT VALUES (d.id, 1, '')`,
    `MERGE INTO stock s USING deliveries d ON s.item = d.item WHEN MATCHED THEN UPDATE SET item = 5`,
    `MERGE INTO stock s USING deliveries d ON s.item = d.item AND EXISTS (SELECT FROM stock) WHEN MATCHED THEN DELETE`,
  ]) {
    await comparison.expectRefused(sql);
  }
});
