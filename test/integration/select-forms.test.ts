/* Forms of SELECT that random statements seldom have. None may be answered otherwise than by one Postgres. */
import { describe, expect, test } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const suite = selectSuite('select_forms');

describe('functions of many rows in FROM', () => {
  suite.answered([
    'SELECT u.id, s.i FROM users u, LATERAL generate_series(1, u.a) AS s (i) ORDER BY 1, 2',
    'SELECT u.id, s.i FROM users u LEFT JOIN LATERAL generate_series(1, u.a) AS s (i) ON true ORDER BY 1, 2 LIMIT 20',
    'SELECT u.id, x.* FROM users u, ROWS FROM (generate_series(1, 2), unnest(u.r)) WITH ORDINALITY AS x (i, e, n) ORDER BY 1, n',
    'SELECT e.code, e.seq, x.tag, x.n FROM events e, unnest(e.tags) WITH ORDINALITY AS x (tag, n) ORDER BY e.code, e.seq, x.n',
    'SELECT u.id, x.k, x.v FROM users u, jsonb_each_text(CASE WHEN jsonb_typeof(u.j) = $$object$$ THEN u.j END) AS x (k, v) ORDER BY 1, 2',
    'SELECT count(*), sum(s.i) FROM users u, generate_series(1, u.a) AS s (i)',
    'SELECT s.i, count(*) FROM users u, generate_series(1, u.a) AS s (i) GROUP BY s.i ORDER BY 1',
    'SELECT id, generate_series(1, a) AS i FROM users ORDER BY id, i',
    'SELECT id, unnest(r), generate_series(1, 2) FROM users ORDER BY 1, 3, 2',
    'SELECT DISTINCT unnest(r) FROM users ORDER BY 1',
    'SELECT unnest(r) AS x, count(*) FROM users GROUP BY x ORDER BY 1',
    'SELECT id, generate_series(1, 3) FROM users ORDER BY id, 2 LIMIT 7 OFFSET 2',
    'SELECT u.id, r.a, r.b FROM users u, jsonb_to_record(u.j) AS r (a text, b jsonb) WHERE jsonb_typeof(u.j) = $$object$$ ORDER BY 1',
    `SELECT u.id, t.* FROM users u, JSON_TABLE(u.j, '$.b[*]' COLUMNS (n FOR ORDINALITY, v int PATH '$')) AS t ORDER BY 1, 2`,
    `SELECT t.*, count(*) FROM users u, JSON_TABLE(u.j, '$' COLUMNS (a text PATH '$.a')) AS t GROUP BY 1 ORDER BY 1`,
    'SELECT u.id, (jsonb_each(u.j)).key FROM users u WHERE jsonb_typeof(u.j) = $$object$$ ORDER BY 1, 2',
    'SELECT s.i, u.id FROM generate_series(1, 3) AS s (i) LEFT JOIN users u ON u.a = s.i ORDER BY 1, 2',
    'SELECT x.i, (SELECT count(*) FROM users u WHERE u.a < x.i) FROM generate_series(0, 5) AS x (i) ORDER BY 1',
    'SELECT regexp_split_to_table(t, $$ $$) AS w, count(*) FROM sales GROUP BY 1 ORDER BY 1, 2',
  ]);
});

describe('VALUES and TABLE', () => {
  suite.answered([
    'VALUES (1, $$a$$), (2, NULL), (0, $$c$$) ORDER BY 1 DESC LIMIT 2',
    'SELECT v.x, u.id FROM (VALUES (1), (2), (NULL)) AS v (x) LEFT JOIN users u ON u.a = v.x ORDER BY 1, 2',
    'SELECT id FROM users WHERE (a, o) IN (VALUES (1, 2), (2, 3), (3, 1)) ORDER BY id',
    'SELECT id FROM users UNION ALL VALUES (1), (2) ORDER BY 1',
    'TABLE notes ORDER BY id',
    'SELECT count(*) FROM (TABLE users) u',
    'TABLE regions UNION TABLE regions ORDER BY 1',
    '(VALUES (1), (5)) INTERSECT SELECT a FROM users ORDER BY 1',
    'SELECT * FROM (VALUES (1, 2), (3, 4)) v (a, b) JOIN sales s USING (a) ORDER BY s.uid, s.n',
  ]);
});

