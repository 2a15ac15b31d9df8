/*
 * Goal: tables whose hot tenants are spread over several shards answer as one Postgres; rows are where their keys say.
 * Method: two tables by tenant and number, joined by both columns or by the tenant alone, a table by the tenant
 * without salts, and a plain one; statements of every kind for hot tenants and others, run through the proxy and on one
 * plain Postgres. In the end another tenant becomes hot, while a client works.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Dice } from '../support/chaos-random.js';
import { connectPg, openScene, rowsPerShard, type Scene } from '../support/scene.js';
import { seedFrom } from '../support/seed.js';

const SEED = seedFrom('SHARDGATE_SALTED_SEED');
const QUERIES = Number(process.env['SHARDGATE_SALTED_QUERIES'] ?? 120);

let scene: Scene;
let client: pg.Client;
let oracle: pg.Client;
let admin: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'salted',
    {
      vindexes: { by_tenant: { type: 'salted', hot: [1, 2], salts: 4 } },
      shop: {
        orders: { shard_key: ['tenant', 'id'], vindex: 'by_tenant' },
        items: { shard_key: ['tenant', 'order_id'], vindex: 'by_tenant' },
        visits: { shard_key: ['tenant', 'page'], vindex: 'by_tenant' },
        tenants: { shard_key: 'id' },
        hashed: { shard_key: ['tenant', 'id'] },
      },
    },
    [
      'CREATE TABLE orders (id int8, tenant int4, n int4, PRIMARY KEY (tenant, id))',
      `CREATE TABLE items (tenant int8, order_id int8, sku int4, n int4, PRIMARY KEY (tenant, order_id, sku),
         FOREIGN KEY (tenant, order_id) REFERENCES orders (tenant, id) ON DELETE CASCADE)`,
      'CREATE TABLE visits (tenant int4, page text, n int4)',
      'CREATE TABLE tenants (id int4 PRIMARY KEY, name text)',
      'CREATE TABLE hashed (tenant int4, id int8)',
      'CREATE TABLE plain (tenant int4, id int8, n int4)',
      `INSERT INTO tenants SELECT i, 't' || i FROM generate_series(0, 8) i`,
      `INSERT INTO orders SELECT i, i % 8, i * 7 % 13 FROM generate_series(1, 80) i`,
      `INSERT INTO orders SELECT i, 1, i % 5 FROM generate_series(100, 130) i`,
      `INSERT INTO items SELECT tenant, id, s, id % 5 + s FROM orders, generate_series(1, 2) s WHERE id % 3 <> 0`,
      `INSERT INTO visits SELECT tenant, 'page ' || id % 7, n FROM orders`,
      `INSERT INTO plain SELECT tenant, id, n FROM orders WHERE id < 30`,
    ],
  );
  client = await connectPg(scene.proxy.url);
  oracle = await connectPg(scene.databases.urls.oracle);
  const console = new URL(scene.proxy.url);
  console.pathname = '/shardgate';
  admin = await connectPg(console.href);
});
afterAll(async () => {
  await Promise.all([client.end(), oracle.end(), admin.end()]);
  await scene.close();
});

/** The shards that EXPLAIN shows; one shard's own plan has no such line. */
async function explained(sql: string): Promise<string> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
  const line = rows.map((row) => row['QUERY PLAN']).find((text) => text.includes('Shards: '));
  return line === undefined ? 'one' : line.trim().replace('Shards: ', '');
}

async function expectAllPlaced(): Promise<void> {
  for (const table of ['orders', 'items', 'visits', 'tenants']) {
    const { rows } = await admin.query<{ wrong: string }>(`AUDIT ${table}`);
    expect([table, rows.filter(({ wrong }) => Number(wrong) > 0)]).toEqual([table, []]);
  }
}

const ALL = 's0, s1, s2, s3';

test('a hot tenant is on all shards, any other one on its own', async () => {
  const counts = async (tenant: number): Promise<number> => {
    const rows = await rowsPerShard(scene.databases, `orders WHERE tenant = ${tenant}`);
    return Object.entries(rows).filter(([name, count]) => name.startsWith('s') && count > 0).length;
  };
  expect(await counts(1)).toBe(4);
  for (const tenant of [0, 3, 4, 5, 6, 7]) expect(await counts(tenant)).toBe(1);
  await expectAllPlaced();
});

