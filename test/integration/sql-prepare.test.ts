import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { sqlStates, WirePair } from '../support/wire-pair.js';

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'sqlprepare',
    { main: { settings: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text, price numeric, at timestamptz)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO items VALUES (1, 'a', 1.5, '2024-01-01 00:00+00'), (2, 'b', 2, NULL),
        (3, 'c', 3.25, NULL), (4, NULL, NULL, NULL)`,
      `INSERT INTO settings VALUES ('k', 'v')`,
    ],
    { pool: { size: 1 } },
  );
});
afterAll(async () => {
  await scene.close();
});
beforeEach(async () => {
  const { proxy, oraclePort, databases } = scene;
  pair = await WirePair.open(proxy.port, oraclePort, { database: databases.name });
});
afterEach(() => {
  pair.close();
});

async function same(...queries: readonly string[]): Promise<void> {
  for (const sql of queries) {
    await pair.expectSame((client) => {
      client.query(sql);
    });
  }
}

/** Only SQLSTATEs of errors are compared: they tell of parameters in other words. */
async function sameCodes(...queries: readonly string[]): Promise<void> {
  for (const sql of queries) {
    const write = (client: { query(text: string): void }): void => client.query(sql);
    await pair.expectSame(write, { codesOnly: true });
  }
}

describe('PREPARE and EXECUTE', () => {
  test('of one shard, of several and of an unsharded table', async () => {
    await same(
      'PREPARE one AS SELECT * FROM items WHERE id = $1',
      'EXECUTE one(1)',
      "EXECUTE one('3')",
      'EXECUTE one(NULL)',
      'PREPARE many (numeric) AS SELECT id, name FROM items WHERE price > $1 ORDER BY id DESC',
      'EXECUTE many(1.6)',
      'EXECUTE many(0)',
      'PREPARE key (text) AS SELECT value FROM settings WHERE key = $1',
      "EXECUTE key('k')",
      'PREPARE total AS SELECT count(*), sum(price) FROM items',
      'EXECUTE total',
    );
  });

  test('of writes, with their tags and rows', async () => {
    await same(
      'PREPARE ins (int8, text) AS INSERT INTO items VALUES ($1, $2) RETURNING id, name',
      "EXECUTE ins(10, 'x')",
      "EXECUTE ins(11, upper('y'))",
      'PREPARE upd AS UPDATE items SET name = $2 WHERE id = $1',
      "EXECUTE upd(10, 'z')",
      'PREPARE all_of (int8) AS DELETE FROM items WHERE id >= $1',
      'BEGIN',
      'EXECUTE all_of(10)',
      'ROLLBACK',
      'EXECUTE one_more',
      'EXECUTE all_of(10)',
      'SELECT count(*) FROM items',
    );
  });

  test('arguments are converted as on one server', async () => {
    await same(
      'PREPARE p (int8) AS SELECT $1, pg_typeof($1)',
      'EXECUTE p(2.5)',
      "EXECUTE p('7'::int4)",
      'EXECUTE p(1 + 1)',
      'EXECUTE p(-5)',
      'EXECUTE p(true)',
      'EXECUTE p(1, 2)',
      'EXECUTE p',
      'PREPARE t (text, float8, bool, date, int[]) AS SELECT $1, $2, $3, $4, $5',
      "EXECUTE t(5, 1, true, '2024-02-03', '{1,2}')",
      "EXECUTE t('x', 0.1, 'on', date '2024-02-03' + 1, ARRAY[1, 2])",
      'PREPARE row (int8) AS SELECT id FROM items WHERE id = $1',
      'EXECUTE row(1.4)',
      'EXECUTE row(2 + 1)',
      "EXECUTE row('2'::text)",
    );
    await sameCodes("EXECUTE p('x')", 'EXECUTE p((SELECT 1))', 'EXECUTE p($1)');
  });

  test('names are shared with the extended protocol', async () => {
    await pair.expectSame((client) => {
      client.parse('SELECT name FROM items WHERE id = $1', 'proto', [20]);
      client.sync();
    });
    await same('EXECUTE proto(2)', 'PREPARE proto AS SELECT 1', 'PREPARE own AS SELECT $1::int8');
    await pair.expectSame((client) => {
      client.bind({ statement: 'own', values: ['9'] });
      client.describe('P');
      client.execute();
      client.sync();
    });
    await same('DEALLOCATE proto', 'EXECUTE proto(2)', 'DEALLOCATE nothing');
    await same('DEALLOCATE ALL', 'EXECUTE own(1)', 'PREPARE own AS SELECT 5', 'EXECUTE own');
    await same('DISCARD ALL', 'EXECUTE own');
  });

  test('through the extended protocol', async () => {
    const run = (sql: string, formats: readonly number[] = []): Promise<unknown> =>
      pair.expectSame((client) => {
        client.parse(sql);
        client.bind({ resultFormats: formats });
        client.describe('P');
        client.execute();
        client.sync();
      });
    await run('PREPARE one AS SELECT id, name FROM items WHERE id = $1');
    await run('EXECUTE one(1)');
    await run('EXECUTE one(1 + 1)', [1]);
    await run('PREPARE many AS SELECT id, name FROM items WHERE id > $1 ORDER BY id');
    await run('EXECUTE many(1 + 1)', [1, 0]);
    await run('EXECUTE many(2)');
    await run('EXECUTE nothing');
    await pair.expectSame((client) => {
      client.parse('EXECUTE nothing', 'e');
      client.describe('S', 'e');
      client.bind({ statement: 'e' });
      client.sync();
    });
    await pair.expectSame((client) => {
      client.closeNamed('S', 'e');
      client.sync();
    });
    await pair.expectSame((client) => {
      client.parse('EXECUTE many(1 + 1)', 'e');
      client.describe('S', 'e');
      client.bind({ statement: 'e' });
      client.execute();
      client.parse('EXECUTE one(3)');
      client.describe('S');
      client.bind();
      client.execute();
      client.sync();
    });
  });

  test('errors are told where they are', async () => {
    await same(
      'PREPARE bad AS SELECT nothing FROM items',
      '/* ä */ PREPARE bad (int) AS SELECT 1 FROM items WHERE nam = $1',
      'PREPARE bad AS SELECT 1 FROM nowhere_table_x WHERE',
      'PREPARE p (int8) AS SELECT $1',
      'PREPARE p AS SELECT 2',
      "EXECUTE p(length(5, 'ä') + no)",
      'PREPARE undetermined AS SELECT $1 IS NULL',
      'BEGIN',
      'EXECUTE p(true)',
      'EXECUTE p(1)',
      'ROLLBACK',
      'EXECUTE p(1)',
    );
  });

  test('in scripts and transactions', async () => {
    await same(
      "PREPARE a AS SELECT name FROM items WHERE id = $1; EXECUTE a(1); SELECT 'ä', 2; EXECUTE a(2)",
      "EXECUTE a(1 + 2); SELECT 'lit', 3 FROM items WHERE id = 2; EXECUTE a(4)",
      'BEGIN ISOLATION LEVEL REPEATABLE READ',
      'PREPARE b AS SELECT name FROM items WHERE id = $1',
      'EXECUTE b(2)',
      'ROLLBACK',
      'EXECUTE b(3)',
      'BEGIN; PREPARE c AS UPDATE items SET name = name WHERE id > $1; EXECUTE c(2); COMMIT',
    );
  });

  test('prepared before a change of the schema', async () => {
    await same(
      'SET client_min_messages = warning',
      'CREATE TABLE changing (a int)',
      'PREPARE s AS SELECT * FROM changing WHERE a = $1',
      'EXECUTE s(1)',
      'ALTER TABLE changing ADD b int',
    );
    await same('DROP TABLE changing');
    await sameCodes('EXECUTE s(1)');
  });

  test('EXPLAIN EXECUTE shows the plan of these values', async () => {
    await same(
      'PREPARE p (int8) AS SELECT * FROM settings WHERE key = $1::text',
      'EXPLAIN (COSTS off) EXECUTE p(5)',
    );
    pair.proxy.query('PREPARE m AS SELECT * FROM items WHERE id > $1 ORDER BY id');
    await pair.proxy.until('Z');
    pair.proxy.query('EXPLAIN EXECUTE m(1)');
    expect(sqlStates(await pair.proxy.until('Z'))).toEqual([]);
  });

  test('EXPLAIN EXECUTE of an INSERT that leaves out an id, by both protocols', async () => {
    await same(
      'SET client_min_messages = warning',
      'CREATE TABLE counted (id serial PRIMARY KEY, body text)',
      'PREPARE n AS INSERT INTO counted (body) VALUES ($1) RETURNING id, body',
      'EXPLAIN (COSTS off) EXECUTE n(NULL)',
      "EXPLAIN (COSTS off) EXECUTE n('a'); EXECUTE n('b')",
    );
    const explain = 'EXPLAIN (COSTS off) EXECUTE n(NULL)';
    await pair.expectSame((client) => {
      client.parse(explain);
      client.describe('S');
      client.bind();
      client.describe('P');
      client.execute();
      client.sync();
    });
    await same("EXECUTE n('c')", 'SELECT * FROM counted', 'DROP TABLE counted');
  });

  test('arguments that would act are refused', async () => {
    pair.proxy.query('PREPARE p (int8) AS SELECT $1');
    await pair.proxy.until('Z');
    for (const args of ["setval('x', 1)", "length(set_config('a.b', 'c', false))"]) {
      pair.proxy.query(`EXECUTE p(${args})`);
      expect(sqlStates(await pair.proxy.until('Z'))).toHaveLength(1);
    }
  });
});
