/* The vindex `directory`: a table says on which shard each key is, for several proxies at once. */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startProxy, type Proxy } from '../support/proxy.js';
import { clusterConfig } from '../support/proxy-config.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import type { ServerName } from '../support/servers.js';

const tables = {
  vindexes: {
    tenants: { type: 'directory', table: 'tenant_shards' },
    members: { type: 'directory', table: 'member_shards', unknown: 'refuse' },
  },
  shop: {
    orders: { shard_key: 'tenant', vindex: 'tenants' },
    notes: { shard_key: 'tenant', vindex: 'tenants' },
    closed: { shard_key: 'member', vindex: 'members' },
  },
};

/** Over all shards: each row once, and with all rows of its key that are on its shard. */
const EVERYWHERE = `SELECT count(*)::int AS n FROM notes JOIN orders USING (tenant) WHERE note <> 'w'`;

/** MOVE waits that long for statements in line. */
const pool = { size: 4, queue_timeout: '2s' };

const schema = [
  'CREATE TABLE orders (tenant text, id int, total int, PRIMARY KEY (tenant, id))',
  'CREATE TABLE notes (tenant text, note text)',
  'CREATE TABLE closed (member int, n int)',
];

const shards = ['s0', 's1', 's2', 's3'] as const satisfies readonly ServerName[];

let scene: Scene;
let other: Proxy;
let client: pg.Client;
let otherClient: pg.Client;
let admin: pg.Client;

beforeAll(async () => {
  scene = await openScene('directory', tables, schema, { pool });
  other = await startProxy({ config: clusterConfig(scene.databases, tables, { pool }) });
  client = await connectPg(scene.proxy.url);
  otherClient = await connectPg(other.url);
  const console = new URL(scene.proxy.url);
  console.pathname = '/shardgate';
  admin = await connectPg(console.href);
});

afterAll(async () => {
  await Promise.all([client.end(), otherClient.end(), admin.end()]);
  await other.stop();
  await scene.close();
});

/** The shards that have rows of each tenant. */
async function whereabouts(table: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const shard of shards) {
    const rows = await scene.databases.query(shard, `SELECT DISTINCT tenant FROM ${table}`);
    for (const [tenant] of rows) {
      found.set(String(tenant), [...(found.get(String(tenant)) ?? []), shard]);
    }
  }
  return found;
}

test('new keys of one INSERT get the shards with the fewest keys', async () => {
  const values = Array.from({ length: 8 }, (_, i) => `('t${i}', 1, ${i}), ('t${i}', 2, ${i})`);
  await scene.comparison.expectSame(`INSERT INTO orders VALUES ${values.join(', ')}`);
  const places = await whereabouts('orders');
  expect([...places.values()].every((own) => own.length === 1)).toBe(true);
  for (const shard of shards) {
    expect([...places.values()].filter(([own]) => own === shard)).toHaveLength(2);
  }
});

test.each([
  [`SELECT * FROM orders WHERE tenant = 't3' ORDER BY id`],
  [`SELECT * FROM orders WHERE tenant = 'nobody'`],
  [`SELECT * FROM orders WHERE tenant IN ('t1', 't4', 'nobody') ORDER BY tenant, id`],
  [`SELECT count(*), sum(total) FROM orders`],
  [`UPDATE orders SET total = total + 10 WHERE tenant = 't5'`],
  [`UPDATE orders SET total = total + 1 WHERE tenant IN ('t5', 't6', 'nobody')`],
  [`UPDATE orders SET total = 0 WHERE tenant = 'nobody'`],
  [`INSERT INTO notes VALUES ('t1', 'a'), ('t2', 'b'), ('t9', 'c')`],
  [`SELECT o.id, n.note FROM orders o JOIN notes n USING (tenant) WHERE tenant = 't1' ORDER BY 1`],
  [`SELECT tenant, count(*) FROM orders o JOIN notes n USING (tenant) GROUP BY tenant ORDER BY 1`],
  [
    `SELECT (SELECT note FROM notes WHERE tenant = 't2'), total FROM orders WHERE tenant = 't1' AND id = 1`,
  ],
  [`INSERT INTO orders SELECT tenant, 3, 7 FROM orders WHERE tenant = 't1' AND id = 1`],
  [`WITH gone AS (DELETE FROM notes WHERE tenant = 't9' RETURNING *) SELECT * FROM gone`],
  [`DELETE FROM orders WHERE tenant = 't7' AND id = 2 RETURNING *`],
])('as one Postgres: %s', async (sql) => {
  await scene.comparison.expectSame(sql);
});