describe('the columns of the key choose shards', () => {
  test.each([
    ['SELECT * FROM orders WHERE tenant = 5', 'one'],
    ['SELECT * FROM orders WHERE tenant = 1', ALL],
    ['SELECT * FROM orders WHERE tenant = 1 AND id = 9', 'one'],
    ['SELECT * FROM orders WHERE id = 9', ALL],
    ['SELECT n, count(*) FROM orders WHERE tenant = 5 GROUP BY n', 'one'],
    ['SELECT n, count(*) FROM orders WHERE tenant = 1 GROUP BY n', ALL],
    ['SELECT * FROM orders o JOIN items i ON i.tenant = o.tenant WHERE o.tenant = 5', 'one'],
    [
      `SELECT * FROM orders o JOIN visits v ON v.tenant = o.tenant JOIN tenants t ON t.id = o.tenant
         WHERE o.tenant = 5`,
      'one',
    ],
    ['SELECT * FROM orders WHERE tenant IS NULL AND tenant = NULL', 'one'],
    ['UPDATE orders SET n = n + 1 WHERE tenant = 1', ALL],
    ['DELETE FROM visits v USING plain p WHERE v.tenant = 99 AND p.id < 0', 'one'],
  ])('%s: %s', async (sql, expected) => {
    if (!sql.startsWith('DELETE')) expect(await explained(sql)).toBe(expected);
    await scene.comparison.expectSame(sql);
  });

  test('EXPLAIN, ROUTE and SHOW SHARD FOR tell them', async () => {
    const plan = await client.query<{ 'QUERY PLAN': string }>(
      'EXPLAIN SELECT * FROM orders WHERE tenant = 2',
    );
    expect(plan.rows.map((row) => row['QUERY PLAN'].trim())).toContain(
      'Chosen By: first columns of the shard key',
    );
    const routeOf = async (sql: string): Promise<unknown> =>
      (await admin.query<Record<string, unknown>>(`ROUTE ${sql}`)).rows[0];
    expect(await routeOf('SELECT * FROM orders WHERE tenant = 2')).toMatchObject({
      shards: ALL.replaceAll(',', ''),
      key: 'orders.tenant = 2',
      reason: 'first columns of the shard key',
    });
    const whole = await routeOf('SELECT * FROM orders WHERE tenant = 2 AND id = 7');
    const { rows } = await admin.query<{ shard: string }>('SHOW SHARD FOR orders 2, 7');
    expect(whole).toMatchObject({ shards: rows[0]!.shard, reason: 'the shard key is known' });
    const shardsFor = async (key: string): Promise<string[]> => {
      const found = await admin.query<{ shard: string }>(`SHOW SHARD FOR orders ${key}`);
      return found.rows.map(({ shard }) => shard);
    };
    expect((await shardsFor('2')).join(' ')).toBe(ALL.replaceAll(',', ''));
    expect(await shardsFor('5')).toHaveLength(1);
    await expect(shardsFor('x')).rejects.toMatchObject({ code: '22P02' });
    await expect(shardsFor('1, 2, 3')).rejects.toMatchObject({ code: '42601' });
  });
});

test('statements prepared once find hot tenants, others and none', async () => {
  const { comparison } = scene;
  for (const tenant of [5, 1, 2, 99, null, '3']) {
    for (const sql of [
      'SELECT * FROM orders WHERE tenant = $1 ORDER BY id',
      'SELECT count(*), sum(n) FROM orders WHERE tenant = $1',
      'SELECT * FROM orders o JOIN visits v ON v.tenant = o.tenant WHERE o.tenant = $1',
      'SELECT t.name, count(*) FROM tenants t JOIN orders o ON o.tenant = t.id WHERE t.id = $1 GROUP BY 1',
      'SELECT * FROM orders WHERE tenant = $1 AND id IN (1, 9, 101)',
      'UPDATE orders SET n = n + 1 WHERE tenant = $1 RETURNING id, n',
      'UPDATE orders o SET n = v.n FROM visits v WHERE v.tenant = o.tenant AND v.tenant = $1 AND v.n = 1',
    ]) {
      const { error } = await comparison.expectSame(sql, [tenant]);
      expect([sql, error]).toEqual([sql, null]);
    }
  }
  for (const tenants of [[5, 6], [1, 5], [], [null, 2]]) {
    await comparison.expectSame('SELECT * FROM orders WHERE tenant = ANY ($1)', [tenants]);
  }
  await comparison.expectSame('SELECT * FROM orders WHERE tenant = $1', ['x']);
});

