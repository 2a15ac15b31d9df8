/*
 * COPY of a query TO STDOUT, whose rows come from several shards in any of the ways there are: byte for byte what one
 * PostgreSQL writes, in every format and with every option.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { watchMemory } from '../support/chaos-watch.js';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { sqlStates, typesOf, WirePair } from '../support/wire-pair.js';

let scene: Scene;
let pair: WirePair;

const values = [
  `'plain', 1`,
  `NULL, 2`,
  `'', NULL`,
  String.raw`E'tab\tline\nreturn\rback\\slash', 4`,
  String.raw`E'\\.', 5`,
  String.raw`'\N', 6`,
  `'comma, "quoted" and ''apostrophe''', 7`,
  String.raw`E'\x01\b\f\v\x7f', 8`,
  `'Grüße, 世界 |;', 9`,
  `'NULL', 10`,
];

beforeAll(async () => {
  scene = await openScene(
    'copy_queries',
    { main: { lone: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int PRIMARY KEY, v text, n numeric)',
      'CREATE TABLE lone (id int PRIMARY KEY, v text, n numeric)',
      `INSERT INTO items VALUES ${values.map((row, i) => `(${i}, ${row})`).join()}`,
      `INSERT INTO lone VALUES ${values.map((row, i) => `(${i}, ${row})`).join()}`,
    ],
  );
  const { proxy, oraclePort, databases } = scene;
  pair = await WirePair.open(proxy.port, oraclePort, { database: databases.name });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

describe('copy data is that of one PostgreSQL', () => {
  const sorted = 'SELECT id, v, n FROM items ORDER BY id';
  test.each([
    ['text', ''],
    ['text with a header', '(HEADER)'],
    ['text with other characters', `(DELIMITER '|', NULL 'none')`],
    ['text with a control character', String.raw`(DELIMITER E'\x01')`],
    ['csv', '(FORMAT csv)'],
    ['csv with a header', '(FORMAT csv, HEADER true)'],
    ['csv, as it was written once', 'CSV HEADER'],
    ['csv quoted everywhere', '(FORMAT csv, FORCE_QUOTE *)'],
    [
      'csv with other characters',
      `(FORMAT csv, DELIMITER ';', QUOTE '''', ESCAPE '\\', NULL 'NULL')`,
    ],
    ['binary', '(FORMAT binary)'],
  ])('%s', async (_what, options) => {
    await pair.expectSame((client) => client.query(`COPY (${sorted}) TO STDOUT ${options}`));
    await pair.expectSame((client) =>
      client.query(`COPY (SELECT v FROM items ORDER BY id) TO STDOUT ${options}`),
    );
    await pair.expectSame((client) =>
      client.query(`COPY (SELECT * FROM items WHERE n < 0 ORDER BY id) TO STDOUT ${options}`),
    );
  });

  test.each([
    ['cut', 'SELECT id FROM items ORDER BY id DESC LIMIT 3 OFFSET 1'],
    ['counted', 'SELECT count(*) FROM items'],
    ['aggregated', 'SELECT sum(n), avg(n), max(v COLLATE "C") FROM items'],
    ['grouped', 'SELECT id % 3, count(*) FROM items GROUP BY 1 ORDER BY 1'],
    ['joined', 'SELECT a.id, b.v FROM items a JOIN lone b ON a.n = b.n ORDER BY 1'],
    [
      'joined with itself',
      'SELECT a.id, b.id FROM items a JOIN items b ON a.n = b.id ORDER BY 1, 2',
    ],
    ['of windows', 'SELECT id, row_number() OVER (ORDER BY id DESC) FROM items ORDER BY 1'],
    ['of WITH', 'WITH x AS (SELECT max(n) AS m FROM items) SELECT * FROM x'],
    ['without columns', 'SELECT FROM items ORDER BY id'],
    ['of some keys', 'SELECT v FROM items WHERE id IN (1, 2, 3) ORDER BY id'],
    ['of one key', 'SELECT v FROM items WHERE id = 1 ORDER BY id'],
    ['of written rows', `UPDATE lone SET v = v || 'x' WHERE id = 4 RETURNING id, v`],
    ['of inserted rows', `INSERT INTO items VALUES (100, 'a', 1), (101, 'b', 2) RETURNING *`],
    ['of deleted rows', 'DELETE FROM items WHERE id = 100 RETURNING v'],
    ['with an error', 'SELECT 1 / id FROM items ORDER BY id'],
  ])('%s', async (_what, query) => {
    await pair.expectSame((client) => client.query(`COPY (${query}) TO STDOUT CSV HEADER`), {
      codesOnly: true,
    });
    await pair.expectSame(
      (client) => {
        client.parse(`COPY (${query}) TO STDOUT`);
        client.bind();
        client.describe('P');
        client.execute();
        client.sync();
      },
      { codesOnly: true },
    );
  });

  test('within a transaction and among other statements', async () => {
    await pair.expectSame((client) => {
      client.query(
        `BEGIN; UPDATE items SET n = 0; COPY (SELECT id, n FROM items ORDER BY id) TO STDOUT;
         SELECT count(*) FROM items; COPY (SELECT sum(n) FROM items) TO STDOUT; ROLLBACK`,
      );
    });
  });
});

test('options that PostgreSQL refuses are refused', async () => {
  for (const options of [
    '(FORCE_QUOTE *)',
    `(DELIMITER 'a')`,
    `(FORMAT csv, DELIMITER '"')`,
    '(FORMAT binary, HEADER)',
    '(HEADER match)',
    `(NULL E'\\n')`,
    '(FREEZE)',
    `(FORMAT csv, FORMAT csv)`,
    'WHERE id = 1',
  ]) {
    for (const client of [pair.proxy, pair.oracle]) {
      client.query(`COPY (SELECT id FROM items ORDER BY id) TO STDOUT ${options}`);
      expect(sqlStates(await client.until('Z')), options).toHaveLength(1);
    }
  }
});

test('a client that reads slowly does not make the proxy keep the rows', async () => {
  const { proxy, databases } = scene;
  const client = await WireClient.login({ port: proxy.port, database: databases.name });
  const memory = watchMemory(proxy);
  client.socket.pause();
  client.query(
    `COPY (SELECT id, repeat('x', 8000) FROM items, generate_series(1, 2000) ORDER BY id) TO STDOUT`,
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  client.socket.resume();
  const messages = await client.until('Z', 30_000);
  expect(typesOf(messages.filter(({ type }) => type !== 'd'))).toBe('HcCZ');
  expect(await memory.stop()).toBeLessThan(250);
  client.terminate();
});
