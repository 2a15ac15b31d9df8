/* WITH queries that insert rows without the ids that Shardgate makes, and what the rest of the statement does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { Comparison } from '../support/oracle.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';

let scene: Scene;
let comparison: Comparison;

const own = { shard_key: 'id', vindex: 'by_key' };
const TABLES = ['orders', 'items', 'log', 'accounts', 'kinds'];

beforeAll(async () => {
  scene = await openScene(
    'ids_in_with',
    {
      main: { log: {} },
      shop: { orders: own, items: own, docs: own, accounts: own, kinds: { type: 'reference' } },
    },
    [
      'CREATE TABLE orders (id bigserial PRIMARY KEY, customer int, total int DEFAULT 5)',
      'CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id int8, sku text)',
      'CREATE TABLE docs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text)',
      'CREATE TABLE accounts (id int PRIMARY KEY, balance int)',
      'CREATE TABLE kinds (id serial PRIMARY KEY, name text)',
      'CREATE TABLE log (id serial PRIMARY KEY, n int8, t text)',
      'INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 9) g',
    ],
  );
  ({ comparison } = scene);
});
afterAll(() => scene.close());

async function same(sql: string, params?: readonly unknown[]): Promise<void> {
  await comparison.expectSame(sql, params);
  for (const table of TABLES) await comparison.expectSame(`SELECT * FROM ${table} ORDER BY 1`);
}

test.each([
  `WITH l AS (INSERT INTO log (n) VALUES (5) RETURNING id) SELECT l.id, currval('log_id_seq') AS c FROM l`,
  'WITH l AS (INSERT INTO log (n) VALUES (5) RETURNING id) SELECT l.id, lastval() AS c FROM l',
])('what was counted last is refused where a WITH query counts: %s', async (sql) => {
  await comparison.both('INSERT INTO log (n) VALUES (1)');
  await comparison.expectRefused(sql);
  await comparison.expectSame(`SELECT currval('log_id_seq')`);
});

describe('rows of VALUES in WITH', () => {
  test.each([
    ['WITH o AS (INSERT INTO orders (customer) VALUES (3) RETURNING *) SELECT * FROM o'],
    [
      `WITH o AS (INSERT INTO orders (customer) VALUES (1), (2), (3) RETURNING id)
         INSERT INTO items (order_id, sku) SELECT id, 'x' FROM o RETURNING *`,
    ],
    [
      `WITH o AS (INSERT INTO orders VALUES (DEFAULT, 4), (DEFAULT, 5) RETURNING id, total)
         INSERT INTO log (n, t) SELECT id, total FROM o RETURNING n, t`,
    ],
    ['WITH o AS (INSERT INTO orders DEFAULT VALUES RETURNING id) INSERT INTO log (n) TABLE o'],
    [
      `WITH i AS (INSERT INTO items (order_id, sku) VALUES (7, $$)$$), (8, 'values (') RETURNING id),
         o AS (INSERT INTO orders AS v (customer) VALUES ((SELECT max(id) FROM accounts)) RETURNING v.id)
         SELECT i.id, o.id FROM i, o ORDER BY 1`,
    ],
    [
      `WITH k AS (SELECT 4 AS n), o AS (INSERT INTO public.orders (customer) VALUES ((SELECT n FROM k))
         ON CONFLICT (id) DO UPDATE SET total = 0 RETURNING id)
         UPDATE accounts SET balance = o.id FROM o WHERE accounts.id = 4 RETURNING accounts.*`,
    ],
    [
      `WITH o(n) AS (INSERT INTO orders (customer) VALUES (3) RETURNING id)
         DELETE FROM accounts USING o WHERE accounts.id = 9 RETURNING n`,
    ],
    [
      `WITH l AS (INSERT INTO log (n) VALUES (77) RETURNING id),
         d AS (DELETE FROM accounts WHERE balance = 0 AND id > 5 RETURNING id)
         SELECT l.id, d.id FROM l, d ORDER BY 2`,
    ],
    [
      `WITH l AS (INSERT INTO log (n, t) VALUES (78, 'a') RETURNING id)
         UPDATE accounts SET balance = balance + l.id FROM l RETURNING accounts.*, l.id`,
    ],
    [
      `WITH k AS (INSERT INTO kinds (name) VALUES ('a'), ('b') RETURNING id, name) SELECT * FROM k ORDER BY 1`,
    ],
  ])('have the ids that one server counts: %s', async (sql) => {
    await same(sql);
    expect(await misplacedRows(scene.databases, 'orders', 'id', 'hashint8extended')).toEqual([]);
    expect(await misplacedRows(scene.databases, 'items', 'id', 'hashint4extended')).toEqual([]);
  });

  test('with parameters, prepared in both ways', async () => {
    const sql = `WITH o AS (INSERT INTO orders (customer, total) VALUES ($1, $2) RETURNING id, customer)
      INSERT INTO items (order_id, sku) SELECT id, $3 FROM o RETURNING order_id, sku`;
    await same(sql, ['6', '7', 'first']);
    await same(sql, ['8', null, 'second']);
    await comparison.both(`PREPARE made AS ${sql}`);
    await same(`EXECUTE made (1, 2, 'third')`);
    await same(`EXECUTE made (3, 4, 'fourth')`);
    await comparison.both('DEALLOCATE made');
  });

  test('have UUIDs, which the rest of the statement sees', async () => {
    await comparison.both(
      `WITH d AS (INSERT INTO docs (body) VALUES ('a'), ('b'), ('c') RETURNING id)
         INSERT INTO log (t) SELECT id FROM d RETURNING t`,
    );
    await comparison.expectSame('SELECT count(DISTINCT t) FROM docs JOIN log ON t = docs.id::text');
    await comparison.both('DELETE FROM log WHERE length(t) = 36');
  });

  test('are judged as they stand in the text of the client', async () => {
    for (const [first, last] of [
      ['BEGIN', 'ROLLBACK'],
      ['SELECT 1', 'SELECT 2'],
    ]) {
      for (const values of [
        `(customer) VALUES ('x')`,
        `(customer) VALUES (1), ('x')`,
        '(nothing) VALUES (1)',
        '(customer, total) VALUES (1)',
      ]) {
        await comparison.expectSame(first!);
        const sql = `WITH o AS (INSERT INTO orders ${values} RETURNING id) SELECT id FROM o`;
        await comparison.expectSame(sql);
        await comparison.expectSame(last!);
      }
      await comparison.expectSame(first!);
      await comparison.expectSame(`INSERT INTO orders (customer) VALUES ('x') RETURNING id`);
      await comparison.expectSame(last!);
    }
  });

  test('of a query are refused, as each shard would count them', async () => {
    await comparison.expectRefused(
      `WITH o AS (INSERT INTO orders (customer) SELECT id FROM accounts RETURNING id) SELECT * FROM o`,
    );
  });
});

describe('one server counts for', () => {
  beforeAll(() => comparison.both('CREATE SEQUENCE numbers'));

  test('what is made of rows that WITH queries change', async () => {
    const changed =
      'WITH a AS (UPDATE accounts SET balance = balance + 1 WHERE id < 5 RETURNING id)';
    for (let round = 0; round < 3; round++) {
      await comparison.expectSame(`${changed} SELECT count(nextval('numbers')) FROM a`);
      await comparison.expectSame(`SELECT nextval('numbers')`);
      await same(
        `${changed}, n AS (INSERT INTO log (n) SELECT count(*) FROM a) SELECT nextval('numbers')`,
      );
      await same(
        `${changed} INSERT INTO items (order_id, sku) SELECT 1, 'w' FROM a RETURNING id, sku`,
      );
    }
    await comparison.expectSame('SELECT count(*), count(DISTINCT id), max(id) FROM items');
  });

  test('rows elsewhere only where these are taken first', async () => {
    for (const sql of [
      `UPDATE accounts SET balance = nextval('numbers') WHERE id = 3`,
      `UPDATE accounts SET balance = nextval('numbers') FROM orders o WHERE o.customer = accounts.id`,
      `DELETE FROM accounts WHERE id = 3 RETURNING nextval('numbers')`,
      `INSERT INTO accounts VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET balance = nextval('numbers')`,
      `INSERT INTO accounts SELECT customer + 90, 1 FROM orders RETURNING nextval('numbers')`,
      `MERGE INTO accounts a USING orders o ON a.id = o.customer WHEN MATCHED THEN UPDATE SET balance = nextval('numbers')`,
      `MERGE INTO accounts a USING orders o ON a.id = o.id WHEN MATCHED THEN UPDATE SET balance = setval('numbers', 9)`,
    ]) {
      await comparison.expectRefused(sql, undefined, /values of sequence "numbers"/);
    }
    await same(`UPDATE accounts SET balance = (SELECT nextval('numbers')) WHERE id IN (3, 4)`);
    await same(`UPDATE log SET n = nextval('numbers') WHERE id = 1 RETURNING n`);
    await same(`INSERT INTO accounts VALUES (30, nextval('numbers')), (31, nextval('numbers'))`);
    await comparison.expectSame(
      `SELECT count(*) FROM accounts WHERE balance = nextval('numbers') AND false`,
    );
  });
});

describe('without an unsharded keyspace one of the shards counts', () => {
  let databases: DatabaseSet;
  let proxy: Proxy;
  let alone: Comparison;

  beforeAll(async () => {
    databases = await createDatabaseSet('ids_one_keyspace');
    const tables = { shop: { accounts: own, items: own } };
    const { auth, keyspaces } = clusterConfig(databases, tables);
    const { shop } = keyspaces as { readonly shop: object };
    const config = { database: databases.name, auth, keyspaces: { shop } };
    proxy = await startProxy({ config });
    alone = await Comparison.open(proxy.url, databases.urls.oracle);
    for (const sql of [
      'CREATE TABLE accounts (id int PRIMARY KEY, balance int)',
      'CREATE TABLE items (id bigserial PRIMARY KEY, account int)',
      'INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 9) g',
    ]) {
      await alone.both(sql);
    }
  });
  afterAll(async () => {
    await alone.close();
    await proxy.stop();
    await databases.drop();
  });

  test('whichever shard has the rows', async () => {
    for (const id of [1, 2, 3, 4, 5, 6]) {
      await alone.expectSame(
        'INSERT INTO items (account) SELECT id FROM accounts WHERE id = $1 RETURNING *',
        [id],
      );
      await alone.expectSame(
        `SELECT nextval('items_id_seq'), balance FROM accounts WHERE id = ${id}`,
      );
      await alone.expectSame('INSERT INTO items (account) VALUES ($1), ($1) RETURNING *', [id]);
      for (const sql of [
        `UPDATE accounts SET balance = nextval('items_id_seq') WHERE id = ${id}`,
        `INSERT INTO accounts VALUES (${id}) ON CONFLICT (id) DO UPDATE SET balance = nextval('items_id_seq')`,
        `INSERT INTO accounts VALUES (${id} + 20) RETURNING nextval('items_id_seq')`,
      ]) {
        await alone.expectRefused(sql);
      }
    }
    await alone.expectSame('SELECT count(*), count(DISTINCT id), max(id) FROM items');
  });
});
