import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import type { WireClient } from '../support/wire-client.js';
import { sqlStates, typesOf, WirePair } from '../support/wire-pair.js';

let scene: Scene;
const pairs: WirePair[] = [];

beforeAll(async () => {
  scene = await openScene(
    'preparedmeaning',
    { main: { lone: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, n int)',
      'INSERT INTO items VALUES (1, 10)',
      'CREATE TABLE lone (id int8 PRIMARY KEY, n int)',
      'INSERT INTO lone VALUES (1, 10)',
      'CREATE SCHEMA elsewhere',
      'CREATE TABLE elsewhere.lone (id int8 PRIMARY KEY, n text)',
      `INSERT INTO elsewhere.lone VALUES (1, 'ten')`,
    ],
    // Both clients get the same backend.
    { pool: { size: 1 } },
  );
});
afterAll(async () => {
  await scene.close();
});
beforeEach(async () => {
  const { proxy, oraclePort, databases } = scene;
  const open = () => WirePair.open(proxy.port, oraclePort, { database: databases.name });
  pairs.push(await open(), await open());
});
afterEach(() => {
  for (const pair of pairs.splice(0)) pair.close();
});

async function same(pair: WirePair, ...queries: readonly string[]): Promise<void> {
  for (const sql of queries) await pair.expectSame((client) => client.query(sql));
}

/** Prepares the text under a name, and executes it twice. */
async function prepared(pair: WirePair, name: string, sql: string): Promise<void> {
  await pair.expectSame((client) => {
    client.parse(sql, name);
    client.describe('S', name);
    client.sync();
  });
  await executed(pair, name);
  await executed(pair, name);
}

async function executed(pair: WirePair, name: string): Promise<void> {
  await pair.expectSame((client) => {
    client.bind({ statement: name, values: ['1'] });
    client.execute();
    client.sync();
  });
}

describe('two clients prepare the same text, each under settings of its own', () => {
  const cases: readonly (readonly [setting: string, value: string, expression: string])[] = [
    ['TimeZone', 'Asia/Tokyo', `extract(epoch FROM timestamptz '2024-01-01 00:00')`],
    ['TimeZone', 'Asia/Tokyo', `timestamptz '2024-01-01 00:00'`],
    ['DateStyle', 'ISO, DMY', `'02/03/2024'::date`],
    ['IntervalStyle', 'sql_standard', `(interval '1 day 2 hours')::text`],
    ['IntervalStyle', 'sql_standard', `interval '-1 2:03'`],
    ['extra_float_digits', '-3', '(1::float8 / 3)::text'],
    ['bytea_output', 'escape', `'\\x4142'::bytea::text`],
    ['transform_null_equals', 'on', '(n = NULL)'],
    ['array_nulls', 'off', `'{null}'::text[] = ARRAY['null']`],
    ['xmloption', 'document', `'<a/>'::xml::text`],
  ];

  test.each(cases)('%s = %s: %s', async (setting, value, expression) => {
    const [a, b] = pairs as [WirePair, WirePair];
    const sql = `SELECT ${expression} AS v FROM items WHERE id = $1`;
    await same(b, `SET ${setting} = '${value}'`);
    await prepared(a, 'x', sql);
    await prepared(b, 'y', sql);
    await executed(a, 'x');
  });

  test('SET LOCAL counts, and not for others', async () => {
    const [a, b] = pairs as [WirePair, WirePair];
    const sql = `SELECT timestamptz '2024-02-01 00:00' AS v FROM items WHERE id = $1`;
    await same(a, 'BEGIN', `SET LOCAL TimeZone = 'Asia/Tokyo'`);
    await prepared(a, 'x', sql);
    await same(a, 'COMMIT');
    await prepared(b, 'y', sql);
  });

  test('also in SQL', async () => {
    const [a, b] = pairs as [WirePair, WirePair];
    const sql = `PREPARE p AS SELECT timestamptz '2024-03-01 00:00' AS v FROM items WHERE id = $1`;
    await same(b, `SET TimeZone = 'Asia/Tokyo'`);
    await same(a, sql, 'EXECUTE p(1)');
    await same(b, sql, 'EXECUTE p(1)');
  });
});

