/*
 * Joins of a large table with small ones of other shards and keyspaces: the small ones are sent to
 * the shards of the large one, and the answer is that of one Postgres.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { selectSuite } from '../support/select-suite.js';

const suite = selectSuite(
  'select_shipped',
  [
    'CREATE TABLE facts (id int PRIMARY KEY, dim int, k int8, v numeric(10, 2), e mood, d date)',
    'CREATE TABLE parts (id int, n int, dim int, w float8, PRIMARY KEY (id, n))',
    'CREATE TABLE dims (id int PRIMARY KEY, name varchar(7), t text COLLATE "C", e mood, q numeric(8, 2), far bool)',
    'CREATE TABLE kinds (id int8 PRIMARY KEY, label text)',
    `INSERT INTO facts SELECT i, nullif(i * 7 % 320, 0), i % 50, i % 97 / 4.0,
       (ARRAY['sad', 'ok', NULL])[1 + i % 3]::mood, date '2024-01-01' + i % 30
     FROM generate_series(1, 16000) AS s (i)`,
    `INSERT INTO parts SELECT i / 2, i % 2, i % 400, i / 8.0 FROM generate_series(2, 9001) AS s (i)`,
    `INSERT INTO dims SELECT i, nullif('n' || i % 9, 'n4'), chr(65 + i % 26), (ARRAY['ok', 'happy', NULL])[1 + i % 3]::mood,
       i / 4.0, i % 5 = 0 FROM generate_series(1, 300) AS s (i)`,
    `INSERT INTO kinds SELECT i, 'kind ' || i FROM generate_series(0, 40) AS s (i)`,
    'ANALYZE facts, parts, dims, kinds, regions',
    // DDL makes the proxy look at the catalog anew, and so at how many rows there are.
    `COMMENT ON TABLE facts IS 'large'`,
  ],
  ['facts', 'parts', 'dims'],
);

/** The way that EXPLAIN shows first. */
async function way(sql: string): Promise<string> {
  const { rows } = await suite.proxy().run(`EXPLAIN ${sql}`, 'simple', []);
  return rows[0]?.[0] ?? '';
}

const shipped = [
  'SELECT dims.name, count(*), sum(v) FROM facts JOIN dims ON dims.id = facts.dim GROUP BY 1 ORDER BY 1',
  'SELECT count(*) FROM facts f LEFT JOIN dims d ON d.id = f.dim WHERE d.id IS NULL',
  'SELECT f.id, d.name, d.t, d.q FROM facts f JOIN dims d ON d.id = f.dim ORDER BY d.t DESC NULLS LAST, f.id LIMIT 12 OFFSET 3',
  'SELECT f.id, d.e FROM facts f JOIN dims d ON d.id = f.dim WHERE d.far ORDER BY d.e, f.id',
  'SELECT f.id, d.name FROM facts f LEFT JOIN dims d ON d.id = f.dim AND d.far',
  'SELECT d.e, f.e, count(*) FROM facts f JOIN dims d ON d.id = f.dim GROUP BY 1, 2 ORDER BY 1, 2',
  'SELECT count(*) FROM facts WHERE dim IN (SELECT id FROM dims WHERE far)',
  'SELECT count(*), sum(k) FROM facts WHERE dim NOT IN (SELECT id FROM dims WHERE far)',
  'SELECT count(*) FROM facts f WHERE NOT EXISTS (SELECT FROM dims d WHERE d.id = f.dim AND d.q > 10)',
  'SELECT k.label, avg(f.v) FROM facts f JOIN kinds k ON k.id = f.k GROUP BY k.label ORDER BY 1',
  'SELECT k.label, d.name, max(f.v) FROM facts f JOIN kinds k ON k.id = f.k JOIN dims d ON d.id = f.dim GROUP BY 1, 2 HAVING count(*) > 9 ORDER BY 1, 2',
  'SELECT r.name, d.name, count(*) FROM facts f JOIN dims d ON d.id = f.dim JOIN regions r ON r.id = f.k GROUP BY 1, 2 ORDER BY 1, 2',
  'SELECT f.id, p.n, d.name FROM facts f JOIN parts p ON p.id = f.id JOIN dims d ON d.id = p.dim ORDER BY p.w DESC, f.id LIMIT 9',
  'SELECT f.id, sum(d.q), count(*) FROM facts f JOIN parts p ON p.id = f.id JOIN dims d ON d.id = p.dim GROUP BY f.id ORDER BY 2 DESC, 1 LIMIT 9',
  'SELECT d.id, d.name, count(*) FROM facts f JOIN dims d ON d.id = f.dim GROUP BY d.id ORDER BY 1',
  'SELECT DISTINCT d.name, f.e FROM facts f JOIN dims d ON d.id = f.dim ORDER BY 1, 2',
  'SELECT f.id, rank() OVER (PARTITION BY f.id ORDER BY d.q) FROM facts f JOIN dims d ON d.id > f.dim AND d.id < f.dim + 3 ORDER BY 1, 2 LIMIT 20',
  'SELECT * FROM facts NATURAL JOIN (SELECT id AS dim, name FROM dims) x ORDER BY id LIMIT 5',
  'SELECT count(*) FROM facts f CROSS JOIN dims d WHERE d.id < 4',
  'WITH w AS (SELECT id, name FROM dims WHERE q < 20) SELECT w.name, count(*) FROM w JOIN facts f ON f.dim = w.id GROUP BY 1 ORDER BY 1',
] as const;

