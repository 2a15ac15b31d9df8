/* What brings rows together ends at limits.gather_rows (53200) and limits.gather_timeout (54000). */
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

const ROWS_MAX = 2_500;

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'gather_limits',
    {
      main: { settings: {} },
      shop: {
        people: { shard_key: 'id' },
        visits: { shard_key: 'id' },
      },
    },
    [
      'CREATE TABLE settings (name text PRIMARY KEY, value int)',
      'CREATE TABLE people (id int PRIMARY KEY, name text)',
      'CREATE TABLE visits (id int PRIMARY KEY, person int, cost int)',
      `INSERT INTO people SELECT i, 'p' || i FROM generate_series(1, 200) AS s (i)`,
      'INSERT INTO visits SELECT i, i % 300, i FROM generate_series(1, 2400) AS s (i)',
      'INSERT INTO visits SELECT i, i % 300, i FROM generate_series(2401, 4800) AS s (i)',
    ],
    { limits: { gather_rows: ROWS_MAX, gather_timeout: '2s' } },
  );
});

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  client = await connectPg(scene.proxy.url);
});

afterEach(async () => {
  // The session goes on, and nothing of the transaction is left.
  await client.query('ROLLBACK');
  expect((await client.query('SELECT count(*)::int AS n FROM people')).rows).toEqual([{ n: 200 }]);
  await client.end();
});

async function errorOf(promise: Promise<unknown>): Promise<pg.DatabaseError> {
  try {
    await promise;
  } catch (error) {
    return error as pg.DatabaseError;
  }
  throw new Error('no error');
}

/** Statements that bring `visits`, under the name `v`, to others, as long as the condition on `v` lets them. */
const ways = [
  ['a join', 'SELECT count(*) FROM people p JOIN visits v ON v.person = p.id WHERE COND'],
  ['an UPDATE', 'UPDATE people p SET name = p.name FROM visits v WHERE v.person = p.id AND COND'],
  ['a DELETE', 'DELETE FROM people p USING visits v WHERE v.person = p.id AND COND'],
  [
    'an INSERT',
    "INSERT INTO people SELECT cost, 'x' FROM visits v WHERE COND ON CONFLICT (id) DO UPDATE SET name = 'y'",
  ],
  ['a cursor that scrolls', 'DECLARE c SCROLL CURSOR FOR SELECT * FROM visits v WHERE COND'],
] as const;

describe('rows', () => {
  test.each(ways)('of %s are counted', async (_what, sql) => {
    await client.query('BEGIN');
    await client.query(sql.replace('COND', 'v.cost % 3 = 0'));
    await client.query('ROLLBACK');
    await client.query('BEGIN');
    const error = await errorOf(client.query(sql.replace('COND', 'v.cost % 20 <> 0')));
    expect([error.code, error.detail]).toEqual([
      '53200',
      `They exceed limits.gather_rows (${ROWS_MAX}).`,
    ]);
  });
});

describe('time', () => {
  test.each(ways)('of %s is limited', async (_what, sql) => {
    const statement = sql.replace('COND', 'v.cost < 90');
    // What it must know of its columns is known from now on.
    await client.query('BEGIN');
    await client.query(statement);
    await client.query('ROLLBACK');
    const other = await connectPg(scene.databases.urls.s3);
    await other.query('BEGIN; LOCK TABLE visits');
    await client.query('BEGIN');
    const started = Date.now();
    const error = await errorOf(client.query(statement));
    await other.end();
    expect([error.code, error.detail]).toEqual([
      '54000',
      'It exceeds limits.gather_timeout (2000 ms).',
    ]);
    expect(Date.now() - started).toBeGreaterThanOrEqual(1990);
  });

  test('of one shard alone is not', async () => {
    await client.query('SELECT pg_sleep(2.3) FROM people WHERE id = 1');
  });
});