test.each([
  ['SELECT * FROM orders WHERE tenant = $1 ORDER BY id', ['t2']],
  ['SELECT * FROM orders WHERE tenant = $1', ['nobody at all']],
  ['SELECT count(*) FROM orders WHERE tenant = ANY ($1)', [['t1', 't2', 'nobody']]],
  ['INSERT INTO orders VALUES ($1, $2, 3)', ['fresh', 1]],
  ['SELECT * FROM orders WHERE tenant = $1', ['fresh']],
  ['DELETE FROM orders WHERE tenant = $1', ['fresh']],
])('with parameters: %s %j', async (sql, params) => {
  await scene.comparison.expectSame(sql, params);
});

test('one key gets one shard, whichever proxies store it at a time', async () => {
  const keys = Array.from({ length: 30 }, (_, i) => `race${i}`);
  await Promise.all(
    [client, otherClient].map(async (one, id) => {
      for (const key of keys) await one.query('INSERT INTO orders VALUES ($1, $2, 0)', [key, id]);
    }),
  );
  const places = await whereabouts('orders');
  for (const key of keys) expect(places.get(key)).toHaveLength(1);
  for (const one of [client, otherClient]) {
    const { rows } = await one.query(
      `SELECT tenant, count(*)::int AS n FROM orders WHERE tenant LIKE 'race%' GROUP BY 1 HAVING count(*) = 2`,
    );
    expect(rows).toHaveLength(keys.length);
    for (const key of keys) {
      const own = await one.query('SELECT id FROM orders WHERE tenant = $1', [key]);
      expect(own.rowCount).toBe(2);
    }
  }
  await client.query(`DELETE FROM orders WHERE tenant LIKE 'race%'`);
});

test('a key that another proxy has just stored is found', async () => {
  for (let i = 0; i < 10; i++) {
    const key = `seen${i}`;
    expect((await client.query('SELECT FROM orders WHERE tenant = $1', [key])).rowCount).toBe(0);
    await otherClient.query('INSERT INTO orders VALUES ($1, 1, 1)', [key]);
    expect((await client.query('SELECT FROM orders WHERE tenant = $1', [key])).rowCount).toBe(1);
  }
  await client.query(`DELETE FROM orders WHERE tenant LIKE 'seen%'`);
});

