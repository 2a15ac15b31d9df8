/*
 * Statements of thousands of words, which are parsed in a thread of their own, are answered as short ones are, whatever
 * the planner makes of them. The first is what SQLAlchemy writes for new objects of a mapped class.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';

const schema = [
  'CREATE TABLE people (id bigserial PRIMARY KEY, email text, name text)',
  'CREATE TABLE countries (id serial PRIMARY KEY, code text, name text)',
  'CREATE TABLE notes (id serial PRIMARY KEY, body text)',
  'CREATE VIEW named AS SELECT id, upper(name) AS name FROM people',
];

let scene: Scene;

beforeAll(async () => {
  const shop = { people: { shard_key: 'id' }, countries: { type: 'reference' } };
  scene = await openScene('large_statements', { shop }, schema);
});

afterAll(async () => {
  await scene.close();
});

const rows = (make: (row: number) => string): string =>
  Array.from({ length: 900 }, (_, row) => `(${make(row)})`).join(', ');
const pairs = rows((row) => `'e${row}@x', 'name ${row % 7}', ${row}`);
const keys = rows((row) => `${row}, 'other ${row}'`);
const list = Array.from({ length: 3500 }, (_, key) => key).join(', ');

const statements = [
  `INSERT INTO people (email, name) SELECT p0::VARCHAR, p1::VARCHAR FROM (VALUES ${pairs})
    AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter RETURNING people.email, people.email AS email__1`,
  `INSERT INTO countries (code, name) SELECT p0, p1 FROM (VALUES ${pairs}) AS s(p0, p1, n) ORDER BY n`,
  `INSERT INTO notes (body) SELECT p1 FROM (VALUES ${pairs}) AS s(p0, p1, n) ORDER BY n RETURNING id, body`,
  `SELECT p.name, v.t FROM people p JOIN (VALUES ${keys}) v(i, t) ON p.id = v.i ORDER BY p.id LIMIT 5`,
  `SELECT p.name, count(*), max(c.code) FROM people p JOIN countries c ON c.id = p.id
    WHERE p.id IN (${list}) GROUP BY p.name ORDER BY 2, 1`,
  `SELECT n.name, count(*) FROM named n JOIN people p ON p.id = n.id + 1 WHERE n.id IN (${list})
    GROUP BY n.name ORDER BY 2, 1`,
  `UPDATE people SET name = v.t FROM (VALUES ${keys}) v(i, t) WHERE people.id = v.i`,
  `WITH v(i, t) AS (VALUES ${keys}), changed AS (UPDATE people SET name = 'x' || v.t FROM v
    WHERE v.i = people.id RETURNING people.id) SELECT count(*), sum(id) FROM changed`,
  `MERGE INTO people USING (VALUES ${keys}) v(i, t) ON people.id = v.i WHEN MATCHED THEN UPDATE SET email = v.t
    WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.i, v.t)`,
  `DELETE FROM people USING (VALUES ${keys}) v(i, t) WHERE people.id = v.i AND v.i % 3 = 0`,
  'SELECT id, email, name FROM people ORDER BY id',
];

test.each(statements.map((sql) => [sql.slice(0, 60), sql] as const))('%s', async (_, sql) => {
  expect((await scene.comparison.expectSame(sql)).error).toBeNull();
});

test('what is refused stays so', async () => {
  const moving = `UPDATE people SET id = v.i FROM (VALUES ${keys}) v(i, t) WHERE people.id = v.i + 1 RETURNING v.t`;
  for (let time = 0; time < 2; time++) await scene.comparison.expectRefused(moving);
});
