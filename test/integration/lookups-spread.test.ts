/* Lookups whose own tables are sharded by the values: entries are written where they belong, within what runs. */
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { cancelRequest } from '../support/frontend-bytes.js';
import type { ProxyConfig } from '../support/proxy-config.js';
import { startProxy } from '../support/proxy.js';
import { connectPg, misplacedRows, openScene, rowsPerShard, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import { int32 } from '../support/wire-messages.js';

const tables = {
  vindexes: {
    by_email: { type: 'lookup_unique', table: 'guests_email_idx' },
    by_born: { type: 'lookup', table: 'births_born_idx' },
    by_price: { type: 'lookup_unique', table: 'guests_price_idx' },
  },
  shop: {
    guests: { shard_key: 'id', lookups: { email: 'by_email', price: 'by_price' } },
    births: { shard_key: 'id', lookups: { born: 'by_born' } },
    guests_email_idx: { shard_key: 'value' },
    guests_price_idx: { shard_key: 'value' },
  },
};

let scene: Scene;
let client: pg.Client;
let admin: pg.Client;

beforeAll(async () => {
  // One backend a shard: what runs waits for that of an entry's shard.
  const pool = { size: 1, queue_timeout: '60s' };
  scene = await openScene(
    'lookups_spread',
    tables,
    [
      'CREATE TABLE guests (id int8 PRIMARY KEY, email text UNIQUE, born timestamptz, price numeric(9,2) UNIQUE, n int)',
      `INSERT INTO guests SELECT i, 'g' || i || '@x.org', NULL, i / 4.0, 0 FROM generate_series(1, 40) i`,
      'CREATE TABLE births (id int8 PRIMARY KEY, born timestamptz)',
      `INSERT INTO births SELECT i, '2024-01-01 00:00+00'::timestamptz + i % 5 * '1 day'::interval FROM generate_series(1, 40) i`,
    ],
    { pool },
  );
  client = await connectPg(scene.proxy.url);
  const url = new URL(scene.proxy.url);
  url.pathname = '/shardgate';
  admin = await connectPg(url.href);
  await complete();
});
afterAll(async () => {
  await client.end();
  await admin.end();
  await scene.close();
});

async function complete(): Promise<void> {
  await vi.waitFor(
    async () => {
      expect(await shardsOf("email = 'none'")).toBe(1);
      expect(await shardsOf("born = '1999-01-01 00:00+00'", 'births')).toBe(1);
      expect(await shardsOf('price = 99999.0')).toBe(1);
    },
    { timeout: 60_000, interval: 100 },
  );
}

/** How many shards a statement about these rows asks. */
async function shardsOf(condition: string, table = 'guests'): Promise<number> {
  const sql = `EXPLAIN SELECT * FROM ${table} WHERE ${condition}`;
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(sql);
  const line = rows.map((row) => row['QUERY PLAN']).find((text) => text.includes('Shards: '));
  return line === undefined ? 1 : line.split(',').length;
}

async function same(...queries: readonly string[]): Promise<void> {
  for (const sql of queries) await scene.comparison.expectSame(sql);
}

const all = 'SELECT * FROM guests ORDER BY id';

/** The entries of all shards, each where its value belongs, are those of the rows. */
async function expectSound(): Promise<void> {
  const { databases } = scene;
  for (const [index, hash] of [
    ['guests_email_idx', 'hashtextextended'],
    ['guests_price_idx', 'hash_numeric_extended'],
  ] as const) {
    expect(await misplacedRows(databases, index, 'value', hash)).toEqual([]);
  }
  const entries = await Promise.all(
    shardNames.map((shard) => databases.query(shard, 'SELECT value FROM guests_email_idx')),
  );
  const { rows } = await client.query<{ email: string }>('SELECT email FROM guests');
  const emails = rows.flatMap(({ email }) => email ?? []);
  expect(entries.flat().map(String).sort()).toEqual(emails.sort());
}

describe('entries are spread', () => {
  test('over all shards, and questions go to the ones that have them', async () => {
    const counts = await rowsPerShard(scene.databases, 'guests_email_idx');
    for (const shard of ['s0', 's1', 's2', 's3']) expect(counts[shard]).toBeGreaterThan(3);
    expect(counts['main']).toBe(0);
    await expectSound();
    await same(
      `SELECT * FROM guests WHERE email = 'g7@x.org'`,
      `SELECT id FROM guests WHERE email IN ('g1@x.org', 'g2@x.org', 'g3@x.org', 'none') ORDER BY id`,
      `SELECT id FROM births WHERE born = '2024-01-03 01:00+01' ORDER BY id`,
      'SELECT id FROM guests WHERE price IN (1.50, 2.5, 0.250)',
      'SELECT id FROM guests WHERE price = 1.501',
      'SELECT * FROM guests WHERE email = NULL',
    );
    await scene.comparison.expectSame('SELECT id, n FROM guests WHERE email = $1', ['g11@x.org']);
    await scene.comparison.expectSame('SELECT id FROM guests WHERE price = $1', ['0.5000']);
  });

  test('a value in the time zone of the session is that moment', async () => {
    await same(
      `SET timezone = 'America/New_York'`,
      `SELECT id FROM births WHERE born = '2024-01-02 19:00' ORDER BY id`,
      `SET datestyle = 'SQL, DMY'`,
      `SELECT id FROM births WHERE born = '02/01/2024 19:00' ORDER BY id`,
      'RESET timezone',
      'RESET datestyle',
    );
  });
});

describe('writes keep them up', () => {
  test.each([
    `INSERT INTO guests VALUES (101, 'a@x.org', '2024-05-01 00:00+00', 1000, 1)`,
    `INSERT INTO guests VALUES (102, 'b@x.org', NULL, 1001, 1), (103, NULL, NULL, NULL, 2), (104, 'c@x.org', '2020-02-02 00:00+00', 1002.5, 3) RETURNING id`,
    `INSERT INTO guests SELECT i, 'q' || i, NULL, i, 0 FROM generate_series(2000, 2030) i`,
    `UPDATE guests SET email = 'aa@x.org' WHERE email = 'a@x.org' RETURNING id, email`,
    `UPDATE guests SET email = 'moved-' || email, price = price + 5000 WHERE id BETWEEN 2000 AND 2010`,
    `UPDATE guests SET id = id + 7000 WHERE id BETWEEN 2011 AND 2015`,
    `UPDATE guests SET price = 1.5 WHERE id = 104`,
    `INSERT INTO guests (id, price) VALUES (105, 1001.00)`,
    `DELETE FROM guests WHERE id BETWEEN 2016 AND 2020 RETURNING email`,
    `INSERT INTO guests (id, email) VALUES (903, 'new3@x.org'), (904, 'g4@x.org'), (905, NULL), (906, 'g5@x.org')
       ON CONFLICT (email) DO UPDATE SET n = excluded.id RETURNING id, email, n`,
    `INSERT INTO guests (id, email) VALUES (914, 'twice@x.org'), (915, 'twice@x.org') ON CONFLICT (email) DO NOTHING RETURNING id`,
    `INSERT INTO guests (id, email) VALUES (916, 'two@x.org'), (917, 'two@x.org')`,
  ])('%s', async (sql) => {
    await same(sql, all);
  });

  test('each entry is where its value belongs', expectSound);

  test('COPY, TRUNCATE and ROLLBACK', async () => {
    const stream = client.query(copyFrom('COPY guests (id, email) FROM STDIN'));
    const lines = Array.from({ length: 700 }, (_, i) => `${20_000 + i}\tcopied${i}\n`);
    await new Promise((resolve, reject) => {
      stream.on('finish', () => resolve(null));
      stream.on('error', reject);
      stream.end(lines.join(''));
    });
    const { rows } = await client.query(`SELECT id FROM guests WHERE email = 'copied577'`);
    expect(rows).toEqual([{ id: '20577' }]);
    await expectSound();
    await client.query('DELETE FROM guests WHERE id >= 20000');
    await same('BEGIN', 'TRUNCATE guests', `SELECT * FROM guests WHERE email = 'g2@x.org'`);
    await same(`INSERT INTO guests (id, email) VALUES (2, 'g9@x.org')`);
    await same(`SELECT id FROM guests WHERE email = 'g9@x.org'`, 'ROLLBACK', all);
    await expectSound();
  });

  test('in transactions, with savepoints and statements of several kinds', async () => {
    await same(
      'BEGIN',
      `INSERT INTO guests (id, email) VALUES (300, 'tx@x.org')`,
      `SELECT id FROM guests WHERE email IN ('tx@x.org', 'g3@x.org') ORDER BY id`,
      'SAVEPOINT a',
      `UPDATE guests SET email = 'ty@x.org' WHERE email = 'tx@x.org'`,
      `SELECT id FROM guests WHERE email = 'ty@x.org'`,
      'ROLLBACK TO a',
      `SELECT id FROM guests WHERE email IN ('tx@x.org', 'ty@x.org')`,
      'COMMIT',
      `INSERT INTO guests (id, email) VALUES (301, 's1@x.org'); INSERT INTO guests (id, email) VALUES (302, 's2@x.org')`,
      `INSERT INTO guests (id, email) VALUES (303, 's3@x.org'); INSERT INTO guests (id, email) VALUES (304, 's2@x.org')`,
      all,
    );
    await expectSound();
  });

  test('where the entry would be on a second shard of one snapshot, they are refused', async () => {
    await same('INSERT INTO guests (id) VALUES (400)');
    const codes = new Set<string>();
    for (let i = 0; i < 12; i++) {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      const code = await client.query(`UPDATE guests SET email = 'v${i}' WHERE id = 400`).then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      codes.add(code);
      await client.query('ROLLBACK');
    }
    expect([...codes].sort()).toEqual(['0A000', 'done']);
    await expectSound();
  });
});

describe('a further backend', () => {
  test('is waited for by many clients that hold what others want', async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => connectPg(scene.proxy.url)));
    onTestFinished(() => Promise.all(clients.map((one) => one.end())).then(() => undefined));
    await Promise.all(
      clients.map(async (one, k) => {
        for (let i = 0; i < 6; i++) {
          const id = 50_000 + 100 * k + i;
          await one.query('INSERT INTO guests (id, email) VALUES ($1, $2)', [id, `many${id}`]);
          await one.query('BEGIN');
          await one.query('UPDATE guests SET email = $2 WHERE id = $1', [id, `more${id}`]);
          await one.query(i % 2 === 0 ? 'COMMIT' : 'ROLLBACK');
        }
      }),
    );
    const { rows } = await client.query<{ email: string }>(
      'SELECT email FROM guests WHERE id >= 50000 ORDER BY id',
    );
    expect(rows.map(({ email }) => email.slice(0, 4)).join()).toBe(
      Array.from({ length: 36 }, (_, i) => (i % 2 === 0 ? 'more' : 'many')).join(),
    );
    await expectSound();
    await client.query('DELETE FROM guests WHERE id >= 50000');
    await expectSound();
  });

  test('is given up by a cancel, and nothing is left', async () => {
    // Without a reserve, which would end the wait.
    const config = JSON.parse(readFileSync(scene.proxy.configFile, 'utf8')) as ProxyConfig;
    const proxy = await startProxy({
      config: {
        ...config,
        listen: {},
        http: {},
        pool: { size: 1, reserve: 0, queue_timeout: '60s' },
      },
    });
    onTestFinished(async () => void (await proxy.stop()));
    const [holder, other] = await Promise.all([connectPg(proxy.url), connectPg(proxy.url)]);
    // The row is on another shard than the entry, whose only backend somebody has.
    const { id, email } = await awayFromItsEntry();
    await holder.query('BEGIN');
    await holder.query(`SELECT * FROM guests_email_idx WHERE value = '${email}'`);
    const code = other.query('INSERT INTO guests (id, email) VALUES ($1, $2)', [id, email]).then(
      () => 'inserted',
      (error: { code: string }) => error.code,
    );
    const console = await connectPg(proxy.url.replace(/[^/]*$/, 'shardgate'));
    await vi.waitFor(
      async () => {
        const pools = await console.query<{ cl_waiting: number }>('SHOW POOLS');
        expect(pools.rows.some(({ cl_waiting: n }) => Number(n) > 0)).toBe(true);
      },
      { timeout: 30_000, interval: 50 },
    );
    const { processID, secretKey } = other as unknown as Record<string, number>;
    const canceller = await WireClient.open({ port: proxy.port });
    canceller.send(cancelRequest(Buffer.concat([int32(processID!), int32(secretKey!)])));
    await canceller.closed();
    expect(await code).toBe('57014');
    await holder.query('COMMIT');
    for (const one of [holder, other, console]) await one.end();
    expect((await client.query('SELECT FROM guests WHERE id = $1', [id])).rowCount).toBe(0);
    await expectSound();
  });
});

