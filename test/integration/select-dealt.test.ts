/*
 * Joins of large tables by other columns than their shard keys: their rows are dealt to the shards by
 * the values that join them, each shard joins its part, and the answer is that of one Postgres.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { connectPg } from '../support/scene.js';
import { selectSuite } from '../support/select-suite.js';

const suite = selectSuite(
  'select_dealt',
  [
    `CREATE TABLE lefts (id int PRIMARY KEY, k int NOT NULL, n int8, t varchar(9), v numeric(8, 2), e mood)`,
    `CREATE TABLE rights (id int PRIMARY KEY, k int8 NOT NULL, n int, t text, w float8, d date)`,
    `INSERT INTO lefts SELECT i, i * 7 % 30011, nullif(i % 20000, 3), nullif('t' || i % 9000, 't5'), i % 97 / 4.0,
       (ARRAY['sad', 'ok', NULL])[1 + i % 3]::mood
     FROM generate_series(1, 30000) AS s (i)`,
    `INSERT INTO rights SELECT i, i * 11 % 30013, nullif(i % 25000, 4), nullif('t' || i % 8000, 't6'), i / 8.0,
       date '2024-01-01' + i % 30
     FROM generate_series(1, 32000) AS s (i)`,
    'ANALYZE lefts, rights',
    // DDL makes the proxy look at the catalog anew, and so at how many rows there are.
    `COMMENT ON TABLE lefts IS 'large'`,
  ],
  ['lefts', 'rights'],
);

/** The way that EXPLAIN shows first. */
async function way(sql: string): Promise<string> {
  const { rows } = await suite.proxy().run(`EXPLAIN ${sql}`, 'simple', []);
  return rows[0]?.[0] ?? '';
}

const JOIN = 'FROM lefts l JOIN rights r ON r.k = l.k';

const dealt = [
  `SELECT count(*), sum(l.v), min(r.d) ${JOIN}`,
  `SELECT l.e, count(*), avg(r.w) ${JOIN} WHERE r.d > '2024-01-09' OR l.id < 90 GROUP BY 1 ORDER BY 1`,
  `SELECT l.id, l.t, r.d, r.w ${JOIN} ORDER BY r.w DESC, l.id LIMIT 9 OFFSET 2`,
  `SELECT l.n, r.id ${JOIN} WHERE l.id + r.id < 900`,
  'SELECT count(*), count(r.id), sum(l.n) FROM lefts l LEFT JOIN rights r ON r.n = l.n',
  'SELECT count(*), count(l.id), sum(r.id) FROM lefts l RIGHT JOIN rights r ON r.t = l.t',
  'SELECT count(*) FROM lefts l WHERE l.k IN (SELECT k FROM rights)',
  `SELECT k, count(*) FROM lefts l JOIN rights r USING (k) GROUP BY k ORDER BY 2 DESC, 1 LIMIT 7`,
  `SELECT l.k, rank() OVER (PARTITION BY l.k ORDER BY r.id) ${JOIN} ORDER BY 2 DESC, 1 LIMIT 5`,
  'SELECT count(*), count(l.id), sum(r.id) FROM lefts l FULL JOIN rights r ON r.n = l.n AND l.id > r.id',
  'SELECT n, l.id, r.id FROM lefts l FULL JOIN (SELECT n, id FROM rights) r USING (n) ORDER BY 1 DESC, 2, 3 LIMIT 9',
  'SELECT count(*), sum(a.id - b.id) FROM lefts a JOIN lefts b ON a.k = b.n',
  'SELECT count(*), sum(a.n - b.id) FROM lefts a JOIN lefts b ON a.k = b.k AND a.n < b.id + 90',
  'SELECT n, count(*) FROM lefts NATURAL JOIN (SELECT n, d FROM rights) x GROUP BY n ORDER BY n NULLS FIRST LIMIT 5',
] as const;

/** One table lies by the column already. */
const halfDealt = [
  'SELECT count(*), count(b.id), sum(b.v) FROM lefts a LEFT JOIN lefts b ON a.k = b.id',
  'SELECT count(*), sum(r.w) FROM lefts l JOIN rights r ON r.n = l.id',
  'SELECT l.id, r.id, r.w FROM lefts l LEFT JOIN rights r ON r.n = l.id ORDER BY l.id DESC, 2 LIMIT 9',
] as const;

const gathered = [
  // The rows of the last join's other side, which are on every shard, would come from each.
  'SELECT count(*), count(l.id), count(r.id) FROM lefts l FULL JOIN rights r ON r.k = l.k RIGHT JOIN (VALUES (1)) AS v (k) ON v.k = l.k',
  `SELECT count(*) FROM lefts l JOIN rights r ON r.k > l.k WHERE l.id < 9 AND r.id < 900`,
  'SELECT count(*) FROM lefts l WHERE NOT EXISTS (SELECT FROM rights r WHERE r.k = l.k AND r.id > l.id)',
  `SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY l.v) ${JOIN}`,
  // A NULL among the values that are looked at matters to rows of every shard.
  'SELECT count(*) FROM lefts l JOIN rights r ON r.n = l.n WHERE (r.n NOT IN (SELECT n FROM lefts)) IS NULL',
] as const;

