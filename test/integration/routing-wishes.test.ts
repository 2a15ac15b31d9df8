/* Comments and settings that name a shard, a key or a keyspace; and what keeps statements from going everywhere. */
import { writeFileSync } from 'node:fs';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { clusterConfig, type ClusterTables } from '../support/proxy-config.js';
import { connectPg, misplacedRows, openScene, rowsPerShard, type Scene } from '../support/scene.js';

const TABLES: ClusterTables = {
  main: { settings: {} },
  shop: {
    orders: { shard_key: 'customer_id', vindex: 'by_key' },
    visits: { shard_key: 'customer_id', vindex: 'by_key', require_key: true },
    countries: { type: 'reference' },
  },
};
let scene: Scene;
let client: pg.Client;
/** Of each shard, some key that it has rows of. */
const keyOn = new Map<string, number>();

beforeAll(async () => {
  scene = await openScene('routing_wishes', TABLES, [
    'CREATE TABLE settings (name text PRIMARY KEY)',
    'CREATE TABLE orders (customer_id int, id int, PRIMARY KEY (customer_id, id))',
    'CREATE TABLE visits (customer_id int PRIMARY KEY)',
    'CREATE TABLE countries (code text PRIMARY KEY)',
    "INSERT INTO countries VALUES ('AT'), ('BE')",
    'INSERT INTO orders SELECT i / 2, i FROM generate_series(1, 80) i',
    'INSERT INTO visits SELECT i FROM generate_series(1, 40) i',
  ]);
  for (const name of ['s0', 's1', 's2', 's3'] as const) {
    const [row] = await scene.databases.query(name, 'SELECT min(customer_id) FROM orders');
    keyOn.set(name, Number(row![0]));
  }
});
afterAll(async () => {
  await scene.close();
});
beforeEach(async () => {
  client = await connectPg(scene.proxy.url);
});
afterEach(async () => {
  await client.end();
});

async function count(sql: string, values: readonly unknown[] = []): Promise<number> {
  const { rows } = await client.query<{ n: number }>(sql, [...values]);
  return rows[0]!.n;
}

async function refusal(sql: string, values: readonly unknown[] = []): Promise<string> {
  const error = await client.query(sql, [...values]).then(
    () => null,
    (reason: unknown) => reason as pg.DatabaseError,
  );
  return error === null ? 'answered' : `${error.code}: ${error.message}`;
}

const ORDERS = 'SELECT count(*)::int AS n FROM orders';

