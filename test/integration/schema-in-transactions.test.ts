/*
 * A transaction, or a text of several statements, sees the tables that it has made: migrations create, fill and index
 * in one go. Compared with one Postgres.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;

beforeAll(async () => {
  scene = await openScene('schema_tx', {
    shop: {
      people: { shard_key: 'id' },
      pets: { shard_key: 'owner' },
      moods: { shard_key: 'id' },
      'side.things': { shard_key: 'id' },
      codes: { type: 'reference' },
    },
  });
});

afterAll(async () => {
  await scene.close();
});

const create = [
  'CREATE TABLE people (id serial PRIMARY KEY, name text)',
  `INSERT INTO people (name) VALUES ('a'), ('b')`,
];

const scripts: Readonly<Record<string, readonly string[]>> = {
  'a table with its rows, index and column': [
    ...create,
    'CREATE INDEX people_name ON people (name)',
    'ALTER TABLE people ADD COLUMN extra int DEFAULT 5',
    'SELECT * FROM people ORDER BY id',
    'CREATE TABLE pets (owner int REFERENCES people (id), name text)',
    `INSERT INTO pets VALUES (1, 'Rex')`,
    'SELECT * FROM people JOIN pets ON owner = id',
    'UPDATE people SET extra = 6 WHERE id = 2',
    'SELECT sum(extra) FROM people',
  ],
  'rows of a reference table': [
    'CREATE TABLE codes (id serial PRIMARY KEY, code text)',
    `INSERT INTO codes (code) VALUES ('x'), ('y')`,
    'SELECT * FROM codes ORDER BY id',
  ],
  'a table of the default keyspace': [
    'CREATE TABLE notes (id serial, body text)',
    `INSERT INTO notes (body) VALUES ('n') RETURNING *`,
  ],
  'types, views and functions': [
    `CREATE TYPE mood AS ENUM ('sad', 'happy', 'angry')`,
    'CREATE TABLE moods (id int, mood mood)',
    `INSERT INTO moods VALUES (1, 'sad'), (2, 'angry'), (3, 'happy')`,
    'SELECT * FROM moods ORDER BY mood',
    'SELECT max(mood) FROM moods',
    'CREATE VIEW low AS SELECT * FROM moods WHERE id < 3',
    'SELECT * FROM low ORDER BY id',
    'CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$SELECT $1 * 2$$',
    'SELECT twice(id) FROM moods ORDER BY 1',
  ],
  'a schema and its search path': [
    'CREATE SCHEMA side',
    'SET LOCAL search_path = side',
    'CREATE TABLE things (id serial, v int)',
    'INSERT INTO things (v) VALUES (1), (2)',
    'SELECT * FROM things ORDER BY id',
    'SHOW search_path',
  ],
  'what is dropped': [
    ...create,
    'DROP TABLE people',
    'CREATE TABLE people (id int)',
    'TABLE people',
  ],
};

describe.each(Object.entries(scripts))('%s', (_name, script) => {
  test('in a transaction that is rolled back', async () => {
    const { comparison } = scene;
    await comparison.expectSame('BEGIN');
    for (const sql of script) await comparison.expectSame(sql);
    await comparison.expectSame('ROLLBACK');
  });

  test('with the extended protocol', async () => {
    const { comparison } = scene;
    await comparison.expectSame('BEGIN');
    for (const sql of script) await comparison.expectSame(sql, []);
    await comparison.expectSame('ROLLBACK');
  });

  // SET LOCAL needs a transaction block.
  test.skipIf(script.some((sql) => sql.startsWith('SET')))('as one text that fails', async () => {
    await scene.comparison.expectSame([...script, 'SELECT 1/0'].join(';'));
  });
});

test('savepoints take it back', async () => {
  const { comparison } = scene;
  for (const sql of [
    'BEGIN',
    ...create,
    'SAVEPOINT a',
    'ALTER TABLE people ADD COLUMN more int',
    'SELECT * FROM people ORDER BY id',
    'ROLLBACK TO a',
    'SELECT * FROM people ORDER BY id',
    `INSERT INTO people (name) VALUES ('c') RETURNING *`,
    'ROLLBACK',
  ]) {
    await comparison.expectSame(sql);
  }
});

test('others see it once it is committed, and not before', async () => {
  const { comparison, proxy } = scene;
  const other = await connectPg(proxy.url);
  await comparison.expectSame('BEGIN');
  for (const sql of create) await comparison.expectSame(sql);
  await expect(other.query('SELECT * FROM people')).rejects.toMatchObject({ code: '42P01' });
  await comparison.expectSame('COMMIT');
  const { rows } = await other.query('SELECT name FROM people ORDER BY id');
  expect(rows).toEqual([{ name: 'a' }, { name: 'b' }]);
  await comparison.expectSame('DROP TABLE people');
  await expect(other.query('SELECT * FROM people')).rejects.toMatchObject({ code: '42P01' });
  await other.end();
});

test('one text with COMMIT in its middle', async () => {
  const { comparison } = scene;
  await comparison.expectSame(
    `BEGIN; ${create.join(';')}; COMMIT; INSERT INTO people (name) VALUES ('d'); SELECT * FROM people ORDER BY id`,
  );
  await comparison.expectSame('SELECT * FROM people ORDER BY id');
  await comparison.expectSame('DROP TABLE people');
});

test('a prepared statement follows the schema of its transaction', async () => {
  const client = await connectPg(scene.proxy.url);
  const add = {
    name: 'add',
    text: 'INSERT INTO people (name) VALUES ($1) RETURNING id',
  };
  await client.query('BEGIN');
  await client.query(create[0]!);
  expect((await client.query({ ...add, values: ['x'] })).rows).toEqual([{ id: 1 }]);
  await client.query('CREATE INDEX ON people (name)');
  expect((await client.query({ ...add, values: ['y'] })).rows).toEqual([{ id: 2 }]);
  await client.query('ROLLBACK');
  await expect(client.query({ ...add, values: ['z'] })).rejects.toMatchObject({ code: '42P01' });
  await client.end();
});