describe('nested set operations', () => {
  suite.answered([
    '(SELECT id FROM users ORDER BY id DESC LIMIT 3) UNION ALL (SELECT uid FROM sales ORDER BY uid, n LIMIT 2) ORDER BY 1',
    '((SELECT a FROM users ORDER BY a, id LIMIT 9) EXCEPT ALL (SELECT a FROM sales WHERE a > 2 ORDER BY a LIMIT 3)) ORDER BY 1 NULLS FIRST',
    'SELECT a FROM users EXCEPT (SELECT a FROM sales INTERSECT SELECT seq FROM events) ORDER BY 1',
    '(SELECT a FROM users UNION SELECT a FROM sales) INTERSECT ALL (SELECT seq FROM events EXCEPT SELECT 2) ORDER BY a',
    'SELECT count(*) FROM ((SELECT id FROM users LIMIT 5) UNION ALL (SELECT uid FROM sales LIMIT 4)) x',
    'SELECT * FROM (SELECT id, 1 AS k FROM users UNION ALL SELECT uid, 2 FROM sales) x ORDER BY k DESC, id LIMIT 12 OFFSET 3',
    'SELECT t, NULL FROM users UNION SELECT NULL, a FROM sales ORDER BY 1, 2 LIMIT 30',
    'SELECT a FROM users UNION ALL SELECT 1.5 ORDER BY 1',
    'SELECT q FROM users EXCEPT SELECT q FROM notes ORDER BY 1',
    'SELECT v FROM users INTERSECT SELECT t FROM events ORDER BY 1',
  ]);
});

describe('grouping', () => {
  suite.answered([
    'SELECT a, b, count(*), grouping(a, b) FROM users GROUP BY ROLLUP (a, b) HAVING count(*) > 1 ORDER BY 1, 2, 4',
    'SELECT a, sum(q) FROM users GROUP BY GROUPING SETS ((a), (), ()) ORDER BY 1, 2',
    'SELECT a, b, count(*) FROM users GROUP BY DISTINCT ROLLUP (a, b), ROLLUP (a) ORDER BY 1, 2, 3',
    'SELECT id, count(*) FROM users GROUP BY CUBE (id) ORDER BY 1, 2',
    'SELECT id, a, grouping(id) FROM users GROUP BY GROUPING SETS ((id, a), (a)) ORDER BY 1, 2, 3',
    'SELECT uid, sum(amount) FROM sales GROUP BY ROLLUP (uid) HAVING grouping(uid) = 1 OR sum(amount) > 10 ORDER BY 1',
    'SELECT a % 2 AS p, count(*) FROM users GROUP BY p HAVING count(*) > (SELECT count(*) FROM regions) ORDER BY 1',
    'SELECT CASE WHEN a > 2 THEN $$x$$ ELSE $$y$$ END AS k, avg(q) FROM users GROUP BY 1 ORDER BY avg(q) DESC NULLS LAST, 1',
    'SELECT count(*) FROM users HAVING bool_or(b)',
    'SELECT 1 FROM users HAVING count(*) > 1000',
    'SELECT count(*) FROM users GROUP BY ()',
    'SELECT mode() WITHIN GROUP (ORDER BY o), percentile_disc(ARRAY[0.25, 0.5, 1]) WITHIN GROUP (ORDER BY id) FROM users',
    'SELECT a, rank(2) WITHIN GROUP (ORDER BY o), cume_dist(2) WITHIN GROUP (ORDER BY o) FROM users GROUP BY a ORDER BY a',
    'SELECT a, percentile_cont(0.5) WITHIN GROUP (ORDER BY o) FILTER (WHERE b) FROM users GROUP BY a ORDER BY 1',
    'SELECT corr(a, o)::numeric(10, 6), covar_pop(a, o)::numeric(10, 6), regr_slope(a, o)::numeric(10, 6) FROM users',
    'SELECT json_object_agg(id, t ORDER BY id) FROM users WHERE id < 5',
    'SELECT jsonb_object_agg(id, a) FROM users WHERE id BETWEEN 0 AND 9',
    'SELECT JSON_OBJECTAGG(k VALUE v) FROM (SELECT id AS k, a AS v FROM users WHERE id = 3) x',
    'SELECT JSON_ARRAYAGG(a ORDER BY id) FROM users',
    'SELECT array_agg(r ORDER BY id) FROM users WHERE r = ARRAY[1, 2]',
    'SELECT range_agg(int8range(id, id + 2)) FROM users WHERE id > 0',
    'SELECT count(DISTINCT (a, b)), count(DISTINCT t) FILTER (WHERE b) FROM users',
    'SELECT max(ROW(a, id)::text) FROM users',
    'SELECT a FROM users GROUP BY a ORDER BY count(*) DESC, max(id)',
    'SELECT string_agg(DISTINCT t, $$,$$ ORDER BY t) FROM sales',
    'SELECT any_value(7), min(n) IS NULL FROM users',
    'SELECT sum(n) FILTER (WHERE n > 0), avg(DISTINCT a) FROM users WHERE n < 1000',
  ]);
});

