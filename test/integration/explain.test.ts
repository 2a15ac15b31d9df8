import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

/*
 * EXPLAIN: PostgreSQL's own answer where one shard runs the statement, ours where several work together.
 */

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  const sharded = { shard_key: 'customer_id', vindex: 'by_key' };
  scene = await openScene('explain', { main: { settings: {} }, shop: { orders: sharded } }, [
    'CREATE TABLE orders (customer_id int, id int, amount int, PRIMARY KEY (customer_id, id))',
    'CREATE TABLE settings (k int, v text)',
    `INSERT INTO orders VALUES ${Array.from({ length: 200 }, (_, i) => `(${i}, ${i}, ${i % 7})`).join()}`,
    `INSERT INTO settings VALUES (1, 'one')`,
  ]);
  client = await connectPg(scene.proxy.url);
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

async function explain(sql: string, values?: unknown[]): Promise<string[]> {
  const { rows, fields, command } = await client.query<[string]>({
    text: sql,
    values: values ?? [],
    rowMode: 'array',
  });
  expect(fields.map(({ name }) => name)).toEqual(['QUERY PLAN']);
  expect(command).toBe('EXPLAIN');
  return rows.map(([line]) => line);
}

interface JsonNode {
  readonly 'Node Type': string;
  readonly Shards?: readonly string[];
  readonly Plans?: readonly JsonNode[];
  readonly [property: string]: unknown;
}

async function explainJson(sql: string): Promise<JsonNode> {
  const { rows } = await client.query<{ 'QUERY PLAN': { Plan: JsonNode }[] }>(sql);
  return rows[0]!['QUERY PLAN'][0]!.Plan;
}

describe('on one shard', () => {
  test.each([
    'EXPLAIN (COSTS off) SELECT * FROM orders WHERE customer_id = 5',
    'EXPLAIN (COSTS off, FORMAT json) SELECT * FROM orders WHERE customer_id = 5 ORDER BY id',
    'EXPLAIN (COSTS off) SELECT v FROM settings',
    'EXPLAIN (COSTS off) UPDATE orders SET amount = 1 WHERE customer_id = 5',
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });
});

