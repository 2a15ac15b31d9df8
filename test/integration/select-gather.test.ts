/*
 * Statements whose rows must meet on one server: joins across shard keys and keyspaces, sub-selects
 * anywhere, WITH, LATERAL, functions and types of the user. Every statement must be answered.
 */
import { describe, expect, test } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const suite = selectSuite('select_gather', [
  'CREATE FUNCTION twice(x int4) RETURNS int4 LANGUAGE sql IMMUTABLE AS $$SELECT x * 2$$',
  'CREATE VIEW rich AS SELECT id, a, t, q FROM users WHERE q > 1',
  'CREATE VIEW by_name AS SELECT id, t, a FROM users ORDER BY t COLLATE "C", id',
  `CREATE VIEW totals AS SELECT u.a, count(*) AS users, sum(s.amount) AS amount
     FROM users u LEFT JOIN sales s ON s.rid = u.a GROUP BY u.a`,
]);

describe('joins of every kind', () => {
  const pairs: readonly (readonly [string, string, string, string])[] = [
    ['users u', 'sales s', 'u.id = s.uid', 'u.id, s.uid, s.n, s.t'],
    ['users u', 'sales s', 'u.a = s.rid', 'u.id, s.uid, s.n, s.amount'],
    ['users u', 'events s', 'u.id = s.uid', 'u.id, s.code, s.seq, s.w'],
    ['users u', 'events s', 'u.t = s.code', 'u.id, s.code, s.seq, s.tags'],
    ['users u', 'users s', 'u.boss = s.id', 'u.id, s.id, s.e, u.iv'],
    ['users u', 'notes s', 'u.id = s.id', 'u.id, s.id, s.t, u.r'],
    ['users u', 'regions s', 'u.a = s.id', 'u.id, s.id, s.name'],
    ['regions u', 'sales s', 'u.id = s.rid', 'u.id, s.uid, s.n, s.es'],
    ['notes u', 'events s', 'u.a = s.a', 'u.id, s.code, s.seq, s.r'],
    ['users u', '(SELECT a, count(*) AS n FROM sales GROUP BY a) s', 'u.a = s.a', 'u.id, s.n'],
  ];
  for (const [left, right, on, list] of pairs) {
    suite.answered(
      ['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'].map((join) => {
        return `SELECT ${list} FROM ${left} ${join} ${right} ON ${on}`;
      }),
    );
  }
  suite.answered([
    'SELECT count(*) FROM users CROSS JOIN events',
    'SELECT u.id, r.id FROM users u, regions r, notes n WHERE u.id = n.id',
    'SELECT * FROM (SELECT id, a FROM users) x NATURAL JOIN (SELECT uid AS id, n FROM sales) y',
    'SELECT * FROM (SELECT id, a FROM users) x NATURAL FULL JOIN (SELECT a, seq FROM events) y',
    'SELECT id, x.n FROM (SELECT id, n FROM users) x JOIN (SELECT uid AS id FROM events) y USING (id)',
    'SELECT a, count(*) FROM users JOIN events USING (a) GROUP BY a ORDER BY a',
    'SELECT a FROM users FULL JOIN events USING (a) ORDER BY a',
    'SELECT j.a FROM (users JOIN events USING (a)) AS j ORDER BY j.a LIMIT 5',
    'SELECT u.id, s.n FROM users u LEFT JOIN sales s ON u.id = s.uid AND s.amount > 2 ORDER BY 1, 2',
    'SELECT u.id FROM users u LEFT JOIN events e ON e.uid = u.id WHERE e.uid IS NULL ORDER BY 1',
    'SELECT count(*) FROM users u JOIN events e ON u.a < e.a',
    'SELECT u.id, v.id FROM users u JOIN users v ON u.id = v.id + 1 ORDER BY 1',
    'SELECT count(*) FROM users u JOIN sales s ON s.uid = u.id JOIN events e ON e.uid = u.id JOIN notes n ON n.id = u.id',
    'SELECT u.id, b.id, c.id FROM users u LEFT JOIN (users b JOIN users c ON b.boss = c.id) ON u.boss = b.id ORDER BY 1, 2, 3',
  ]);
});