describe('DISTINCT ON and ties', () => {
  suite.answered([
    'SELECT DISTINCT ON (a) a, id FROM users ORDER BY a, id',
    'SELECT DISTINCT ON (a % 2, b) a % 2, b, id FROM users ORDER BY a % 2, b, id DESC',
    'SELECT DISTINCT ON (lower(t)) lower(t), id FROM users ORDER BY lower(t) DESC, id LIMIT 4',
    'SELECT DISTINCT ON (1) uid, n FROM sales ORDER BY 1, 2 OFFSET 2',
    'SELECT DISTINCT ON (u.a) u.a, s.amount, s.uid, s.n FROM users u JOIN sales s ON s.uid = u.id ORDER BY u.a, s.amount DESC, s.uid, s.n',
    'SELECT DISTINCT ON (a) a, count(*) OVER () FROM users ORDER BY a, id',
    'SELECT a FROM users ORDER BY a FETCH FIRST 4 ROWS WITH TIES',
    'SELECT a FROM users ORDER BY a DESC NULLS LAST OFFSET 3 FETCH FIRST 1 ROW WITH TIES',
    'SELECT a, count(*) FROM users GROUP BY a ORDER BY count(*) DESC, a FETCH FIRST 2 ROWS WITH TIES',
    'SELECT DISTINCT a FROM users ORDER BY a FETCH NEXT 3 ROWS WITH TIES',
    'SELECT count(*) FROM (SELECT a FROM users ORDER BY a FETCH FIRST 5 ROWS WITH TIES) x',
  ]);
});

describe('aggregates and functions that are seldom written', () => {
  suite.answered([
    'SELECT rank(3) WITHIN GROUP (ORDER BY a), dense_rank(3) WITHIN GROUP (ORDER BY a), percent_rank(3) WITHIN GROUP (ORDER BY a), cume_dist(3) WITHIN GROUP (ORDER BY a) FROM users',
    'SELECT e, rank(2, 1) WITHIN GROUP (ORDER BY a, o) FROM users GROUP BY e ORDER BY e',
    'SELECT percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY id), percentile_cont(0.3) WITHIN GROUP (ORDER BY iv) FROM users',
    'SELECT regr_count(a, o), var_pop(a), stddev_samp(q) FROM users WHERE q < 1000',
    'SELECT JSON_ARRAYAGG(t ORDER BY id NULL ON NULL RETURNING jsonb), JSON_OBJECTAGG(id VALUE a ABSENT ON NULL RETURNING jsonb) FROM users WHERE id < 9',
    'SELECT JSON_ARRAY(SELECT id FROM users WHERE id < 4 ORDER BY id), JSON_SCALAR(1)',
    `SELECT jt.x, count(*) FROM users CROSS JOIN JSON_TABLE(j, '$' COLUMNS (x text PATH '$.a', NESTED PATH '$.b[*]' COLUMNS (y int PATH '$'))) jt GROUP BY 1 ORDER BY 1`,
    'SELECT r.a, r.n, u.t FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY[5, 6])) WITH ORDINALITY r (a, b, n) JOIN users u ON u.id = r.a ORDER BY r.n',
    `SELECT g.d, count(s.n) FROM generate_series(timestamp '2024-02-28', '2024-03-03', '1 day') g (d) LEFT JOIN sales s ON date_trunc('day', s.at AT TIME ZONE 'UTC') = g.d GROUP BY g.d ORDER BY g.d`,
    'SELECT range_intersect_agg(int4range(a, 9)), range_agg(int4range(a, a + 2)) FROM users WHERE a < 9',
    'SELECT grouping(a, b), a, b, count(*) FROM users GROUP BY DISTINCT ROLLUP (a, b), ROLLUP (a) ORDER BY 1, 2, 3',
    'SELECT 1 AS one FROM users HAVING count(*) > 5',
    'SELECT count(*), sum(a) FROM users WHERE id IS NULL GROUP BY ()',
    'SELECT a FROM users WHERE id IS NULL GROUP BY ROLLUP (a)',
    'SELECT id FROM users ORDER BY id USING > LIMIT 1.6',
    { sql: 'SELECT a % $1, count(*) FROM users GROUP BY a % $1 ORDER BY 1', params: ['2'] },
    { sql: 'SELECT percentile_cont($1) WITHIN GROUP (ORDER BY id) FROM users', params: ['0.3'] },
    {
      sql: 'SELECT k.id, u.b FROM unnest($1::int[], $2::text[]) AS u (a, b) JOIN users k ON k.id = u.a ORDER BY 1',
      params: ['{1,2}', '{x,y}'],
    },
  ]);
});

describe('window frames', () => {
  suite.answered([
    'SELECT id, sum(a) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) FROM users ORDER BY id',
    'SELECT id, count(*) OVER (ORDER BY a RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE GROUP) FROM users ORDER BY id',
    'SELECT id, count(*) OVER (PARTITION BY b ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) FROM users ORDER BY id',
    'SELECT uid, n, sum(amount) OVER (w ROWS UNBOUNDED PRECEDING) FROM sales WINDOW w AS (PARTITION BY uid ORDER BY n) ORDER BY 1, 2',
    'SELECT uid, n, sum(amount) OVER w2 FROM sales WINDOW w AS (PARTITION BY rid), w2 AS (w ORDER BY uid, n) ORDER BY 1, 2',
    'SELECT id, last_value(t) OVER (ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM users ORDER BY id',
    'SELECT id, avg(q) OVER (ORDER BY d RANGE BETWEEN $$10 days$$ PRECEDING AND CURRENT ROW) FROM users WHERE isfinite(d) ORDER BY id',
    'SELECT a, id, row_number() OVER () > 0 FROM users ORDER BY id',
  ]);
});

