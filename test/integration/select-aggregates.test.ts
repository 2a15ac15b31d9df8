/*
 * Aggregates over several shards: every aggregate of every type, alone and by group, over no rows,
 * with FILTER, DISTINCT, ORDER BY, HAVING and grouping sets. Every statement must be answered.
 */
import { describe } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const GROUPS = 7919;
const rows = Array.from(
  { length: 2 * GROUPS },
  (_, i) => `(${i}, ${i % GROUPS}, 'g${i % GROUPS}')`,
);

const suite = selectSuite(
  'select_aggregates',
  [
    `CREATE AGGREGATE product (int8) (SFUNC = int8mul, STYPE = int8, INITCOND = '1')`,
    'CREATE TABLE wide (id int8 PRIMARY KEY, x int4, t text)',
    `INSERT INTO wide VALUES ${rows.join(', ')}`,
    'CREATE TYPE spot AS (x int4, y text)',
    'CREATE TABLE spots (id int8 PRIMARY KEY, a int4, s spot, ss spot[])',
    `INSERT INTO spots SELECT i, i % 3, (i % 5, 'y' || i % 4)::spot, ARRAY[(i % 4, NULL)::spot] FROM generate_series(1, 30) AS i`,
    `INSERT INTO spots VALUES (31, 0, NULL, '{}'), (32, 1, ROW(NULL, NULL), NULL)`,
  ],
  ['wide', 'spots'],
);

/** Over all rows, by a column that spreads over shards, by the shard key, and over no rows. */
function everywhere(list: string, table = 'users', group = 'a', key = 'id'): string[] {
  return [
    `SELECT ${list} FROM ${table}`,
    `SELECT ${group}, ${list} FROM ${table} GROUP BY ${group} ORDER BY ${group}`,
    `SELECT ${key}, ${list} FROM ${table} GROUP BY ${key}`,
    `SELECT ${list} FROM ${table} WHERE false`,
    `SELECT ${group}, ${list} FROM ${table} WHERE ${key} IS NULL GROUP BY ${group}`,
  ];
}

describe('count, sum, avg, min and max of every type', () => {
  suite.answered([
    ...everywhere('count(*), count(a), count(n), count(t), count(DISTINCT a), count(u)'),
    ...everywhere('sum(a), sum(boss), sum(n), sum(q), sum(f), sum(g), sum(iv), sum(o)'),
    ...everywhere('avg(a), avg(boss), avg(n), avg(q), avg(f), avg(g), avg(iv), avg(o)'),
    ...everywhere('min(a), min(q), min(g), min(t), min(v), min(d), min(ts), min(tz), min(y)'),
    ...everywhere('max(a), max(q), max(g), max(t), max(v), max(d), max(ts), max(tz), max(y)'),
    ...everywhere('min(e), max(e), min(tc), max(ti), min(r), max(r), max(boss), min(o)'),
    ...everywhere('sum(amount), avg(amount), min(amount), max(amount)', 'sales', 't', 'uid'),
    ...everywhere('sum(w), avg(w), sum(r), avg(r), max(d)', 'events', 'a', 'code'),
    'SELECT sum(a::int2), avg(a::int2), min(a::int2), sum(a::int8), avg(a::int8) FROM users',
    'SELECT sum(q::money), min(q::money) FROM users WHERE q IS NOT NULL AND q < 1000',
    `SELECT min(d - date '2000-01-01'), max(tz - tz), avg(tz - tz) FROM users WHERE isfinite(d) AND isfinite(tz)`,
    `SELECT min(host), max(host) FROM (SELECT ('10.0.0.' || abs(id) % 200)::inet AS host FROM users) x`,
  ]);
});

describe('min and max of rows', () => {
  suite.answered([
    ...everywhere('min(s), max(s), min(ss), max(ss), count(s)', 'spots'),
    'SELECT max(s) FILTER (WHERE a = 1), max((s).y), count(DISTINCT s) FROM spots',
    'SELECT a FROM spots GROUP BY a HAVING max(s) > ROW(4, $$y2$$::text) ORDER BY max(s), a',
  ]);
});

