/*
 * Portals over several shards: row limits of Execute, portals that live on in their transaction, several of them at
 * once. The oracle gets the same bytes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { deliveries, WirePair } from '../support/wire-pair.js';
import type { WireClient } from '../support/wire-client.js';
import { summary } from '../support/wire-messages.js';

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'portals',
    {
      main: {},
      shop: { items: { shard_key: 'id' }, lots: { shard_key: 'id' }, kinds: { type: 'reference' } },
    },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text, n int4)',
      'CREATE TABLE lots (id int8 PRIMARY KEY, filler text)',
      'CREATE TABLE kinds (id int4 PRIMARY KEY, name text)',
      `INSERT INTO items VALUES ${Array.from({ length: 12 }, (_, i) => `(${i + 1}, 'i${i % 5}', ${i % 4})`).join(', ')}`,
      `INSERT INTO lots VALUES ${Array.from({ length: 3000 }, (_, i) => `(${i}, repeat('x', ${i % 300}))`).join(', ')}`,
      `INSERT INTO kinds VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
    ],
  );
  pair = await WirePair.open(scene.proxy.port, scene.oraclePort, { database: 'portals' });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

type Write = (client: WireClient) => void;

/** Parse, Bind of portal `p` and an Execute for each limit, 0 for all. */
function executes(sql: string, limits: readonly number[], formats: readonly number[] = []): Write {
  return (c) => {
    c.parse(sql);
    c.bind({ portal: 'p', resultFormats: formats });
    c.describe('P', 'p');
    for (const limit of limits) c.execute('p', limit);
    c.closeNamed('P', 'p');
    c.sync();
  };
}

/** Statements whose rows come in one order. */
const ordered: Readonly<Record<string, string>> = {
  'rows merged': 'SELECT id, name FROM items ORDER BY name DESC, id',
  'rows merged and cut': 'SELECT id, n FROM items ORDER BY n, id OFFSET 2 LIMIT 7',
  'rows with ties': 'SELECT n FROM items ORDER BY n FETCH FIRST 2 ROWS WITH TIES',
  'rows of a few shards': 'SELECT id FROM items WHERE id IN (3, 5, 7, 11) ORDER BY id',
  groups: 'SELECT n, count(*), sum(id) FROM items GROUP BY n ORDER BY n',
  'a gathered join':
    'SELECT a.id, b.id FROM items a JOIN items b ON a.n = b.n AND a.id < b.id ORDER BY 1, 2',
  counts: 'SELECT count(*), count(name) FROM items',
  'no rows': 'SELECT id FROM items WHERE n > 100 ORDER BY id',
};
/** The order of shards is not that of one server. */
const unordered: Readonly<Record<string, string>> = {
  'rows of all shards': 'SELECT id, name FROM items',
  'LIMIT without ORDER BY': "SELECT n FROM items WHERE name = 'i1' AND n = 1 LIMIT 3",
  'an UPDATE with RETURNING': 'UPDATE items SET name = name RETURNING id, n',
};
const limits: readonly (readonly number[])[] = [
  [3, 2, 0],
  [1, 1, 1],
  [100, 5],
  [12, 12],
  [4, 4, 4, 4],
  [0, 1],
];

/** What a server answers: its messages without the values of rows, and the rows in any order. */
async function read(
  client: WireClient,
  write: Write,
): Promise<{ readonly shape: string[]; readonly rows: string[] }> {
  write(client);
  const lines = (await client.until('Z')).map(summary);
  const rows = lines.filter((line) => line.startsWith('D'));
  return { shape: lines.map((line) => (line.startsWith('D') ? 'D' : line)), rows: rows.sort() };
}

describe('Execute with a row limit', () => {
  for (const [name, sql] of Object.entries(ordered)) {
    test(name, async () => {
      for (const asked of limits) {
        await pair.expectSame(executes(sql, asked));
        await pair.expectSame(executes(sql, asked, [1]));
      }
    });
  }
  for (const [name, sql] of Object.entries(unordered)) {
    test(name, async () => {
      for (const asked of limits) {
        // Behind all rows of a RETURNING that it had no limit for, the proxy has forgotten that there were any.
        if (sql.startsWith('UPDATE') && asked[0] === 0) continue;
        const write = executes(sql, asked);
        const [proxy, oracle] = [await read(pair.proxy, write), await read(pair.oracle, write)];
        expect(proxy.shape).toEqual(oracle.shape);
        // Which rows come first is open; what comes when all are asked for is not.
        if (asked.includes(0)) expect(proxy.rows).toEqual(oracle.rows);
      }
    });
  }

  test.each(deliveries)('delivered %s', async (delivery) => {
    await pair.expectSame(executes(ordered['rows merged']!, [5, 1, 0]), { delivery });
  });

  test('means nothing to statements without rows, which do not run twice', async () => {
    for (const sql of [
      "UPDATE items SET name = name || '!' WHERE n = 1",
      "INSERT INTO items VALUES (101, 'a', 9), (102, 'b', 9), (103, 'c', 9), (104, 'd', 9)",
      'DELETE FROM items WHERE n = 9',
      "UPDATE kinds SET name = 'z' WHERE id = 3",
      'CREATE TABLE more (id int8 PRIMARY KEY)',
      'DROP TABLE more',
      'SET work_mem = 4096',
    ]) {
      await pair.expectSame(executes(sql, [1]));
    }
    await pair.expectSame(executes('UPDATE items SET n = n', [1, 1]));
    await pair.expectSame(
      executes("UPDATE kinds SET name = 'y' WHERE id > 1 RETURNING id", [1, 1, 1]),
    );
    await pair.expectSame((c) => {
      c.query('SELECT id, name, n FROM items ORDER BY id');
    });
  });

  test('holds for EXPLAIN', async () => {
    const rows = async (asked: readonly number[]): Promise<string[]> => {
      const { shape } = await read(
        pair.proxy,
        executes('EXPLAIN SELECT id FROM items ORDER BY name', asked),
      );
      return shape.slice(3).map((line) => line.slice(0, 9).trim());
    };
    expect(await rows([2, 1])).toEqual(['D', 'D', 's', 'D', 's', '3', 'Z I']);
    expect((await rows([1, 0, 1])).slice(-4)).toEqual(['C EXPLAIN', 'C EXPLAIN', '3', 'Z I']);
  });
});