describe('sub-selects anywhere', () => {
  suite.answered([
    'SELECT id FROM users WHERE id IN (SELECT uid FROM events) ORDER BY 1',
    'SELECT id FROM users WHERE a NOT IN (SELECT a FROM events WHERE a > 2) ORDER BY 1',
    'SELECT id FROM users WHERE a NOT IN (SELECT a FROM events) ORDER BY 1',
    'SELECT id FROM users u WHERE EXISTS (SELECT FROM events e WHERE e.uid = u.boss) ORDER BY 1',
    'SELECT id FROM users u WHERE NOT EXISTS (SELECT 1 FROM sales s WHERE s.rid = u.a) ORDER BY 1',
    'SELECT id FROM users WHERE q > ALL (SELECT amount FROM sales WHERE n = 1) ORDER BY 1',
    'SELECT id FROM users WHERE a = ANY (SELECT rid FROM sales) ORDER BY 1',
    'SELECT id FROM users WHERE (a, b) IN (SELECT a, flag FROM sales) ORDER BY 1',
    'SELECT id, (SELECT max(amount) FROM sales) FROM users ORDER BY 1',
    'SELECT id, (SELECT count(*) FROM events e WHERE e.a = u.a) FROM users u ORDER BY 1',
    'SELECT id, (SELECT name FROM regions r WHERE r.id = u.a) FROM users u ORDER BY 1',
    'SELECT id, ARRAY(SELECT n FROM sales s WHERE s.uid = u.id ORDER BY n) FROM users u ORDER BY 1',
    'SELECT id FROM users u WHERE a > (SELECT avg(a) FROM users v WHERE v.b = u.b) ORDER BY 1',
    'SELECT id FROM users ORDER BY (SELECT count(*) FROM events WHERE events.a = users.a), id',
    'SELECT x.id, x.c FROM (SELECT u.id, (SELECT count(*) FROM sales s WHERE s.rid = u.a) AS c FROM users u) x WHERE c > 2 ORDER BY 1',
    'SELECT (SELECT id FROM users WHERE id = 1), (SELECT min(code) FROM events)',
    'SELECT id FROM users LIMIT (SELECT 0)',
    'SELECT CASE WHEN EXISTS (SELECT 1 FROM sales WHERE amount > 99) THEN 1 ELSE 2 END FROM users',
    'SELECT count(*) FROM users WHERE (SELECT true FROM notes WHERE notes.id = users.id)',
    {
      sql: 'SELECT id FROM users WHERE a IN (SELECT a FROM events WHERE seq = $1) AND id > $2 ORDER BY 1',
      params: ['2', '3'],
    },
    {
      sql: 'SELECT $1::text, id FROM users u JOIN events e ON e.uid = u.boss AND e.t = $1 ORDER BY 2, e.code, e.seq',
      params: ['a'],
    },
    {
      sql: 'SELECT u.id FROM users u JOIN events e USING (a) WHERE u.e = $1::mood AND e.tags = $2 ORDER BY 1',
      params: ['ok', '{}'],
    },
  ]);

  test('one that gives several rows fails as on Postgres', async () => {
    const sql = 'SELECT id FROM users WHERE a = (SELECT a FROM events)';
    expect((await suite.oracle().run(sql)).error?.state).toBe('21000');
    expect((await suite.proxy().run(sql)).error?.state).toBe('21000');
  });
});

