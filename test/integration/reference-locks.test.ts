import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Comparison } from '../support/oracle.js';
import { openScene, type Scene } from '../support/scene.js';

/*
 * Row locks on reference tables hold on every shard: they meet writers, other lockers, and rows of any shard that
 * refer to what is locked. A second client finds the same free as on one Postgres.
 */

/** Of which some are on every shard. */
const CUSTOMERS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] as const;

let scene: Scene;
let other: Comparison;

beforeAll(async () => {
  scene = await openScene(
    'reference_locks',
    {
      shop: {
        countries: { type: 'reference' },
        zones: { type: 'reference' },
        labels: { type: 'reference' },
        orders: { shard_key: 'customer', vindex: 'by_key' },
      },
    },
    [
      'CREATE TABLE zones (id int PRIMARY KEY, name text)',
      'CREATE TABLE countries (code text PRIMARY KEY, name text, zone int)',
      `CREATE TABLE orders (id int, customer int, country text REFERENCES countries,
         PRIMARY KEY (customer, id))`,
      `CREATE TABLE labels (id int PRIMARY KEY, label text UNIQUE, n int, m int, late int UNIQUE DEFERRABLE,
         UNIQUE (n, m))`,
      'CREATE UNIQUE INDEX labels_of_some ON labels (m) WHERE n > 0',
      'CREATE UNIQUE INDEX labels_loosely ON labels (lower(label)) INCLUDE (late)',
      `INSERT INTO labels VALUES (1, 'one', 1, 1, 1), (2, 'two', 1, 2, 2)`,
      `INSERT INTO zones VALUES (1, 'north'), (2, 'south')`,
      `INSERT INTO countries VALUES ('at', 'Austria', 2), ('de', 'Germany', 1), ('fr', NULL, NULL)`,
    ],
  );
  other = await Comparison.open(scene.proxy.url, scene.databases.urls.oracle);
  await other.both(`SET lock_timeout = '50ms'`);
});
afterEach(async () => {
  await scene.comparison.both('ROLLBACK');
  await other.both('ROLLBACK');
});
afterAll(async () => {
  await other.close();
  await scene.close();
});

/** SQLSTATE of what the other client does; null: it may. */
async function othersState(sql: string): Promise<string | null> {
  const { error } = await other.expectSame(sql);
  return error?.code ?? null;
}

const locking: readonly { readonly sql: string; readonly params?: readonly unknown[] }[] = [
  { sql: 'SELECT * FROM countries ORDER BY code FOR UPDATE' },
  { sql: `SELECT name, code AS c FROM countries WHERE code = 'at' FOR UPDATE` },
  { sql: 'SELECT name FROM countries WHERE code = $1 LIMIT 1 FOR UPDATE', params: ['de'] },
  { sql: `SELECT id FROM labels WHERE label = 'one' LIMIT 21 FOR UPDATE` },
  { sql: 'SELECT id FROM labels WHERE m = $1 AND n = $2 LIMIT 1 FOR UPDATE', params: [2, 1] },
  {
    sql: 'SELECT name FROM countries WHERE code = $1 LIMIT $2 FOR NO KEY UPDATE',
    params: ['de', 1],
  },
  {
    sql: 'SELECT code, z.name FROM countries c JOIN zones z ON z.id = c.zone ORDER BY 1 FOR SHARE OF c',
  },
  { sql: 'SELECT count(*) OVER () FROM countries FOR UPDATE' },
  { sql: `SELECT 1 / (zone - 2) FROM countries FOR UPDATE` },
  { sql: `SELECT code FROM countries WHERE code = 'xx' FOR KEY SHARE NOWAIT` },
];

test.each(locking)('$sql', async ({ sql, params }) => {
  await scene.comparison.expectSame(sql, params);
  await scene.comparison.both('BEGIN');
  await scene.comparison.expectSame(sql, params);
  await scene.comparison.expectSame('COMMIT');
  // Nothing stays locked.
  expect(await othersState('SELECT code FROM countries ORDER BY 1 FOR UPDATE NOWAIT')).toBeNull();
});

test('keeps out writers, lockers, and what refers to the row from any shard', async () => {
  await scene.comparison.both('BEGIN');
  await scene.comparison.expectSame(`SELECT * FROM countries WHERE code = 'at' FOR UPDATE`);
  expect(await othersState(`UPDATE countries SET name = 'x' WHERE code = 'at'`)).toBe('55P03');
  expect(await othersState(`DELETE FROM countries WHERE code = 'at'`)).toBe('55P03');
  expect(await othersState(`SELECT code FROM countries FOR SHARE NOWAIT`)).toBe('55P03');
  for (const customer of CUSTOMERS) {
    const insert = `INSERT INTO orders VALUES (1, ${customer}, 'at')`;
    expect(await othersState(insert), insert).toBe('55P03');
  }
  expect(await othersState(`UPDATE countries SET name = 'Germany' WHERE code = 'de'`)).toBeNull();
  await scene.comparison.expectSame(`UPDATE countries SET name = 'Austria' WHERE code = 'at'`);
  await scene.comparison.expectSame('COMMIT');
  expect(await othersState(`UPDATE countries SET zone = 2 WHERE code = 'at'`)).toBeNull();
});

test('a row that refers to it, written on whatever shard, keeps lockers out', async () => {
  for (const customer of CUSTOMERS) {
    await scene.comparison.both('BEGIN');
    await scene.comparison.both(`INSERT INTO orders VALUES (2, ${customer}, 'at')`);
    expect(await othersState('SELECT * FROM countries FOR UPDATE NOWAIT')).toBe('55P03');
    const weaker = `SELECT code FROM countries WHERE code = 'at' FOR NO KEY UPDATE NOWAIT`;
    expect(await othersState(weaker)).toBeNull();
    await scene.comparison.both('ROLLBACK');
  }
});

test('a locker that waited sees the row as it was written', async () => {
  await scene.comparison.both('BEGIN');
  await scene.comparison.both(`UPDATE countries SET zone = 7 WHERE code = 'fr'`);
  await other.both(`SET lock_timeout = 0`);
  const waiting = other.expectSame(`SELECT zone FROM countries WHERE code = 'fr' FOR UPDATE`);
  await scene.comparison.both('COMMIT');
  const { results } = await waiting;
  expect(results[0]?.rows).toEqual([['7']]);
  await other.both(`SET lock_timeout = '50ms'`);
});

test.each([
  'SELECT * FROM countries FOR UPDATE SKIP LOCKED',
  'SELECT * FROM countries ORDER BY name LIMIT 1 FOR UPDATE',
  'SELECT * FROM labels WHERE n = 1 LIMIT 1 FOR UPDATE',
  'SELECT * FROM labels WHERE m = 1 LIMIT 1 FOR UPDATE',
  'SELECT * FROM labels WHERE late = 1 LIMIT 1 FOR UPDATE',
  `SELECT * FROM labels WHERE label > 'one' LIMIT 1 FOR UPDATE`,
  'SELECT * FROM countries WHERE random() < 2 FOR UPDATE',
  `SELECT * FROM orders o JOIN countries c ON c.code = o.country WHERE o.customer = 1 FOR UPDATE`,
  'SELECT * FROM countries WHERE zone IN (SELECT id FROM zones) FOR UPDATE',
  'DECLARE c CURSOR FOR SELECT * FROM countries FOR UPDATE',
])('refuses %s', async (sql) => {
  await scene.comparison.both('BEGIN');
  await scene.comparison.expectRefused(sql);
});