describe('keys that nobody has at hand get their shards in the middle of', () => {
  const text = (rows: readonly string[]): string => rows.map((row) => `${row}\n`).join('');
  const copied = Array.from({ length: 2000 }, (_, i) => `c${i % 700}\t${i}`);

  /** Into the proxy and one PostgreSQL. */
  async function copyIn(sql: string, data: string): Promise<void> {
    const oracle = await connectPg(scene.databases.urls.oracle);
    for (const one of [client, oracle]) {
      await pipeline(Readable.from([data]), one.query(copyFrom(sql)));
    }
    await oracle.end();
  }

  /** Every row is on the shard that the directory names for its key, and no key on two. */
  async function expectPlaced(): Promise<void> {
    const { rows } = await admin.query<{ wrong: string }>('AUDIT notes');
    expect(rows.filter(({ wrong }) => wrong !== '0')).toEqual([]);
    await scene.comparison.expectSame('SELECT * FROM notes ORDER BY tenant, note');
  }

  test('COPY, as text and CSV', async () => {
    await copyIn('COPY notes FROM STDIN', text(copied));
    await expectPlaced();
    const csv = ['"a ""new"" one",x', 'other,"two\nlines"', 'c5,y', '"a ""new"" one",z'];
    await copyIn('COPY notes FROM STDIN (FORMAT csv)', text(csv));
    await expectPlaced();
    const places = await whereabouts('notes');
    expect([...places.values()].every((own) => own.length === 1)).toBe(true);
    for (const shard of shards) {
      expect([...places].filter(([, [own]]) => own === shard).length).toBeGreaterThan(150);
    }
  });

  test('COPY in two transactions that bring the same new keys', async () => {
    const lines = text(Array.from({ length: 300 }, (_, i) => `both${i}\tx`));
    await Promise.all(
      [client, otherClient].map(async (one) => {
        await one.query('BEGIN');
        await pipeline(Readable.from([lines]), one.query(copyFrom('COPY notes FROM STDIN')));
        await one.query(one === client ? 'COMMIT' : 'ROLLBACK');
      }),
    );
    const counted = await client.query("SELECT FROM notes WHERE tenant LIKE 'both%'");
    expect(counted.rowCount).toBe(300);
    await client.query("DELETE FROM notes WHERE tenant LIKE 'both%'");
    await expectPlaced();
  });

  test('COPY whose data is wrong behind new keys', async () => {
    const failing = pipeline(
      Readable.from([text(['w1\ta', 'w2\tb', '\\N\tc'])]),
      client.query(copyFrom('COPY notes FROM STDIN')),
    );
    await expect(failing).rejects.toMatchObject({
      code: '0A000',
      where: 'COPY notes, line 3',
    });
    await expectPlaced();
  });

  test.each([
    `INSERT INTO notes SELECT 'new' || i % 40, i::text FROM generate_series(1, 100) i`,
    `INSERT INTO notes SELECT 'each' || i, '' FROM generate_series(1, 20) i RETURNING tenant`,
    `INSERT INTO notes SELECT tenant || '!', 'loud' FROM orders`,
    `INSERT INTO notes VALUES ('x' || 'y', 'a'), (upper('computed'), 'b')`,
    `UPDATE notes SET tenant = 'renamed' WHERE tenant = 'new7'`,
    `UPDATE notes SET tenant = tenant || '?' WHERE note = 'loud'`,
    `UPDATE notes SET tenant = 'all of them' WHERE tenant LIKE 'each%'`,
    `UPDATE notes SET tenant = 'nothing' WHERE tenant = 'nobody'`,
    `MERGE INTO notes n USING (SELECT 'merged' || i AS t FROM generate_series(1, 9) i) v ON n.tenant = v.t
       WHEN NOT MATCHED THEN INSERT VALUES (v.t, 'm')`,
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
    await expectPlaced();
  });

  test.each([
    ['INSERT INTO notes SELECT $1 || i, $2 FROM generate_series(1, 5) i', ['par', 'v']],
    ['UPDATE notes SET tenant = $1 WHERE tenant = $2', ['param', 'par3']],
    ['UPDATE notes SET tenant = $1 WHERE tenant = $2', ['param too', 'par4']],
  ])('%s with %j', async (sql, params) => {
    await scene.comparison.expectSame(sql, params);
    await expectPlaced();
  });

  test('a transaction that is rolled back, whose keys stay where they were', async () => {
    const insert = `INSERT INTO notes SELECT 'undone' || i, '' FROM generate_series(1, 8) i`;
    await client.query('BEGIN');
    await client.query(insert);
    await client.query('ROLLBACK');
    await scene.comparison.expectSame(insert);
    await expectPlaced();
  });

  test('nothing, where the directory refuses new keys', async () => {
    const copying = pipeline(
      Readable.from([text(['77\t1'])]),
      client.query(copyFrom('COPY closed FROM STDIN')),
    );
    await expect(copying).rejects.toMatchObject({ code: '0A000' });
    await expect(client.query('INSERT INTO closed SELECT 78, 1')).rejects.toMatchObject({
      code: '0A000',
    });
    await scene.comparison.expectSame('SELECT * FROM closed');
  });
});

