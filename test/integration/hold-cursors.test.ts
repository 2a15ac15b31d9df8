/* Cursors WITH HOLD, on one shard and over several, compared with the oracle message by message. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import type { WireClient } from '../support/wire-client.js';
import { sqlStates, typesOf, WirePair } from '../support/wire-pair.js';

const POOL_SIZE = 4;
let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'hold_cursors',
    { main: { notes: {} }, shop: { items: { shard_key: 'id' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text, n int4)',
      'CREATE TABLE notes (id int8 PRIMARY KEY, text text)',
      `INSERT INTO items SELECT i, 'i' || i % 7, i % 4 FROM generate_series(1, 30) i`,
      `INSERT INTO notes VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
    ],
    { pool: { size: POOL_SIZE } },
  );
});
afterAll(async () => {
  await scene.close();
});
beforeEach(async () => {
  pair = await open();
});
afterEach(() => {
  pair.close();
});

function open(): Promise<WirePair> {
  return WirePair.open(scene.proxy.port, scene.oraclePort, { database: 'hold_cursors' });
}

async function queries(...texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    // What is gathered has columns of no table.
    await pair.expectSame((c) => c.query(text), { tableless: true });
  }
}

const ONE = 'SELECT id, name FROM items WHERE id = 5';
const UNSHARDED = 'SELECT id, text FROM notes ORDER BY id';
const MERGED = 'SELECT id, name FROM items ORDER BY name, id';
const GATHERED = 'SELECT a.id, b.n FROM items a JOIN items b ON a.n = b.id ORDER BY 1';
const GROUPED = 'SELECT n, count(*) FROM items GROUP BY n ORDER BY n';

describe.each(Object.entries({ ONE, UNSHARDED, MERGED, GATHERED, GROUPED }))('%s', (_name, sql) => {
  test('is fetched outside of transactions, forward and backward', async () => {
    await queries(
      `DECLARE c SCROLL CURSOR WITH HOLD FOR ${sql}`,
      'FETCH 2 FROM c',
      'FETCH RELATIVE 0 FROM c',
      'MOVE BACKWARD 1 FROM c',
      'FETCH NEXT FROM c',
      'FETCH LAST FROM c',
      'FETCH ABSOLUTE 1 FROM c',
      'FETCH ALL FROM c',
      'FETCH BACKWARD ALL FROM c',
      'CLOSE c',
      'FETCH c',
      'CLOSE c',
    );
    await queries(
      `DECLARE "C c" BINARY NO SCROLL CURSOR WITH HOLD FOR ${sql}`,
      'FETCH 1 FROM "C c"',
      'FETCH PRIOR FROM "C c"',
      'FETCH 1 FROM "C c"',
      'CLOSE "C c"',
    );
  });

  test('shows the rows of its declaration, whatever is written before and after COMMIT', async () => {
    await queries(
      'BEGIN',
      `DECLARE c CURSOR WITH HOLD FOR ${sql}`,
      'FETCH 1 FROM c',
      `UPDATE items SET name = 'new', n = n + 1`,
      `UPDATE notes SET text = 'new'`,
      'COMMIT',
      'DELETE FROM items WHERE id IN (5, 6)',
      'FETCH ALL FROM c',
      'CLOSE c',
      'DELETE FROM items',
      `INSERT INTO items SELECT i, 'i' || i % 7, i % 4 FROM generate_series(1, 30) i`,
    );
  });

  test('is gone where its transaction or savepoint was rolled back', async () => {
    await queries(
      'BEGIN',
      `DECLARE c CURSOR WITH HOLD FOR ${sql}`,
      'FETCH 1 FROM c',
      'ROLLBACK',
      'FETCH 1 FROM c',
      'BEGIN',
      'SAVEPOINT s',
      `DECLARE c CURSOR WITH HOLD FOR ${sql}`,
      'ROLLBACK TO s',
      `DECLARE c CURSOR WITH HOLD FOR ${sql}`,
      'FETCH 1 FROM c',
      'RELEASE s',
      'COMMIT',
      'FETCH 1 FROM c',
    );
    await queries('BEGIN', 'FETCH 1 FROM c', 'SELECT 1 / 0', 'ROLLBACK', 'FETCH 1 FROM c');
    await queries('BEGIN', 'CLOSE c', 'ROLLBACK', 'FETCH 1 FROM c');
    const chained = [`DECLARE c CURSOR WITH HOLD FOR ${sql}`, 'ROLLBACK AND CHAIN'];
    await queries('BEGIN', ...chained, `DECLARE c CURSOR FOR ${sql}`, 'FETCH 1 FROM c', 'COMMIT');
  });

  test('by the extended protocol, with values, and as a portal', async () => {
    const steps: readonly ((c: WireClient) => void)[] = [
      (c) => {
        c.parse(`DECLARE c CURSOR WITH HOLD FOR SELECT q.*, $1::int FROM (${sql}) q ORDER BY 1`);
        c.bind({ values: ['7'] });
        c.execute();
      },
      (c) => {
        c.describe('P', 'c');
      },
      (c) => {
        c.parse('FETCH 2 FROM c', 's');
        c.describe('S', 's');
        c.bind({ statement: 's', resultFormats: [1] });
        c.execute();
      },
      (c) => {
        c.execute('c', 1);
      },
      (c) => {
        c.bind({ statement: 's' });
        c.execute();
        c.closeNamed('P', 'c');
      },
      (c) => {
        c.execute('c');
      },
    ];
    for (const step of steps) {
      const write = (c: WireClient): void => {
        step(c);
        c.sync();
      };
      await pair.expectSame(write, { tableless: true });
    }
  });
});

test('several at once, beside other cursors, and CLOSE ALL', async () => {
  await queries(
    `DECLARE a CURSOR WITH HOLD FOR ${ONE}`,
    `DECLARE b CURSOR WITH HOLD FOR ${MERGED}`,
    'DECLARE c CURSOR WITH HOLD FOR SELECT id FROM items WHERE id = 6',
    `DECLARE d CURSOR WITH HOLD FOR ${UNSHARDED}`,
    `DECLARE a CURSOR WITH HOLD FOR ${MERGED}`,
    `DECLARE b CURSOR WITH HOLD FOR ${ONE}`,
    'BEGIN',
    `DECLARE e CURSOR FOR ${GROUPED}`,
    ...['a', 'b', 'c', 'd', 'e'].map((name) => `FETCH 1 FROM ${name}`),
    'COMMIT',
    'FETCH 1 FROM e',
    ...['b', 'd'].map((name) => `FETCH 2 FROM ${name}`),
    'CLOSE a',
    'FETCH 1 FROM a',
    'FETCH 1 FROM c',
    'CLOSE ALL',
    ...['a', 'b', 'c', 'd'].map((name) => `FETCH 1 FROM ${name}`),
  );
});

test('DISCARD ALL closes them', async () => {
  await queries(
    `DECLARE a CURSOR WITH HOLD FOR ${ONE}`,
    `DECLARE b CURSOR WITH HOLD FOR ${MERGED}`,
    'DECLARE c CURSOR WITH HOLD FOR SELECT id FROM items WHERE id = 6',
    'DISCARD ALL',
    ...['a', 'b', 'c'].map((name) => `FETCH 1 FROM ${name}`),
  );
});

test('in scripts', async () => {
  for (const sql of [ONE, MERGED]) {
    await queries(
      `BEGIN; DECLARE c CURSOR WITH HOLD FOR ${sql}; FETCH 1 FROM c`,
      'COMMIT',
      'FETCH 1 FROM c; CLOSE c',
      `DECLARE c CURSOR WITH HOLD FOR ${sql}; FETCH 1 FROM c; SELECT count(*) FROM items`,
      'FETCH 1 FROM c; CLOSE c; FETCH 1 FROM c',
      `DECLARE c CURSOR WITH HOLD FOR ${sql}; SELECT 1 / 0`,
      'FETCH 1 FROM c',
    );
  }
});

test('an error in its rows ends the statement, or undoes the transaction', async () => {
  await queries(
    `DECLARE c CURSOR WITH HOLD FOR SELECT 10 / (20 - id) FROM items`,
    'FETCH 1 FROM c',
    'BEGIN',
    `UPDATE items SET name = 'half' WHERE id IN (1, 2, 3, 4)`,
    'DECLARE c CURSOR WITH HOLD FOR SELECT 10 / (id - 5) FROM items WHERE id = 5',
    'COMMIT',
    `SELECT count(*) FROM items WHERE name = 'half'`,
    'FETCH 1 FROM c',
    'BEGIN',
    `UPDATE items SET name = name WHERE id IN (1, 2, 3, 4)`,
    `DECLARE c CURSOR WITH HOLD FOR ${MERGED}`,
    'COMMIT',
    'FETCH ALL FROM c',
  );
});

test('what Postgres does not take', async () => {
  const changing = 'WITH gone AS (DELETE FROM items RETURNING id) SELECT id FROM gone';
  for (const sql of [
    `DECLARE c CURSOR WITH HOLD FOR ${changing}`,
    `BEGIN; DECLARE c CURSOR FOR ${changing}`,
  ]) {
    const { proxy, oracle } = pair;
    const states = [proxy, oracle].map(async (client) => {
      client.query(`${sql}; ROLLBACK`);
      return sqlStates(await client.until('Z'));
    });
    expect(await Promise.all(states)).toEqual([['0A000'], ['0A000']]);
    await queries('ROLLBACK', 'SELECT count(*) FROM items');
  }
  await queries(
    `DECLARE c CURSOR WITH HOLD FOR ${ONE} FOR UPDATE`,
    'DECLARE c CURSOR WITH HOLD FOR SELECT nothing FROM items WHERE id = 1',
    'BEGIN',
    `DECLARE c CURSOR WITH HOLD FOR ${ONE}`,
    `DECLARE c CURSOR WITH HOLD FOR ${ONE}`,
    'COMMIT',
    'FETCH 1 FROM c',
  );
});

test('two of them on different shards cannot be declared in one transaction', async () => {
  const { proxy } = pair;
  for (const [sql, states] of [
    ['BEGIN', []],
    ['DECLARE a CURSOR WITH HOLD FOR SELECT id FROM items WHERE id = 1', []],
    [`DECLARE b CURSOR WITH HOLD FOR ${UNSHARDED}`, ['0A000']],
    ['ROLLBACK', []],
    ['FETCH 1 FROM a', ['34000']],
  ] as const) {
    proxy.query(sql);
    expect(sqlStates(await proxy.until('Z'))).toEqual(states);
  }
});

test('sessions with such cursors leave a backend of each shard to the others', async () => {
  const others = await Promise.all(Array.from({ length: POOL_SIZE - 1 }, () => open()));
  const declare = `DECLARE c CURSOR WITH HOLD FOR ${UNSHARDED}`;
  for (const { proxy } of others) {
    proxy.query(declare);
    expect(sqlStates(await proxy.until('Z'))).toEqual([]);
  }
  for (const [sql, states] of [
    [declare, ['53000']],
    ['FETCH 1 FROM c', ['34000']],
    ['SELECT count(*) FROM notes', []],
  ] as const) {
    pair.proxy.query(sql);
    expect(sqlStates(await pair.proxy.until('Z'))).toEqual(states);
  }
  others[0]!.proxy.query('CLOSE c');
  await others[0]!.proxy.until('Z');
  await expect
    .poll(async () => {
      pair.proxy.query(declare);
      return sqlStates(await pair.proxy.until('Z'));
    })
    .toEqual([]);
  for (const other of others) other.close();
});

test('die with their shard connection, and so does the session', async () => {
  await queries(`DECLARE c CURSOR WITH HOLD FOR ${UNSHARDED}`);
  await scene.databases.query(
    'main',
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_cursors%'
       AND datname = current_database() AND pid <> pg_backend_pid()`,
  );
  expect(typesOf(await pair.proxy.closed())).toBe('E');
});
