/*
 * Shards whose schemas differ, since somebody has changed one of them past the proxy: named in the log, and never a
 * wrong answer. Also what clients are told of the tables that they make.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  const tables = { shop: { items: { shard_key: 'id' }, numbered: { shard_key: 'id' } } };
  scene = await openScene('schema_differences', tables, [
    'CREATE TABLE items (id int, n int)',
    'INSERT INTO items SELECT g, g FROM generate_series(1, 100) g',
  ]);
  client = await connectPg(scene.proxy.url);
});

afterAll(async () => {
  await client.end();
  await scene.close();
});

async function logged(text: string): Promise<void> {
  for (let i = 0; i < 200 && !scene.proxy.logs().includes(text); i++) await sleep(50);
  expect(scene.proxy.logs()).toContain(text);
}

/** What is found out is logged a moment before plans follow it. */
async function untilCode(query: string | pg.QueryConfig, expected: RegExp): Promise<void> {
  for (let i = 0; i < 100 && !expected.test(await codeOf(query)); i++) await sleep(50);
  expect(await codeOf(query)).toMatch(expected);
}

async function codeOf(query: string | pg.QueryConfig): Promise<string> {
  return client.query(query).then(
    () => 'done',
    (error: pg.DatabaseError) => `${error.code}: ${error.message}`,
  );
}

test('a column that one shard has more: refused at once, then by name; what it does not touch goes on', async () => {
  await scene.databases.query('s2', 'ALTER TABLE items ADD COLUMN extra text');
  // Nobody knows yet but the shard's own answer.
  expect(await codeOf('SELECT * FROM items')).toMatch(/^0A000: shard "s\d" gives other columns/);
  await client.query('CREATE SCHEMA looked');
  await logged('"object":"public.items.extra"');
  await untilCode(
    { text: 'SELECT * FROM items', name: 'all' },
    /^0A000: table "items" is not the same on all shards: column "extra" on shard "s2"/,
  );
  expect(await codeOf('SELECT n FROM items WHERE id = 7')).toBe('done');
  expect(await codeOf('INSERT INTO items (id, n) VALUES (200, 1), (201, 1)')).toBe('done');
  expect(await codeOf('INSERT INTO items VALUES (202, 1), (203, 1)')).toMatch(/^0A000/);
  await scene.databases.query('s2', 'ALTER TABLE items DROP COLUMN extra');
  await client.query('DROP SCHEMA looked');
  await logged('all shards hold the same schema again');
  await untilCode('SELECT * FROM items', /^done$/);
});

test('a column of another type', async () => {
  await scene.databases.query('s1', 'ALTER TABLE items ALTER COLUMN n TYPE bigint');
  expect(await codeOf('SELECT id, n FROM items')).toMatch(
    /^0A000: shard "s\d" gives other columns/,
  );
  await client.query('CREATE SCHEMA looked');
  await logged('"difference":"bigint (column 2); on \\"main\\": integer (column 2)"');
  await untilCode('SELECT sum(n) FROM items', /^0A000: table "items" is not the same/);
  await scene.databases.query('s1', 'ALTER TABLE items ALTER COLUMN n TYPE int');
  await client.query('DROP SCHEMA looked');
  await untilCode('SELECT sum(n) FROM items', /^done$/);
});

test('clients are told where a table is that the configuration does not name, and who counts for a sharded one', async () => {
  const told: string[] = [];
  client.on('notice', ({ message }) => told.push(message ?? ''));
  await client.query('CREATE TABLE other (id int)');
  expect(told.splice(0)).toEqual([
    'table "other" is placed in keyspace "main", on one shard: the configuration does not name it',
  ]);
  await client.query('CREATE TABLE numbered (id int, n serial)');
  expect(told.splice(0)).toEqual([
    'values of "numbered.n" are made by Shardgate, so that all shards together have each once',
  ]);
  await client.query('SET client_min_messages = warning');
  await client.query('CREATE TABLE another (id int)');
  expect(told).toEqual([]);
});

test('a default isolation level of the database counts as one that the client has set', async () => {
  const { name } = scene.databases;
  await scene.databases.onEach(
    ['main', 's0', 's1', 's2', 's3'],
    `ALTER DATABASE ${name} SET default_transaction_isolation = 'repeatable read'`,
  );
  await client.query('DROP TABLE other');
  await client.query('BEGIN');
  expect(await codeOf('SELECT count(*) FROM items')).toMatch(/^0A000: a repeatable read/);
  await client.query('ROLLBACK');
});