describe('over several shards', () => {
  test('rows of all shards, one after the other', async () => {
    const lines = await explain('EXPLAIN SELECT * FROM orders');
    expect(lines[0]).toBe('Concatenate');
    expect(lines).toContain('  Shards: s0, s1, s2, s3');
    expect(lines).toContain('  Each Shard: SELECT * FROM orders');
  });

  test('only the shards of the key values, parameters too', async () => {
    const all = await explain('EXPLAIN SELECT * FROM orders WHERE customer_id = ANY($1)', [
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    ]);
    expect(all).toContain('  Shards: s0, s1, s2, s3');
    expect(all).toContain('  Chosen By: shard key values');
    const one = await explain('EXPLAIN SELECT * FROM orders WHERE customer_id = ANY($1)', [[5]]);
    expect(one.join('\n')).toContain('Index Cond');
  });

  test('a merge: its keys, its limit, and what each shard runs', async () => {
    const plan = await explainJson(
      'EXPLAIN (FORMAT json) SELECT id FROM orders ORDER BY amount DESC, id LIMIT 3 OFFSET 2',
    );
    expect(plan['Node Type']).toBe('Merge Sorted');
    expect(plan['Limit']).toBe('3');
    expect(plan['Offset']).toBe('2');
    expect(plan['Merge Key']).toHaveLength(2);
    expect(plan['Each Shard']).toMatch(/LIMIT \(?5\)?$/);
  });

  test('a gather: its home, its inputs, and the statement over them', async () => {
    const plan = await explainJson(
      'EXPLAIN (FORMAT json) SELECT a.id FROM orders a JOIN orders b ON a.amount = b.id WHERE b.id < 9',
    );
    expect(plan['Node Type']).toBe('Gather');
    expect(plan.Plans!.map((input) => input['Input'])).toEqual(['orders a', 'orders b']);
    expect(plan['Final']).toContain('ON a.amount = b.id');
  });

  test('ANALYZE runs what the shards are sent, and counts', async () => {
    const lines = await explain('EXPLAIN ANALYZE SELECT * FROM orders WHERE amount < 100');
    expect(lines).toContain('  Actual Shard Rows: 200');
    const perShard = lines.find((line) => line.startsWith('  Actual Per Shard: '))!;
    const counts = [...perShard.matchAll(/s\d (\d+) rows in [\d.]+ ms/g)].map((m) => Number(m[1]));
    expect(counts).toHaveLength(4);
    expect(counts.reduce((a, b) => a + b)).toBe(200);
  });

  test.each([
    ['SELECT * FROM orders', 'Concatenate', 200],
    ['SELECT count(*) FROM orders', 'Sum Counts', 1],
    [
      'SELECT id FROM orders WHERE customer_id < 100 ORDER BY amount, id LIMIT 7',
      'Merge Sorted',
      7,
    ],
    ['SELECT amount, count(*), avg(id) FROM orders GROUP BY amount', 'Gather', 7],
    ['SELECT a.id FROM orders a JOIN orders b ON a.amount = b.id', 'Gather', 200],
    ['SELECT v, count(*) FROM orders JOIN settings ON k = amount GROUP BY v', 'Gather', 1],
  ])('ANALYZE runs %s to its end and tells how much came', async (sql, way, rows) => {
    const plan = await explainJson(`EXPLAIN (ANALYZE, FORMAT json) ${sql}`);
    expect(plan['Node Type']).toBe(way);
    expect(plan['Actual Rows']).toBe(rows);
    expect(plan['Actual Bytes']).toBeGreaterThan(rows * 8);
    expect(plan['Actual Milliseconds']).toBeGreaterThan(0);
    const read = plan.Plans?.[0] ?? plan;
    expect(String(read['Actual Per Shard'])).toMatch(/s0 \d+ rows in [\d.]+ ms, \d+ kB/);
  });

  test('ANALYZE fails as the statement does, and leaves the session usable', async () => {
    const failing =
      'EXPLAIN ANALYZE SELECT a.id / (b.id - 3) FROM orders a JOIN orders b ON a.amount = b.id';
    await expect(client.query(failing)).rejects.toMatchObject({ code: '22012' });
    await client.query('BEGIN');
    const lines = await explain(
      'EXPLAIN ANALYZE SELECT id FROM orders WHERE customer_id < $1',
      [5],
    );
    expect(lines).toContain('  Actual Rows: 5');
    await client.query('COMMIT');
    await expect(client.query('SELECT 1')).resolves.toMatchObject({ rowCount: 1 });
  });

  test("VERBOSE shows PostgreSQL's own plans beneath", async () => {
    const lines = await explain('EXPLAIN (VERBOSE, COSTS off) SELECT id FROM orders');
    for (const shard of ['s0', 's1', 's2', 's3']) expect(lines).toContain(`  On ${shard}:`);
    expect(lines.filter((line) => line.includes('Seq Scan on public.orders'))).toHaveLength(4);
    const plan = await explainJson('EXPLAIN (VERBOSE, FORMAT json) SELECT id FROM orders');
    expect(plan['Shard Plans']).toHaveLength(4);
  });

  test('what one shard reads for the others', async () => {
    for (const sql of [
      'INSERT INTO orders SELECT k + 900, 1, 1 FROM settings',
      'UPDATE orders SET amount = k FROM settings WHERE k = orders.id',
    ]) {
      const lines = await explain(`EXPLAIN ${sql}`);
      expect(lines).toContainEqual(expect.stringMatching(/^ *->  Read$/));
    }
  });

  test('inside a transaction, in a script and with comments in the way', async () => {
    await client.query('BEGIN');
    expect((await explain('EXPLAIN SELECT count(*) FROM orders'))[0]).toBe('Sum Counts');
    await client.query('COMMIT');
    const results = (await client.query(
      'EXPLAIN SELECT * FROM orders; SELECT 1 AS one',
    )) as unknown as pg.QueryResult[];
    expect(results.map(({ command }) => command)).toEqual(['EXPLAIN', 'SELECT']);
  });
});

