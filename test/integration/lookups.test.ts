/*
 * Lookup vindexes: a column that is not the shard key leads to the shard of its rows, its values are
 * unique over all shards, and whatever changes rows keeps the lookup's table up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

const tables = {
  vindexes: {
    by_email: { type: 'lookup_unique', table: 'people_email_idx' },
    by_tag: { type: 'lookup', table: 'people_tag_idx' },
    by_code: { type: 'lookup', table: 'visits_code_idx' },
    by_ticket: { type: 'lookup_unique', table: 'seats_ticket_idx' },
    by_place: { type: 'lookup', table: 'seats_place_idx' },
  },
  shop: {
    people: { shard_key: 'id', vindex: 'by_key', lookups: { tag: 'by_tag', email: 'by_email' } },
    visits: { shard_key: 'id', vindex: 'by_key', lookups: { code: 'by_code' } },
    seats: { shard_key: ['hall', 'place'], lookups: { ticket: 'by_ticket', place: 'by_place' } },
  },
};

const schema = [
  'CREATE TABLE people (id int PRIMARY KEY, email varchar(40) UNIQUE, tag text, n int)',
  `INSERT INTO people SELECT i, 'p' || i || '@x.org', 't' || i % 7, i FROM generate_series(1, 40) i`,
  'CREATE TABLE visits (id int, day int, code text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)',
  'CREATE TABLE visits_a PARTITION OF visits FOR VALUES FROM (0) TO (10)',
  'CREATE TABLE visits_b PARTITION OF visits FOR VALUES FROM (10) TO (20)',
  "INSERT INTO visits SELECT i, i, 'c' || i FROM generate_series(1, 19) i",
  'CREATE TABLE seats (hall text, place int, ticket text UNIQUE, PRIMARY KEY (hall, place))',
  `INSERT INTO seats SELECT h, i, h || '-' || i FROM unnest('{a b,"c\\"d",e}'::text[]) h, generate_series(1, 9) i`,
];

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  scene = await openScene('lookups', tables, schema);
  client = await connectPg(scene.proxy.url);
  await eventually(
    async () => (await planOf(`SELECT * FROM people WHERE email = 'p1@x.org'`)) !== 4,
  );
});

afterAll(async () => {
  await client.end();
  await scene.close();
});

/** On how many shards a statement runs. */
async function planOf(sql: string): Promise<number> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
  const line = rows.map((row) => row['QUERY PLAN']).find((text) => text.includes('Shards: '));
  return line === undefined ? 1 : line.split(',').length;
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await check()) return;
    await sleep(100);
  }
  throw new Error('it did not happen within 20 s');
}

/** Values of a lookup's table that differ from what the rows of all shards have. */
async function strays(column: string): Promise<string[]> {
  const index = `people_${column}_idx`;
  const entries = await scene.databases.query(
    'main',
    `SELECT value, keyspace_id::text FROM ${index} ORDER BY 1, 2`,
  );
  const rows: string[] = [];
  for (const shard of ['s0', 's1', 's2', 's3'] as const) {
    const found = await scene.databases.query(
      shard,
      `SELECT DISTINCT ${column}, hashint8extended(id, 0)::text FROM people WHERE ${column} IS NOT NULL`,
    );
    rows.push(...found.map(([value, id]) => `${String(value)} ${String(id)}`));
  }
  const known = new Set(entries.map(([value, id]) => `${String(value)} ${String(id)}`));
  const missing = rows.filter((row) => !known.has(row)).map((row) => `missing: ${row}`);
  if (column === 'tag') return missing;
  return [
    ...missing,
    ...[...known].filter((entry) => !rows.includes(entry)).map((e) => `stray: ${e}`),
  ];
}