describe('recursive queries', () => {
  suite.answered([
    'WITH RECURSIVE t AS (SELECT id, boss FROM users WHERE boss IS NULL UNION ALL SELECT u.id, u.boss FROM users u JOIN t ON u.boss = t.id) SEARCH DEPTH FIRST BY id SET o SELECT id, o FROM t ORDER BY o',
    'WITH RECURSIVE t AS (SELECT id, boss FROM users WHERE boss IS NULL UNION ALL SELECT u.id, u.boss FROM users u JOIN t ON u.boss = t.id) SEARCH BREADTH FIRST BY id SET o SELECT id FROM t ORDER BY o',
    'WITH RECURSIVE t (id, boss) AS (SELECT id, boss FROM users WHERE id = 3 UNION ALL SELECT u.id, u.boss FROM users u, t WHERE u.id = t.boss) CYCLE id SET c USING p SELECT id, c, p FROM t ORDER BY 1, 2, 3',
    'WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT n.i, count(u.id) FROM n LEFT JOIN users u ON u.a = n.i GROUP BY n.i ORDER BY 1',
    'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT u.id, (SELECT max(i) FROM n WHERE n.i <= u.a) FROM users u ORDER BY 1',
    'WITH a AS (SELECT id, a FROM users), b AS (SELECT a, count(*) AS c FROM a GROUP BY a) SELECT a.id, b.c FROM a JOIN b USING (a) ORDER BY 1',
    'WITH w AS NOT MATERIALIZED (SELECT * FROM sales) SELECT x.uid FROM w x JOIN w y ON x.uid = y.rid ORDER BY 1, x.n, y.uid, y.n',
  ]);
});

describe('rows and sub-selects as operands', () => {
  suite.answered([
    'SELECT id FROM users WHERE (a, id) > (2, 5) ORDER BY id',
    'SELECT id FROM users WHERE ROW(a, b) IS NOT NULL ORDER BY id',
    'SELECT id FROM users WHERE ROW(a, o) IS DISTINCT FROM ROW(1, NULL) ORDER BY id',
    'SELECT id FROM users u WHERE (a, id) = (SELECT s.a, s.uid FROM sales s WHERE s.uid = u.id ORDER BY n LIMIT 1) ORDER BY id',
    'SELECT id FROM users WHERE (id, a) IN (SELECT uid, a FROM sales) ORDER BY id',
    'SELECT id FROM users WHERE (a, o) NOT IN (SELECT a, n FROM sales WHERE a IS NOT NULL) ORDER BY id',
    'SELECT id FROM users WHERE a = ANY (SELECT seq FROM events) ORDER BY id',
    'SELECT id FROM users WHERE a > ALL (SELECT n FROM sales WHERE n < 2) ORDER BY id',
    'SELECT id FROM users WHERE a <> ALL (ARRAY(SELECT n FROM sales)) ORDER BY id',
    'SELECT id, ARRAY(SELECT n FROM sales s WHERE s.uid = u.id ORDER BY n) FROM users u ORDER BY id',
    'SELECT id, (SELECT array_agg(code ORDER BY code, seq) FROM events e WHERE e.uid = u.id) FROM users u ORDER BY id',
    'SELECT id, EXISTS (SELECT FROM events e WHERE e.uid = u.id) AS has FROM users u ORDER BY has, id',
    'SELECT (SELECT count(*) FROM users) - (SELECT count(*) FROM sales) AS d',
    'SELECT id FROM users WHERE a IN (SELECT max(a) FROM sales GROUP BY uid HAVING count(*) > 1) ORDER BY id',
    'SELECT id FROM users u WHERE NOT EXISTS (SELECT 1 FROM sales s JOIN events e ON e.uid = s.uid WHERE s.rid = u.a) ORDER BY id',
    'SELECT id, CASE WHEN a IN (SELECT seq FROM events) THEN 1 ELSE 0 END FROM users ORDER BY id',
    'SELECT coalesce((SELECT t FROM sales s WHERE s.uid = u.id AND s.n = 0), $$none$$) FROM users u ORDER BY u.id',
    'SELECT (SELECT sum(u.a)) FROM users u',
    'SELECT (SELECT max(s.n + u.id) FROM sales s) FROM users u WHERE u.id < 4 ORDER BY u.id',
    'SELECT id FROM users ORDER BY (SELECT count(*) FROM sales s WHERE s.uid = users.id) DESC, id',
    'SELECT u.id FROM users u WHERE u.a BETWEEN (SELECT min(n) FROM sales) AND (SELECT max(seq) - 3 FROM events) ORDER BY 1',
    'SELECT id FROM users WHERE a BETWEEN SYMMETRIC 3 AND 1 ORDER BY id',
  ]);
});

