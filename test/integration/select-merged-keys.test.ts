/*
 * Sort keys that the proxy compares itself, so that rows stream through it: text by bytes, and enums by their labels.
 * Proof: nothing may be gathered here, as `limits.gather_rows` lets next to no rows come together.
 */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectPg, openScene, type Scene } from '../support/scene.js';

const WORDS = `(ARRAY['a','B','ä','Z','b','z','A'])[1 + i % 7]`;
const STATES = `(ARRAY['new','done','über','Late'])[1 + i % 4]`;

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'select_merged_keys',
    { shop: { tasks: { shard_key: 'id', vindex: 'by_key' } } },
    [
      `CREATE TYPE state AS ENUM ('new', 'über', 'Late', 'done')`,
      `CREATE DOMAIN open_state AS state CHECK (VALUE <> 'done')`,
      `CREATE FUNCTION word_of(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ${WORDS} $$`,
      'CREATE TABLE tasks (id int PRIMARY KEY, word text, icu text COLLATE "de-x-icu", s state, ss state[], o open_state)',
      `INSERT INTO tasks SELECT i, ${WORDS}, ${WORDS}, ${STATES}::state, ARRAY[${STATES}, 'Late']::state[],
         nullif(${STATES}, 'done')::open_state FROM generate_series(1, 30) AS i`,
      `INSERT INTO tasks VALUES (31, NULL, NULL, NULL, '{NULL,new}', NULL), (32, '', '', NULL, '{}', NULL)`,
    ],
    { limits: { gather_rows: 3 } },
  );
  client = await connectPg(scene.proxy.url);
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

test.each([
  'SELECT id, word FROM tasks ORDER BY word, id',
  'SELECT id, icu FROM tasks ORDER BY word DESC, id',
  'SELECT id FROM tasks ORDER BY icu COLLATE "C", id',
  'SELECT id FROM tasks ORDER BY word_of(id), id',
  'SELECT id, s FROM tasks ORDER BY s, id',
  'SELECT id FROM tasks ORDER BY s DESC NULLS LAST, word, id LIMIT 9 OFFSET 4',
  'SELECT s, word FROM tasks WHERE id > 8 ORDER BY s, word FETCH FIRST 12 ROWS WITH TIES',
  'SELECT id, ss FROM tasks ORDER BY ss, id',
  'SELECT id, o FROM tasks ORDER BY o, id DESC',
  `SELECT id FROM tasks ORDER BY greatest(s, 'Late'), id`,
  'SELECT id FROM tasks ORDER BY s, id FOR UPDATE',
  'SELECT id FROM tasks ORDER BY s, id LIMIT 5 FOR UPDATE SKIP LOCKED',
])('%s', async (sql) => {
  const ties = sql.includes('WITH TIES');
  await scene.comparison.expectSame(sql, undefined, { ordered: !ties });
  await scene.comparison.expectSame(sql, [], { ordered: !ties });
});

test('other orders are gathered', async () => {
  const gathered = client.query('SELECT id FROM tasks ORDER BY icu, id');
  await expect(gathered).rejects.toMatchObject({ code: '53200' });
});

test('cursors by an enum', async () => {
  const { comparison } = scene;
  await comparison.expectSame('BEGIN');
  await comparison.expectSame('DECLARE c CURSOR FOR SELECT id, s FROM tasks ORDER BY s DESC, id');
  for (const count of [3, 1, 10]) {
    await comparison.expectSame(`FETCH ${count} FROM c`, undefined, { ordered: true });
  }
  await comparison.expectSame('COMMIT');
});

test('an enum that has changed through the proxy', async () => {
  const { comparison } = scene;
  const sql = 'SELECT id, s FROM tasks ORDER BY s, id';
  await comparison.both(`ALTER TYPE state ADD VALUE 'first' BEFORE 'new'`);
  await comparison.both(`UPDATE tasks SET s = 'first' WHERE id % 5 = 0`);
  await comparison.expectSame(sql);
  await comparison.both(`ALTER TYPE state RENAME VALUE 'Late' TO 'late'`);
  await comparison.expectSame(sql);
});