describe('reading', () => {
  test.each([
    'SELECT tenant, count(*), sum(n) FROM orders GROUP BY tenant ORDER BY 1',
    'SELECT tenant, id, count(*) FROM items_v GROUP BY tenant, id ORDER BY 1, 2',
    'SELECT DISTINCT tenant FROM orders ORDER BY 1',
    'SELECT count(DISTINCT tenant), count(DISTINCT id) FROM orders',
    'SELECT tenant, id, row_number() OVER (PARTITION BY tenant ORDER BY id) FROM orders ORDER BY 1, 2',
    'SELECT id, rank() OVER (ORDER BY n, id) FROM orders WHERE tenant = 1 ORDER BY 1',
    'SELECT * FROM orders WHERE tenant = 1 ORDER BY n, id LIMIT 5 OFFSET 2',
    'SELECT * FROM orders WHERE tenant BETWEEN 1 AND 3 ORDER BY tenant, id',
    'SELECT * FROM orders WHERE tenant IN (1, 5) ORDER BY n, id, tenant LIMIT 7',
    'SELECT o.id, i.sku FROM orders o JOIN items i ON i.tenant = o.tenant AND i.order_id = o.id ORDER BY 1, 2, o.tenant',
    'SELECT o.id, i.sku FROM orders o JOIN items i ON i.tenant = o.tenant WHERE o.n = 3 ORDER BY 1, 2, i.order_id LIMIT 40',
    'SELECT o.id, v.page FROM orders o JOIN visits v ON v.tenant = o.tenant WHERE o.tenant = 1 AND v.n = 2 ORDER BY 1, 2',
    'SELECT o.tenant, o.id, i.sku FROM orders o LEFT JOIN items i ON i.tenant = o.tenant AND i.order_id = o.id ORDER BY 1, 2, 3',
    'SELECT t.name, o.id FROM tenants t LEFT JOIN orders o ON o.tenant = t.id ORDER BY 1, 2',
    'SELECT t.name, count(o.id) FROM tenants t LEFT JOIN orders o ON o.tenant = t.id WHERE t.id IN (1, 8) GROUP BY 1 ORDER BY 1',
    'SELECT * FROM orders o WHERE EXISTS (SELECT FROM visits v WHERE v.tenant = o.tenant AND v.n = o.n) ORDER BY 2, 1',
    'SELECT * FROM orders WHERE tenant = 1 AND id NOT IN (SELECT order_id FROM items WHERE tenant = 1) ORDER BY id',
    'SELECT tenant FROM orders EXCEPT SELECT tenant FROM items WHERE sku = 9 ORDER BY 1',
    'SELECT tenant, id FROM orders INTERSECT SELECT tenant, order_id FROM items ORDER BY 1, 2',
    'SELECT tenant FROM orders WHERE tenant = 1 UNION SELECT tenant FROM visits WHERE tenant = 5 ORDER BY 1',
    'SELECT o.id FROM orders o JOIN plain p USING (tenant, id) WHERE o.tenant = 1 ORDER BY 1',
    'SELECT o.tenant, (SELECT max(v.n) FROM visits v WHERE v.tenant = o.tenant) FROM orders o ORDER BY 1, 2',
    'WITH a AS (SELECT tenant, max(id) AS id FROM orders GROUP BY tenant) SELECT a.*, i.sku FROM a JOIN items i ON i.tenant = a.tenant AND i.order_id = a.id ORDER BY 1, 3',
  ])('%s', async (sql) => {
    if (sql.includes('items_v')) {
      await scene.comparison.both(
        'CREATE OR REPLACE VIEW items_v AS SELECT tenant, order_id AS id FROM items',
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
        `SELECT tenant, count(*), min(n) FROM orders WHERE ${where} GROUP BY tenant`,
      (where: string) => `SELECT id, n FROM orders WHERE ${where} ORDER BY n, id, tenant LIMIT 4`,
      (where: string) => `UPDATE orders SET n = n + 1 WHERE ${where} RETURNING *`,
      (where: string) =>
        `SELECT i.sku FROM orders o JOIN items i ON i.tenant = o.tenant AND i.order_id = o.id WHERE ${qualified(where)}`,
      (where: string) =>
        `SELECT o.id, v.page FROM orders o JOIN visits v ON v.tenant = o.tenant WHERE ${qualified(where)}`,
    ];
    const qualified = (where: string): string => where.replaceAll(/\b(tenant|id|n)\b/g, 'o.$1');
    const number = (below: number): string => String(dice.below(below));
    const onTenant = [
      () => `tenant = ${number(9)}`,
      () => `tenant IN (${number(9)}, ${number(9)})`,
      () => `tenant = ANY ('{${number(9)},${number(9)}}')`,
      () => `tenant > ${number(9)}`,
    ];
    const onId = [
      () => `id = ${number(131)}`,
      () => `id IN (${number(131)}, ${number(131)}, ${number(131)})`,
      () => `id < ${number(131)}`,
      () => `n = ${number(13)}`,
    ];
    for (let index = 0; index < QUERIES; index++) {
      const parts = [dice.pick(onTenant)(), dice.pick(onId)()];
      if (dice.chance(0.3)) parts.pop();
      const where = parts.join(dice.chance(0.15) ? ' OR ' : ' AND ');
      await scene.comparison.expectSame(dice.pick(forms)(where));
    }
  });
});

describe.each([1, 5])('values in the text, tenant %d', (tenant) => {
  const sorted = `SELECT id, n FROM orders WHERE tenant = ${tenant} ORDER BY n, id LIMIT 9`;
  const grouped = `SELECT n, count(*), max(id) FROM orders WHERE tenant = ${tenant} GROUP BY n ORDER BY 1`;
  const joined = `SELECT o.id, t.name FROM orders o, tenants t WHERE o.tenant = ${tenant} AND t.id = ${tenant} ORDER BY 1`;

  test('by SQL: prepared, in cursors, with locks, copied, as a table', async () => {
    const { comparison } = scene;
    for (const [i, sql] of [sorted, grouped, joined].entries()) {
      const name = `p${tenant}_${i}`;
      await comparison.expectSame(sql);
      await comparison.both(`PREPARE ${name} AS ${sql}`);
      await comparison.expectSame(`EXECUTE ${name}`, undefined, { ordered: true });
      await comparison.both('BEGIN');
      await comparison.both(`DECLARE c CURSOR FOR ${sql}`);
      for (const rows of [2, 3]) {
        await comparison.expectSame(`FETCH ${rows} FROM c`, undefined, { ordered: true });
      }
      await comparison.both('COMMIT');
      await comparison.both(`CREATE TABLE made_${name} AS ${sql}`);
      await comparison.expectSame(`SELECT * FROM made_${name}`);
      await comparison.both(`DROP TABLE made_${name}`);
    }
    await comparison.both('BEGIN');
    await comparison.expectSame(`${sorted} FOR UPDATE`);
    await comparison.both('ROLLBACK');
  });

  test('by messages: with values for no parameter, some rows at a time', async () => {
    for (const text of [sorted, grouped, joined]) {
      // `rows`: how many an Execute asks for.
      for (const way of [{ queryMode: 'extended' }, { rows: 2 }]) {
        const config: pg.QueryArrayConfig = { text, rowMode: 'array', ...way };
        const [own, expected] = await Promise.all([client.query(config), oracle.query(config)]);
        expect(own.rows).toEqual(expected.rows);
      }
    }
  });
});

describe('writing', () => {
  test.each([
    `INSERT INTO orders (id, tenant, n) VALUES (500, 1, 1), (501, 1, 2), (502, 5, 3), (503, 2, 4) RETURNING id, tenant`,
    `INSERT INTO orders VALUES (500, 1, 9)`,
    `INSERT INTO orders VALUES (500, 1, 5), (504, 1, 6), (502, 5, 7) ON CONFLICT (tenant, id) DO UPDATE SET n = excluded.n RETURNING *`,
    `INSERT INTO orders VALUES (500, 1, 5), (505, 1, 6) ON CONFLICT DO NOTHING`,
    `INSERT INTO orders VALUES (2 * 300, length('a'), 4)`,
    `INSERT INTO orders SELECT id + 1000, tenant, n FROM orders WHERE tenant = 1`,
    `INSERT INTO orders SELECT id + 2000, tenant, n FROM orders WHERE tenant = 5`,
    `INSERT INTO orders SELECT i, 2, 0 FROM generate_series(3000, 3020) i RETURNING id`,
    `INSERT INTO visits SELECT o.tenant, 'of ' || t.name, o.n FROM orders o JOIN tenants t ON t.id = o.tenant WHERE o.tenant = 1`,
    `UPDATE orders SET n = 0 WHERE tenant = 1 AND id = 500 RETURNING n`,
    `UPDATE orders SET n = n + 1 WHERE tenant = 1`,
    `UPDATE orders SET n = n + 1 WHERE tenant = 5 RETURNING id, n`,
    `UPDATE visits SET page = 'first' WHERE tenant = 1 AND page = 'page 3'`,
    `UPDATE visits SET page = page || '!' WHERE tenant = 1 RETURNING page`,
    `UPDATE visits SET page = page || '!' WHERE tenant = 5 RETURNING page`,
    `UPDATE visits SET page = 'one' WHERE tenant = 6`,
    `UPDATE visits SET tenant = 1 WHERE tenant = 7`,
    `UPDATE visits SET tenant = 3, page = 'moved' WHERE tenant = 5 AND n = 1`,
    `UPDATE visits SET tenant = 1, page = 'moved' WHERE tenant = 1 AND n = 5 RETURNING page`,
    `UPDATE visits SET tenant = 5, page = 'stays' WHERE tenant = 5 AND n = 2`,
    `UPDATE visits SET tenant = 9 WHERE tenant = 2 AND n < 8`,
    `UPDATE orders SET id = id + 5000 WHERE tenant = 4 AND id > 60 AND id % 3 = 0`,
    `UPDATE visits v SET n = v.n + 20 FROM orders o WHERE o.tenant = v.tenant AND o.tenant = 3`,
    `UPDATE visits v SET n = t.id FROM tenants t WHERE t.id = v.tenant`,
    `DELETE FROM visits v USING tenants t WHERE t.id = v.tenant AND t.name = 't1' AND v.n < 3`,
    `DELETE FROM orders WHERE (tenant, id) IN ((1, 500), (5, 502), (2, 503)) RETURNING id`,
    `DELETE FROM orders WHERE tenant = 1 AND id < 50 RETURNING id`,
    `MERGE INTO orders t USING plain s ON t.tenant = s.tenant AND t.id = s.id WHEN MATCHED THEN UPDATE SET n = 0
       WHEN NOT MATCHED THEN INSERT (tenant, id, n) VALUES (s.tenant, s.id, 1)`,
    `WITH gone AS (DELETE FROM visits WHERE tenant = 5 RETURNING *) SELECT count(*) FROM gone`,
  ])('%s', async (sql) => {
    const { comparison } = scene;
    await comparison.expectSame(sql);
    const rows = ['orders', 'items', 'visits'].map(
      (table) => `SELECT '${table}', ${table}::text FROM ${table}`,
    );
    const { error } = await comparison.expectSame(rows.join(' UNION ALL '));
    expect(error).toBeNull();
  });

  test('COPY, and rows that it cannot place', async () => {
    const data = Array.from({ length: 40 }, (_, i) => `${i}\t${8000 + i}\t${1 + (i % 6)}\n`);
    for (const own of [client, oracle]) {
      const stream = own.query(copyFrom('COPY orders (n, id, tenant) FROM STDIN'));
      stream.end(data.join(''));
      await finished(stream);
    }
    await scene.comparison.expectSame('SELECT * FROM orders WHERE tenant = 1 AND id >= 8000');
    await scene.comparison.expectSame('SELECT * FROM orders WHERE id >= 8000');
  });

  test('within a transaction, rolled back to a savepoint', async () => {
    const { comparison } = scene;
    await comparison.both('BEGIN');
    await comparison.expectSame('UPDATE orders SET n = 77 WHERE tenant = 1 AND id = 101');
    await comparison.both('SAVEPOINT a');
    await comparison.expectSame('DELETE FROM orders WHERE tenant = 1');
    await comparison.expectSame('SELECT count(*) FROM orders WHERE tenant = 1');
    await comparison.both('ROLLBACK TO a');
    await comparison.expectSame('SELECT * FROM orders WHERE tenant = 1 AND n = 77');
    await comparison.both('COMMIT');
  });
});

test('all rows are where their keys say', expectAllPlaced);

describe('refused', () => {
  test.each<readonly [string, RegExp]>([
    ['INSERT INTO orders (id, n) VALUES (1, 1)', /no value for its shard key "tenant"/],
    ['INSERT INTO visits (tenant, n) VALUES (1, 1)', /no value for its shard key "page"/],
    ['INSERT INTO visits VALUES (5, NULL, 1)', /null value in shard key "visits.page"/],
    [
      'INSERT INTO visits SELECT tenant, NULLIF(page, page), n FROM visits WHERE tenant = 3',
      /null value in shard key/,
    ],
    [
      'INSERT INTO visits SELECT o.tenant, t.name, 1 FROM orders o LEFT JOIN tenants t ON t.id = -1 WHERE o.tenant = 3',
      /null value in shard key/,
    ],
    ['CREATE UNIQUE INDEX ON orders (tenant, n)', /must contain its shard key "tenant, id"/],
    [
      'ALTER TABLE hashed ADD FOREIGN KEY (tenant, id) REFERENCES orders (tenant, id)',
      /does not follow the shard keys/,
    ],
    [
      'ALTER TABLE visits ADD FOREIGN KEY (tenant) REFERENCES tenants (id)',
      /does not follow the shard keys/,
    ],
  ])('%s', async (sql, message) => {
    await scene.comparison.expectRefused(sql, undefined, message);
  });
});

test('a tenant becomes hot while nobody works, and those that wait find their rows', async () => {
  const { comparison, databases, proxy } = scene;
  const shardsOf = async (tenant: number): Promise<string[]> => {
    const rows = await rowsPerShard(databases, `orders WHERE tenant = ${tenant}`);
    return Object.keys(rows).filter((shard) => rows[shard]! > 0);
  };
  const spread = async (): Promise<number> => (await shardsOf(5)).length;
  const [home, ...more] = await shardsOf(5);
  expect(more).toEqual([]);
  let far = 3;
  while ((await shardsOf(far))[0] === home) far++;
  const counted = `SELECT count(*)::int AS n FROM orders WHERE tenant IN (5, ${far})`;
  const { rows: counts } = await client.query<{ n: number }>(counted);
  const clients = await Promise.all(Array.from({ length: 6 }, () => connectPg(proxy.url)));
  await admin.query('PAUSE');
  const waiting = clients.map(async (own, i) => {
    const { rows } = await own.query<{ id: string }>(
      `SELECT id FROM orders WHERE tenant = 5 AND id = ${2005 + 8 * i}`,
    );
    return rows.map(({ id }) => Number(id));
  });
  // Over several shards: as a Query, by Bind, and writes.
  const wide = await Promise.all(Array.from({ length: 4 }, () => connectPg(proxy.url)));
  const found = [
    wide[0]!.query<{ n: number }>(counted),
    wide[1]!.query<{ n: number }>('SELECT count(*)::int AS n FROM orders WHERE tenant = ANY ($1)', [
      [5, far],
    ]),
  ].map(async (answer) => (await answer).rows);
  const changed = [
    wide[2]!.query(`UPDATE orders SET n = n WHERE tenant IN (5, ${far})`),
    wide[3]!.query('UPDATE orders SET n = n WHERE tenant = ANY ($1)', [[5, far]]),
  ].map(async (answer) => (await answer).rowCount);
  const config = readFileSync(proxy.configFile, 'utf8');
  const listed = config.replace(/("hot": \[\s*1,\s*2)/, '$1, 5');
  expect(listed).not.toBe(config);
  writeFileSync(proxy.configFile, listed);
  await admin.query('RELOAD');
  for (const table of ['items', 'orders', 'visits']) await admin.query(`REPAIR ${table}`);
  await admin.query('RESUME');
  expect(await Promise.all(waiting)).toEqual(clients.map((_, i) => [2005 + 8 * i]));
  expect(await Promise.all(found)).toEqual([counts, counts]);
  expect(await Promise.all(changed)).toEqual([counts[0]!.n, counts[0]!.n]);
  await Promise.all([...clients, ...wide].map((own) => own.end()));
  expect(await spread()).toBe(4);
  await expectAllPlaced();
  for (const sql of [
    'SELECT * FROM orders WHERE tenant = 5',
    'SELECT * FROM orders WHERE tenant = 5 AND id = 2005',
    'SELECT o.id, i.sku FROM orders o JOIN items i ON i.tenant = o.tenant AND i.order_id = o.id WHERE o.tenant = 5',
    'INSERT INTO orders VALUES (2005, 5, 1)',
  ]) {
    await comparison.expectSame(sql);
  }
});