describe('expressions', () => {
  suite.answered([
    'SELECT id, r[1], r[1:1], r[:2], r[2:] FROM users ORDER BY id',
    'SELECT id, tags[1], cardinality(tags) FROM events JOIN users ON users.id = events.uid ORDER BY 1, 2, 3, code, seq',
    'SELECT id, t COLLATE "C" AS k FROM users ORDER BY k, id',
    'SELECT id FROM users ORDER BY t COLLATE "en-x-icu" DESC NULLS LAST, id',
    'SELECT max(t COLLATE "C"), min(ti), max(tc) FROM users',
    'SELECT DISTINCT t COLLATE "C" FROM users ORDER BY 1',
    'SELECT t COLLATE "C", count(*) FROM users GROUP BY 1 ORDER BY 1',
    'SELECT id, d + 1, ts - tz::timestamp, age(ts, ts) FROM users WHERE isfinite(ts) AND isfinite(tz) ORDER BY id',
    'SELECT id, extract(year FROM d), date_part($$month$$, ts) FROM users WHERE isfinite(d) AND isfinite(ts) ORDER BY id',
    'SELECT id, overlay(t PLACING $$x$$ FROM 1), position($$a$$ IN t), trim(BOTH $$a$$ FROM t), substring(t FROM 1 FOR 1) FROM users ORDER BY id',
    'SELECT id FROM users WHERE t SIMILAR TO $$(a|b)%$$ ORDER BY id',
    'SELECT id FROM users WHERE t ILIKE $$A%$$ OR t NOT LIKE $$%\\%$$ ESCAPE $$x$$ ORDER BY id',
    'SELECT id, nullif(a, 1), greatest(a, o), least(a, NULL) FROM users ORDER BY 1',
    `SELECT id, j -> $$b$$ -> 0, j #>> '{b,0}', j @? '$.a' FROM users ORDER BY id`,
    `SELECT id, JSON_VALUE(j, '$.a'), JSON_EXISTS(j, '$.b'), j IS JSON OBJECT FROM users ORDER BY id`,
    'SELECT id, JSON_OBJECT($$a$$ VALUE a, $$t$$ VALUE t), row_to_json(ROW(a, t)) FROM users ORDER BY id',
    'SELECT id, xmlelement(name x, a)::text FROM users ORDER BY id LIMIT 3',
    'SELECT id, a IS NOT DISTINCT FROM o, (b IS UNKNOWN), (b IS NOT FALSE) FROM users ORDER BY id',
    'SELECT id, ts AT TIME ZONE $$Asia/Kolkata$$, tz AT LOCAL FROM users ORDER BY id',
    'SELECT id, format($$%s-%L$$, t, a), md5(t), encode(y, $$hex$$), y || $$\\x00$$::bytea FROM users ORDER BY id',
    'SELECT id, q::int, q::text, a::numeric(5, 2), n::varchar(4) FROM users WHERE n < 1000 AND q < 1000 ORDER BY id',
    'SELECT id, CAST(t AS char(2)), t::name, e::text, $$ok$$::mood > e FROM users ORDER BY id',
    'SELECT id, width_bucket(a, 0, 5, 3), a & 3, a # 2, ~a, a << 1 FROM users ORDER BY id',
    'SELECT id, ROW(a, t) FROM users ORDER BY id LIMIT 5',
    'SELECT id, u::text, f, g, -f, abs(n) FROM users ORDER BY id',
    'SELECT e, count(*) FROM users GROUP BY e ORDER BY e DESC NULLS LAST',
    'SELECT id FROM users ORDER BY e, r, j, u, y, iv, id',
    'SELECT id FROM users ORDER BY (a, b, e), id',
    'SELECT id FROM users ORDER BY ARRAY[a, o], id DESC',
    'SELECT es, uid, n FROM sales ORDER BY es, uid, n',
    'SELECT id, int4range(0, a) FROM users WHERE a >= 0 ORDER BY 2, 1',
    'SELECT max(users.y), max(users.e), min(es) FROM users JOIN sales ON id = uid WHERE users.a >= 0',
    'SELECT count(*) FROM users WHERE id IS NULL OR a IS NULL',
    'SELECT pg_typeof(a), pg_typeof(count(*)) FROM users GROUP BY a ORDER BY a LIMIT 1',
  ]);
});

