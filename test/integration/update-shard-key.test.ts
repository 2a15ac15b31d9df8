import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Comparison } from '../support/oracle.js';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';

/*
 * UPDATE that sets the shard key. Keys 1 to 40 are spread over four shards; 1 and its neighbours
 * stand for whatever an application has.
 */

let scene: Scene;
let comparison: Comparison;

const orders = Array.from({ length: 80 }, (_, i) => {
  const key = 1 + (i >> 1);
  return `(${key}, ${key * 10 + (i % 2) + 1}, 'new', ${key}.${i % 10})`;
});

const TABLES = ['orders', 'parents', 'children', 'events', 'names'];

beforeAll(async () => {
  scene = await openScene(
    'update_key',
    {
      main: { settings: {} },
      shop: {
        orders: { shard_key: 'customer_id', vindex: 'by_key' },
        parents: { shard_key: 'id', vindex: 'by_key' },
        children: { shard_key: 'parent', vindex: 'by_key' },
        events: { shard_key: 'tenant', vindex: 'by_key' },
        names: { shard_key: 'name', vindex: 'by_key' },
      },
    },
    [
      'CREATE TABLE orders (customer_id int8, id int4, status text, total numeric(10,2), PRIMARY KEY (customer_id, id))',
      'CREATE TABLE parents (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE children (parent int8 REFERENCES parents ON DELETE CASCADE, n int4, PRIMARY KEY (parent, n))',
      `CREATE TYPE mood AS ENUM ('sad', 'ok')`,
      `CREATE TABLE events (tenant int8 NOT NULL, day date NOT NULL, temper mood, tags text[], body jsonb, tenth numeric(6,1),
        code char(5), twice int8 GENERATED ALWAYS AS (tenant * 2) STORED, note varchar(5) DEFAULT 'none', CHECK (tenant < 1000))
        PARTITION BY RANGE (day)`,
      `CREATE TABLE events_a PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')`,
      `CREATE TABLE events_b PARTITION OF events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')`,
      'CREATE TABLE names (name text PRIMARY KEY, n int4)',
      `INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
      `INSERT INTO children VALUES (1, 1), (1, 2), (2, 1)`,
      `INSERT INTO events (tenant, day, temper, tags, body, tenth, code) VALUES
        (1, '2024-01-03', 'sad', '{a,NULL,"c d"}', '{"a": 1}', 1.2, 'x'), (1, '2024-02-03', 'ok', '{}', NULL, NULL, 'y'),
        (2, '2024-02-09', NULL, NULL, '[]', 33.3, NULL), (3, '2024-01-20', 'ok', '{z}', '"s"', -4, 'z')`,
      `INSERT INTO names VALUES ('ann', 1), ('bob', 2), ('cid', 3)`,
      `INSERT INTO orders VALUES ${orders.join(', ')}`,
    ],
  );
  comparison = scene.comparison;
});
afterAll(async () => {
  await scene.close();
});
afterEach(async () => {
  await comparison.both('ROLLBACK');
  for (const table of TABLES) await comparison.expectSame(`SELECT * FROM ${table}`);
  const keys = [
    ['orders', 'customer_id', 'hashint8extended'],
    ['events', 'tenant', 'hashint8extended'],
    ['names', 'name', 'hashtextextended'],
  ] as const;
  for (const [table, key, hash] of keys) {
    expect(await misplacedRows(scene.databases, table, key, hash)).toEqual([]);
  }
});

async function same(sql: string, params?: readonly unknown[]): Promise<void> {
  await comparison.expectSame(sql, params);
}

describe('the key that a row has already', () => {
  test('may be set among all columns, as object mappers do', async () => {
    await same("UPDATE orders SET customer_id = 7, status = 'a' WHERE id = 71 AND customer_id = 7");
    await same(
      'UPDATE orders SET customer_id = $1, status = $2, total = $3 WHERE customer_id = $4 AND id = $5',
      [7, 'b', '9.99', 7, 72],
    );
    await same(
      'UPDATE orders SET customer_id = $1, status = $2 WHERE customer_id = $1 AND id = $3 RETURNING *',
      [8, 'c', 81],
    );
    await same("UPDATE orders SET (status, customer_id) = ('d', 9) WHERE customer_id = 9");
    await same('UPDATE orders SET (status, customer_id) = ($1, $2) WHERE customer_id = $2', [
      'e',
      9,
    ]);
  });

  test('may be named by itself', async () => {
    await same("UPDATE orders SET customer_id = customer_id, status = 'f' WHERE id % 3 = 0");
    await same(
      'UPDATE orders o SET customer_id = p.customer_id, total = p.total + 1 FROM orders p ' +
        'WHERE p.customer_id = o.customer_id AND p.id = o.id AND o.id < 50 RETURNING o.customer_id, o.total',
    );
  });

  test('finds nothing where nothing is', async () => {
    await same('UPDATE orders SET customer_id = 7 WHERE customer_id = 7 AND id = -1');
    await same('UPDATE orders SET customer_id = $1 WHERE customer_id = $2', [7, null]);
    await same("UPDATE orders SET customer_id = 'x' WHERE customer_id = 7");
  });

  test('may come back from an upsert', async () => {
    const upsert =
      'INSERT INTO orders (customer_id, id, status) VALUES ($1, $2, $3) ON CONFLICT (customer_id, id) ' +
      'DO UPDATE SET customer_id = EXCLUDED.customer_id, status = EXCLUDED.status RETURNING *';
    await same(upsert, [7, 71, 'upserted']);
    await same(upsert, [7, 79, 'inserted']);
    await comparison.expectRefused(
      'INSERT INTO orders (customer_id, id) VALUES (7, 71) ON CONFLICT (customer_id, id) DO UPDATE SET customer_id = 8',
      undefined,
      /changing the shard key/,
    );
  });
});

describe('a key that takes the row to another shard', () => {
  test('moves the row, whatever other columns are set', async () => {
    await same(
      "UPDATE orders SET customer_id = 102, status = 'moved' WHERE customer_id = 11 AND id = 111",
    );
    await same(
      'UPDATE orders SET customer_id = $1, total = total + $2 WHERE customer_id = $3 RETURNING *',
      [103, '0.5', 12],
    );
    await same(
      'UPDATE orders AS o SET customer_id = $1 WHERE id = $2 RETURNING o.id AS moved, customer_id, new.total',
      [104, 131],
    );
    await same(
      'UPDATE orders SET status = DEFAULT, customer_id = 105, total = NULL WHERE id IN (141, 142, 151) RETURNING id, status, total',
    );
    await same('UPDATE orders SET customer_id = 106 WHERE id = -1 RETURNING *');
    await same('UPDATE orders SET customer_id = -1 WHERE false');
  });

  test('may be computed for each row', async () => {
    await same(
      'UPDATE orders SET customer_id = customer_id + 200 WHERE customer_id BETWEEN 16 AND 19 RETURNING *',
    );
    await same(
      'UPDATE orders SET customer_id = customer_id - 200 WHERE customer_id > 215 RETURNING customer_id, id',
    );
    await same(
      'UPDATE orders o SET customer_id = o.customer_id + p.n, total = p.n FROM (SELECT customer_id, 300 AS n FROM orders) p WHERE p.customer_id = o.customer_id AND o.customer_id = 20',
    );
    await same(
      'UPDATE orders SET (customer_id, status) = (abs(-customer_id), upper(status)) WHERE customer_id = 21',
    );
    await same(
      'UPDATE orders SET customer_id = CASE WHEN id % 2 = 0 THEN 22 ELSE 401 END WHERE customer_id = 22',
    );
  });

  test('is undone with its transaction, and seen within it', async () => {
    await same('BEGIN');
    await same('UPDATE orders SET customer_id = 501 WHERE customer_id = 23');
    await same('SELECT * FROM orders WHERE customer_id IN (23, 501)');
    await same('SAVEPOINT a');
    await same('UPDATE orders SET customer_id = 502 WHERE customer_id = 501 RETURNING id');
    await same('ROLLBACK TO a');
    await same("UPDATE orders SET status = 'after' WHERE customer_id = 501");
    await same('ROLLBACK');
    await same('BEGIN');
    await same('UPDATE orders SET customer_id = 503 WHERE customer_id = 24');
    await same('COMMIT');
  });

  test('meets the constraints that it would meet on one server', async () => {
    await same('INSERT INTO orders VALUES (601, 251, NULL, 1)');
    await same('UPDATE orders SET customer_id = 601 WHERE customer_id = 25');
    await same("UPDATE events SET tenant = 5000 WHERE tenant = 1 AND temper = 'sad'");
    await same(
      "UPDATE events SET tenant = 77, note = 'too long' WHERE tenant = 1 AND temper = 'sad'",
    );
    await same("UPDATE orders SET customer_id = 602, total = 'x' WHERE customer_id = 26");
    await same('UPDATE orders SET customer_id = 602, total = status WHERE customer_id = 26');
    await same('UPDATE orders SET customer_id = 602, nothing = 1 WHERE customer_id = 26');
    await same('UPDATE orders SET customer_id = 9 / (id - 261) WHERE customer_id = 26');
  });

  test('keeps values of every type, and finds the partition', async () => {
    await same('UPDATE events SET tenant = tenant + 50 RETURNING *');
    await same(
      "UPDATE events SET tenant = $1, day = $2, temper = $3, note = DEFAULT WHERE tenant = 51 AND day < '2024-02-01' RETURNING *, tenant * 3 AS thrice",
      [91, '2024-02-11', 'ok'],
    );
    await same(
      "UPDATE events e SET tenant = e.tenant + 100, tags = e.tags || 'new', body = '{\"b\": [1]}' WHERE temper IS NOT NULL RETURNING e.*",
    );
    await same("UPDATE names SET name = name || 'x', n = n + 1 RETURNING *");
    await same("UPDATE names SET name = 'dora' WHERE name = 'bobx'");
  });

  test('is refused where rows refer to it, or come in an order that decides', async () => {
    await comparison.expectRefused(
      'UPDATE parents SET id = 70 WHERE id = 1',
      undefined,
      /foreign keys/,
    );
    await comparison.expectRefused('UPDATE parents SET id = id + 70', undefined, /foreign keys/);
    await comparison.expectRefused(
      'UPDATE orders SET customer_id = customer_id + 1',
      undefined,
      /each other/,
    );
    await comparison.expectRefused(
      'UPDATE orders SET customer_id = NULL WHERE customer_id = 27',
      undefined,
      /null value/,
    );
    await comparison.expectRefused(
      'UPDATE orders SET customer_id = 8 WHERE id = 271 RETURNING old.*',
    );
    await same("UPDATE parents SET id = 2, name = 'x' WHERE id = 2");
    await same('UPDATE parents SET id = 71 WHERE id = -5');
    await same('UPDATE children SET parent = 3 WHERE parent = 2 RETURNING *');
    await same('UPDATE children SET parent = 99 WHERE parent = 3');
  });
});