describe('other aggregates', () => {
  suite.answered([
    ...everywhere('bool_and(b), bool_or(b), every(b), bool_and(a > 1)'),
    ...everywhere('bit_and(a), bit_or(a), bit_xor(a), bit_and(id), bit_or(a::bit(8))'),
    ...everywhere(`string_agg(t, '|' ORDER BY t, id), string_agg(v, '' ORDER BY id DESC)`),
    ...everywhere('array_agg(id ORDER BY id), array_agg(t ORDER BY t DESC NULLS LAST, id)'),
    ...everywhere('json_agg(a ORDER BY id), jsonb_agg(t ORDER BY id), jsonb_agg(j ORDER BY id)'),
    ...everywhere('json_object_agg(id, t ORDER BY id), jsonb_object_agg(id::text, a)'),
    ...everywhere('variance(a), stddev(a), var_pop(a), stddev_pop(q), var_samp(boss)'),
    ...everywhere(
      'percentile_cont(0.5) WITHIN GROUP (ORDER BY a), percentile_disc(0.3) WITHIN GROUP (ORDER BY q)',
    ),
    ...everywhere('mode() WITHIN GROUP (ORDER BY a / 100), rank(2) WITHIN GROUP (ORDER BY a)'),
    ...everywhere('regr_count(a, boss), regr_count(f, g)'),
    ...everywhere(
      'array_agg(r ORDER BY id) FILTER (WHERE array_ndims(r) = 1 AND array_length(r, 1) = 2)',
    ),
    `SELECT string_agg(y, '\\x00'::bytea ORDER BY id) FROM users`,
    'SELECT range_agg(int4range(a, a + 1)) FROM users WHERE a IS NOT NULL',
    'SELECT any_value(a), a FROM users GROUP BY a ORDER BY a',
    'SELECT product(2) FROM regions',
    'SELECT a, product(id) FROM users WHERE id BETWEEN 1 AND 4 GROUP BY a ORDER BY a',
  ]);
});

describe('FILTER, DISTINCT, HAVING', () => {
  suite.answered([
    ...everywhere(
      'count(*) FILTER (WHERE a > 2), sum(q) FILTER (WHERE b), max(t) FILTER (WHERE false)',
    ),
    ...everywhere('count(DISTINCT t), sum(DISTINCT a), avg(DISTINCT a), count(DISTINCT (a, b))'),
    ...everywhere(`string_agg(DISTINCT t, ',' ORDER BY t), array_agg(DISTINCT a ORDER BY a DESC)`),
    'SELECT a FROM users GROUP BY a HAVING count(*) > 3 ORDER BY a',
    'SELECT a, sum(q) FROM users GROUP BY a HAVING sum(o) > avg(o) * 2 ORDER BY a',
    'SELECT count(*) FROM users HAVING count(*) > 1000',
    'SELECT count(*) FROM users HAVING max(a) IS NOT NULL',
    'SELECT 1 FROM users HAVING true',
    'SELECT a FROM users GROUP BY a HAVING a = (SELECT max(a) FROM sales)',
    'SELECT a, count(*) FROM users GROUP BY a HAVING bool_or(t = $$a$$) ORDER BY count(*) DESC, a',
    {
      sql: 'SELECT a, count(*) FROM users GROUP BY a HAVING count(*) > $1 ORDER BY 1',
      params: ['2'],
    },
    { sql: 'SELECT sum(a + $1), count(*) FILTER (WHERE id > $2) FROM users', params: ['3', '4'] },
  ]);
});

