/*
 * now() and the like are one value in a statement over several shards, whatever it does with it, and
 * the same one in all such statements of a transaction.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Comparison } from '../support/oracle.js';
import { openScene, type Scene } from '../support/scene.js';

let scene: Scene;
let comparison: Comparison;

beforeAll(async () => {
  scene = await openScene(
    'moments',
    { main: { log: {} }, shop: { visits: { shard_key: 'k' }, labels: { type: 'reference' } } },
    [
      'CREATE DOMAIN local_time AS timestamp',
      `CREATE TABLE visits (k int PRIMARY KEY, at timestamptz DEFAULT now(), day date DEFAULT current_date,
         local local_time DEFAULT now(), n int)`,
      'CREATE TABLE labels (code text PRIMARY KEY, made timestamptz NOT NULL DEFAULT now(), day date DEFAULT now())',
      'CREATE TABLE log (at timestamptz DEFAULT now(), n int)',
      'CREATE VIEW told AS SELECT k, now() AS at FROM visits',
      'CREATE VIEW told_again AS SELECT k, at FROM told',
    ],
  );
  ({ comparison } = scene);
});
afterAll(() => scene.close());

/** With values in the text and as parameters. */
async function same(statements: readonly string[]): Promise<void> {
  for (const sql of statements) {
    await comparison.expectSame(sql);
    if (/^(SELECT|WITH)/.test(sql)) {
      const [text, values] = sql.includes('99') ? [sql.replace('99', '$1::int'), [99]] : [sql, []];
      await comparison.expectSame(text, values);
    }
  }
}

describe('what is written by one statement', () => {
  test.each([
    ['INSERT INTO visits (k) VALUES (1), (2), (3), (4), (5), (6)'],
    [
      'INSERT INTO visits (k, at, local) VALUES (1, now(), now()), (2, now(), DEFAULT), (3, DEFAULT, localtimestamp)',
    ],
    ['INSERT INTO visits VALUES (1), (2), (3), (4)'],
    ['INSERT INTO visits (k) SELECT g FROM generate_series(1, 9) g'],
    ['INSERT INTO visits (k, at) SELECT g, current_timestamp FROM generate_series(1, 9) g'],
    [
      `INSERT INTO visits (k) VALUES (1), (2), (3) ON CONFLICT (k) DO UPDATE SET at = now() RETURNING k, at = now()`,
    ],
  ])('has one time: %s', async (sql) => {
    await comparison.expectSame(sql);
    await same([
      'SELECT count(DISTINCT at), count(DISTINCT local), count(DISTINCT day), count(*) FROM visits',
      'SELECT count(*) FROM visits WHERE local <> at::timestamp OR day <> at::date',
      `UPDATE visits SET at = now() - interval '1 day', local = localtimestamp RETURNING k, at < now()`,
      'SELECT count(DISTINCT at), count(DISTINCT local) FROM visits',
    ]);
    await comparison.both('DELETE FROM visits');
  });

  const upsert = 'INSERT INTO visits (k) SELECT g FROM generate_series(1, 9) g ON CONFLICT (k) DO';
  const merge = `MERGE INTO visits v USING (SELECT g, 99 AS n FROM generate_series(1, 30) g) s ON v.k = s.g
    WHEN MATCHED AND s.g > 7 THEN UPDATE SET (n, at, local) = (s.n, DEFAULT, now()) WHEN MATCHED THEN UPDATE`;
  const inserts = `WHEN NOT MATCHED AND s.g % 2 = 0 THEN INSERT (k, at) VALUES (s.g, DEFAULT) WHEN NOT MATCHED THEN`;
  test.each([
    ['UPDATE visits SET at = DEFAULT, day = DEFAULT, local = DEFAULT'],
    ['UPDATE visits SET (local, n, at) = (DEFAULT, 4, DEFAULT) WHERE k > 0 RETURNING at = now()'],
    ['UPDATE visits v SET at = DEFAULT, local = now() FROM labels l WHERE l.code > 0::text'],
    [`${upsert} UPDATE SET at = DEFAULT, local = DEFAULT`],
    [`${upsert} UPDATE SET local = DEFAULT, at = now() WHERE visits.k > 0`],
    ['INSERT INTO visits (k) VALUES (1), (2), (3) ON CONFLICT (k) DO UPDATE SET at = DEFAULT'],
    [`${merge} SET at = now(), local = DEFAULT ${inserts} INSERT VALUES (s.g, now())`],
    [`${merge} SET at = DEFAULT, local = now() ${inserts} INSERT (k, n) VALUES (s.g, DEFAULT)`],
    ['UPDATE visits SET (local, at, n) = (now(), now(), 4)'],
    [`${merge} DELETE ${inserts} INSERT (k) OVERRIDING SYSTEM VALUE VALUES (s.g)`],
    ['WITH u AS (UPDATE visits SET at = DEFAULT RETURNING at) SELECT count(DISTINCT at) FROM u'],
  ])('has one time where it says DEFAULT: %s', async (sql) => {
    await comparison.both('INSERT INTO visits (k, n) SELECT g, 0 FROM generate_series(1, 9) g');
    await comparison.expectSame(sql);
    await same([
      'SELECT count(DISTINCT at), count(DISTINCT local), count(DISTINCT day), count(*) FROM visits',
      'SELECT count(*) FROM visits WHERE local = at::timestamp',
    ]);
    await comparison.both('DELETE FROM visits');
  });

  test('has the time of its transaction where it says DEFAULT', async () => {
    await comparison.both('INSERT INTO visits (k, n) SELECT g, 0 FROM generate_series(1, 9) g');
    await comparison.both('BEGIN');
    for (const k of [1, 2, 3, 4, 5]) {
      const sql = 'UPDATE visits SET at = DEFAULT, n = 1 WHERE k = $1 RETURNING at = now()';
      await comparison.expectSame(sql, [k]);
    }
    const merge =
      'MERGE INTO log l USING (VALUES (1), (2)) v (i) ON l.n = v.i WHEN NOT MATCHED THEN';
    await same([
      'SELECT count(DISTINCT at), bool_and(at = now()) FROM visits WHERE n = 1',
      `${merge} INSERT DEFAULT VALUES`,
      `${merge} INSERT (n) VALUES (v.i)`,
      'SELECT n, at = now() FROM log',
    ]);
    await comparison.both('ROLLBACK');
    await comparison.both('DELETE FROM visits');
  });

  test('is the same in every copy of a reference table', async () => {
    await same([
      `INSERT INTO labels (code) VALUES ('a')`,
      `INSERT INTO labels (code) VALUES ('b'), ('c') RETURNING code, made = now(), day = current_date`,
      `INSERT INTO labels (code) VALUES ('a') ON CONFLICT (code) DO UPDATE SET made = now() RETURNING made = now()`,
      `UPDATE labels SET made = now() - interval '1 hour' WHERE code <> 'a' RETURNING code`,
      `UPDATE labels SET day = DEFAULT WHERE code <> 'a' RETURNING day = current_date`,
      `INSERT INTO labels (code) VALUES ('a') ON CONFLICT (code) DO UPDATE SET made = DEFAULT RETURNING made = now()`,
      `DELETE FROM labels WHERE made < now() - interval '30 minutes' AND code = 'b'`,
    ]);
    const copies = await Promise.all(
      (['s0', 's1', 's2', 's3'] as const).map((shard) =>
        scene.databases.query(shard, 'SELECT code, made::text, day::text FROM labels ORDER BY 1'),
      ),
    );
    expect(copies[0]).toHaveLength(2);
    for (const copy of copies) expect(copy).toEqual(copies[0]);
  });
});