describe('WITH, LATERAL, VALUES, functions', () => {
  suite.answered([
    'WITH w AS (SELECT a, count(*) AS c FROM users GROUP BY a) SELECT * FROM w ORDER BY a',
    'WITH w AS MATERIALIZED (SELECT * FROM users) SELECT x.id FROM w x JOIN w y ON x.boss = y.id ORDER BY 1',
    'WITH v AS (SELECT id FROM users WHERE a = 1), w AS (SELECT uid FROM events, v WHERE uid = v.id) SELECT count(*) FROM w, v',
    'WITH w AS (SELECT 1 AS one) SELECT id, one FROM users, w ORDER BY 1',
    'WITH RECURSIVE tree AS (SELECT id, 0 AS level FROM users WHERE boss IS NULL UNION ALL SELECT u.id, level + 1 FROM users u JOIN tree ON u.boss = tree.id) SELECT * FROM tree ORDER BY 2, 1',
    'WITH RECURSIVE up (id, boss) AS (SELECT id, boss FROM users WHERE id = 30 UNION SELECT u.id, u.boss FROM up JOIN users u ON u.id = up.boss) SELECT id FROM up ORDER BY id',
    'WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i, u.id FROM n JOIN users u ON u.a = i ORDER BY 1, 2',
    'WITH RECURSIVE x AS (SELECT id FROM y WHERE id > 2), y AS (SELECT id, a FROM users) SELECT x.id, e.code FROM x JOIN events e ON e.a = x.id ORDER BY 1, 2, e.seq',
    'WITH RECURSIVE x AS (SELECT id FROM y UNION SELECT x.id + 1 FROM x JOIN y USING (id)), y AS (SELECT id FROM z WHERE id < 4), z AS (SELECT id FROM users UNION SELECT uid FROM events) SELECT * FROM x ORDER BY 1',
    'WITH RECURSIVE x AS (SELECT count(*) FROM public.regions), regions AS (SELECT id FROM users) SELECT * FROM x, regions ORDER BY 1, 2',
    'SELECT u.id, x.n FROM users u CROSS JOIN LATERAL (SELECT n FROM sales s WHERE s.uid = u.id ORDER BY n DESC LIMIT 1) x ORDER BY 1',
    'SELECT u.id, x.code FROM users u LEFT JOIN LATERAL (SELECT code FROM events e WHERE e.a = u.a ORDER BY code, seq LIMIT 2) x ON true ORDER BY 1, 2',
    'SELECT id, x FROM users, unnest(r) AS x ORDER BY 1, 2',
    'SELECT code, seq, x, n FROM events, unnest(tags) WITH ORDINALITY AS y (x, n) ORDER BY 1, 2, 4',
    'SELECT v.x, u.id FROM (VALUES (1), (2)) v (x) JOIN users u ON u.a = v.x ORDER BY 1, 2',
    'SELECT i, count(u.id) FROM generate_series(-1, 4) i LEFT JOIN users u ON u.a = i GROUP BY i ORDER BY i',
    'SELECT id, twice(a) FROM users ORDER BY twice(a), id',
    'SELECT twice(u.a), count(*) FROM users u JOIN events e ON twice(e.a) = twice(u.a) GROUP BY 1 ORDER BY 1',
    'SELECT id, k.* FROM users, jsonb_each(CASE WHEN jsonb_typeof(j) = $$object$$ THEN j END) k ORDER BY 1, 2',
    'SELECT jsonb_path_query(j, $$$.a$$) FROM users',
    'SELECT u FROM users u WHERE id = 3',
    'SELECT count(u), count(e) FROM users u LEFT JOIN events e ON e.uid = u.boss',
    'SELECT (s.es)[1], cardinality(s.es), u.e FROM sales s JOIN users u ON u.e = ANY (s.es) ORDER BY 1, 2, s.uid, s.n, u.id',
    'SELECT id, generate_series(1, 2) FROM users ORDER BY 1, 2',
    'SELECT * FROM rich ORDER BY id',
    'SELECT r.t, e.code FROM rich r JOIN events e ON e.a = r.a ORDER BY 1, 2, e.seq, r.id',
    'SELECT * FROM totals ORDER BY a',
    'TABLE regions',
    'SELECT x.ti, y.tc FROM users x JOIN users y ON x.ti = y.ti WHERE x.tc < y.tc COLLATE "C" ORDER BY 1, 2, x.id, y.id',
    'SELECT public.users.id FROM public.users, public.events WHERE users.a = events.a ORDER BY 1',
  ]);
});