describe('reads', () => {
  test('go to the shard of the value', async () => {
    for (const i of [1, 2, 3, 17, 40]) {
      expect(await planOf(`SELECT * FROM people WHERE email = 'p${i}@x.org'`)).toBe(1);
    }
  });

  test('the cheapest one for the values of a statement is asked', async () => {
    await eventually(async () => (await planOf(`SELECT * FROM people WHERE tag = 'none'`)) === 1);
    const both = `SELECT * FROM people WHERE tag IN ('t1', 't2') AND email = 'p1@x.org'`;
    expect(await planOf(both)).toBe(1);
    expect(await planOf(`${both} OR tag = 't1'`)).toBeGreaterThan(1);
    await scene.comparison.expectSame(both);
  });

  test('ROUTE asks the lookup', async () => {
    const url = new URL(scene.proxy.url);
    url.pathname = '/shardgate';
    const admin = await connectPg(url.href);
    onTestFinished(() => admin.end());
    const route = async (condition: string): Promise<Record<string, string | null>> =>
      (await admin.query(`ROUTE SELECT n FROM people WHERE ${condition}`)).rows[0] as never;
    const { shards } = await route('id = 7');
    expect(await route(`email = 'p7@x.org'`)).toEqual({
      plan: 'route',
      shards,
      key: 'email = p7@x.org',
      reason: 'the lookup of column "email" has its rows there',
    });
    const [one, other] = [await route('id = 1'), await route('id = 2')];
    const both = [...new Set([one['shards'], other['shards']])].sort().join(' ');
    expect(await route(`email IN ('p1@x.org', 'p2@x.org')`)).toMatchObject({
      shards: both,
      key: 'email = p1@x.org, email = p2@x.org',
    });
    expect((await route(`email = 'none'`))['reason']).toMatch('has no such value');
    expect(await route('email = $1')).toMatchObject({ shards: null, key: null });
  });

  test.each([
    `SELECT * FROM people WHERE email = 'p7@x.org'`,
    `SELECT * FROM people WHERE email = 'nobody'`,
    `SELECT * FROM people WHERE email = NULL`,
    `SELECT id FROM people WHERE email IN ('p1@x.org', 'p2@x.org', 'p3@x.org') ORDER BY id`,
    `SELECT count(*), min(n) FROM people WHERE tag = 't3'`,
    `SELECT a.id, b.id FROM people a JOIN people b ON a.id = b.id WHERE a.email = 'p9@x.org'`,
    `SELECT id FROM people WHERE email = 'p5@x.org' AND n > 100`,
    `SELECT id FROM people WHERE email = 'p5@x.org' FOR UPDATE`,
    `SELECT tag, count(*) FROM people WHERE tag IN ('t1', 't2') GROUP BY tag ORDER BY tag`,
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });

  test('with parameters in text and binary', async () => {
    for (const values of [['p11@x.org'], ['none'], [null]]) {
      await scene.comparison.expectSame('SELECT id, n FROM people WHERE email = $1', values);
    }
    await scene.comparison.expectSame('SELECT id FROM people WHERE email = ANY($1) ORDER BY id', [
      ['p1@x.org', 'p30@x.org'],
    ]);
  });
});