describe('constants are those of the settings under which a statement was prepared', () => {
  async function refused(pair: WirePair, write: (client: WireClient) => void): Promise<void> {
    write(pair.proxy);
    const messages = await pair.proxy.until('Z');
    expect(sqlStates(messages)).toEqual(['0A000']);
    expect(typesOf(messages)).toBe('EZ');
  }
  const run = (name: string) => (client: WireClient) => {
    client.bind({ statement: name, values: ['1'] });
    client.execute();
    client.sync();
  };
  const tokyo = `SET TimeZone = 'Asia/Tokyo'`;

  test.each(['id = $1', 'id >= $1'])('under other ones it is refused: WHERE %s', async (where) => {
    const [a] = pairs as [WirePair];
    const sql = `SELECT timestamptz '2024-04-01 00:00' AS v FROM items WHERE ${where}`;
    await prepared(a, 'x', sql);
    await same(a, `PREPARE p AS ${sql}`, 'EXECUTE p(1)', tokyo);
    await refused(a, run('x'));
    await refused(a, (client) => client.query('EXECUTE p(1)'));
    await same(a, 'RESET TimeZone', 'EXECUTE p(1)');
    await executed(a, 'x');
  });

  test('also behind the transaction that had them', async () => {
    const [a] = pairs as [WirePair];
    const sql = `SELECT '02/03/2024'::date AS v FROM items WHERE id = $1`;
    await same(a, 'BEGIN', `SET LOCAL DateStyle = 'ISO, DMY'`);
    await prepared(a, 'x', sql);
    await same(a, 'ROLLBACK');
    await refused(a, run('x'));
    await prepared(a, 'y', sql);
  });

  test('and behind a pipeline that had them for itself', async () => {
    const [a, b] = pairs as [WirePair, WirePair];
    const sql = `SELECT timestamptz '2024-05-01 00:00' AS v FROM lone WHERE id = $1`;
    await a.expectSame((client) => {
      client.parse(`SET LOCAL TimeZone = 'Asia/Tokyo'`);
      client.bind();
      client.execute();
      client.parse(sql, 'x');
      run('x')(client);
    });
    await refused(a, run('x'));
    await prepared(b, 'y', sql);
    await b.expectSame((client) => {
      client.parse(`SET LOCAL TimeZone = 'Asia/Tokyo'`);
      client.bind();
      client.execute();
      client.parse(sql, 'z');
      run('z')(client);
    });
    await executed(b, 'y');
    await prepared(a, '', sql);
  });

  test('those that mean the same under all stay', async () => {
    const [a] = pairs as [WirePair];
    const sql = `SELECT interval '7 days' AS i, 'v1.2' AS v, 'known' AS k, 20240101 AS n, date 'epoch' AS d
      FROM items WHERE id = $1`;
    await prepared(a, 'x', sql);
    await same(a, tokyo, `SET DateStyle = 'ISO, DMY'`);
    await executed(a, 'x');
  });

  test('a Parse of the same text without a name reads it anew', async () => {
    const [a] = pairs as [WirePair];
    const sql = `SELECT timestamptz '2024-06-01 00:00' AS v FROM items WHERE id = $1`;
    await prepared(a, '', sql);
    await a.expectSame((client) => {
      client.parse(tokyo, 'set');
      client.bind({ statement: 'set' });
      client.execute();
      client.sync();
    });
    await prepared(a, '', sql);
  });
});

test('SET LOCAL in a pipeline without BEGIN says what names mean in it', async () => {
  const [a] = pairs as [WirePair];
  const sql = 'SELECT n FROM lone WHERE id = $1';
  await prepared(a, 'x', sql);
  await a.expectSame((client) => {
    client.parse('SET LOCAL search_path = elsewhere');
    client.bind();
    client.execute();
    client.parse(sql);
    client.bind({ values: ['1'] });
    client.describe('P');
    client.execute();
    client.sync();
  });
  await executed(a, 'x');
});

test('a text that tells the time does so for the client that prepares it', async () => {
  const [a, b] = pairs as [WirePair, WirePair];
  const sql = `SELECT timestamptz 'now' >= $2 AS v FROM items WHERE id = $1`;
  const run = async (pair: WirePair, since: string) => {
    await pair.expectSame((client) => {
      client.parse(sql, 'x');
      client.bind({ statement: 'x', values: ['1', since] });
      client.execute();
      client.sync();
    });
  };
  await run(a, '2024-01-01');
  const [[now]] = (await scene.databases.query('oracle', 'SELECT clock_timestamp()::text')) as [
    [string],
  ];
  expect(now).toBeTruthy();
  await run(b, now);
});