describe('rows are dealt by the values that join them', () => {
  beforeAll(async () => {
    for (const sql of [...dealt, ...halfDealt]) expect(await way(sql), sql).toBe('Join Dealt Rows');
  });
  suite.answered(dealt);
  suite.answered(halfDealt);
  suite.answered([
    {
      sql: `SELECT count(*), sum(l.v + $2) ${JOIN} WHERE l.n + r.n < $1`,
      params: ['1500', '2.5'],
    },
    {
      sql: `SELECT l.id, r.id, $3::text ${JOIN} WHERE l.v > r.w + $1 ORDER BY 1, 2 LIMIT $2`,
      params: ['20', '4', 'x'],
    },
  ]);

  test('and a table that lies by them stays where it is', async () => {
    const { rows } = await suite.proxy().run(`EXPLAIN ${halfDealt[0]}`, 'simple', []);
    const lines = rows.map(([line]) => line);
    expect(lines.filter((line) => line?.includes('Dealt: '))).toEqual([
      expect.stringContaining('lefts a'),
    ]);
  });
});

describe('what does not come apart by one column is gathered', () => {
  beforeAll(async () => {
    for (const sql of gathered) expect(await way(sql), sql).toBe('Gather');
  });
  suite.answered(gathered);
});

/** Shards on which an open transaction has changed something. */
async function writers(): Promise<string[]> {
  const found: string[] = [];
  for (const url of suite.shardUrls()) {
    const client = await connectPg(url);
    const { rowCount } = await client.query(
      // Autovacuum has transactions of its own.
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL
       AND state = 'idle in transaction'`,
    );
    if (rowCount !== 0) found.push(url);
    await client.end();
  }
  return found;
}

describe('inside a transaction', () => {
  test.each(['simple', 'binary'] as const)(
    'it sees what it has written itself: %s',
    async (way) => {
      const both = [suite.proxy(), suite.oracle()];
      const answers = await Promise.all(
        both.map(async (session) => {
          await session.must('BEGIN');
          await session.must('DELETE FROM lefts WHERE id % 3 = 0');
          await session.must('UPDATE rights SET w = 1 WHERE id % 5 = 0');
          const first = await session.run(dealt[0], way, []);
          await session.must(
            'INSERT INTO lefts (id, k, v) SELECT i, i, 3 FROM generate_series(40001, 40020) i',
          );
          const second = await session.run(dealt[1], way, []);
          await session.must('ROLLBACK');
          return [first.rows, second.rows];
        }),
      );
      expect(answers[0]).toEqual(answers[1]);
    },
  );

  test('it writes nothing, such as temporary tables, and leaves the settings of joins as they were', async () => {
    const session = suite.proxy();
    await session.must('BEGIN');
    expect((await session.run(dealt[2], 'text', [])).error).toBeNull();
    expect(await writers()).toEqual([]);
    const { rows } = await session.run(
      `SELECT current_setting('enable_nestloop'), current_setting('enable_mergejoin') FROM rights WHERE id < 300`,
      'text',
      [],
    );
    await session.must('COMMIT');
    expect(new Set(rows.map(String))).toEqual(new Set(['on,on']));
  });

  test('its cursors are dealt too, and see rows as they were', async () => {
    const both = [suite.proxy(), suite.oracle()];
    const answers = await Promise.all(
      both.map(async (session) => {
        await session.must('BEGIN');
        await session.must(`DECLARE c CURSOR FOR ${dealt[2]}`);
        const first = await session.run('FETCH 4 FROM c', 'simple', []);
        await session.must('DELETE FROM rights WHERE id > 31000');
        const rest = await session.run('FETCH ALL FROM c', 'simple', []);
        const { rows } = await session.run(
          "SELECT current_setting('enable_mergejoin')",
          'simple',
          [],
        );
        await session.must('ROLLBACK');
        return [first.rows, rest.rows, rows];
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
  });

  test('an error of a row ends it; what a savepoint has kept goes on', async () => {
    const session = suite.proxy();
    await session.must('BEGIN');
    await session.must('SAVEPOINT s');
    const { error } = await session.run(
      `SELECT count(*) ${JOIN} WHERE 1 / (l.id - 7) > -9`,
      'simple',
      [],
    );
    expect(error?.state).toBe('22012');
    expect((await session.run(dealt[0], 'simple', [])).error?.state).toBe('25P02');
    await session.must('ROLLBACK TO s');
    expect((await session.run(dealt[0], 'simple', [])).rows).toHaveLength(1);
    const { rows } = await session.run(
      "SELECT current_setting('enable_nestloop') FROM lefts WHERE id < 90",
      'simple',
      [],
    );
    await session.must('COMMIT');
    expect(new Set(rows.map(String))).toEqual(new Set(['on']));
  });
});

test('a session that only reads is answered so too', async () => {
  const both = [suite.proxy(), suite.oracle()];
  const answers = await Promise.all(
    both.map(async (session) => {
      await session.must('SET default_transaction_read_only = on');
      const { rows } = await session.run(dealt[0], 'simple', []);
      await session.must('RESET default_transaction_read_only');
      return rows;
    }),
  );
  expect(answers[0]).toEqual(answers[1]);
});

test('an error of a row is the answer, and the session goes on', async () => {
  const failing = `SELECT count(*) ${JOIN} WHERE 1 / (l.id - 7) > -9`;
  const { error } = await suite.proxy().run(failing, 'simple', []);
  expect(error?.state).toBe('22012');
  expect((await suite.proxy().run(dealt[0], 'simple', [])).rows).toHaveLength(1);
});
