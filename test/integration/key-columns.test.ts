/*
 * Goal: tables whose shard keys have several columns answer as one Postgres, and their rows are where their keys say.
 * Method: pairs of tables that join on all columns of their keys, for each vindex that takes several; statements of
 * every kind, and random ones with conditions on some or all columns, run through the proxy and on one plain Postgres.
 * Shards that can compute keyspace ids are asked whether their rows are their own.
 */
import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TypeOid } from '../../src/keyspace/type-oids.js';
import { Dice } from '../support/chaos-random.js';
import { connectPg, openScene, rowsPerShard, type Scene } from '../support/scene.js';
import { seedFrom } from '../support/seed.js';
import { makeSound } from '../unit/vindex/samples.js';

const SEED = seedFrom('SHARDGATE_KEY_COLUMNS_SEED');
const QUERIES = Number(process.env['SHARDGATE_KEY_COLUMNS_QUERIES'] ?? 150);

const composite = {
  type: 'composite',
  columns: [{ type: 'hash', bits: 8 }, { type: 'hash' }],
} as const;
const owners = ['s0', 's1', 's2', 's3'] as const;
const regions = ['eu', 'us', 'asia', 'africa'];

let scene: Scene;
let client: pg.Client;
let oracle: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'key_columns',
    {
      vindexes: {
        by_both: composite,
        by_region: {
          type: 'region',
          regions: [
            { values: ['eu', 'africa'], shards: ['s0', 's1'] },
            { values: ['us'], shards: ['s2'] },
          ],
          others: ['s3'],
        },
        known: { type: 'region', regions: [{ values: ['eu', 'us'], shards: ['s0', 's1'] }] },
      },
      shop: {
        orders: { shard_key: ['region', 'id'], vindex: 'by_both' },
        items: { shard_key: ['region', 'order_id'], vindex: 'by_both' },
        pairs: { shard_key: ['a', 'b'] },
        numbers: { shard_key: ['a', 'b'] },
        references: { shard_key: ['a', 'b'] },
        pairs_too: { shard_key: ['x', 'y'] },
        places: { shard_key: ['region', 'id'], vindex: 'by_region' },
        visits: { shard_key: ['region', 'place'], vindex: 'by_region' },
        offices: { shard_key: 'region', vindex: 'by_region' },
        listed: { shard_key: ['region', 'id'], vindex: 'known' },
        made: {
          shard_key: ['region', 'id'],
          vindex: 'by_both',
          ids: { column: 'id', from: 'snowflake' },
        },
      },
    },
    [
      'CREATE TABLE orders (id int8, n int4, region text, PRIMARY KEY (id, region))',
      `CREATE TABLE items (region text, sku int4, order_id int8, n int4, PRIMARY KEY (region, order_id, sku),
         FOREIGN KEY (order_id, region) REFERENCES orders (id, region) ON DELETE CASCADE)`,
      'CREATE TABLE pairs (a int4, b text, n int4, PRIMARY KEY (a, b))',
      'CREATE TABLE numbers (a numeric, b text, PRIMARY KEY (a, b))',
      'CREATE TABLE pairs_too (y text, x int8, n int4)',
      'CREATE TABLE places (region text, id int4, n int4, UNIQUE (region, id))',
      'CREATE TABLE visits (place int8, region varchar, n int4)',
      'CREATE TABLE offices (region text, n int4)',
      'CREATE TABLE listed (region text, id int4)',
      'CREATE TABLE made (id int8, region text, n int4)',
      'CREATE TABLE plain (region text, id int4, n int4)',
      `INSERT INTO orders SELECT i, i * 7 % 13, (ARRAY['eu','us','asia','africa'])[1 + i % 4] FROM generate_series(1, 60) i`,
      `INSERT INTO items SELECT region, s, id, id % 5 + s FROM orders, generate_series(1, 2) s WHERE id % 3 <> 0`,
      `INSERT INTO pairs SELECT i % 12, 'b' || i / 12, i FROM generate_series(0, 59) i`,
      `INSERT INTO pairs_too SELECT b, a, n * 2 FROM pairs WHERE n % 4 <> 0`,
      `INSERT INTO places SELECT region, id, n FROM orders`,
      `INSERT INTO visits SELECT order_id, region, n FROM items`,
      `INSERT INTO offices VALUES ('eu', 1), ('us', 2), ('asia', 3), ('africa', 4), ('moon', 5)`,
      `INSERT INTO plain SELECT region, id, n FROM orders WHERE id < 9`,
    ],
  );
  client = await connectPg(scene.proxy.url);
  oracle = await connectPg(scene.databases.urls.oracle);
});
afterAll(async () => {
  await client.end();
  await oracle.end();
  await scene.close();
});