describe('one name for two tables of a FROM list', () => {
  suite.answered([
    'SELECT count(*) FROM (users JOIN regions ON true) AS x, users',
    'SELECT x.parent, users.id FROM (sales users JOIN regions ON users.a = regions.id) AS x JOIN users ON users.a = x.parent ORDER BY 1, 2',
  ]);

  test.each([
    'SELECT 1 FROM users, users',
    'SELECT 1 FROM users, public.users',
    'SELECT 1 FROM users JOIN sales users ON users.a = 1',
    'SELECT 1 FROM events WHERE EXISTS (SELECT 1 FROM users, users)',
    'SELECT 1 FROM totals, totals',
    'WITH RECURSIVE x AS (SELECT id FROM y), y AS (SELECT id FROM users) SELECT 1 FROM x, y x',
  ])('%s fails as on Postgres', async (sql) => {
    expect((await suite.oracle().run(sql)).error?.state).toBe('42712');
    for (const protocol of ['simple', 'text'] as const) {
      expect((await suite.proxy().run(sql, protocol)).error?.state).toBe('42712');
    }
  });
});

describe('what is refused where it is not answered', () => {
  suite.answeredOrRefused([
    'WITH RECURSIVE t AS (SELECT id, parent FROM regions WHERE parent IS NULL UNION ALL SELECT r.id, r.parent FROM regions r JOIN t ON r.parent = t.id) SEARCH DEPTH FIRST BY id SET o SELECT t.id, count(u.id) FROM t LEFT JOIN users u ON u.a = t.id GROUP BY t.id ORDER BY 1',
    'SELECT count(*) FROM users u TABLESAMPLE BERNOULLI (100) JOIN events e ON e.a = u.a',
    'SELECT id FROM users ORDER BY id FOR UPDATE',
    'SELECT u.id FROM users u JOIN events e ON e.uid = u.id ORDER BY 1 FOR SHARE OF u',
    'SELECT count(*) FROM users, pg_class WHERE false',
    'SELECT xmin IS NULL, id FROM users ORDER BY id LIMIT 1',
  ]);
});

describe('a statement has one time, whichever servers run it', () => {
  suite.answered([
    'SELECT 1 FROM (SELECT DISTINCT now() FROM users) x',
    'SELECT max(now()) = min(now()), max(statement_timestamp()) = min(statement_timestamp()) FROM users',
    'SELECT count(DISTINCT x) FROM (SELECT now() AS x FROM users UNION ALL SELECT now() FROM sales) y',
    'SELECT count(*) FROM users GROUP BY current_timestamp',
    'SELECT count(*) FROM (SELECT localtimestamp FROM users UNION SELECT localtimestamp FROM events) x',
  ]);

  test('DISTINCT leaves one', async () => {
    const { rows } = await suite.proxy().run('SELECT DISTINCT now() FROM users');
    expect(rows).toHaveLength(1);
  });

  test('which is that of its transaction', async () => {
    const session = suite.proxy();
    await session.must('BEGIN');
    const [[first]] = (await session.run('SELECT now()')).rows as [[string]];
    for (const sql of ['SELECT DISTINCT now() FROM users', 'SELECT max(now()) FROM users']) {
      const { rows } = await session.run(sql);
      expect(rows, sql).toEqual([[first]]);
    }
    await session.must('ROLLBACK');
  });
});