describe('a shard that is named', () => {
  test('by a comment: its rows, in each protocol, whatever the same text did before', async () => {
    const held = await rowsPerShard(scene.databases, 'orders');
    expect(await count(ORDERS)).toBe(80);
    for (const name of ['s0', 's1', 's2', 's3']) {
      const hinted = `/* shardgate: shard=${name} */ ${ORDERS}`;
      expect(await count(hinted)).toBe(held[name]);
      expect(await count(`${hinted} WHERE id > $1`, [0])).toBe(held[name]);
      expect(await count(`/* of a tracer */ ${ORDERS}`)).toBe(80);
    }
  });

  test('by SET: until RESET, in what was prepared before, and in a transaction with SET LOCAL', async () => {
    const held = await rowsPerShard(scene.databases, 'orders');
    const named = { name: 'all', text: ORDERS };
    expect((await client.query<{ n: number }>(named)).rows[0]!.n).toBe(80);
    await client.query(`SET shardgate.shard = 's2'`);
    expect((await client.query<{ n: number }>(named)).rows[0]!.n).toBe(held['s2']);
    expect((await client.query('SHOW shardgate.shard')).rows).toEqual([
      { 'shardgate.shard': 's2' },
    ]);
    await client.query('RESET shardgate.shard');
    expect((await client.query<{ n: number }>(named)).rows[0]!.n).toBe(80);
    await client.query(`BEGIN; SET LOCAL shardgate.shard = 's1'`);
    expect(await count(ORDERS)).toBe(held['s1']);
    await client.query('COMMIT');
    expect(await count(ORDERS)).toBe(80);
  });

  test('in the connection string', async () => {
    const held = await rowsPerShard(scene.databases, 'orders');
    const pinned = await connectPg(scene.proxy.url, { options: '-c shardgate.shard=s3' });
    try {
      const { rows } = await pinned.query(ORDERS);
      expect(rows).toEqual([{ n: held['s3'] }]);
    } finally {
      await pinned.end();
    }
  });

  test('answers there what is refused over several shards', async () => {
    const sql = 'SELECT id FROM orders GROUP BY id, customer_id HAVING count(*) = 1 FOR UPDATE';
    expect(await refusal(sql)).toMatch(/^0A000/);
    const system = 'SELECT ctid IS NOT NULL AS t FROM orders LIMIT 1';
    expect(await refusal(system)).toMatch(/^0A000/);
    const { rows } = await client.query(`/* shardgate: shard=s0 */ ${system}`);
    expect(rows).toEqual([{ t: true }]);
  });

  test('tells of itself: sizes and catalogs are its own', async () => {
    const url = new URL(scene.databases.urls.s1);
    const { rows } = await client.query<{ port: string }>(
      `/* shardgate: shard=s1 */ SELECT current_setting('port') AS port`,
    );
    expect(rows[0]!.port).toBe(url.port);
    const catalog = `/* shardgate: shard=s1 */ SELECT current_setting('port') AS port FROM pg_class LIMIT 1`;
    expect((await client.query(catalog)).rows).toEqual([{ port: url.port }]);
  });

  test('is refused for tables that are elsewhere, and where it does not exist', async () => {
    const on = (sql: string): Promise<string> => refusal(`/* shardgate: shard=s1 */ ${sql}`);
    expect(await on('SELECT * FROM settings')).toMatch(/^0A000: table "settings" belongs to/);
    expect(await on('SELECT * FROM orders, settings')).toMatch(/^0A000/);
    expect(await on('SELECT * FROM nowhere_to_be_seen')).toMatch(/^42P01/);
    expect(await refusal('/* shardgate: shard=s7 */ SELECT 1')).toMatch(
      /^0A000: there is no shard/,
    );
    expect(await refusal('/* shardgate: shart=s1 */ SELECT 1')).toMatch(/^22023/);
    await client.query(`SET shardgate.shard = 's7'`);
    expect(await refusal('SELECT 1')).toMatch(/^0A000/);
    await client.query('RESET shardgate.shard');
    expect(await refusal('SELECT 1')).toBe('answered');
    expect(await refusal(`SET shardgate.role = 'replica'`)).toMatch(/^22023/);
    expect(await refusal(`SET shardgate.shart = 's1'`)).toMatch(/^42602/);
    expect(await refusal(`SELECT set_config('shardgate.lookups', 'unchanged', false)`)).toMatch(
      /^42602/,
    );
  });
});

describe('writes where a shard or key is named', () => {
  test('change that shard alone; rows are placed by their own keys or not at all', async () => {
    const before = await rowsPerShard(scene.databases, 'orders');
    const [here, there] = [keyOn.get('s0')!, keyOn.get('s1')!];
    const hint = '/* shardgate: shard=s0 */';
    const insert = `${hint} INSERT INTO orders VALUES ($1, $2)`;
    await client.query(insert, [here, 1001]);
    expect(await refusal(insert, [there, 1002])).toMatch(
      /^0A000: the statement belongs to shard "s1"/,
    );
    expect(
      await refusal(`${hint} INSERT INTO orders VALUES (${here}, 1003), (${there}, 1004)`),
    ).toMatch(/^0A000/);
    for (const sql of [
      `INSERT INTO orders SELECT ${there}, 1005`,
      `INSERT INTO orders SELECT customer_id, id + 5000 FROM orders`,
      `UPDATE orders SET customer_id = ${there} WHERE id = 1001`,
      `WITH made AS (INSERT INTO orders VALUES (${there}, 1006) RETURNING id) SELECT * FROM made`,
      'TRUNCATE orders',
      "INSERT INTO countries VALUES ('CH')",
      'COPY orders FROM STDIN',
      'ALTER TABLE orders ADD COLUMN note text',
      `EXPLAIN ANALYZE INSERT INTO orders VALUES (${there}, 1007)`,
    ]) {
      expect(await refusal(`${hint} ${sql}`), sql).toMatch(/^0A000/);
    }
    expect(await rowsPerShard(scene.databases, 'orders')).toEqual({
      ...before,
      s0: before['s0']! + 1,
    });
    const { rowCount } = await client.query(`${hint} DELETE FROM orders WHERE id > 1000`);
    expect(rowCount).toBe(1);
    expect(
      await misplacedRows(scene.databases, 'orders', 'customer_id', 'hashint4extended'),
    ).toEqual([]);
  });

  test('SET shardgate.key leads to the shard of the key, and unsharded tables stay where they are', async () => {
    const held = await rowsPerShard(scene.databases, 'orders');
    const key = keyOn.get('s3')!;
    await client.query(`SET shardgate.key = '${key}'`);
    expect(await count(ORDERS)).toBe(held['s3']);
    await client.query("INSERT INTO settings VALUES ('a')");
    expect(await count('SELECT count(*)::int AS n FROM settings')).toBe(1);
    await client.query('DELETE FROM settings');
    await client.query(`INSERT INTO orders VALUES (${key}, 2001)`);
    const other = keyOn.get('s0')!;
    expect(await refusal(`INSERT INTO orders VALUES (${other}, 2002)`)).toMatch(/^0A000/);
    const { rowCount } = await client.query('DELETE FROM orders WHERE id > 2000');
    expect(rowCount).toBe(1);
    await client.query(`SET shardgate.key = 'no number'`);
    expect(await refusal(ORDERS)).toMatch(/^0A000: "no number" is no value of shard key/);
  });
});