/** Rows that stand on shards where their keys do not belong. */
async function misplaced(): Promise<string[]> {
  const { parts } = makeSound('composite', {
    columns: [{ type: 'hash', bits: '8' }, { type: 'hash' }],
  });
  const hash = makeSound('hash').parts!;
  const { text, int8 } = TypeOid;
  const ids: readonly (readonly [string, string])[] = [
    ['orders', parts!.sqlExpression(['region', 'id'], [text, int8])!],
    ['items', parts!.sqlExpression(['region', 'order_id'], [text, int8])!],
    ['made', parts!.sqlExpression(['region', 'id'], [text, int8])!],
    ['pairs', hash.sqlExpression(['a', 'b'], [TypeOid.int4, text])!],
    ['pairs_too', hash.sqlExpression(['x', 'y'], [int8, text])!],
  ];
  const found = await Promise.all(
    owners.map(async (name, index) => {
      const tables = ids.map(
        ([table, id]) =>
          `SELECT '${table}' || r::text FROM ${table} r WHERE ((${id} >> 62) & 3) <> ${index}`,
      );
      const rows = await scene.databases.query(name, tables.join(' UNION ALL '));
      return rows.map(([row]) => `${name} ${String(row)}`);
    }),
  );
  return found.flat();
}

async function copyIn(own: pg.Client, sql: string, data: string): Promise<void> {
  const stream = own.query(copyFrom(sql));
  stream.end(data);
  await finished(stream);
}

/** The shards that EXPLAIN shows; one shard's own plan has no such line. */
async function explained(sql: string): Promise<string> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
  const line = rows.map((row) => row['QUERY PLAN']).find((text) => text.includes('Shards: '));
  return line === undefined ? 'one' : line.trim().replace('Shards: ', '');
}

test('rows are spread', async () => {
  const { databases } = scene;
  for (const table of ['orders', 'pairs']) {
    const counts = await rowsPerShard(databases, table);
    expect(Object.values(counts).filter((count) => count > 0).length, table).toBeGreaterThan(2);
  }
  expect(await rowsPerShard(databases, 'offices')).toMatchObject({ s2: 1, s3: 2 });
  const regionsOf = async (name: 's0' | 's1' | 's2' | 's3'): Promise<unknown[]> =>
    (await databases.query(name, 'SELECT DISTINCT region FROM places ORDER BY 1')).flat();
  expect(await regionsOf('s0')).toEqual(['africa', 'eu']);
  expect(await regionsOf('s1')).toEqual(['africa', 'eu']);
  expect(await regionsOf('s2')).toEqual(['us']);
  expect(await regionsOf('s3')).toEqual(['asia']);
});

