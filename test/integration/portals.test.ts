/*
 * Portals over several shards: row limits of Execute, portals that live on in their transaction, several of them at
 * once. The oracle gets the same bytes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { deliveries, sqlStates, WirePair } from '../support/wire-pair.js';
import { WireClient } from '../support/wire-client.js';
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
      // What the proxy itself would say of the table.
      'SET client_min_messages = warning',
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

/** Statements inside a transaction, each with a Sync of its own. */
async function inTransaction(...steps: readonly Write[]): Promise<void> {
  await pair.expectSame((c) => c.query('BEGIN'));
  for (const step of steps) {
    await pair.expectSame((c) => {
      step(c);
      c.sync();
    });
  }
  await pair.expectSame((c) => c.query('ROLLBACK'));
}

function bound(portal: string, sql: string, values: readonly string[] = []): Write {
  return (c) => {
    c.parse(sql);
    c.bind({ portal, values });
  };
}
const execute =
  (portal: string, limit: number): Write =>
  (c) =>
    c.execute(portal, limit);

const MERGED = 'SELECT id, filler FROM lots WHERE id % 7 = $1 ORDER BY id';
const GROUPED = 'SELECT n, count(*) FROM items GROUP BY n ORDER BY n';
const JOINED = 'SELECT a.id, b.id FROM items a JOIN lots b ON a.n = b.id ORDER BY 1';

describe('portals in a transaction', () => {
  test('live on past Sync, several of them, and other statements run in between', async () => {
    await inTransaction(
      bound('a', MERGED, ['3']),
      bound('b', MERGED, ['5']),
      execute('a', 10),
      execute('b', 3),
      bound('g', GROUPED),
      execute('g', 1),
      execute('a', 200),
      bound('j', JOINED),
      execute('j', 2),
      (c) => {
        c.parse('SELECT count(*) FROM items');
        c.bind();
        c.execute();
      },
      execute('b', 1),
      execute('g', 2),
      execute('j', 5),
      execute('a', 0),
      execute('b', 0),
      execute('g', 0),
      execute('j', 0),
      execute('j', 0),
    );
  });

  test('do not see what is written after their first Execute', async () => {
    await inTransaction(
      bound('a', 'SELECT id, name FROM items ORDER BY id'),
      execute('a', 2),
      bound('', "UPDATE items SET name = 'new'"),
      execute('', 0),
      bound('', 'DELETE FROM items WHERE id > 6'),
      execute('', 0),
      execute('a', 3),
      execute('a', 0),
    );
  });

  test('are closed, and replaced where they have no name', async () => {
    await inTransaction(
      bound('a', MERGED, ['1']),
      execute('a', 1),
      (c) => c.closeNamed('P', 'a'),
      bound('a', MERGED, ['2']),
      execute('a', 1),
      bound('', MERGED, ['3']),
      execute('', 2),
      bound('', MERGED, ['4']),
      execute('', 2),
    );
    await pair.expectSame((c) => c.query('BEGIN'));
    await pair.expectSame((c) => (bound('', MERGED, ['3'])(c), c.execute('', 2), c.sync()));
    // Nothing may read a table that is altered.
    await pair.expectSame((c) => c.query('ALTER TABLE lots ADD COLUMN extra int4'));
    await pair.expectSame((c) => (c.execute('', 2), c.sync()));
    await pair.expectSame((c) => c.query('ROLLBACK'));
  });

  test('go with the savepoint that they were made behind', async () => {
    await inTransaction(
      bound('a', MERGED, ['1']),
      execute('a', 1),
      (c) => run(c, 'SAVEPOINT s'),
      bound('b', MERGED, ['2']),
      execute('b', 1),
      execute('a', 1),
      (c) => run(c, 'SAVEPOINT t'),
      bound('c', MERGED, ['3']),
      execute('c', 1),
      (c) => run(c, 'RELEASE t'),
      (c) => run(c, 'ROLLBACK TO s'),
      execute('a', 2),
      (c) => run(c, 'SAVEPOINT u'),
      execute('b', 1),
      (c) => run(c, 'ROLLBACK TO u'),
      execute('c', 1),
      (c) => run(c, 'ROLLBACK TO u'),
      execute('a', 2),
    );
  });

  test('an error of one ends the transaction, and only that portal where there is a savepoint', async () => {
    const failing = 'SELECT id, 10 / (50 - id) FROM lots WHERE id < 60 ORDER BY id';
    await inTransaction(
      // A server that sorts computes all rows first; by an index it would not, as statistics may have it.
      (c) => run(c, 'SET LOCAL enable_indexscan = off'),
      bound('a', MERGED, ['1']),
      execute('a', 1),
      bound('f', failing),
      (c) => run(c, 'SAVEPOINT s'),
      execute('f', 20),
      execute('f', 0),
      execute('a', 1),
      (c) => run(c, 'ROLLBACK TO s'),
      execute('a', 1),
    );
  });

  test('refused where another statement has written since Bind', async () => {
    const c = pair.proxy;
    c.query('BEGIN');
    await c.until('Z');
    bound('a', GROUPED)(c);
    run(c, 'UPDATE items SET n = 0');
    c.execute('a', 0);
    c.sync();
    expect(sqlStates(await c.until('Z'))).toEqual(['0A000']);
    c.query('ROLLBACK');
    await c.until('Z');
  });
});

test('many portals that wait hold little, and end with their client', async () => {
  const client = await WireClient.login({ port: scene.proxy.port, database: 'portals' });
  client.query('BEGIN');
  await client.until('Z');
  for (let i = 0; i < 50; i++) {
    bound(`p${i}`, MERGED, [String(i % 7)])(client);
    client.execute(`p${i}`, 3);
  }
  client.sync();
  const first = await client.until('Z');
  expect(first.filter(({ type }) => type === 's')).toHaveLength(50);
  for (let i = 0; i < 50; i++) client.execute(`p${i}`, 500);
  client.sync();
  const second = await client.until('Z');
  expect(second.filter(({ type }) => type === 'D')).toHaveLength(second.length - 51);
  expect(second.filter(({ type }) => type === 'C')).toHaveLength(50);
  client.destroy();
  await pair.expectSame((c) => c.query('SELECT count(*) FROM lots'));
});

/** A statement without rows to be limited. */
function run(c: WireClient, sql: string): void {
  c.parse(sql);
  c.bind();
  c.execute();
}
