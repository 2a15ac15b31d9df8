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

const ALL = 'SELECT * FROM orders ORDER BY customer_id, id';

beforeAll(async () => {
  scene = await openScene(
    'update_key',
    {
      main: { settings: {} },
      shop: { orders: { shard_key: 'customer_id', vindex: 'by_key' } },
    },
    [
      'CREATE TABLE orders (customer_id int8, id int4, status text, total numeric(10,2), PRIMARY KEY (customer_id, id))',
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
  await comparison.expectSame(ALL);
  expect(await misplacedRows(scene.databases, 'orders', 'customer_id', 'hashint8extended')).toEqual(
    [],
  );
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