describe('joins', () => {
  suite.answered([
    'SELECT * FROM notes NATURAL JOIN regions ORDER BY 1, 2',
    'SELECT id, u.t, e.t FROM users u FULL JOIN events e ON e.uid = u.id AND e.seq < 3 ORDER BY 1, code, seq',
    'SELECT j.k, j.amount FROM (users u JOIN sales s ON s.uid = u.id) AS j (k) ORDER BY 1, 2',
    'SELECT x.a, count(*) FROM users JOIN sales USING (a) AS x GROUP BY x.a ORDER BY 1',
    'SELECT a, count(*) FROM users FULL JOIN sales USING (a) GROUP BY a ORDER BY a',
    'SELECT count(*), count(u.id), count(v.id) FROM users u FULL JOIN users v ON v.id = u.id AND v.a > 2',
    'SELECT u.id, v.id, r.name FROM users u FULL JOIN users v ON v.id = u.id AND v.a > 2 LEFT JOIN regions r ON r.id = v.a ORDER BY 1, 2',
    'SELECT u.id, v.id, r.id FROM users u FULL JOIN users v ON v.id = u.id AND v.a > 2 RIGHT JOIN regions r ON r.id = v.a ORDER BY 1, 2, 3',
    'SELECT r.id, count(u.id), count(v.id) FROM regions r FULL JOIN (users u FULL JOIN users v ON v.id = u.id AND v.a > 2) ON r.id = u.a GROUP BY r.id ORDER BY 1',
    'SELECT id, count(*) FROM users FULL JOIN (SELECT id FROM users WHERE a > 2 GROUP BY id) v USING (id) GROUP BY id ORDER BY id LIMIT 9',
    'SELECT u.id, v.id FROM users u FULL JOIN (SELECT id FROM users ORDER BY id LIMIT 3) v ON u.id = v.id WHERE u.id < 3 OR v.id > 2 ORDER BY 1, 2',
    'SELECT u.id, v.a FROM users u FULL JOIN users v ON u.a = v.id WHERE u.a = u.id ORDER BY 1, 2',
    'SELECT u.id FROM users u FULL JOIN users v ON u.id = v.id AND v.a > 2 WHERE NOT EXISTS (SELECT FROM sales s WHERE s.uid = u.id) ORDER BY 1',
    'SELECT u.id, r.name FROM users u RIGHT JOIN regions r ON r.id = u.a ORDER BY r.id, u.id',
    'SELECT r.id, count(u.id) FROM regions r LEFT JOIN users u ON u.a = r.id GROUP BY r.id ORDER BY 1',
    'SELECT r.name, count(*) FROM regions r, users u WHERE u.a = r.id GROUP BY r.id ORDER BY r.id',
    'SELECT n.id, (SELECT count(*) FROM users u WHERE u.a = n.a) FROM notes n ORDER BY 1',
    'SELECT u.id, l.* FROM users u CROSS JOIN LATERAL (SELECT n, amount FROM sales s WHERE s.uid = u.id ORDER BY amount DESC, n LIMIT 1) l ORDER BY 1',
    'SELECT u.id, l.* FROM users u LEFT JOIN LATERAL (SELECT code, seq FROM events e WHERE e.uid = u.boss ORDER BY code, seq LIMIT 2) l ON true ORDER BY 1, 2, 3',
    'SELECT u.id, b.id FROM users u LEFT JOIN users b ON b.id = u.boss WHERE b.a IS DISTINCT FROM u.a ORDER BY 1',
    'SELECT count(*) FROM users u, users v, regions r WHERE u.a = v.o AND r.id = u.a',
    'SELECT u.id FROM users u JOIN sales s ON s.uid = u.id JOIN events e ON e.uid = s.uid AND e.seq = s.n ORDER BY 1',
    'SELECT u.id, s.n, e.code FROM users u JOIN sales s ON s.uid = u.id LEFT JOIN events e ON e.a = s.a AND e.seq = 0 ORDER BY 1, 2, 3',
    'SELECT n.t, sum(s.amount) FROM notes n JOIN sales s ON s.a = n.a JOIN users u ON u.id = s.uid GROUP BY n.t ORDER BY 1',
  ]);
});

describe('rows of all shards tell their tables', () => {
  suite.answered([
    'SELECT tableoid::regclass::text, count(*) FROM users GROUP BY 1',
    'SELECT u.tableoid::regclass::text, u.* FROM users u ORDER BY id LIMIT 4',
    'SELECT u.id, e.tableoid::regclass::text FROM users u LEFT JOIN events e ON e.a = u.id ORDER BY 1, 2, e.seq',
  ]);
});