describe('MOVE', () => {
  test('takes the rows of a key to another shard; no statement sees them missing', async () => {
    await client.query(`INSERT INTO notes SELECT 't4', 'n' || i FROM generate_series(1, 250) i`);
    const [from] = (await whereabouts('orders')).get('t4')!;
    const to = shards.find((shard) => shard !== from)!;
    let over = false;
    const seen = new Set<string>();
    let written = 0;
    const watchers = [client, otherClient].map(async (one) => {
      while (!over) {
        try {
          const { rows } = await one.query<{ n: number }>(
            `SELECT count(*)::int AS n FROM notes WHERE tenant = 't4' AND note <> 'w'`,
          );
          seen.add(String(rows[0]!.n));
          await one.query(`INSERT INTO notes VALUES ('t4', 'w')`);
          written++;
        } catch (error) {
          seen.add((error as { code: string }).code);
        }
      }
    });
    const [all] = (await client.query<{ n: number }>(EVERYWHERE)).rows;
    const counted: number[] = [];
    const scatterers = [scene.proxy, other].map(async ({ url }, place) => {
      const one = await connectPg(url);
      while (!over) {
        const sql =
          place === 0 ? EVERYWHERE : { text: EVERYWHERE.replace(`'w'`, '$1'), values: ['w'] };
        counted.push((await one.query<{ n: number }>(sql)).rows[0]!.n);
      }
      await one.end();
    });
    const { rows } = await admin.query(`MOVE orders 't4' TO ${to}`).finally(() => (over = true));
    await Promise.all([...watchers, ...scatterers]);
    expect([...seen].sort()).toEqual(['250', '55000']);
    expect(new Set(counted)).toEqual(new Set([all!.n]));
    expect(rows).toMatchObject([
      { table: 'public.orders', shard: from, moved: '2', left: '0' },
      { table: 'public.notes', shard: from, left: '0' },
    ]);
    for (const one of [client, otherClient]) {
      const counted = await one.query(
        `SELECT count(*)::int AS n, count(*) FILTER (WHERE note = 'w')::int AS w FROM notes WHERE tenant = 't4'`,
      );
      expect(counted.rows).toEqual([{ n: 250 + written, w: written }]);
    }
    expect((await whereabouts('notes')).get('t4')).toEqual([to]);
    expect((await whereabouts('orders')).get('t4')).toEqual([to]);
    const found = await admin.query(`SHOW SHARD FOR orders 't4'`);
    expect(found.rows).toMatchObject([{ shard: to }]);
    const audit = await admin.query<{ wrong: string }>('AUDIT');
    expect(audit.rows.filter(({ wrong }) => wrong !== '0')).toEqual([]);
  });

  test('of rows for which statements wait in a PAUSE: these go where the rows are then', async () => {
    const places = await whereabouts('orders');
    const [from] = places.get('t4')!;
    const far = [...places].find(([, [shard]]) => shard !== from)![0];
    const to = shards.find((shard) => shard !== from && shard !== places.get(far)![0])!;
    const keys = ['t4', far];
    const counted = 'SELECT count(*)::int AS n FROM orders WHERE tenant';
    const { rows: counts } = await client.query(`${counted} = ANY ($1)`, [keys]);
    const clients = await Promise.all(Array.from({ length: 4 }, () => connectPg(scene.proxy.url)));
    await admin.query('PAUSE');
    const [one, two, three, four] = clients as [pg.Client, pg.Client, pg.Client, pg.Client];
    const found = [
      one.query(`${counted} IN ('t4', '${far}')`),
      two.query(`${counted} = ANY ($1)`, [keys]),
    ];
    const changed = [
      three.query(`UPDATE orders SET total = total WHERE tenant IN ('t4', '${far}')`),
      four.query(`UPDATE notes SET note = note WHERE tenant = 't4'`),
    ];
    await admin.query(`MOVE orders 't4' TO ${to}`);
    await admin.query('RESUME');
    for (const answer of found) expect((await answer).rows).toEqual(counts);
    expect((await changed[0])!.rowCount).toBe((counts[0] as { n: number }).n);
    expect((await changed[1])!.rowCount).toBeGreaterThan(0);
    await three.query(`INSERT INTO orders VALUES ('t4', 900, 1), ('${far}', 901, 1)`);
    await Promise.all(clients.map((own) => own.end()));
    expect((await whereabouts('orders')).get('t4')).toEqual([to]);
  });

  test('gives a key its shard before it has rows, where others are refused', async () => {
    await expect(admin.query(`SHOW SHARD FOR orders 'nobody yet'`)).rejects.toMatchObject({
      code: '0A000',
      message: 'no row has had this key yet',
    });
    await expect(admin.query("SHOW SHARD FOR orders ''")).rejects.toThrow(
      'no row has had this key',
    );
    await expect(admin.query('SHOW SHARD FOR orders')).rejects.toThrow('usage:');
    await expect(admin.query('SHOW SHARD FOR closed 7')).rejects.toThrow('no shard takes');
    await admin.query('MOVE closed 7 TO s3');
    await client.query('INSERT INTO closed VALUES (7, 1)');
    expect(await scene.databases.query('s3', 'SELECT member FROM closed')).toEqual([[7]]);
  });

  test.each([
    ['MOVE orders t1 TO nowhere', '42704'],
    ['MOVE closed abc TO s1', '22P02'],
    ['MOVE orders t1', '42601'],
  ])('%s is refused', async (command, code) => {
    await expect(admin.query(command)).rejects.toMatchObject({ code });
  });
});

test('looking for keys on the move opens no connections again and again', async () => {
  const seen = new Set<unknown>();
  for (let look = 0; look < 12; look++) {
    const pids = await scene.databases.query(
      'main',
      `SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'shardgate lookups'`,
    );
    for (const [pid] of pids) seen.add(pid);
    await sleep(200);
  }
  // Two proxies with at most two each; in that time each looks four times or more.
  expect(seen.size).toBeGreaterThan(0);
  expect(seen.size).toBeLessThanOrEqual(4);
});

describe('refused', () => {
  test('are rows with new keys, where the configuration says so; reads find nothing', async () => {
    await expect(client.query('INSERT INTO closed VALUES (1, 1)')).rejects.toMatchObject({
      code: '0A000',
    });
    expect((await client.query('SELECT * FROM closed WHERE member = 1')).rows).toEqual([]);
  });

  test('are changes of the table itself', async () => {
    await expect(client.query(`UPDATE tenant_shards SET shard = 's0'`)).rejects.toMatchObject({
      code: '0A000',
    });
  });
});
