import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPg, misplacedRows, openScene, type Scene } from '../support/scene.js';

/*
 * Ids that the proxy makes row by row: of rows that a query gives, and UUIDs that are a default.
 */

const tables = {
  main: { settings: {} },
  shop: {
    owners: { shard_key: 'id' },
    events: { shard_key: 'id', ids: { column: 'id', from: 'snowflake' } },
    files: { shard_key: 'id', ids: { column: 'id', from: 'uuidv7' } },
    logs: { shard_key: 'owner', ids: { column: 'id', from: 'snowflake' } },
    users: { shard_key: 'id' },
    tags: { type: 'reference' },
  },
} as const;

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  scene = await openScene('ids_of_rows', tables, [
    'CREATE TABLE owners (id int PRIMARY KEY, name text)',
    'CREATE TABLE events (id int8 PRIMARY KEY, v text)',
    'CREATE TABLE files (id uuid PRIMARY KEY, v text)',
    'CREATE TABLE logs (owner int, id int8, v text DEFAULT $$none$$, PRIMARY KEY (owner, id))',
    'CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text)',
    'CREATE VIEW named AS SELECT name AS called, id FROM users',
    'CREATE TABLE tags (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), again text DEFAULT gen_random_uuid(), name text UNIQUE)',
    `INSERT INTO owners SELECT i, 'o' || i FROM generate_series(1, 40) i`,
  ]);
  client = await connectPg(scene.proxy.url);
});

afterAll(async () => {
  await client.end();
  await scene.close();
});

async function rows(sql: string, params?: unknown[]): Promise<unknown[][]> {
  const { rows: found } = await client.query<unknown[]>({
    text: sql,
    rowMode: 'array',
    ...(params === undefined ? {} : { values: params }),
  });
  return found;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([47])[0-9a-f]{3}-/;

test('rows of a query get snowflakes, and go where they belong', async () => {
  const inserted = await client.query('INSERT INTO events (v) SELECT name FROM owners');
  expect(inserted.rowCount).toBe(40);
  const found = await rows('SELECT count(DISTINCT id), count(v), min(v) FROM events');
  expect(found).toEqual([['40', '40', 'o1']]);
  expect(await misplacedRows(scene.databases, 'events', 'id', 'hashint8extended')).toEqual([]);
});

test('RETURNING tells them in the order of the query', async () => {
  const told = await rows(
    'INSERT INTO events (v) SELECT name FROM owners ORDER BY id RETURNING id, v',
  );
  expect(told.map(([, v]) => v)).toEqual(Array.from({ length: 40 }, (_, i) => `o${i + 1}`));
  const ids = told.map(([id]) => BigInt(id as string));
  expect(ids).toEqual([...ids].sort((a, b) => (a < b ? -1 : 1)));
});

test('colocated rows get them too, and keep defaults and parameters', async () => {
  const sql = 'INSERT INTO logs (owner) SELECT id FROM owners WHERE id < $1 RETURNING owner, v';
  const told = await rows(sql, [4]);
  expect(told.sort()).toEqual([
    [1, 'none'],
    [2, 'none'],
    [3, 'none'],
  ]);
  await rows('INSERT INTO logs (owner, v) SELECT id, name FROM owners WHERE id = 7');
  expect(await rows('SELECT v, id > 0 FROM logs WHERE owner = 7')).toEqual([['o7', true]]);
  expect(await misplacedRows(scene.databases, 'logs', 'owner', 'hashint4extended')).toEqual([]);
});

test('many rows travel in turns', async () => {
  await rows(`INSERT INTO events (v) SELECT 'many' FROM generate_series(1, 20000)`);
  const found = await rows(`SELECT count(*), count(DISTINCT id) FROM events WHERE v = 'many'`);
  expect(found).toEqual([['20000', '20000']]);
});

test('in a transaction that is rolled back nothing stays', async () => {
  await rows('BEGIN');
  await rows(`INSERT INTO files (v) SELECT name FROM owners`);
  expect(await rows('SELECT count(*) FROM files')).toEqual([['40']]);
  await rows('ROLLBACK');
  expect(await rows('SELECT count(*) FROM files')).toEqual([['0']]);
});

test('UUIDs of version 7', async () => {
  const told = await rows('INSERT INTO files (v) SELECT name FROM owners RETURNING id');
  for (const [id] of told) expect(UUID.exec(id as string)?.[1]).toBe('7');
  expect(await misplacedRows(scene.databases, 'files', 'id', 'uuid_hash_extended')).toEqual([]);
});

test('a shard key whose default is a new UUID may be left out', async () => {
  const told = await rows(`INSERT INTO users (name) VALUES ('a'), ('b'), ('c') RETURNING id, name`);
  expect(told.map(([, name]) => name)).toEqual(['a', 'b', 'c']);
  for (const [id] of told) expect(UUID.exec(id as string)?.[1]).toBe('4');
  await rows('INSERT INTO users DEFAULT VALUES');
  await rows('INSERT INTO users VALUES (DEFAULT, $1)', ['d']);
  await rows('INSERT INTO users (name) SELECT name FROM owners');
  await rows(`INSERT INTO named (called) VALUES ('by view')`);
  await rows(`INSERT INTO named SELECT 'by view' FROM owners WHERE id < 3`);
  expect(await rows('SELECT count(*), count(name) FROM users')).toEqual([['48', '47']]);
  expect(await misplacedRows(scene.databases, 'users', 'id', 'uuid_hash_extended')).toEqual([]);
});

test('every copy of a reference table gets the same UUIDs', async () => {
  await rows(`INSERT INTO tags (name) VALUES ('x'), ('y')`);
  await rows('INSERT INTO tags (name) SELECT name FROM owners');
  await rows(`INSERT INTO tags (name) VALUES ('x') ON CONFLICT (name) DO UPDATE SET again = 'met'`);
  const copies = await Promise.all(
    (['s0', 's1', 's2', 's3'] as const).map((name) =>
      scene.databases.query(name, 'SELECT * FROM tags ORDER BY id'),
    ),
  );
  expect(copies[0]).toHaveLength(42);
  for (const copy of copies) expect(copy).toEqual(copies[0]);
  expect(await rows(`SELECT again FROM tags WHERE name = 'x'`)).toEqual([['met']]);
});