describe('samples of all shards are a sample', () => {
  suite.answered([
    'SELECT count(*) FROM users TABLESAMPLE BERNOULLI (100)',
    'SELECT count(*), max(id) FROM users TABLESAMPLE SYSTEM (0) REPEATABLE (1)',
    'SELECT id FROM users TABLESAMPLE BERNOULLI (100) ORDER BY id LIMIT 3',
    'SELECT a, count(*) FROM users TABLESAMPLE SYSTEM (100) WHERE id > 3 GROUP BY a ORDER BY a',
    'SELECT * FROM regions TABLESAMPLE SYSTEM (100) ORDER BY id',
    { sql: 'SELECT id FROM users TABLESAMPLE BERNOULLI ($1) ORDER BY 1', params: ['100'] },
    'SELECT u.id FROM users u TABLESAMPLE BERNOULLI (100) JOIN regions r ON r.id = u.a ORDER BY 1',
    'SELECT u.id FROM users u TABLESAMPLE SYSTEM (100) WHERE u.id = 3',
    'SELECT u.id, e.code FROM users u TABLESAMPLE BERNOULLI (100) JOIN events e ON e.a = u.a ORDER BY 1, 2, e.seq',
    'SELECT users.id FROM users tablesample /* ) */ pg_catalog.system(50 + 50) repeatable ( 1.5 ) JOIN events e TABLESAMPLE SYSTEM (100) ON e.a = users.id WHERE users.a > 1 ORDER BY 1, e.code, e.seq',
    'SELECT u.id, e.code FROM users u LEFT JOIN ONLY events e TABLESAMPLE SYSTEM (0) ON e.a = u.a ORDER BY 1',
    'SELECT count(*) FROM users a TABLESAMPLE SYSTEM (100), users b TABLESAMPLE SYSTEM (100), events e WHERE a.a = b.id AND e.a = b.a',
    'SELECT id FROM users WHERE a IN (SELECT a FROM notes TABLESAMPLE BERNOULLI (100) WHERE id > 2) ORDER BY 1',
    'SELECT u, r.name FROM regions r TABLESAMPLE BERNOULLI (100) RIGHT JOIN users u ON u.a = r.id ORDER BY u.id',
    {
      sql: 'SELECT u.id FROM users u TABLESAMPLE BERNOULLI ($1) JOIN events e ON e.a = u.a WHERE e.seq > $2 ORDER BY 1, e.code, e.seq',
      params: ['100', '3'],
    },
  ]);

  test('two of one table differ, where the rows are brought together too', async () => {
    const sql =
      'SELECT array_agg(DISTINCT a.id) = array_agg(DISTINCT b.id) ' +
      'FROM users a TABLESAMPLE BERNOULLI (50), users b TABLESAMPLE BERNOULLI (50)';
    const { rows, error } = await suite.proxy().run(sql, 'simple');
    expect(error).toBeNull();
    expect(rows).toEqual([['f']]);
  });

  test.each([
    ['SELECT 1 FROM users u TABLESAMPLE SYSTEM (101) JOIN events e ON e.a = u.a', '2202H'],
    ['SELECT 1 FROM users u TABLESAMPLE SYSTEM (NULL) JOIN events e ON e.a = u.a', '2202H'],
    [`SELECT 1 FROM users u TABLESAMPLE SYSTEM ('x') JOIN events e ON e.a = u.a`, '22P02'],
    ['SELECT 1 FROM (SELECT 1) u TABLESAMPLE SYSTEM (1) JOIN events e ON true', '42601'],
  ])('%s fails with %s', async (sql, state) => {
    expect((await suite.oracle().run(sql)).error?.state).toBe(state);
    expect((await suite.proxy().run(sql, 'simple')).error?.state).toBe(state);
    expect((await suite.proxy().run(sql, 'text')).error?.state).toBe(state);
  });

  test('which REPEATABLE gives again', async () => {
    const sql = 'SELECT id FROM users TABLESAMPLE BERNOULLI (50) REPEATABLE (7) ORDER BY id';
    const [first, second] = [
      await suite.proxy().run(sql, 'simple'),
      await suite.proxy().run(sql, 'simple'),
    ];
    expect(first.error).toBeNull();
    expect(second.rows).toEqual(first.rows);
    const wrong = await suite.proxy().run('SELECT FROM users TABLESAMPLE SYSTEM (101)', 'simple');
    expect(wrong.error?.state).toBe('2202H');
  });
});

describe('what means something on one server only is refused, or right', () => {
  suite.answeredOrRefused([
    'SELECT ctid FROM users',
    'SELECT xmin, id FROM users ORDER BY id',
    'SELECT u.ctid FROM users u JOIN events e ON e.uid = u.id',
    'SELECT cmin, xmax FROM sales WHERE uid = 3',
    'SELECT (w).a FROM users w ORDER BY id',
    'SELECT count(w) FROM users w',
    'SELECT count(DISTINCT w) FROM users w',
    'SELECT row_to_json(w) FROM users w ORDER BY id',
    'SELECT w IS NULL, id FROM users w ORDER BY id',
    'SELECT pg_typeof(w)::text FROM users w LIMIT 1',
    'SELECT id FROM users WHERE ctid IN (SELECT ctid FROM users)',
    'SELECT id FROM users FOR UPDATE',
    'SELECT id FROM users ORDER BY id FOR SHARE SKIP LOCKED',
    'SELECT id FROM users ORDER BY id LIMIT 2 FOR UPDATE',
    'SELECT * FROM ONLY users ORDER BY id',
    'SELECT id, random() < 2 FROM users ORDER BY id',
    'SELECT count(DISTINCT now()) FROM users',
    'SELECT id, now() - now() FROM users ORDER BY id',
    'SELECT id, row_number() OVER () FROM users WHERE id = 3',
    'SELECT current_setting($$timezone$$), count(*) FROM users',
    'SELECT a, unnest(ARRAY[1, 2]), count(*) FROM users GROUP BY a ORDER BY 1, 2',
    'SELECT id FROM users LIMIT 0',
    'SELECT id FROM users ORDER BY id LIMIT NULL OFFSET 30',
    'SELECT FROM users WHERE id < 3',
    'SELECT count(*) FROM (SELECT FROM users) x',
    'SELECT EXISTS (SELECT FROM users WHERE a = 4)',
    'SELECT id FROM users ORDER BY id LIMIT (SELECT 3)',
    'SELECT id FROM users ORDER BY id OFFSET (SELECT count(*) - 2 FROM users)',
  ]);
});

