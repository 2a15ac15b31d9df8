/*
 * Aggregates and functions of users by the names of built-in ones, as the extension citext brings them, or for domains:
 * each call means what it means on one server, and what is built in is still computed in two steps. Proof of these:
 * `many` has more rows than `limits.gather_rows` lets come together.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';

let scene: Scene;

const COLUMNS = '(id int PRIMARY KEY, g int, n numeric, t text, c citext, e even, iv interval)';
const ROW = `i, i % 3, i * 1.5, 'T' || i % 7, 'C' || i % 5, 2 * i, i * interval '1 hour'`;

beforeAll(async () => {
  scene = await openScene(
    'select_overloads',
    {
      shop: {
        many: { shard_key: 'id', vindex: 'by_key' },
        few: { shard_key: 'id', vindex: 'by_key' },
      },
    },
    [
      'CREATE EXTENSION citext',
      'CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0)',
      `CREATE FUNCTION longer(int, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT greatest($1, length($2))'`,
      `CREATE FUNCTION halves(int, even) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2 / 2'`,
      `CREATE AGGREGATE avg(text) (SFUNC = longer, STYPE = int, INITCOND = '0')`,
      `CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')`,
      `CREATE AGGREGATE total(even) (SFUNC = halves, STYPE = int, INITCOND = '0')`,
      `CREATE AGGREGATE sum(citext) (SFUNC = longer, STYPE = int, INITCOND = '0')`,
      `CREATE FUNCTION kind(int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'int' $$`,
      `CREATE FUNCTION kind(even) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'even' $$`,
      `CREATE AGGREGATE max(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')`,
      `CREATE AGGREGATE count(citext) (SFUNC = longer, STYPE = int, INITCOND = '0')`,
      `CREATE TABLE many ${COLUMNS}`,
      `CREATE TABLE few ${COLUMNS}`,
      `INSERT INTO many SELECT ${ROW} FROM generate_series(1, 300) AS i`,
      `INSERT INTO few SELECT ${ROW} FROM generate_series(1, 20) AS i`,
    ],
    { limits: { gather_rows: 100 } },
  );
});
afterAll(() => scene.close());

test.each([
  'SELECT min(id), max(n), min(t), max(t), max(iv), sum(n), avg(id), avg(n) FROM many',
  'SELECT g, max(n), min(id), avg(iv), sum(id), count(*) FROM many GROUP BY g ORDER BY g',
  'SELECT max(c::text), min(g::int8), count(*) FROM many',
  `SELECT replace(t, 'T', 'x') AS r, min(id) FROM many GROUP BY r ORDER BY r`,
  'SELECT count(*) FROM many',
])('in two steps: %s', async (sql) => {
  await scene.comparison.expectSame(sql);
  await scene.comparison.expectSame(sql, []);
});

test.each([
  'SELECT max(id), max(g), max(e), min(e), sum(e), avg(e) FROM few',
  'SELECT avg(t), avg(t || t), max(n + 1), min(t || id) FROM few',
  'SELECT min(c), max(c), count(c), count(t), count(DISTINCT c) FROM few',
  'SELECT g, count(c), sum(c), sum(e), avg(t) FROM few GROUP BY g ORDER BY g',
  'SELECT total(e), total(g) FROM few',
  'SELECT g, total(e) FROM few GROUP BY g ORDER BY g',
  'SELECT a.id, kind(a.e), kind(a.g), b.id AS b FROM few a JOIN few b ON b.id = a.g ORDER BY 1, 4',
  'SELECT e, kind(e), count(*) FROM few GROUP BY e ORDER BY e',
  'SELECT kind(s.e) FROM (SELECT e FROM few ORDER BY id LIMIT 1) AS s',
  'SELECT kind(max(e)), max(kind(e)) FROM few',
  'WITH q AS (SELECT e FROM few) SELECT kind(q.e), count(*) FROM q JOIN few f ON f.id = q.e GROUP BY 1',
])('of users and built in: %s', async (sql) => {
  for (const path of ['public', 'public, pg_catalog']) {
    await scene.comparison.both(`SET search_path = ${path}`);
    await scene.comparison.expectSame(sql);
    await scene.comparison.expectSame(sql, []);
  }
});

test('behind another search path, those of users are not computed in parts', async () => {
  await scene.comparison.both('SET search_path = public, pg_catalog');
  const few = await scene.comparison.expectSame('SELECT max(g) FROM few');
  expect(few.results[0]!.rows).not.toEqual([['2']]);
  await expect(scene.comparison.expectSame('SELECT max(g) FROM many')).rejects.toThrow();
});