describe('what is read by one statement', () => {
  beforeAll(() =>
    comparison.both('INSERT INTO visits (k, n) SELECT g, g % 3 FROM generate_series(1, 20) g'),
  );

  test('has one time', () =>
    same([
      'SELECT count(DISTINCT at) FROM told',
      'SELECT count(DISTINCT at) FROM told_again WHERE k < 99',
      'SELECT count(DISTINCT x) FROM (SELECT now() x FROM visits UNION ALL SELECT current_timestamp FROM visits) y',
      'SELECT k, now() - now(), current_date - current_date FROM visits WHERE k < 99 ORDER BY k LIMIT 7',
      `SELECT date_trunc('day', now()) = current_date AS today, count(*) FROM visits GROUP BY 1`,
      'SELECT n, max(now()) = min(now()) FROM visits GROUP BY n ORDER BY n',
      'SELECT age(now()) = age(transaction_timestamp()) FROM visits WHERE k < 4',
      'SELECT v.k FROM visits v JOIN visits w ON w.k = v.n WHERE now() - v.at > now() - now() ORDER BY 1',
      'WITH u AS (UPDATE visits SET at = now() WHERE k < 99 RETURNING at) SELECT count(DISTINCT at) FROM u',
    ]));

  test('keeps the names and types of its columns', async () => {
    const shown = `now(), now()::date, now()::date::text, CASE WHEN k > 1 THEN NULL ELSE now() END, current_timestamp(3),
      localtimestamp(2), current_time(1), localtime, current_date, statement_timestamp(), pg_catalog.now ( ),
      (SELECT now()), (SELECT current_date) AS d, age(at), coalesce(at, now()), now() - at`;
    await same([`SELECT ${shown} FROM visits WHERE false`]);
    await same([
      `SELECT * FROM (SELECT ${shown.replace(/pg_cat.*\n/, '1\n')} FROM visits LIMIT 0) x`,
    ]);
  });

  test('goes into tables, cursors and prepared statements', async () => {
    await comparison.expectSame('CREATE TABLE kept AS SELECT k, now() AS at FROM visits');
    await comparison.expectSame('SELECT count(DISTINCT at) FROM kept');
    await comparison.both('DROP TABLE kept');
    await comparison.both('BEGIN');
    await comparison.both('DECLARE c CURSOR FOR SELECT k, now() - now() FROM visits ORDER BY k');
    await comparison.expectSame('FETCH 3 FROM c', [], { ordered: true });
    await comparison.both('COMMIT');
    await comparison.both('PREPARE p AS SELECT k, now() = now(), $1::int FROM visits WHERE k < $2');
    await comparison.expectSame('EXECUTE p (1, 5)');
    await comparison.expectSame('EXECUTE p (2, 9)');
    await comparison.both('DEALLOCATE p');
  });

  test('errors are those of the statement, at its own positions', async () => {
    await comparison.expectSame('SELECT now(), nonsense FROM visits');
    await comparison.expectSame('UPDATE visits SET at = now(), nonsense = 2');
    await comparison.expectSame('SELECT now() + 1 FROM visits');
  });
});