describe('whole rows of tables that are brought together, wherever they stand', () => {
  const joined = 'FROM users u JOIN events ev ON ev.uid = u.id';
  suite.answered([
    `SELECT u.id, ev ${joined} ORDER BY ev, u LIMIT 9`,
    `SELECT ev, count(*) ${joined} GROUP BY ev ORDER BY ev`,
    `SELECT ev.*::events AS x, count(*) ${joined} GROUP BY ev.* ORDER BY ev.*`,
    `SELECT u.id, CASE WHEN ev.seq > 2 THEN ev END ${joined} ORDER BY u.id, ev`,
    `SELECT DISTINCT ev ${joined} WHERE u.a > 0 ORDER BY ev`,
    `SELECT array_agg(ev ORDER BY ev) ${joined} WHERE u.a = 2`,
    `SELECT lag(ev) OVER (ORDER BY ev), ev.seq ${joined} ORDER BY ev`,
    'SELECT ev, count(u.a) FROM users u LEFT JOIN events ev ON ev.a = u.id GROUP BY ev ORDER BY ev',
    'SELECT ev FROM users u FULL JOIN events ev ON ev.seq = u.id ORDER BY ev, u.id',
    'SELECT coalesce(x, y) FROM events x JOIN events y ON y.seq = x.a ORDER BY x, y',
    'SELECT x.k, x FROM notes x (k, b) JOIN users u ON u.a = x.b ORDER BY x, u.id',
    'SELECT ev.code FROM events ev WHERE ev > (SELECT ev FROM events ev WHERE ev.seq = 1 ORDER BY ev LIMIT 1) ORDER BY ev',
    'SELECT u.id AS ev, u.a, count(*) FROM users u JOIN events ev ON ev.uid = u.id GROUP BY u.id, u.a ORDER BY ev',
    'SELECT ev AS row, count(*) FROM users u JOIN events ev ON ev.uid = u.id GROUP BY row ORDER BY row',
  ]);
});

test('GROUP BY that names primary keys by position, among sets, or not at all, needs no table', async () => {
  const joined = 'FROM users u JOIN events ev ON ev.uid = u.id';
  const statements = [
    `SELECT u.id, u.t, count(*) ${joined} GROUP BY 1 ORDER BY 1`,
    `SELECT u.id AS x, u.r, u.v, count(*) ${joined} GROUP BY x ORDER BY 1`,
    `SELECT u.id, u.t, u.v, ev.seq, count(*) ${joined} GROUP BY u.id, ROLLUP (ev.seq, u.v) ORDER BY 1, 3, 4, 5`,
    `SELECT u.id, u.t, upper(u.t), count(*) ${joined} GROUP BY u.id, GROUPING SETS ((upper(u.t)), ()) ORDER BY 1, 3, 4`,
    `SELECT u.a, ev.seq, count(*) ${joined} GROUP BY CUBE (u.a, ev.seq) ORDER BY 1, 2, 3`,
    `SELECT u.a IS NULL, count(ev.code) ${joined} GROUP BY 1 ORDER BY 1`,
    'SELECT a, count(*), max(n) FROM users GROUP BY a ORDER BY a',
  ];
  const both = [suite.proxy(), suite.oracle()];
  for (const session of both) await session.must('BEGIN READ ONLY');
  for (const sql of statements) {
    const [ours, theirs] = await Promise.all(both.map((session) => session.run(sql)));
    expect(ours, sql).toEqual(theirs);
  }
  for (const session of both) await session.must('ROLLBACK');
});

test('types without a binary form are brought together under what drivers set', async () => {
  const sql = 'SELECT s.es, count(*) FROM sales s JOIN users u ON u.a = s.n GROUP BY 1 ORDER BY 1';
  const settings = [
    'SET extra_float_digits = 3',
    `SET datestyle = 'ISO, DMY'`,
    `SET intervalstyle = 'iso_8601'`,
  ];
  const both = [suite.proxy(), suite.oracle()];
  const answers = await Promise.all(
    both.map(async (session) => {
      for (const setting of settings) await session.must(setting);
      await session.must('BEGIN READ ONLY');
      return await session.run(sql, 'text', []);
    }),
  );
  expect(answers[0]!.rows).toEqual(answers[1]!.rows);
  expect(answers[0]!.rows.length).toBeGreaterThan(1);
  await suite.proxy().must('ROLLBACK; SET extra_float_digits = 0; BEGIN READ ONLY');
  expect((await suite.proxy().run(sql, 'text', [])).error?.state).toBe('0A000');
  for (const session of both) await session.must('ROLLBACK; RESET ALL');
});