describe('in a transaction', () => {
  const reads = [
    'SELECT count(*), sum(id) FROM users',
    'SELECT u.id, e.code, e.seq FROM users u JOIN events e ON e.a = u.a ORDER BY 1, 2, 3',
    'SELECT id FROM users ORDER BY t, id LIMIT 5',
    'SELECT id, s.es FROM users u JOIN sales s ON s.rid = u.a ORDER BY id, s.uid, s.n',
  ];

  test('its own writes are seen, and nothing is left behind', async () => {
    const { proxy, oracle } = suite;
    for (const session of [proxy(), oracle()]) {
      await session.must('BEGIN');
      await session.must(
        `INSERT INTO users (id, a, t) VALUES (100, 1, 'a'), (101, 2, ''), (102, 1, 'b')`,
      );
      await session.must('DELETE FROM sales WHERE rid = 2');
    }
    for (const sql of [...reads, ...reads]) {
      expect(await proxy().run(sql)).toEqual(await oracle().run(sql));
    }
    for (const session of [proxy(), oracle()]) {
      await session.must('SAVEPOINT s');
      const { error } = await session.run('SELECT u.a / 0 FROM users u JOIN events e ON e.a = u.a');
      expect(error?.state).toBe('22012');
      expect((await session.run(reads[1]!)).error?.state).toBe('25P02');
      await session.must('ROLLBACK TO s');
    }
    for (const sql of reads) expect(await proxy().run(sql)).toEqual(await oracle().run(sql));
    for (const session of [proxy(), oracle()]) await session.must('ROLLBACK');
    for (const sql of reads) expect(await proxy().run(sql)).toEqual(await oracle().run(sql));
  });

  test('a cursor of a gathered SELECT is right, or refused', async () => {
    const { proxy, oracle } = suite;
    const declare = `DECLARE c CURSOR FOR ${reads[1]!}`;
    await oracle().must('BEGIN');
    await oracle().must(declare);
    await proxy().must('BEGIN');
    const { error } = await proxy().run(declare);
    if (error === null) {
      expect(await proxy().run('FETCH 7 FROM c')).toEqual(await oracle().run('FETCH 7 FROM c'));
    } else {
      expect(error.state).toBe('0A000');
      expect(error.hint).not.toBeNull();
    }
    await proxy().must('ROLLBACK');
    await oracle().must('ROLLBACK');
  });
});

describe('rows that a result shows in the order of a sub-select', () => {
  const sorted = '(SELECT id, a, t FROM users ORDER BY a NULLS FIRST, id DESC)';
  suite.answered([
    `SELECT id FROM ${sorted} s LIMIT 3`,
    `SELECT id FROM (SELECT * FROM ${sorted} s WHERE id > 2) o WHERE a > 1 LIMIT 2 OFFSET 1`,
    `WITH s AS ${sorted} SELECT id FROM s FETCH FIRST 2 ROWS ONLY`,
    'SELECT id FROM by_name LIMIT 3',
    `SELECT DISTINCT ON (a) a, id FROM ${sorted} s ORDER BY a NULLS FIRST`,
    `SELECT array_agg(id) FROM ${sorted} s`,
    `SELECT count(*) FROM sales WHERE uid IN (SELECT id FROM ${sorted} s LIMIT 2)`,
  ]);
  test.each([
    `SELECT * FROM ${sorted} s`,
    `WITH s AS ${sorted} SELECT t, id FROM s WHERE id <> 4`,
    'SELECT * FROM by_name',
    `${sorted} UNION ALL ${sorted}`,
  ])('%s', async (sql) => {
    const pair = await suite.pair();
    await pair.expectSame((client) => {
      client.query(sql);
    });
    pair.close();
  });
});

