/*
 * Text has a collation by more than its column: by COLLATE, by a domain, by a column of a row type, by what a function
 * gives. Whatever way a statement over several shards takes, its order and its comparisons are those of one server.
 */
import { afterAll, beforeAll, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';

const WORDS = `(ARRAY['a','B','ä','Z','b','z','A'])[1 + i % 7]`;
const schema = [
  'CREATE TYPE german_pair AS (n int, word text COLLATE "de-x-icu")',
  'CREATE DOMAIN german AS text COLLATE "de-x-icu"',
  'CREATE TYPE nested AS (pair german_pair)',
  `CREATE FUNCTION german_of(i int) RETURNS german LANGUAGE sql IMMUTABLE AS $$ SELECT ${WORDS}::german $$`,
  `CREATE FUNCTION germans_of(i int) RETURNS german[] LANGUAGE sql IMMUTABLE AS $$ SELECT ARRAY[${WORDS}::german] $$`,
  `CREATE FUNCTION pair_of(i int) RETURNS german_pair LANGUAGE sql IMMUTABLE AS $$ SELECT (i, ${WORDS})::german_pair $$`,
  `CREATE FUNCTION word_of(i int, OUT word german, OUT n int) LANGUAGE sql IMMUTABLE AS $$ SELECT ${WORDS}, i $$`,
  `CREATE FUNCTION plain_of(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ${WORDS} $$`,
  'CREATE TABLE words (id int PRIMARY KEY, pair german_pair, pairs german_pair[], nest nested, plain text, icu text COLLATE "de-x-icu", js jsonb)',
  `INSERT INTO words SELECT i, pair_of(i), ARRAY[pair_of(i)], ROW(pair_of(i))::nested, ${WORDS}, ${WORDS},
     jsonb_build_array(jsonb_build_object('x', ${WORDS})) FROM generate_series(1, 30) AS i`,
  'CREATE TABLE notes (k int PRIMARY KEY, word text, n int)',
  `INSERT INTO notes SELECT i, ${WORDS}, i % 9 FROM generate_series(1, 20) AS i`,
];
const tables = {
  shop: {
    words: { shard_key: 'id', vindex: 'by_key' },
    notes: { shard_key: 'k', vindex: 'by_key' },
  },
};

let scene: Scene;

beforeAll(async () => {
  scene = await openScene('select_collations', tables, schema);
});
afterAll(() => scene.close());

test.each([
  'SELECT id, (pair).word FROM words ORDER BY (pair).word, id',
  'SELECT id FROM words ORDER BY (pair).word DESC, id LIMIT 5',
  'SELECT id FROM words ORDER BY lower((pairs[1]).word), id',
  'SELECT id FROM words ORDER BY ((nest).pair).word, id',
  'SELECT id, german_of(id) AS w FROM words ORDER BY w, id',
  'SELECT id FROM words ORDER BY (germans_of(id))[1], id',
  'SELECT id, (pair_of(id)).word AS w FROM words ORDER BY w, id',
  'SELECT id, f.word FROM words, pair_of(id) AS f ORDER BY f.word, id',
  'SELECT id, f.word FROM words, word_of(id) AS f ORDER BY f.word, id',
  'SELECT id, p.word FROM words, unnest(pairs) AS p ORDER BY p.word, id',
  'SELECT id, r.x FROM words, jsonb_to_recordset(js) AS r(x text COLLATE "de-x-icu") ORDER BY r.x, id',
  'SELECT id, r.x FROM words, jsonb_to_recordset(js) AS r(x german) ORDER BY r.x, id',
  `SELECT id, r.x FROM words, JSON_TABLE(js, '$[*]' COLUMNS (x german PATH '$.x')) AS r ORDER BY r.x, id`,
  `SELECT id, JSON_VALUE(js, '$[0].x' RETURNING german) AS w FROM words ORDER BY w, id`,
  'SELECT id, plain::german AS w FROM words ORDER BY w, id',
  'SELECT s.w, s.id FROM (SELECT id, (pair).word AS w FROM words) AS s ORDER BY w, id',
  'SELECT (pair).word AS w, count(*) FROM words GROUP BY 1 ORDER BY 1',
  'SELECT DISTINCT german_of(id) AS w FROM words ORDER BY 1',
  'SELECT min((pair).word), max(german_of(id)) FROM words',
  'SELECT max(w) FROM (SELECT (pair).word AS w FROM words UNION ALL SELECT word FROM notes) AS s',
  `SELECT s.w, n.k FROM (SELECT id, (pair).word AS w FROM words) AS s JOIN notes n ON n.n = s.id ORDER BY s.w, n.k`,
  'SELECT (SELECT max((w.pair).word) FROM words w WHERE w.id < n.n) AS w FROM notes n ORDER BY n.k',
  'SELECT id FROM words ORDER BY icu, id',
  'SELECT id, plain FROM words ORDER BY plain, id',
  'SELECT id FROM words ORDER BY plain COLLATE "de-x-icu", id',
  'SELECT id, icu COLLATE "C" AS w FROM words ORDER BY w DESC, id',
  'SELECT plain_of(id) AS w, id FROM words ORDER BY w, id',
  'SELECT max((w.pair).word COLLATE "C"), min(w.icu) FROM words w',
])('%s', async (sql) => {
  await scene.comparison.expectSame(sql);
  await scene.comparison.expectSame(sql, []);
});