/** A row that is not there, whose shard is not that of its entry. */
async function awayFromItsEntry(): Promise<{ readonly id: number; readonly email: string }> {
  for (let id = 70_000; ; id++) {
    const email = `away${id}`;
    const row = await routed(`SELECT * FROM guests WHERE id = ${id}`);
    const entry = await routed(`SELECT * FROM guests_email_idx WHERE value = '${email}'`);
    if (row !== entry) return { id, email };
  }
}

async function routed(sql: string): Promise<string> {
  const { rows } = await admin.query<{ shards: string }>(`ROUTE ${sql}`);
  return rows[0]!.shards;
}

describe('AUDIT and REPAIR', () => {
  test('look at the entries of all shards', async () => {
    const audit = async (): Promise<unknown[]> =>
      (await admin.query<{ wrong: string | null }>('AUDIT guests')).rows.filter(
        ({ wrong }) => wrong !== '0',
      );
    expect(await audit()).toEqual([]);
    await Promise.all(
      (['s0', 's1', 's2', 's3'] as const).map((shard) =>
        scene.databases.query(
          shard,
          `WITH gone AS (DELETE FROM guests_email_idx WHERE value LIKE 'g1_@x.org')
           UPDATE guests_email_idx SET keyspace_id = keyspace_id + 1 WHERE value LIKE 'g2_@x.org'`,
        ),
      ),
    );
    expect((await audit()).length).toBeGreaterThan(4);
    await admin.query('REPAIR guests');
    expect(await audit()).toEqual([]);
    await expectSound();
    await same(`SELECT id FROM guests WHERE email IN ('g12@x.org', 'g23@x.org') ORDER BY id`);
  });
});