describe('statements without a key', () => {
  test('are refused where shardgate.scatter is off', async () => {
    await client.query('SET shardgate.scatter = off');
    const key = keyOn.get('s2')!;
    for (const sql of [
      ORDERS,
      'SELECT * FROM orders, settings',
      'UPDATE orders SET id = id',
      'DELETE FROM orders',
      'COPY orders TO STDOUT',
      'INSERT INTO settings SELECT id FROM orders',
      'EXPLAIN ANALYZE SELECT * FROM orders',
      'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders',
    ]) {
      expect(await refusal(sql), sql).toMatch(/^0A000: a statement over all shards is not allowed/);
    }
    for (const sql of [
      `${ORDERS} WHERE customer_id = ${key}`,
      `${ORDERS} WHERE customer_id IN (1, 2, 3, 4)`,
      `SELECT * FROM orders, settings WHERE customer_id = ${key}`,
      `INSERT INTO orders VALUES (1, 3001), (2, 3001), (3, 3001)`,
      'DELETE FROM orders WHERE customer_id IN (1, 2, 3) AND id = 3001',
      'SELECT * FROM countries',
      'EXPLAIN SELECT * FROM orders',
      `/* shardgate: shard=s1 */ ${ORDERS}`,
      `/* shardgate: scatter=on */ ${ORDERS}`,
    ]) {
      expect(await refusal(sql), sql).toBe('answered');
    }
    expect(await refusal('SET shardgate.scatter = maybe')).toMatch(/^22023/);
  });

  test('are refused for tables of which the configuration requires the key', async () => {
    const sql = 'SELECT count(*)::int AS n FROM visits';
    expect(await refusal(sql)).toMatch(/^0A000: a statement on table "visits" that does not name/);
    expect(await refusal(`/* shardgate: scatter=on */ ${sql}`)).toMatch(/^0A000/);
    expect(await refusal('DELETE FROM visits')).toMatch(/^0A000/);
    expect(await refusal('SELECT * FROM orders o JOIN visits v USING (customer_id)')).toMatch(
      /^0A000/,
    );
    expect(await count(`${sql} WHERE customer_id = $1`, [keyOn.get('s1')])).toBe(1);
    expect(await refusal(`/* shardgate: shard=s1 */ ${sql}`)).toBe('answered');
  });

  test('are refused by configuration, for users and all; a reload is enough', async () => {
    const users = [{ name: 'postgres', role: 'admin', settings: { 'shardgate.scatter': 'on' } }];
    const config = clusterConfig(scene.databases, TABLES, {
      listen: { port: scene.proxy.port },
      http: { port: scene.proxy.httpPort },
      pool: { size: 4 },
      routing: { scatter: 'off' },
      auth: { method: 'trust', users: [...users, { name: 'strict' }] },
    });
    writeFileSync(scene.proxy.configFile, JSON.stringify(config));
    scene.proxy.signal('SIGHUP');
    await expect.poll(() => refusal(ORDERS), { timeout: 10_000 }).toMatch(/^0A000/);
    const trusted = await connectPg(scene.proxy.url);
    try {
      expect((await trusted.query(ORDERS)).rows).toEqual([{ n: 80 }]);
    } finally {
      await trusted.end();
    }
    const url = new URL(scene.proxy.url);
    url.username = 'strict';
    const strict = await connectPg(url.href);
    try {
      expect((await strict.query('SHOW shardgate.scatter')).rows).toEqual([
        { 'shardgate.scatter': 'off' },
      ]);
      await expect(strict.query(ORDERS)).rejects.toThrow('shardgate.scatter is off');
      await strict.query('SET shardgate.scatter = on');
      expect((await strict.query(ORDERS)).rows).toEqual([{ n: 80 }]);
    } finally {
      await strict.end();
    }
  });
});