describe('columns of the key choose shards', () => {
  test.each([
    [`SELECT * FROM orders WHERE region = 'eu' AND id = 4`, 'one'],
    [`SELECT * FROM orders WHERE (region, id) = ('eu', 4)`, 'one'],
    [`SELECT * FROM orders WHERE region = 'eu'`, 'one'],
    [`SELECT * FROM orders WHERE region = 'eu' ORDER BY n, id LIMIT 3`, 'one'],
    [`SELECT * FROM orders WHERE id = 4`, 's0, s1, s2, s3'],
    [`SELECT * FROM pairs WHERE a = 3 AND b = 'b1'`, 'one'],
    [`SELECT * FROM pairs WHERE a = 3`, 's0, s1, s2, s3'],
    [`SELECT * FROM places WHERE region = 'eu'`, 's0, s1'],
    [`SELECT * FROM places WHERE region IN ('africa', 'us')`, 's0, s1, s2'],
    [`SELECT * FROM places WHERE region = 'us' ORDER BY id`, 'one'],
    [`SELECT * FROM places WHERE region = 'moon'`, 'one'],
    [
      `SELECT * FROM places p JOIN visits v ON v.region = p.region AND v.place = p.id WHERE p.region = 'eu'`,
      's0, s1',
    ],
    [`SELECT * FROM offices WHERE region = 'asia'`, 'one'],
    [`DELETE FROM places WHERE region = 'nowhere'`, 'one'],
    [`SELECT * FROM listed WHERE region = 'mars'`, 'one'],
  ])('%s: %s', async (sql, expected) => {
    expect(await explained(sql)).toBe(expected);
    await scene.comparison.expectSame(sql);
  });

  test('EXPLAIN, ROUTE and SHOW SHARD FOR tell them', async () => {
    const plan = await client.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT * FROM places WHERE region = 'eu'`,
    );
    expect(plan.rows.map((row) => row['QUERY PLAN'].trim())).toContain(
      'Chosen By: first columns of the shard key',
    );
    const address = new URL(scene.proxy.url);
    address.pathname = '/shardgate';
    const console = await connectPg(address.href);
    try {
      const shardFor = async (key: string): Promise<unknown> =>
        (await console.query<{ shard: string }>(`SHOW SHARD FOR places ${key}`)).rows[0]?.shard;
      expect(await shardFor(`'us', '4'`)).toBe('s2');
      expect(await shardFor(`'moon', 4`)).toBe('s3');
      const first = await console.query(`SHOW SHARD FOR places 'eu'`);
      expect(first.rows).toMatchObject([{ shard: 's0' }, { shard: 's1' }]);
      // The hash of both columns decides.
      await expect(console.query(`SHOW SHARD FOR pairs 1`)).rejects.toMatchObject({
        code: '42601',
        message: 'usage: SHOW SHARD FOR table key, key',
      });
      const route = await console.query(
        `ROUTE SELECT * FROM places WHERE region = 'us' AND id IN (4, 5)`,
      );
      expect(route.rows).toMatchObject([
        { shards: 's2', key: 'places.region = us, places.id = 4, places.id = 5' },
      ]);
      for (const table of ['orders', 'pairs', 'places', 'offices']) {
        const { rows } = await console.query<{ wrong: string }>(`AUDIT ${table}`);
        expect([table, rows.filter(({ wrong }) => Number(wrong) > 0)]).toEqual([table, []]);
      }
    } finally {
      await console.end();
    }
  });

  test('rows that were put where they do not belong are found and moved', async () => {
    const { databases, comparison } = scene;
    const address = new URL(scene.proxy.url);
    address.pathname = '/shardgate';
    const console = await connectPg(address.href);
    try {
      await databases.query('s3', `INSERT INTO places VALUES ('us', 77001, 1)`);
      await databases.query('s2', `INSERT INTO pairs VALUES (0, 'x1', 1), (1, 'x2', 2)`);
      const { rows } = await console.query<{ wrong: string; detail: string }>('AUDIT places');
      expect(rows.filter((row) => Number(row.wrong) > 0)).toMatchObject([
        { shard: 's3', wrong: '1', detail: '1 belongs to s2 (such as region, id (us,77001))' },
      ]);
      await console.query('REPAIR places');
      await console.query('REPAIR pairs');
      const found = await client.query('SELECT n FROM places WHERE region = $1 AND id = 77001', [
        'us',
      ]);
      expect(found.rows).toEqual([{ n: 1 }]);
      for (const [a, b] of [
        [0, 'x1'],
        [1, 'x2'],
      ]) {
        const pair = await client.query('SELECT n FROM pairs WHERE a = $1 AND b = $2', [a, b]);
        expect(pair.rows).toHaveLength(1);
      }
    } finally {
      await console.end();
      await client.query('DELETE FROM places WHERE id = 77001');
      await client.query(`DELETE FROM pairs WHERE b IN ('x1', 'x2')`);
    }
    await comparison.expectSame('SELECT * FROM pairs');
  });

  test('all combinations of listed values are asked for', async () => {
    const { comparison } = scene;
    await comparison.expectSame(
      `SELECT * FROM orders WHERE region IN ('eu', 'us', 'x') AND id IN (1, 4, 5, 8, 12)`,
    );
    await comparison.expectSame('SELECT * FROM orders WHERE region = $1 AND id = ANY ($2)', [
      'eu',
      [4, 8, 12, 99],
    ]);
    await comparison.expectSame('SELECT * FROM orders WHERE region = ANY ($1) AND id = $2', [
      regions,
      8,
    ]);
    await comparison.expectSame('SELECT * FROM places WHERE region = ANY ($1)', [['eu', 'us']]);
    await comparison.expectSame('SELECT * FROM orders WHERE region = $1 AND id = $2', [null, 8]);
    await comparison.expectSame('SELECT * FROM orders WHERE region = $1 AND id = $2', ['eu', 'x']);
    await comparison.expectSame('SELECT * FROM places WHERE region = $1 AND id = 4.5', ['eu']);
    await comparison.expectSame(
      `SELECT * FROM orders WHERE (region = 'eu' AND id = 4) OR (region = 'us' AND id = 5)`,
    );
    await comparison.expectSame(`SELECT * FROM pairs WHERE (a, b) IN ((1, 'b0'), (2, 'b1'))`);
  });
});

test('statements prepared once find other keys each time, and other columns of it', async () => {
  const { comparison } = scene;
  const sql = 'SELECT * FROM places WHERE region = $1 AND ($2::int IS NULL OR id = $2)';
  for (const region of [...regions, 'moon']) {
    await comparison.expectSame(sql, [region, null]);
    await comparison.expectSame(sql, [region, 8]);
    await comparison.expectSame('SELECT * FROM places WHERE (id, region) = ($2, $1)', [region, 8]);
  }
});

describe('reading', () => {
  test.each([
    'SELECT region, id, count(*), sum(n) FROM orders GROUP BY region, id ORDER BY 1, 2',
    'SELECT region, count(*), avg(n) FROM orders GROUP BY region ORDER BY 1',
    'SELECT id, count(*) FROM orders GROUP BY id ORDER BY 1',
    'SELECT DISTINCT region FROM orders ORDER BY 1',
    `SELECT a.id, b.id FROM places a, offices x, places b, offices y WHERE a.region = x.region AND x.region = 'eu'
       AND b.region = y.region AND y.region = 'us' AND a.n = b.n ORDER BY 1, 2`,
    'SELECT DISTINCT region, id FROM items_v ORDER BY 1, 2',
    'SELECT id, row_number() OVER (PARTITION BY region ORDER BY id) FROM orders ORDER BY region, id',
    'SELECT a, b, rank() OVER (PARTITION BY a, b ORDER BY n) FROM pairs ORDER BY 1, 2',
    'SELECT o.id, i.sku FROM orders o JOIN items i ON i.region = o.region AND i.order_id = o.id ORDER BY 1, 2, o.region',
    'SELECT o.id, i.sku FROM orders o JOIN items i ON i.order_id = o.id ORDER BY 1, 2, o.region',
    'SELECT o.id, i.sku FROM orders o JOIN items i ON i.region = o.region ORDER BY 1, 2, i.order_id LIMIT 20',
    'SELECT o.region, o.id, i.sku FROM orders o LEFT JOIN items i ON i.region = o.region AND i.order_id = o.id ORDER BY 1, 2, 3',
    'SELECT o.region, count(i.sku) FROM orders o LEFT JOIN items i ON (i.region, i.order_id) = (o.region, o.id) GROUP BY 1 ORDER BY 1',
    'SELECT p.n, q.n FROM pairs p JOIN pairs_too q ON p.a = q.x AND p.b = q.y ORDER BY 1, 2',
    'SELECT p.n, q.n FROM pairs p JOIN pairs_too q ON p.a = q.x AND p.b <> q.y ORDER BY 1, 2 LIMIT 30',
    'SELECT count(*) FROM pairs p, pairs_too q WHERE p.a::text = q.y',
    'SELECT p.n, v.n FROM places p JOIN visits v ON p.region = v.region AND p.id = v.place ORDER BY 1, 2',
    'SELECT * FROM orders o WHERE EXISTS (SELECT FROM items i WHERE i.region = o.region AND i.order_id = o.id) ORDER BY 1, 3',
    'SELECT * FROM orders WHERE (region, id) IN (SELECT region, order_id FROM items) ORDER BY 1, 3',
    'SELECT * FROM orders WHERE id IN (SELECT order_id FROM items WHERE n = 3) ORDER BY 1, 3',
    'SELECT region, id FROM orders EXCEPT SELECT region, order_id FROM items ORDER BY 1, 2',
    'SELECT id, region FROM orders UNION SELECT order_id, region FROM items ORDER BY 1, 2',
    'SELECT id FROM orders UNION SELECT order_id FROM items ORDER BY 1',
    'SELECT a, b FROM pairs INTERSECT SELECT x, y FROM pairs_too ORDER BY 1, 2',
    'SELECT * FROM orders JOIN plain USING (region, id) ORDER BY region, id',
    'WITH o AS (SELECT region, id FROM orders WHERE n > 5) SELECT * FROM o JOIN items i ON i.region = o.region AND i.order_id = o.id ORDER BY 1, 2, i.sku',
    'SELECT o.id, (SELECT max(i.n) FROM items i WHERE i.region = o.region AND i.order_id = o.id) FROM orders o ORDER BY 1, o.region',
  ])('%s', async (sql) => {
    if (sql.includes('items_v')) {
      await scene.comparison.both(
        'CREATE OR REPLACE VIEW items_v AS SELECT region, order_id AS id FROM items',
      );
    }
    const { error } = await scene.comparison.expectSame(sql);
    expect(error).toBeNull();
  });

  test(`${QUERIES} random queries of seed ${SEED}`, async () => {
    const dice = new Dice(SEED);
    const forms = [
      (where: string) => `SELECT * FROM orders WHERE ${where}`,
      (where: string) =>
        `SELECT region, count(*), min(n) FROM orders WHERE ${where} GROUP BY region`,
      (where: string) => `SELECT id, n FROM orders WHERE ${where} ORDER BY n, id, region LIMIT 4`,
      (where: string) => `SELECT * FROM places WHERE ${where}`,
      (where: string) => `SELECT count(*), sum(n) FROM places WHERE ${where}`,
      (where: string) => `UPDATE places SET n = n + 1 WHERE ${where} RETURNING *`,
      (where: string) =>
        `SELECT i.sku FROM orders o JOIN items i ON i.region = o.region AND i.order_id = o.id WHERE ${where.replaceAll(/\b(region|id|n)\b/g, 'o.$1')}`,
    ];
    const region = (): string => `'${dice.pick([...regions, 'moon'])}'`;
    const id = (): string => String(dice.below(62));
    const onRegion = [
      () => `region = ${region()}`,
      () => `region IN (${region()}, ${region()})`,
      () => `region = ANY ('{eu,asia}')`,
      () => `region > ${region()}`,
    ];
    const onId = [
      () => `id = ${id()}`,
      () => `id IN (${id()}, ${id()}, ${id()})`,
      () => `id < ${id()}`,
      () => `n = ${String(dice.below(13))}`,
    ];
    for (let index = 0; index < QUERIES; index++) {
      const parts = [dice.pick(onRegion)(), dice.pick(onId)()];
      if (dice.chance(0.2)) parts.pop();
      const where = parts.join(dice.chance(0.15) ? ' OR ' : ' AND ');
      await scene.comparison.expectSame(dice.pick(forms)(where));
    }
  });
});

describe('writing', () => {
  test.each([
    `INSERT INTO orders (id, region, n) VALUES (100, 'eu', 1), (101, 'us', 2), (102, 'asia', 3), (103, 'moon', 4)`,
    `INSERT INTO orders VALUES (104, 1, 'eu'), (105, 2, 'us') RETURNING id, region`,
    `INSERT INTO orders VALUES (100, 5, 'eu'), (106, 6, 'us') ON CONFLICT (region, id) DO UPDATE SET n = excluded.n RETURNING *`,
    `INSERT INTO orders VALUES (100, 5, 'eu'), (107, 6, 'us') ON CONFLICT DO NOTHING RETURNING id`,
    `INSERT INTO orders VALUES (100, 5, 'eu')`,
    `INSERT INTO orders VALUES (50 + 60, length('abc'), lower('EU'))`,
    `INSERT INTO orders SELECT id + 1000, n, region FROM orders WHERE id > 50`,
    `INSERT INTO pairs_too SELECT b, a, n FROM pairs WHERE a = 3`,
    `INSERT INTO pairs_too SELECT 'fixed', 7, n FROM pairs WHERE a = 4 AND b = 'b1'`,
    `INSERT INTO places SELECT 'eu', i, 0 FROM generate_series(500, 520) i RETURNING id`,
    `UPDATE orders SET n = n + 1 WHERE region = 'eu' AND id = 100 RETURNING n`,
    `UPDATE orders SET n = n + 1 WHERE region = 'us'`,
    `UPDATE places SET region = 'us' WHERE region = 'eu' AND id = 500`,
    `UPDATE places SET region = 'asia', id = id + 1000 WHERE region = 'eu' AND id > 510 RETURNING region, id`,
    `UPDATE places SET id = id WHERE region = 'eu'`,
    `UPDATE places SET region = region, n = 5 WHERE id = 4`,
    `UPDATE pairs SET b = 'z' WHERE a = 5 AND b = 'b2' RETURNING *`,
    `UPDATE pairs SET a = 100, b = 'new' WHERE a = 6 AND b = 'b2'`,
    `UPDATE visits v SET n = p.n FROM places p WHERE p.region = v.region AND p.id = v.place`,
    `UPDATE orders o SET n = p.n FROM plain p WHERE p.region = o.region AND p.id = o.id`,
    `DELETE FROM places WHERE (region, id) IN (('eu', 501), ('us', 500), ('eu', 502)) RETURNING id`,
    `DELETE FROM visits v USING places p WHERE p.region = v.region AND p.id = v.place AND p.n < 3`,
    `DELETE FROM orders WHERE region = 'eu' AND id < 20 RETURNING id`,
    `MERGE INTO places t USING plain s ON t.region = s.region AND t.id = s.id WHEN MATCHED THEN UPDATE SET n = 0
       WHEN NOT MATCHED THEN INSERT (region, id, n) VALUES (s.region, s.id, 1)`,
    `TRUNCATE visits`,
    `WITH gone AS (DELETE FROM pairs_too WHERE x = 3 RETURNING *) SELECT count(*) FROM gone`,
  ])('%s', async (sql) => {
    const { comparison } = scene;
    await comparison.expectSame(sql);
    const rows = ['orders', 'items', 'pairs', 'pairs_too', 'places', 'visits'].map(
      (table) => `SELECT '${table}', ${table}::text FROM ${table}`,
    );
    const { error } = await comparison.expectSame(rows.join(' UNION ALL '));
    expect(error).toBeNull();
  });

  test('prepared INSERT, SELECT and UPDATE of the key', async () => {
    const { comparison } = scene;
    for (const region of regions) {
      await comparison.expectSame('INSERT INTO orders VALUES ($1, $2, $3) RETURNING *', [
        700,
        1,
        region,
      ]);
      await comparison.expectSame('SELECT * FROM orders WHERE id = $1 AND region = $2', [
        700,
        region,
      ]);
    }
    await comparison.expectSame(
      'UPDATE places SET region = $1, id = $2 WHERE region = $3 AND id = $4',
      ['asia', 7000, 'eu', 503],
    );
    await comparison.expectSame('SELECT * FROM places WHERE id = 7000');
  });

  test('COPY, with the columns of the key in any order and place', async () => {
    const rows = [1, 2, 3, 4, 5, 6, 7, 8].map(
      (id) => [String(2000 + id), regions[id % 4]!] as const,
    );
    const text = rows.map(([id, region]) => `7\t${region}\t${id}\n`).join('');
    const csv = rows.map(([id, region]) => `"${region}",${id}\n`).join('');
    for (const own of [client, oracle]) {
      await copyIn(own, 'COPY orders (n, region, id) FROM STDIN', text);
      await copyIn(own, 'COPY places (region, id) FROM STDIN (FORMAT csv)', csv);
    }
    await scene.comparison.expectSame('SELECT * FROM orders WHERE id > 1999');
    await scene.comparison.expectSame('SELECT * FROM places WHERE id > 1999');
    await expect(
      copyIn(client, 'COPY orders (n, region, id) FROM STDIN', '1\t\\N\t5\n'),
    ).rejects.toMatchObject({
      code: '0A000',
      message: 'null value in shard key "orders.region"',
    });
    await expect(
      copyIn(client, 'COPY orders (n, region, id) FROM STDIN', '1\teu\tx\n'),
    ).rejects.toMatchObject({
      code: '22P02',
    });
    await expect(
      copyIn(client, 'COPY orders (n, region, id) FROM STDIN', '1\teu\n'),
    ).rejects.toMatchObject({
      code: '22P04',
    });
  });

  test('ids are filled in', async () => {
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO made (region, n) VALUES ('eu', 1), ('us', 2), ('asia', 3) RETURNING id`,
    );
    expect(new Set(rows.map(({ id }) => id)).size).toBe(3);
    await client.query(`INSERT INTO made (region, n) SELECT region, n FROM orders WHERE id < 10`);
    const found = await client.query('SELECT n FROM made WHERE region = $1 AND id = $2', [
      'us',
      (await client.query<{ id: string }>(`SELECT id FROM made WHERE n = 2 AND region = 'us'`))
        .rows[0]!.id,
    ]);
    expect(found.rows).toEqual([{ n: 2 }]);
  });
});

