/*
 * Rows of several shards in one order, and cut: every type, direction, place of NULLs, hidden keys,
 * and what LIMIT, OFFSET and WITH TIES leave. Every statement here must be answered; an order that
 * is asked for is a total one.
 */
import { describe, expect, test } from 'vitest';
import { selectSuite } from '../support/select-suite.js';
import { sqlStates } from '../support/wire-pair.js';

const MANY = 3000;

const rows = Array.from({ length: MANY }, (_, i) => `(${i}, ${i % 97}, 'w${i % 13}', ${i / 2})`);

const suite = selectSuite(
  'select_merge',
  [
    'CREATE TABLE many (id int8 PRIMARY KEY, x int4, word text, half float8)',
    `INSERT INTO many VALUES ${rows.join(', ')}`,
  ],
  ['many'],
);

describe('every type sorts as in Postgres', () => {
  const columns = 'a boss n q f g t v c b d ts tz iv u y j r e o tc ti j::text n::float4'.split(
    ' ',
  );
  for (const column of columns) {
    suite.answered([
      `SELECT id, ${column} FROM users ORDER BY ${column}, id`,
      `SELECT id FROM users ORDER BY ${column} DESC NULLS LAST, id DESC`,
      `SELECT ${column} FROM users ORDER BY ${column} NULLS FIRST, id LIMIT 7 OFFSET 3`,
    ]);
  }
});

describe('sort keys', () => {
  suite.answered([
    'SELECT uid, n, amount FROM sales ORDER BY amount DESC, t NULLS FIRST, uid, n',
    'SELECT id FROM users ORDER BY a + 1, -id',
    'SELECT id, a FROM users ORDER BY 2 DESC, 1',
    'SELECT id AS a FROM users ORDER BY a',
    'SELECT a AS x, id AS y FROM users ORDER BY x, y',
    'SELECT id FROM users ORDER BY abs(id) DESC, id',
    'SELECT id FROM users ORDER BY id USING >',
    'SELECT id, t FROM users ORDER BY t COLLATE "C" DESC, id',
    'SELECT id, t FROM users ORDER BY t COLLATE "en-x-icu", id',
    'SELECT id, t FROM users ORDER BY lower(t) COLLATE "en-x-icu" DESC, id',
    'SELECT id FROM users ORDER BY (id, a)',
    'SELECT id FROM users ORDER BY CASE WHEN a > 2 THEN 0 ELSE id END, id',
    'SELECT id FROM users ORDER BY (SELECT name FROM regions WHERE regions.id = users.a), id',
    `SELECT id FROM users ORDER BY array[a, 1], id`,
    'SELECT id FROM users ORDER BY a IS NULL, a DESC, id',
    'SELECT * FROM users ORDER BY id',
    'SELECT u.* FROM users u ORDER BY u.t, u.id',
    'SELECT count(*) OVER () AS id FROM users WHERE id = 3 ORDER BY id',
    'SELECT id, uid, s.n FROM users JOIN sales s ON id = uid ORDER BY s.t, 1, 2, 3',
    'SELECT id FROM users WHERE id IN (1, 2, 3, 4, 5) ORDER BY id DESC',
    'SELECT id, 1 AS one FROM users ORDER BY one, id',
    `SELECT code, seq FROM events ORDER BY code COLLATE "C", seq`,
    'SELECT id FROM users JOIN sales s ON id = uid AND s.n = 0 ORDER BY s.amount, id',
    { sql: 'SELECT id FROM users ORDER BY id + $1::int8 DESC', params: ['1'] },
    { sql: 'SELECT id FROM users WHERE a = $1 ORDER BY id', params: ['2'] },
    { sql: 'SELECT id, e FROM users WHERE e > $1 ORDER BY e DESC, id', params: ['meh'] },
  ]);
});