describe('groups', () => {
  suite.answered([
    'SELECT a + 1, count(*) FROM users GROUP BY a + 1 ORDER BY 1',
    'SELECT a + 1 AS x, count(*) FROM users GROUP BY x ORDER BY x DESC',
    'SELECT a, b, count(*) FROM users GROUP BY 1, 2 ORDER BY 2, 1',
    'SELECT count(*) FROM users GROUP BY a ORDER BY 1, min(id)',
    'SELECT a, count(*) FROM users GROUP BY a ORDER BY count(*) DESC, a LIMIT 2',
    'SELECT a, count(*) FROM users GROUP BY a ORDER BY sum(id) OFFSET 1',
    'SELECT e, count(*) FROM users GROUP BY e ORDER BY e DESC',
    'SELECT ti, tc, count(*) FROM users GROUP BY ti, tc ORDER BY ti, tc',
    'SELECT r, count(*) FROM users GROUP BY r ORDER BY r',
    'SELECT j, count(*) FROM users GROUP BY j ORDER BY j',
    'SELECT date_trunc($$day$$, tz), count(*) FROM users GROUP BY 1 ORDER BY 1',
    'SELECT a, t, sum(q) FROM users GROUP BY GROUPING SETS ((a, t), (a), ()) ORDER BY a, t, 3',
    'SELECT a, b, grouping(a, b), count(*) FROM users GROUP BY CUBE (a, b) ORDER BY 3, 1, 2',
    'SELECT a, b, avg(o) FROM users GROUP BY ROLLUP (a, b) HAVING count(*) > 1 ORDER BY 1, 2, 3',
    'SELECT a, count(*) FROM users GROUP BY DISTINCT ROLLUP (a), ROLLUP (a) ORDER BY 1, 2',
    'SELECT length($$x$$), count(*) FROM users GROUP BY CUBE (length($$x$$)) HAVING length($$x$$) IS NOT NULL',
    'SELECT a + 0, count(*) FROM users GROUP BY CUBE (a + 0) HAVING a + 0 IS NOT NULL ORDER BY 1',
    'SELECT id, t, count(*) FROM users GROUP BY id ORDER BY id',
    'SELECT id, sales.n, sum(amount) FROM users JOIN sales ON id = uid GROUP BY id, sales.n ORDER BY 1, 2',
    'SELECT u.t, sum(s.amount) FROM users u JOIN sales s ON s.uid = u.id GROUP BY u.t ORDER BY 1',
    'SELECT r.name, count(*) FROM regions r JOIN users u ON u.a = r.id GROUP BY r.name ORDER BY 1',
    'SELECT DISTINCT a FROM users ORDER BY a DESC',
    'SELECT DISTINCT a, b FROM users ORDER BY b, a',
    'SELECT DISTINCT count(*) FROM users GROUP BY a ORDER BY 1',
    'SELECT DISTINCT ON (a) a, id FROM users ORDER BY a, id DESC',
    'SELECT DISTINCT ON (a, b) id, t FROM users ORDER BY a, b, id',
    'SELECT DISTINCT ON (a) id FROM users ORDER BY a NULLS FIRST, t DESC, id LIMIT 3 OFFSET 1',
    'SELECT count(*) FROM (SELECT DISTINCT t FROM users) x',
    'SELECT max(c) FROM (SELECT count(*) AS c FROM sales GROUP BY uid) x',
    'SELECT avg(c), count(*) FROM (SELECT a, count(*) AS c FROM users GROUP BY a) x',
    'SELECT sum(id) + count(*) * 2, coalesce(max(a), 0) || $$x$$ FROM users',
    'SELECT CASE WHEN count(*) > 3 THEN sum(a) ELSE -1 END FROM users',
    'SELECT (SELECT count(*) FROM users), (SELECT max(amount) FROM sales)',
    'SELECT count(*), (SELECT count(*) FROM sales s WHERE s.a = u.a) FROM users u GROUP BY a ORDER BY 1, 2',
    'SELECT a, array(SELECT id FROM users v WHERE v.a = u.a ORDER BY id) FROM users u GROUP BY a ORDER BY a',
  ]);
});

describe('more groups than travel as parameters', () => {
  suite.answered([
    'SELECT x, count(*), sum(id), max(t) FROM wide GROUP BY x ORDER BY x',
    'SELECT t, avg(id), array_agg(id ORDER BY id) FROM wide GROUP BY t ORDER BY 2 DESC, 1 LIMIT 5000',
    'SELECT DISTINCT t FROM wide ORDER BY t DESC',
    'SELECT DISTINCT ON (x) x, id FROM wide ORDER BY x, id DESC',
    'SELECT count(DISTINCT t), count(DISTINCT x) FROM wide',
    'SELECT c, count(*) FROM (SELECT x, count(*) AS c FROM wide GROUP BY x) y GROUP BY c',
  ]);
});