test('several statements of one text each give their answer', async () => {
  const pair = await suite.pair();
  await pair.expectSame((client) => {
    client.query(
      'SELECT id FROM users ORDER BY id LIMIT 3; SELECT count(*) FROM users u JOIN events e ON e.a = u.a; SELECT max(t) FROM sales',
    );
  });
  await pair.expectSame((client) => {
    client.query(
      'SELECT id FROM users ORDER BY id LIMIT 3; SELECT max(nothing) FROM users; SELECT 1',
    );
  });
  await pair.expectSame((client) => {
    for (const sql of [
      'SELECT id FROM users ORDER BY id DESC LIMIT 2',
      'SELECT count(DISTINCT t) FROM users',
      'SELECT 1',
    ]) {
      client.parse(sql);
      client.bind();
      client.describe('P');
      client.execute();
    }
    client.sync();
  });
  pair.close();
});

describe('whole rows of tables', () => {
  suite.answered([
    'SELECT e, n.id FROM events e JOIN notes n ON n.id = e.uid ORDER BY e.code, e.seq, n.id',
    'SELECT n.id, e AS x, e IS NULL FROM notes n LEFT JOIN events e ON e.uid = n.id ORDER BY 1, e.code, e.seq',
    'SELECT n.id, x FROM notes n LEFT JOIN events x (q, p) ON x.uid = n.id ORDER BY 1, x.q, x.p',
    // JSON has the table's own names.
    'SELECT row_to_json(x) FROM notes n LEFT JOIN events x (q, p) ON x.uid = n.id ORDER BY n.id, x.q, x.p',
    'SELECT n.id, json_agg(x ORDER BY x.q, x.p) FROM notes n LEFT JOIN events x (q, p) ON x.uid = n.id GROUP BY n.id ORDER BY 1',
    'SELECT e FROM events e FULL JOIN notes n ON n.id = e.uid ORDER BY e.code, e.seq, n.id',
    'SELECT e::text, (e).seq, (e).* FROM events e JOIN notes n ON n.id = e.uid ORDER BY e.code, e.seq',
    `SELECT n.id, json_build_object('e', e, 'n', n) FROM notes n LEFT JOIN events e ON e.uid = n.id ORDER BY 1, e.code, e.seq`,
    'SELECT n.id, array_agg(e ORDER BY e.code, e.seq) FROM notes n LEFT JOIN events e ON e.uid = n.id GROUP BY n.id ORDER BY 1',
    'SELECT n.id, (SELECT e FROM events e WHERE e.uid = n.id ORDER BY code, seq LIMIT 1) FROM notes n ORDER BY 1',
    'SELECT n.id, ARRAY(SELECT e FROM events e WHERE e.a = n.a ORDER BY code, seq) FROM notes n ORDER BY 1',
    'SELECT count(*) FROM events e WHERE e = (SELECT x FROM events x ORDER BY code DESC, seq LIMIT 1)',
    'SELECT e, count(*) FROM events e JOIN notes n ON n.id = e.uid GROUP BY e.code, e.seq ORDER BY e.code, e.seq',
    'SELECT coalesce(e, (SELECT x FROM events x ORDER BY code, seq LIMIT 1)) FROM notes n LEFT JOIN events e ON e.uid = n.id ORDER BY n.id, e.code, e.seq',
    'SELECT r, v FROM regions r JOIN rich v ON v.a = r.id ORDER BY r.id, v.id',
    'SELECT x.e FROM (SELECT e FROM events e JOIN notes n ON n.id = e.uid) x ORDER BY (x.e).code, (x.e).seq',
    'SELECT max(e), min(e), count(e) FROM events e',
    // A column of the same name.
    'SELECT n.id, array_agg(e.* ORDER BY e.code, e.seq) FROM notes n LEFT JOIN events e ON e.uid = n.id LEFT JOIN users u ON u.id = n.id + 1 GROUP BY n.id ORDER BY 1',
    'SELECT DISTINCT (a, t) FROM users ORDER BY 1',
    'UPDATE events e SET t = left(n::text, 3) FROM notes n WHERE n.id = e.uid AND n IS NOT NULL AND e.a = 77',
  ]);
});