test('all rows are where their keys say', async () => {
  expect(await misplaced()).toEqual([]);
});

describe('refused', () => {
  test.each<readonly [string, RegExp]>([
    [`INSERT INTO orders (id, n) VALUES (1, 1)`, /no value for its shard key "region"/],
    [`INSERT INTO orders VALUES (NULL, 1, 'eu')`, /null value in shard key "orders.id"/],
    [`INSERT INTO orders VALUES (900, 1, NULL)`, /null value in shard key "orders.region"/],
    [`INSERT INTO listed VALUES ('moon', 1)`, /no shard takes this value/],
    [`CREATE UNIQUE INDEX ON places (region)`, /must contain its shard key "region, id"/],
    [`CREATE UNIQUE INDEX ON places (id, n)`, /must contain its shard key "region, id"/],
    [
      `ALTER TABLE visits ADD FOREIGN KEY (place, region) REFERENCES places (region, id)`,
      /does not follow the shard keys/,
    ],
    [
      `ALTER TABLE pairs ADD FOREIGN KEY (a, b) REFERENCES numbers (a, b)`,
      /shard keys of different types/,
    ],
    [
      `CREATE TABLE "references" (a int8, b varchar, FOREIGN KEY (a, b) REFERENCES numbers)`,
      /shard keys of different types/,
    ],
    [
      `CREATE TABLE "references" (a int8, b varchar, FOREIGN KEY (a, b) REFERENCES numbers (a, b))`,
      /shard keys of different types/,
    ],
    [`ALTER TABLE places DROP COLUMN region`, /dropping the shard key "places.region"/],
    [`ALTER TABLE places RENAME COLUMN id TO other`, /shard key|configuration/],
    [
      `ALTER TABLE places ALTER COLUMN id TYPE text`,
      /changing the type of the shard key "places.id"/,
    ],
    [
      `MERGE INTO places t USING plain s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (region, id) VALUES ('eu', s.id)`,
      /without comparing its shard key "region"/,
    ],
    [
      `INSERT INTO orders VALUES (100, 5, 'us') ON CONFLICT (region, id) DO UPDATE SET region = 'eu'`,
      /changing the shard key "orders \(region, id\)"/,
    ],
  ])('%s', async (sql, message) => {
    await scene.comparison.expectRefused(sql, undefined, message);
  });
});
