import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Comparison } from '../support/oracle.js';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';

/*
 * INSERT whose rows come from somewhere else, or go to several shards: from any query into sharded,
 * reference and unsharded tables, with ON CONFLICT and RETURNING. One Postgres says what is right.
 */

let scene: Scene;
let comparison: Comparison;

const sharded = (key: string): object => ({ shard_key: key, vindex: 'by_key' });

/** Every table, as one result that can be compared. */
const TABLES = ['customers', 'orders', 'archive', 'countries', 'settings', 'things'];

beforeAll(async () => {
  const order = '(customer_id int8, id int4, total numeric(10,2), note varchar(12)';
  scene = await openScene(
    'insert_rows',
    {
      main: { settings: {}, ids: { type: 'sequence' } },
      shop: {
        customers: sharded('id'),
        orders: sharded('customer_id'),
        archive: sharded('customer_id'),
        things: { shard_key: 'id', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    },
    [
      "CREATE TYPE mood AS ENUM ('sad', 'ok')",
      'CREATE TYPE pair AS (a int4, b text)',
      'CREATE DOMAIN positive AS int4 CHECK (VALUE > 0)',
      'CREATE SEQUENCE ids',
      'CREATE TABLE customers (id int8 PRIMARY KEY, name text, country char(2))',
      `CREATE TABLE orders ${order}, PRIMARY KEY (customer_id, id))`,
      `CREATE TABLE archive ${order}, at date DEFAULT '2024-01-01', PRIMARY KEY (customer_id, id))`,
      'CREATE TABLE countries (code char(2) PRIMARY KEY, name text, at timestamptz)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `CREATE TABLE things (id int8 PRIMARY KEY, m mood, p pair, n positive, tags text[], xs int8[],
         d date, j jsonb, iv interval, b bit(3), x bytea, f float8)`,
      `INSERT INTO customers SELECT g, 'c' || g, (ARRAY['de', 'fr', NULL])[1 + g % 3] FROM generate_series(1, 24) g`,
      `INSERT INTO orders SELECT g, 1, g * 1.5, 'first' FROM generate_series(1, 12) g`,
    ],
  );
  comparison = scene.comparison;
});
afterAll(async () => {
  await scene.close();
});
afterEach(async () => {
  await comparison.both('ROLLBACK');
  for (const table of TABLES) await comparison.expectSame(`SELECT * FROM ${table} ORDER BY 1, 2`);
  for (const [table, key] of [
    ['customers', 'id'],
    ['orders', 'customer_id'],
    ['archive', 'customer_id'],
    ['things', 'id'],
  ]) {
    expect(await misplacedRows(scene.databases, table!, key!, 'hashint8extended')).toEqual([]);
  }
});

async function same(sql: string, params?: readonly unknown[], ordered = false): Promise<void> {
  await comparison.expectSame(sql, params, ordered ? { ordered } : {});
}

describe('INSERT ... SELECT into a sharded table', () => {
  test('stays on its shards where the key is handed on', async () => {
    await same('INSERT INTO archive SELECT * FROM orders');
    await same(
      `INSERT INTO archive (customer_id, id, note) SELECT c.id, o.id + 1, c.name
         FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id > 3 RETURNING *`,
    );
    await same(
      'INSERT INTO archive (customer_id, id) SELECT customer_id, $1 FROM orders WHERE customer_id < $2',
      [50, 6],
    );
  });

  test('moves rows to the shards of their new keys', async () => {
    await same('INSERT INTO orders SELECT id + 100, customer_id, total FROM orders');
    await same('INSERT INTO orders (customer_id, id) SELECT sum(id), 7 FROM customers');
    await same(
      `INSERT INTO orders (customer_id, id, note) SELECT 1000 + length(name), count(*), max(country)
         FROM customers GROUP BY 1 RETURNING customer_id, id, note, total`,
    );
    await same(
      'INSERT INTO orders (customer_id, id) SELECT 2000 + row_number() OVER (ORDER BY id), $1 FROM customers',
      [3],
    );
    await same(
      `INSERT INTO orders (customer_id, id, note) SELECT g, g * 2, $1 FROM generate_series($2::int4, 3020) g RETURNING *`,
      ['made', 3000],
    );
    await same(
      'WITH big AS (SELECT id FROM customers WHERE id > 20) INSERT INTO orders (customer_id, id) SELECT id * 1000, 1 FROM big',
    );
    await same(
      `INSERT INTO orders (customer_id, id) SELECT id + 5000, 1 FROM customers
       UNION ALL SELECT 6000, 2 UNION ALL SELECT customer_id + 7000, id FROM archive`,
    );
  });

  test('in any notation', async () => {
    await same(
      `INSERT INTO public.orders AS o (customer_id, id, note) -- rows of "returning"
         (SELECT id + 60000, 1, 'on conflict' FROM customers /* ( */) -- and no more
         ON CONFLICT (customer_id, id) WHERE true DO UPDATE SET (note, total) = ROW(excluded.note, o.total)
         RETURNING o.customer_id AS "select", (ARRAY[note, 'x'])[1]`,
    );
    await same(
      `INSERT INTO orders (customer_id, id) (SELECT id + 61000, 1 FROM customers) UNION (SELECT id + 62000, 1 FROM customers)`,
    );
    await same(
      `INSERT INTO orders (customer_id, id) WITH x AS (SELECT id FROM customers) SELECT x.id + 63000, 1 FROM x`,
    );
    await same(`INSERT INTO archive TABLE archive ON CONFLICT DO NOTHING`);
  });

  test('reads all before it writes', async () => {
    await same('INSERT INTO customers (id, name) SELECT id + 10000, name FROM customers');
    await same('INSERT INTO customers (id, name) SELECT max(id) + 1, $1 FROM customers', ['last']);
  });

  test('from other keyspaces', async () => {
    await same(`INSERT INTO settings VALUES ('1', 'x'), ('2', 'y')`);
    await same(
      `INSERT INTO orders (customer_id, id, note) SELECT key::int8 + 8000, 1, value FROM settings RETURNING *`,
    );
    await same(
      `INSERT INTO orders (customer_id, id, note) SELECT c.id + 9000, 2, s.value
         FROM settings s JOIN customers c ON c.id = s.key::int8`,
    );
    await same('INSERT INTO orders (customer_id, id) SELECT nextval($$ids$$) + 9500, 1');
  });

  test('keeps the order of the query in RETURNING', async () => {
    await same(
      'INSERT INTO orders (customer_id, id) SELECT id, 31 FROM customers ORDER BY name DESC, id RETURNING customer_id',
      undefined,
      true,
    );
    await same(
      'INSERT INTO orders (customer_id, id) SELECT id, 32 FROM customers ORDER BY id LIMIT 5 OFFSET 2 RETURNING *',
      [],
      true,
    );
  });

  test('gives constants without a type that of their column', async () => {
    await same(
      `INSERT INTO things SELECT 100 + id, 'ok', '(1,x)', '3', '{a,b}', '{1,2}', '2024-02-29', '{"a": [1]}', '1 mon 2 days', '101', '\\x00ff', 'NaN' FROM customers RETURNING *`,
    );
    await same(`INSERT INTO things SELECT '500', NULL, NULL, NULL, NULL FROM customers LIMIT 1`);
    await same(
      `INSERT INTO things (id, m, p, n, tags, xs, iv, b, x, f)
         SELECT 1000 + id, m, p, n, tags, xs, iv, b, x, f FROM things WHERE id BETWEEN 101 AND 110 RETURNING *`,
    );
    await same(
      'INSERT INTO things (id, m, tags, xs) SELECT id + $1, $2, $3, $4 FROM customers WHERE id < 5',
      [3000, 'sad', '{x}', '{7}'],
    );
  });

  test('raises what one server raises', async () => {
    await same('INSERT INTO customers SELECT id, name FROM customers WHERE id = 3');
    await same(`INSERT INTO orders SELECT id + 1, 77, 1, 'much too long for it' FROM customers`);
    await same('INSERT INTO orders (customer_id, id) SELECT id + 1, 1 / (id - 5) FROM customers');
    await same(`INSERT INTO orders (customer_id, id) SELECT id + 1, 'x' FROM customers`);
    await same('INSERT INTO orders (customer_id, id, total) SELECT id + 1, 2 FROM customers');
    await same('INSERT INTO orders (customer_id) SELECT id + 1, 2 FROM customers');
    await same('INSERT INTO things (id, n) SELECT id + 1, -id FROM customers');
    await same('INSERT INTO orders (customer_id, id) SELECT $1::text, 1 FROM customers', ['1']);
    await comparison.expectRefused(
      'INSERT INTO orders (customer_id, id) SELECT NULL, id FROM orders',
    );
  });
});

describe('INSERT ... VALUES', () => {
  test('gives RETURNING in the order of its rows', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => `(${(i * 7919) % 1009}, 400, ${i})`);
    await same(
      `INSERT INTO orders (customer_id, id, total) VALUES ${rows.join(', ')} RETURNING customer_id, total AS t, id + 1`,
      undefined,
      true,
    );
    const values = Array.from({ length: 20 }, (_, i) => [1 + i * 37, `n${i}`]);
    const list = values.map((_, i) => `($${2 * i + 1}, 401, $${2 * i + 2})`);
    await same(
      `INSERT INTO orders (customer_id, id, note) VALUES ${list.join(', ')} RETURNING *`,
      values.flat(),
      true,
    );
    await same(
      `INSERT INTO orders (customer_id, id, note) VALUES (3, 400, 'a'), (1, 1, 'b'), (2, 1, 'c'), (4, 402, 'd')
         ON CONFLICT (customer_id, id) DO UPDATE SET note = orders.note || excluded.note RETURNING *`,
      undefined,
      true,
    );
    await same(
      `INSERT INTO orders (customer_id, id) VALUES (30, 1), (31, 1), (32, 1), (1, 1) RETURNING *`,
    );
  });

  test('leaves rows out of RETURNING that ON CONFLICT skips', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `(${1 + (i % 23)}, ${500 + (i % 3)}, ${i})`);
    const insert = 'INSERT INTO orders AS o (customer_id, id, total)';
    await same(
      `${insert} VALUES ${rows.join(', ')} ON CONFLICT DO NOTHING RETURNING *, total + 1 AS t`,
      undefined,
      true,
    );
    await same(
      `${insert} VALUES ($1, 500, 1), ($2, 501, 2), ($3, 502, 3), (91, 503, $4), (92, 503, 5)
         ON CONFLICT (customer_id, id) DO UPDATE SET total = o.total + excluded.total WHERE o.total > 9
         RETURNING customer_id, total`,
      [7, 8, 9, 4],
      true,
    );
    await same(`${insert} VALUES (91, 503, 1), (92, 503, 1) ON CONFLICT DO NOTHING RETURNING *`);
    await same(
      `${insert} SELECT id, 503, id FROM customers ORDER BY id DESC ON CONFLICT DO NOTHING RETURNING customer_id`,
      undefined,
      true,
    );
    await same(
      `${insert} SELECT id, 503, id FROM customers ON CONFLICT DO NOTHING RETURNING customer_id`,
    );
  });

  test('computes keys on a server', async () => {
    await same(
      `INSERT INTO orders (customer_id, id, note) VALUES (length('abc') + 20, 1, 'x'), (abs($1), 2, $2) RETURNING *`,
      [-71, 'y'],
      true,
    );
    await same(
      'INSERT INTO customers (id, name) VALUES ((SELECT max(id) + 1 FROM customers), $1)',
      ['next'],
    );
    await same(`INSERT INTO orders (customer_id, id, total) VALUES ($1::numeric, 1, $2)`, [
      90,
      '1.555',
    ]);
    await same(
      `INSERT INTO orders (customer_id, id) VALUES (nextval('ids') + 700, 5), (nextval('ids') + 700, 6) RETURNING *`,
      undefined,
      true,
    );
    await same(
      `INSERT INTO archive (customer_id, id, at) VALUES (1 + 800, 1, DEFAULT), (2 + abs(800), 2, DEFAULT) RETURNING *`,
    );
    await same(`INSERT INTO customers (id) VALUES (abs('x'))`);
  });
});

describe('INSERT into tables that are not sharded', () => {
  test('reads from any shards', async () => {
    await same(`INSERT INTO settings SELECT 'total', sum(total) FROM orders RETURNING *`);
    await same(`INSERT INTO settings SELECT 'c' || id, name FROM customers WHERE id < 4`);
    await same(
      `INSERT INTO settings SELECT 'c' || id, country FROM customers WHERE id < 6
         ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING *`,
    );
    await same(
      `INSERT INTO settings VALUES ('max', (SELECT max(id) FROM customers)) RETURNING value`,
    );
    await same('INSERT INTO settings SELECT $1, count(*) FROM orders WHERE id = $2', ['n', 1]);
  });

  test('gives every copy of a reference table the same rows', async () => {
    await same(
      `INSERT INTO countries (code, name) SELECT country, string_agg(name, ',' ORDER BY id)
         FROM customers WHERE country IS NOT NULL GROUP BY country RETURNING *`,
    );
    await comparison.both(
      `INSERT INTO countries (code, name) VALUES ('xx', random()::text), ('yy', gen_random_uuid()::text)`,
    );
    await comparison.both(`INSERT INTO countries VALUES ('zz', 'now', now()), ('zy', 'x', 'now')`);
    const copies = await Promise.all(
      (['s0', 's1', 's2', 's3'] as const).map((shard) =>
        scene.databases.query(shard, 'SELECT code, name, at::text FROM countries ORDER BY code'),
      ),
    );
    expect(copies[0]).toHaveLength(6);
    for (const copy of copies) expect(copy).toEqual(copies[0]);
    await comparison.both(`DELETE FROM countries WHERE code > 'x'`);
  });
});

test('one row of VALUES may call functions that give several rows', async () => {
  await same(
    'INSERT INTO orders (customer_id, id) VALUES (generate_series(30001, 30009), 1) RETURNING customer_id',
  );
  await same(
    'INSERT INTO orders (customer_id, id) VALUES (unnest($1::int8[]), generate_series(2, 3)) ON CONFLICT DO NOTHING',
    ['{30001,30002}'],
  );
  await same('SELECT * FROM orders WHERE customer_id > 30000 ORDER BY customer_id, id');
  await same('DELETE FROM orders WHERE customer_id > 30000');
});

describe('in a transaction', () => {
  test('an INSERT from elsewhere commits and rolls back with the others', async () => {
    await comparison.both('BEGIN');
    await same('INSERT INTO orders (customer_id, id) SELECT id + 20000, 1 FROM customers');
    await same('SELECT count(*) FROM orders WHERE customer_id > 20000');
    await comparison.both('SAVEPOINT s');
    await same('INSERT INTO orders (customer_id, id) SELECT max(id) + 20000, 1 FROM customers');
    await comparison.both('ROLLBACK TO s');
    await same(
      'INSERT INTO orders (customer_id, id) SELECT id + 20000, 2 FROM customers RETURNING id',
    );
    await comparison.both('COMMIT');
    await comparison.both('BEGIN');
    await same('INSERT INTO settings SELECT $1, count(*) FROM orders', ['gone']);
    await comparison.both('ROLLBACK');
    await same(
      `INSERT INTO orders (customer_id, id) SELECT id + 200000, 1 FROM customers;
       INSERT INTO settings SELECT 'script', count(*) FROM orders; SELECT 1 / 0`,
    );
  });
});