test('a transaction has one time', async () => {
  for (const begin of ['BEGIN', 'BEGIN; SELECT now()']) {
    await comparison.both(begin);
    await same([
      'UPDATE visits SET at = now()',
      'SELECT bool_and(at = now()) FROM visits',
      'INSERT INTO visits (k) VALUES (101), (102), (103), (104), (105)',
      'INSERT INTO visits (k, at) SELECT k + 200, now() FROM visits WHERE k < 99',
      'SELECT count(DISTINCT at), max(at) = now() FROM visits',
    ]);
    await comparison.both('ROLLBACK');
  }
});

describe('statements of one shard each, in one transaction, have one time', () => {
  const inserts = [1, 2, 3, 4, 5].map((k) => `INSERT INTO visits (k, n) VALUES (${k + 500}, ${k})`);

  beforeAll(() => comparison.both('DELETE FROM visits WHERE k > 500'));

  test('as default of columns, as value and in conditions', async () => {
    await comparison.both('BEGIN');
    for (const sql of inserts) await comparison.expectSame(sql);
    for (const k of [511, 512, 513]) {
      await comparison.expectSame('INSERT INTO visits (k, at) VALUES ($1, now())', [k]);
      await comparison.expectSame('INSERT INTO visits VALUES ($1, DEFAULT)', [k + 10]);
    }
    await same([
      'SELECT count(DISTINCT at), count(DISTINCT local), count(DISTINCT day), count(*) FROM visits WHERE k > 500',
      'SELECT count(*) FROM visits WHERE at = now()',
    ]);
    for (const k of [501, 502, 503, 504]) {
      await comparison.expectSame('SELECT k, at = now(), now() - at FROM visits WHERE k = $1', [k]);
      await comparison.expectSame(`SELECT n FROM visits WHERE k = ${k} AND at = now()`);
      await comparison.expectSame(
        `UPDATE visits SET local = localtimestamp, day = current_date WHERE k = ${k} AND at >= now() RETURNING at = now()`,
      );
    }
    await comparison.both('COMMIT');
    await same(['SELECT count(DISTINCT at), count(DISTINCT local) FROM visits WHERE k > 500']);
  });

  test('but for an INSERT in WITH, which keeps that of its shard as a whole', async () => {
    await comparison.both('BEGIN');
    await comparison.both('UPDATE visits SET at = now() WHERE k = 501');
    for (const k of [531, 532, 533]) {
      await comparison.expectSame(
        `WITH x AS (INSERT INTO visits (k) VALUES (${k}) RETURNING at) SELECT at = now() FROM x`,
      );
    }
    await comparison.both('ROLLBACK');
  });

  test('prepared in front of it, executed in it and behind it', async () => {
    await comparison.both(
      'PREPARE told AS SELECT k, at = now(), $2::text AS x FROM visits WHERE k = $1',
    );
    await comparison.expectSame(`EXECUTE told (501, 'before')`);
    await comparison.both('BEGIN');
    await comparison.both('UPDATE visits SET at = now() WHERE k = 502');
    for (const k of [501, 502, 503, 504]) {
      await comparison.both(`UPDATE visits SET at = now() WHERE k = ${k}`);
      await comparison.expectSame(`EXECUTE told (${k}, 'inside')`);
    }
    await comparison.both('COMMIT');
    await comparison.expectSame(`EXECUTE told (503, 'behind')`);
    await comparison.both('DEALLOCATE told');
  });

  test('errors are those of the statement, at its own positions', async () => {
    for (const k of [501, 502, 503]) {
      await comparison.both('BEGIN');
      await comparison.expectSame('SELECT n FROM visits WHERE k = 501');
      await comparison.expectSame(`SELECT now(), nonsense FROM visits WHERE k = ${k}`);
      await comparison.both('ROLLBACK');
    }
  });
});