const gathered = [
  'SELECT f.id, x.name FROM facts f JOIN LATERAL (SELECT name FROM dims d WHERE d.id = f.dim ORDER BY q LIMIT 1) x ON true ORDER BY 1 LIMIT 30',
  'SELECT d.id, count(f.id) FROM dims d LEFT JOIN facts f ON d.id = f.dim GROUP BY 1 ORDER BY 1',
  'SELECT count(*), count(d.id), count(f.id) FROM facts f FULL JOIN dims d ON d.id = f.dim',
  'SELECT count(*) FROM dims d WHERE NOT EXISTS (SELECT FROM facts f WHERE f.dim = d.id)',
  'SELECT d.name, f.id, row_number() OVER (PARTITION BY d.name ORDER BY f.id) FROM facts f JOIN dims d ON d.id = f.dim ORDER BY 3, 1, 2 LIMIT 9',
  'SELECT d.name, percentile_disc(0.5) WITHIN GROUP (ORDER BY f.v) FROM facts f JOIN dims d ON d.id = f.dim GROUP BY 1 ORDER BY 1',
  'SELECT f.id, (SELECT d.name FROM dims d WHERE d.id = f.dim) FROM facts f ORDER BY 1 LIMIT 50',
] as const;

describe('the small table is sent to the shards of the large one', () => {
  beforeAll(async () => {
    for (const sql of shipped) expect(await way(sql), sql).toBe('Join Where Rows Are');
  });
  suite.answered(shipped);
  suite.answered([
    {
      sql: 'SELECT d.name, count(*) FROM facts f JOIN dims d ON d.id = f.dim WHERE d.q > $1 AND f.k < $2 GROUP BY 1 ORDER BY 1',
      params: ['12.5', '20'],
    },
    {
      sql: 'SELECT f.id, d.name FROM facts f JOIN dims d ON d.id = f.dim ORDER BY d.q DESC, f.id LIMIT $1 OFFSET $2',
      params: ['7', '2'],
    },
    {
      sql: 'SELECT f.id, d.name, $1::text FROM facts f JOIN dims d ON d.id = f.dim WHERE f.id = ANY ($2) ORDER BY 1',
      params: ["shardgate' x", '{3,50,700,15999,99999}'],
    },
  ]);
});

describe('what would need all rows of the large table in one place is gathered', () => {
  beforeAll(async () => {
    for (const sql of gathered) expect(await way(sql), sql).toBe('Gather');
  });
  suite.answered(gathered);
});

test('a transaction sees what it has written itself to either side', async () => {
  const both = [suite.proxy(), suite.oracle()];
  const sql =
    'SELECT d.name, count(*) FROM facts f JOIN dims d ON d.id = f.dim GROUP BY 1 ORDER BY 1';
  const answers = await Promise.all(
    both.map(async (session) => {
      await session.must('BEGIN');
      await session.must(`UPDATE dims SET name = 'mine' WHERE id % 50 = 0`);
      await session.must('DELETE FROM facts WHERE id % 3 = 0');
      const { rows } = await session.run(sql, 'binary', []);
      await session.must('ROLLBACK');
      return rows;
    }),
  );
  expect(answers[0]).toEqual(answers[1]);
  expect(JSON.stringify(answers[0])).toContain('mine');
});

test('a cursor, and an insert of what the join gives, are as on one Postgres', async () => {
  const both = [suite.proxy(), suite.oracle()];
  const join = 'SELECT f.id, d.name FROM facts f JOIN dims d ON d.id = f.dim';
  const answers = await Promise.all(
    both.map(async (session) => {
      await session.must('BEGIN');
      await session.must(`DECLARE c CURSOR FOR ${join} ORDER BY 1`);
      const first = await session.run('FETCH 3 FROM c', 'simple', []);
      await session.must(`INSERT INTO kinds SELECT 1000000 + id, name FROM (${join}) x`);
      const sum = await session.run('SELECT count(*), sum(id), max(label) FROM kinds', 'text', []);
      await session.must('ROLLBACK');
      return [first.rows, sum.rows];
    }),
  );
  expect(answers[0]).toEqual(answers[1]);
});

test('an error on the shards is told once, and the session goes on', async () => {
  const proxy = suite.proxy();
  const { rows } = await proxy.run(
    'SELECT count(*) FROM facts f JOIN dims d ON d.id = f.dim',
    'simple',
    [],
  );
  expect(rows).toHaveLength(1);
  const failed = await proxy.run(
    'SELECT sum(1 / (d.id - 5)) FROM facts f JOIN dims d ON d.id = f.dim',
    'simple',
    [],
  );
  expect(failed.error?.state).toBe('22012');
  const after = await proxy.run('SELECT count(*) FROM facts', 'text', []);
  expect(after.rows).toEqual([['16000']]);
});
