import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';
import { runStatement } from '../support/oracle.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'reserved_schema',
    { main: {}, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    ['CREATE TABLE items (id int PRIMARY KEY, v text)'],
  );
  client = await connectPg(scene.proxy.url);
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

/** Decisions of every shard, and what else stands in their schema. */
async function contents(): Promise<unknown[]> {
  const sql = `SELECT (SELECT array_agg(c.relname::text ORDER BY 1) FROM pg_class c
                         JOIN pg_namespace n ON n.oid = relnamespace
                        WHERE nspname = 'shardgate' AND relkind = 'r'),
                      (SELECT count(*)::int FROM shardgate.decisions)`;
  const shards = ['main', 's0', 's1', 's2', 's3'] as const;
  return Promise.all(shards.map((shard) => scene.databases.query(shard, sql)));
}

test.each([
  'SELECT * FROM shardgate.decisions',
  'TABLE shardgate.decisions',
  'SELECT (SELECT count(*) FROM shardgate.decisions) FROM items',
  'SELECT * FROM shardgate.nothing_of_this_name',
  "INSERT INTO shardgate.decisions VALUES ('x', 'commit')",
  "UPDATE shardgate.decisions SET outcome = 'abort'",
  'DELETE FROM shardgate.decisions',
  'WITH gone AS (DELETE FROM shardgate.decisions RETURNING *) SELECT * FROM gone',
  'MERGE INTO shardgate.decisions USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE',
  'COPY shardgate.decisions TO STDOUT',
  'COPY (SELECT * FROM shardgate.decisions) TO STDOUT',
  'COPY shardgate.decisions FROM STDIN',
  'EXPLAIN SELECT * FROM shardgate.decisions',
  'TRUNCATE shardgate.decisions',
  'BEGIN; LOCK TABLE shardgate.decisions',
  'DECLARE c CURSOR FOR SELECT * FROM shardgate.decisions',
  'DROP TABLE shardgate.decisions',
  'DROP SCHEMA shardgate CASCADE',
  'DROP SCHEMA IF EXISTS public, shardgate CASCADE',
  'ALTER TABLE shardgate.decisions ADD COLUMN x int',
  'ALTER TABLE items SET SCHEMA shardgate',
  'ALTER SCHEMA shardgate RENAME TO mine',
  'ALTER SCHEMA shardgate OWNER TO CURRENT_USER',
  'GRANT ALL ON shardgate.decisions TO PUBLIC',
  'GRANT ALL ON SCHEMA shardgate TO PUBLIC',
  'GRANT ALL ON ALL TABLES IN SCHEMA shardgate TO PUBLIC',
  'ALTER DEFAULT PRIVILEGES IN SCHEMA shardgate GRANT ALL ON TABLES TO PUBLIC',
  "COMMENT ON COLUMN shardgate.decisions.gid IS 'x'",
  'CREATE INDEX ON shardgate.decisions (outcome)',
  'CREATE VIEW seen AS SELECT * FROM items, shardgate.decisions',
  'CREATE TABLE copied (LIKE shardgate.decisions)',
  'CREATE TABLE shardgate.mine (id int)',
  'CREATE SCHEMA mine CREATE TABLE shardgate.mine (id int)',
  "CREATE FUNCTION shardgate.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  'CREATE TYPE shardgate.mood AS ENUM ()',
  'VACUUM shardgate.decisions',
  'REINDEX SCHEMA shardgate',
  'SET search_path = shardgate, public; SELECT * FROM decisions',
  'SET search_path = shardgate, public; DROP TABLE decisions',
  'SET search_path = shardgate, public; CREATE TABLE mine (id int)',
  'BEGIN; SET LOCAL search_path = shardgate, public; DELETE FROM decisions',
  "SELECT nextval('shardgate.decisions')",
])('is for Shardgate alone: %s', async (sql) => {
  const before = await contents();
  const { error } = await runStatement(client, sql);
  expect(error).toMatchObject({ code: '42501', message: 'permission denied for schema shardgate' });
  expect(error!.hint).toMatch(/pg_dump: -N shardgate|search path/);
  await client.query('ROLLBACK; RESET search_path');
  expect(await contents()).toEqual(before);
});

test.each([
  'SELECT shardgate.id FROM items AS shardgate',
  "CREATE TYPE mood AS ENUM ('shardgate', 'other')",
  'CREATE TABLE public.shardgate (shardgate int)',
  'ALTER TABLE public.shardgate DROP COLUMN shardgate',
  "SET search_path = shardgate, public; CREATE TABLE public.named (v text DEFAULT 'shardgate')",
])('its name is free for everything else: %s', async (sql) => {
  const { error } = await runStatement(client, sql);
  expect(error).toBeNull();
  await client.query('RESET search_path');
});

test('a two-phase commit still writes there', async () => {
  await client.query('BEGIN');
  for (let id = 1; id <= 8; id++) await client.query(`INSERT INTO items VALUES (${id}, 'x')`);
  await client.query('COMMIT');
  const { rows } = await client.query('SELECT id FROM items');
  expect(rows).toHaveLength(8);
});