describe('writes keep the lookup up', () => {
  test.each([
    `INSERT INTO people VALUES (101, 'a@x.org', 'new', 1)`,
    `INSERT INTO people VALUES (102, 'b@x.org', 'new', 1), (103, NULL, NULL, 2), (104, 'c@x.org', 'new', 3) RETURNING id`,
    `INSERT INTO people SELECT i, 'q' || i, 'q', i FROM generate_series(200, 260) i`,
    `UPDATE people SET email = 'aa@x.org' WHERE email = 'a@x.org' RETURNING id, email`,
    `UPDATE people SET n = n + 1`,
    `UPDATE people SET email = 'moved-' || email WHERE id BETWEEN 200 AND 210`,
    `UPDATE people SET id = id + 1000 WHERE id BETWEEN 211 AND 220`,
    `DELETE FROM people WHERE email = 'q230'`,
    `DELETE FROM people WHERE id BETWEEN 240 AND 250 RETURNING email`,
    `INSERT INTO people VALUES (1, 'p1@x.org', 'again', 5) ON CONFLICT (id) DO UPDATE SET tag = 'again', email = 'p1b@x.org'`,
    `INSERT INTO people VALUES (2, 'no', 'again', 5), (105, 'yes', 'new', 6) ON CONFLICT ON CONSTRAINT people_pkey DO UPDATE SET tag = excluded.tag`,
    `MERGE INTO people p USING (VALUES (1, 'm1'), (9000, 'm2')) v (id, email) ON p.id = v.id
       WHEN MATCHED THEN UPDATE SET email = v.email WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.email, 'm', 1)`,
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
    await scene.comparison.expectSame('SELECT * FROM people ORDER BY id');
    expect(await strays('email')).toEqual([]);
    expect(await strays('tag')).toEqual([]);
  });

  test('COPY', async () => {
    const stream = client.query(copyFrom('COPY people FROM STDIN'));
    const lines = Array.from({ length: 1200 }, (_, i) => `${10000 + i}\tcopied${i}\tc\t1\n`);
    await new Promise((resolve, reject) => {
      stream.on('finish', () => resolve(null));
      stream.on('error', reject);
      stream.end(lines.join(''));
    });
    expect(await strays('email')).toEqual([]);
    const { rows } = await client.query('SELECT id FROM people WHERE email = $1', ['copied777']);
    expect(rows).toEqual([{ id: 10777 }]);
    await client.query('DELETE FROM people WHERE id >= 10000');
    expect(await strays('email')).toEqual([]);
  });

  test('a transaction sees what it has written, and a rollback leaves nothing', async () => {
    await client.query('BEGIN');
    await client.query(`INSERT INTO people VALUES (300, 'tx@x.org', 'x', 1)`);
    const { rows } = await client.query(`SELECT id FROM people WHERE email = 'tx@x.org'`);
    expect(rows).toEqual([{ id: 300 }]);
    await client.query('ROLLBACK');
    expect((await client.query(`SELECT id FROM people WHERE email = 'tx@x.org'`)).rows).toEqual([]);
    expect(await strays('email')).toEqual([]);
  });

  test.each([
    'CREATE TABLE of_now (a int)',
    'ALTER TABLE visits ADD COLUMN more int',
    'TRUNCATE seats RESTART IDENTITY',
  ])('is kept up in a transaction behind %s', async (change) => {
    for (const sql of [
      'BEGIN',
      change,
      `INSERT INTO people VALUES (300, 'ddl@x.org', 'x', 1), (301, 'ddl2@x.org', 'x', 1)`,
      `SELECT id FROM people WHERE email = 'ddl@x.org'`,
      `UPDATE people SET email = 'ddl3@x.org' WHERE email = 'ddl2@x.org' RETURNING id`,
      'SAVEPOINT s',
      `INSERT INTO people VALUES (302, 'ddl@x.org', 'x', 1)`,
      'ROLLBACK TO s',
      `DELETE FROM people WHERE email = 'ddl@x.org' RETURNING id`,
      `SELECT id FROM people WHERE email IN ('ddl@x.org', 'ddl3@x.org')`,
    ]) {
      await scene.comparison.expectSame(sql);
    }
    await scene.comparison.expectSame('ROLLBACK');
    expect(await strays('email')).toEqual([]);
  });

  test('a table that a transaction has made anew is not looked for by entries of the old one', async () => {
    for (const sql of [
      'BEGIN',
      'DROP TABLE people',
      'CREATE TABLE people (id int PRIMARY KEY, email varchar(40) UNIQUE, tag text, n int)',
      `INSERT INTO people VALUES (500, 'anew@x.org', 'x', 1)`,
      `SELECT * FROM people WHERE email = 'anew@x.org'`,
      `SELECT * FROM people WHERE email = 'p2@x.org'`,
      'ROLLBACK',
      `SELECT * FROM people WHERE email = 'p2@x.org'`,
    ]) {
      await scene.comparison.expectSame(sql);
    }
    expect(await strays('email')).toEqual([]);
  });

  test('an UPDATE of other columns needs no second shard', async () => {
    await scene.comparison.expectSame('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await scene.comparison.expectSame('UPDATE people SET n = n + 5 WHERE id = 3 RETURNING *');
    await scene.comparison.expectSame('COMMIT');
    await scene.comparison.expectSame('UPDATE people SET n = n - 5 WHERE n > 20');
    expect(await strays('email')).toEqual([]);
  });

  test('TRUNCATE', async () => {
    await scene.comparison.expectSame('BEGIN');
    await scene.comparison.expectSame('TRUNCATE people');
    await scene.comparison.expectSame(`SELECT * FROM people WHERE email = 'p2@x.org'`);
    await scene.comparison.expectSame('ROLLBACK');
    expect(await strays('email')).toEqual([]);
  });
});

describe('a shard key of several columns', () => {
  test('lookups lead to its shards, and follow changes of its columns', async () => {
    const byTicket = `SELECT * FROM seats WHERE ticket = 'c"d-3'`;
    const byPlace = 'SELECT * FROM seats WHERE place = 7 ORDER BY hall';
    await eventually(async () => (await planOf(byTicket)) === 1);
    await eventually(async () => (await planOf('SELECT * FROM seats WHERE place = 70')) === 1);
    for (const sql of [
      byTicket,
      byPlace,
      `UPDATE seats SET hall = 'moved' WHERE ticket = 'c"d-3'`,
      byTicket,
      `UPDATE seats SET place = place + 100 WHERE hall = 'e' AND place IN (6, 7)`,
      byPlace,
      'SELECT * FROM seats WHERE place = 107',
      `INSERT INTO seats VALUES ('new', 7, 'new-7'), ('new', 8, 'a b-1')`,
      `INSERT INTO seats VALUES ('new', 7, 'new-7'), ('new', 8, 'new-8') RETURNING hall, ticket`,
      byPlace,
      `DELETE FROM seats WHERE ticket IN ('new-7', 'a b-1')`,
      `INSERT INTO seats VALUES ('later', 1, 'a b-1')`,
      `SELECT * FROM seats WHERE ticket = 'a b-1'`,
      'SELECT * FROM seats ORDER BY hall, place',
    ]) {
      await scene.comparison.expectSame(sql);
    }
  });
});

describe('values are unique over all shards', () => {
  test.each([
    `INSERT INTO people VALUES (500, 'p2@x.org', 'x', 1)`,
    `INSERT INTO people VALUES (501, 'two@x.org', 'x', 1), (502, 'two@x.org', 'x', 1)`,
    `UPDATE people SET email = 'p3@x.org' WHERE id = 2`,
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
    expect(await strays('email')).toEqual([]);
  });

  test('of two sessions that insert one value, one waits and fails', async () => {
    const other = await connectPg(scene.proxy.url);
    await client.query('BEGIN');
    await client.query(`INSERT INTO people VALUES (601, 'race@x.org', 'x', 1)`);
    const second = other.query(`INSERT INTO people VALUES (602, 'race@x.org', 'x', 1)`).then(
      () => 'inserted',
      (error: { code: string }) => error.code,
    );
    await sleep(100);
    await client.query('COMMIT');
    expect(await second).toBe('23505');
    await other.end();
    await client.query('DELETE FROM people WHERE id = 601');
    expect(await strays('email')).toEqual([]);
  });
});

describe('what the triggers would not tell is refused', () => {
  test.each([
    `INSERT INTO people VALUES (2, 'x') ON CONFLICT (email) DO UPDATE SET id = 3`,
    'DELETE FROM people_email_idx',
    'ALTER TABLE people_email_idx ADD COLUMN x int',
    'DROP TABLE people_email_idx',
    `ALTER TABLE people ALTER COLUMN email TYPE text USING upper(email)`,
    'ALTER TABLE people DROP COLUMN tag',
    'ALTER TABLE people RENAME COLUMN tag TO label',
    `INSERT INTO visits_b VALUES (30, 11, 'new')`,
    `UPDATE visits_a SET code = 'new' WHERE id = 3`,
    'WITH gone AS (DELETE FROM visits_a RETURNING id) SELECT count(*) FROM gone',
    'TRUNCATE visits_b',
    'COPY visits_b FROM STDIN',
    'ALTER TABLE visits DETACH PARTITION visits_b',
  ])('%s', async (sql) => {
    await scene.comparison.expectRefused(sql);
  });

  test('partitions are read by their own names, and change with their table', async () => {
    await scene.comparison.expectSame(`UPDATE visits SET day = day + 8, code = 'm' WHERE id = 4`);
    await scene.comparison.expectSame(`SELECT * FROM visits_b WHERE code = 'm'`);
    await scene.comparison.expectSame(`SELECT * FROM visits WHERE code IN ('m', 'c12')`);
  });

  test('a session that skips ordinary triggers is followed too', async () => {
    await client.query('SET session_replication_role = replica');
    await client.query(`UPDATE people SET email = 'replica@x.org' WHERE id = 6`);
    await client.query('RESET session_replication_role');
    expect(await strays('email')).toEqual([]);
  });

  test('triggers that were switched off are made anew, and the lookup is built again', async () => {
    await client.query('ALTER TABLE people DISABLE TRIGGER ALL');
    await client.query(`UPDATE people SET tag = 'off' WHERE id = 7`);
    const { rows } = await client.query(`SELECT id FROM people WHERE tag = 'off'`);
    expect(rows).toEqual([{ id: 7 }]);
    await eventually(async () => (await planOf(`SELECT * FROM people WHERE tag = 'off'`)) === 1);
    expect(await strays('tag')).toEqual([]);
  });
});