describe('LIMIT and OFFSET', () => {
  suite.answered([
    'SELECT id FROM users ORDER BY id LIMIT 0',
    'SELECT id FROM users ORDER BY id LIMIT 1',
    'SELECT id FROM users ORDER BY id LIMIT 1000',
    'SELECT id FROM users ORDER BY id OFFSET 30',
    'SELECT id FROM users ORDER BY id OFFSET 3000',
    'SELECT id FROM users ORDER BY id LIMIT ALL OFFSET 2',
    'SELECT id FROM users ORDER BY id LIMIT NULL OFFSET NULL',
    'SELECT id FROM users ORDER BY id LIMIT 2 + 3 OFFSET 1 * 2',
    'SELECT id FROM users ORDER BY id LIMIT (SELECT 4)',
    'SELECT id FROM users ORDER BY id LIMIT (SELECT count(*) FROM regions)',
    'SELECT id FROM users ORDER BY id OFFSET 2 ROWS FETCH NEXT 3 ROWS ONLY',
    'SELECT id FROM users ORDER BY id FETCH FIRST ROW ONLY',
    'SELECT id FROM users ORDER BY id LIMIT 2.4',
    `SELECT id FROM users ORDER BY id LIMIT '3'`,
    'SELECT a FROM users ORDER BY a FETCH FIRST 5 ROWS WITH TIES',
    'SELECT a FROM users ORDER BY a DESC NULLS LAST FETCH FIRST 1 ROW WITH TIES',
    'SELECT t FROM users ORDER BY t NULLS FIRST OFFSET 1 ROW FETCH FIRST 3 ROWS WITH TIES',
    'SELECT n IS NULL FROM users ORDER BY n IS NULL FETCH FIRST 40 ROWS WITH TIES',
    'SELECT count(*) FROM (SELECT n FROM users ORDER BY n FETCH FIRST 4 ROWS WITH TIES) x',
    'SELECT id FROM many ORDER BY half DESC LIMIT 12 OFFSET 1500',
    'SELECT * FROM many ORDER BY word, x DESC, id',
    'SELECT x, count(*) FROM many GROUP BY x ORDER BY x',
    'SELECT a.id, b.word FROM many a JOIN many b ON a.x = b.id ORDER BY a.id',
    'SELECT a.id, b.id FROM many a LEFT JOIN many b ON a.half = b.id ORDER BY 1',
    { sql: 'SELECT id FROM users ORDER BY id LIMIT $1', params: ['4'] },
    { sql: 'SELECT id FROM users ORDER BY id LIMIT $1', params: [null] },
    { sql: 'SELECT id FROM users ORDER BY id LIMIT $1 OFFSET $2', params: ['4', '5'] },
    { sql: 'SELECT id FROM users ORDER BY id OFFSET $1 LIMIT $1', params: ['3'] },
    { sql: 'SELECT id FROM users ORDER BY id LIMIT $1 + 1', params: ['3'] },
    { sql: 'SELECT id FROM users ORDER BY id LIMIT $1::int4', params: ['3'] },
    { sql: 'SELECT a FROM users ORDER BY a FETCH FIRST $1 ROWS WITH TIES', params: ['5'] },
  ]);

  const failing: readonly [string, string][] = [
    ['SELECT id FROM users ORDER BY id LIMIT -1', '2201W'],
    ['SELECT id FROM users ORDER BY id OFFSET -1', '2201X'],
    ['SELECT id FROM users ORDER BY id LIMIT -1 OFFSET -2', '2201X'],
    ['SELECT a FROM users FETCH FIRST 2 ROWS WITH TIES', '42601'],
    ['SELECT id FROM users ORDER BY 7', '42P10'],
    ['SELECT id FROM users ORDER BY nothing', '42703'],
    ['SELECT id FROM users ORDER BY point(1, 2)', '42883'],
    ['SELECT DISTINCT a FROM users ORDER BY id', '42P10'],
    ['SELECT id FROM users ORDER BY 1 / (id - id)', '22012'],
    [`SELECT id FROM users ORDER BY id LIMIT 'x'`, '22P02'],
  ];
  test.each(failing)('%s fails with %s', async (sql, state) => {
    expect((await suite.oracle().run(sql)).error?.state).toBe(state);
    for (const protocol of ['simple', 'text'] as const) {
      expect((await suite.proxy().run(sql, protocol)).error?.state).toBe(state);
    }
    expect((await suite.proxy().run('SELECT id FROM users ORDER BY id LIMIT 1')).error).toBeNull();
  });

  test('without ORDER BY: as many rows, of those that there are', async () => {
    const all = await suite.oracle().run('SELECT id FROM users');
    const ids = new Set(all.rows.map(([id]) => id));
    for (const [limit, count] of [
      ['LIMIT 5', 5],
      ['LIMIT 5 OFFSET 33', 3],
      ['OFFSET 30', 6],
    ] as const) {
      const { rows, tag, error } = await suite.proxy().run(`SELECT id FROM users ${limit}`);
      expect(error).toBeNull();
      expect(tag).toBe(`SELECT ${count}`);
      expect(new Set(rows.map(([id]) => id)).size).toBe(count);
      for (const [id] of rows) expect(ids).toContain(id);
    }
  });
});

describe('a prepared statement', () => {
  const statements: readonly [string, readonly (string | null)[][]][] = [
    [
      'SELECT id, t FROM users WHERE id > $1 ORDER BY id LIMIT $2',
      [
        ['0', '5'],
        ['10', '3'],
        ['-9', '0'],
      ],
    ],
    ['SELECT t, count(*) FROM sales WHERE n <= $1 GROUP BY t ORDER BY t', [['0'], ['5'], [null]]],
    [
      'SELECT u.id, e.seq FROM users u JOIN events e ON e.a = u.a WHERE u.id = $1 ORDER BY 1, e.code, 2',
      [['1'], ['5']],
    ],
  ];
  test.each(statements)(
    '%s serves all values, and is described as on Postgres',
    async (sql, values) => {
      const pair = await suite.pair();
      await pair.expectSame((client) => {
        client.parse(sql, 'page');
        client.describe('S', 'page');
        client.sync();
      });
      for (const one of values) {
        await pair.expectSame((client) => {
          client.bind({ statement: 'page', values: one });
          client.describe('P');
          client.execute();
          client.sync();
        });
        await pair.expectSame((client) => {
          client.bind({ statement: 'page', values: one, resultFormats: [1] });
          client.execute();
          client.sync();
        });
      }
      pair.close();
    },
  );

  test('is read in pieces, or refused', async () => {
    const pair = await suite.pair();
    for (const client of [pair.proxy, pair.oracle]) {
      client.parse('SELECT id FROM users ORDER BY id', 'all');
      client.bind({ statement: 'all', portal: 'p' });
      client.execute('p', 10);
      client.execute('p', 20);
      client.execute('p', 20);
      client.sync();
    }
    const [ours, theirs] = [await pair.proxy.until('Z'), await pair.oracle.until('Z')];
    if (sqlStates(ours).length > 0) expect(sqlStates(ours)).toEqual(['0A000']);
    else expect(ours).toEqual(theirs);
    pair.close();
  });
});