describe('refused or wrong', () => {
  test.each([
    ['an unknown option', 'EXPLAIN (nonsense) SELECT * FROM orders', '42601'],
    ['an option with a bad value', 'EXPLAIN (COSTS maybe) SELECT * FROM orders', '42601'],
    [
      'ANALYZE of rows of VALUES',
      'EXPLAIN ANALYZE INSERT INTO orders VALUES (1001, 1), (1002, 2), (1003, 3), (1004, 4)',
      '0A000',
    ],
    ['ANALYZE of an error', 'EXPLAIN ANALYZE UPDATE orders SET amount = 1 / (id - 3)', '22012'],
    ['other formats', 'EXPLAIN (FORMAT yaml) SELECT * FROM orders', '0A000'],
    ['a column that is not there', 'EXPLAIN SELECT nothing FROM orders', '42703'],
  ])('%s', async (_, sql, code) => {
    await expect(client.query(sql)).rejects.toMatchObject({ code });
    await expect(client.query('SELECT 1')).resolves.toMatchObject({ rowCount: 1 });
  });

  test('they have written nothing', async () => {
    const { rows } = await client.query(
      'SELECT id FROM orders WHERE amount <> id % 7 OR id > 1000',
    );
    expect(rows).toEqual([]);
  });
});

describe('ANALYZE of a write does it once, and tells how many rows it was', () => {
  const sum = async (): Promise<number> => {
    const { rows } = await client.query<{ n: number }>('SELECT sum(amount)::int AS n FROM orders');
    return rows[0]!.n;
  };

  test.each([
    ['UPDATE', 'UPDATE orders SET amount = amount + 1', 200, 200],
    [
      'UPDATE with rows of others',
      'UPDATE orders o SET amount = o.amount + 1 FROM settings s WHERE s.k = 1',
      200,
      200,
    ],
    ['DELETE with RETURNING', 'DELETE FROM orders WHERE id >= 198 RETURNING *', 2, null],
    ['INSERT of a query', 'INSERT INTO orders SELECT id + 5000, id, 1 FROM orders', 198, 198],
    [
      'UPDATE of the shard key',
      'UPDATE orders SET customer_id = customer_id + 10000 WHERE customer_id > 4000',
      198,
      0,
    ],
  ])('%s', async (_, sql, rows, added) => {
    const before = await sum();
    const plan = await explainJson(`EXPLAIN (ANALYZE, FORMAT json) ${sql}`);
    expect(plan['Affected Rows']).toBe(rows);
    expect(plan['Actual Rows']).toBe(sql.includes('RETURNING') ? rows : 0);
    expect(plan['Actual Milliseconds']).toBeGreaterThan(0);
    if (added !== null) expect((await sum()) - before).toBe(added);
  });

  test('in a transaction that is rolled back', async () => {
    const before = await sum();
    await client.query('BEGIN');
    const lines = await explain('EXPLAIN (ANALYZE, VERBOSE) DELETE FROM orders');
    expect(lines.join('\n')).toMatch(/Affected Rows: 396/);
    expect(await sum()).toBeNull();
    await client.query('ROLLBACK');
    expect(await sum()).toBe(before);
  });

  test('row locks are taken', async () => {
    await client.query('BEGIN');
    await explain('EXPLAIN ANALYZE SELECT * FROM orders WHERE amount > 2 ORDER BY id FOR UPDATE');
    const other = await connectPg(scene.proxy.url);
    await expect(
      other.query('SELECT * FROM orders WHERE amount > 2 ORDER BY id FOR UPDATE NOWAIT'),
    ).rejects.toMatchObject({ code: '55P03' });
    await other.end();
    await client.query('ROLLBACK');
  });
});
