/* SQL cursors over several shards, compared with the oracle message by message. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import type { WireClient } from '../support/wire-client.js';
import { sqlStates, WirePair } from '../support/wire-pair.js';

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  scene = await openScene(
    'cursors',
    { main: { notes: {} }, shop: { items: { shard_key: 'id' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text, n int4)',
      'CREATE TABLE notes (id int8 PRIMARY KEY, text text)',
      `INSERT INTO items VALUES ${Array.from({ length: 30 }, (_, i) => `(${i + 1}, 'i${i % 7}', ${i % 4})`).join(', ')}`,
      `INSERT INTO notes VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
    ],
  );
  pair = await WirePair.open(scene.proxy.port, scene.oraclePort, { database: 'cursors' });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

// What one test leaves open must not fail the next.
afterEach(async () => {
  for (const client of [pair.proxy, pair.oracle]) {
    client.query('ROLLBACK');
    await client.until('Z');
  }
});

/** Queries inside a transaction, each on its own. */
async function inTransaction(...queries: readonly string[]): Promise<void> {
  const scrolls = queries.some((sql) => /(?<!NO) SCROLL /.test(sql));
  for (const sql of ['BEGIN', ...queries, 'ROLLBACK']) {
    // Who scrolls gets rows of a server that has them from elsewhere.
    await pair.expectSame((c) => c.query(sql), { tableless: scrolls });
  }
}

const MERGED = 'SELECT id, name FROM items ORDER BY name, id';
const CUT = 'SELECT id FROM items ORDER BY id OFFSET 3 LIMIT 9';
const GATHERED = 'SELECT a.id, b.n FROM items a JOIN items b ON a.n = b.id ORDER BY 1';
const GROUPED = 'SELECT n, count(*) FROM items GROUP BY n ORDER BY n';
const CONCATENATED = 'SELECT id FROM items';

const moves: readonly (readonly string[])[] = [
  [
    'FETCH c',
    'FETCH NEXT FROM c',
    'FETCH 2 FROM c',
    'FETCH FORWARD 3 IN c',
    'FETCH ALL c',
    'FETCH c',
  ],
  [
    'MOVE 2 FROM c',
    'FETCH 1 FROM c',
    'MOVE c',
    'MOVE ALL FROM c',
    'MOVE 1 FROM c',
    'FETCH ALL FROM c',
  ],
  ['FETCH 0 FROM c', 'MOVE 0 FROM c', 'FETCH FIRST FROM c', 'MOVE 0 FROM c', 'FETCH 0 FROM c'],
  [
    'FETCH ABSOLUTE 2 FROM c',
    'FETCH ABSOLUTE 4 FROM c',
    'FETCH RELATIVE 2 FROM c',
    'FETCH ABSOLUTE 3 FROM c',
  ],
  [
    'FETCH ABSOLUTE 0 FROM c',
    'MOVE ABSOLUTE 3 FROM c',
    'FETCH FORWARD ALL FROM c',
    'FETCH ABSOLUTE 99 FROM c',
  ],
  ['FETCH BACKWARD -2 FROM c', 'FETCH RELATIVE 0 FROM c'],
  ['FETCH 2 FROM c', 'FETCH BACKWARD 1 FROM c', 'FETCH 1 FROM c'],
  ['FETCH PRIOR FROM c'],
  ['FETCH LAST FROM c'],
  ['MOVE 100 FROM c', 'FETCH FIRST FROM c'],
  ['FETCH FORWARD -1 FROM c'],
];

describe('FETCH and MOVE go forward', () => {
  for (const [name, sql] of Object.entries({ MERGED, CUT, GATHERED, GROUPED })) {
    test(name, async () => {
      for (const steps of moves) {
        await inTransaction(
          `DECLARE c NO SCROLL CURSOR FOR ${sql}`,
          ...steps,
          'CLOSE c',
          'FETCH c',
        );
      }
    });
  }
});

describe('a cursor that scrolls goes where it is sent', () => {
  const back = [
    ...moves,
    [
      'FETCH LAST FROM c',
      'FETCH PRIOR FROM c',
      'FETCH BACKWARD 3 FROM c',
      'FETCH ABSOLUTE -2 FROM c',
    ],
    ['FETCH ALL FROM c', 'FETCH BACKWARD ALL FROM c', 'MOVE 3 FROM c', 'FETCH RELATIVE -2 FROM c'],
  ];
  for (const [name, sql] of Object.entries({ MERGED, CUT, GATHERED, GROUPED })) {
    test(name, async () => {
      for (const steps of back) {
        await inTransaction(`DECLARE c SCROLL CURSOR FOR ${sql}`, ...steps, 'CLOSE c', 'FETCH c');
      }
    });
  }
});

test('rows of shards one after the other come all, once', async () => {
  const { proxy } = pair;
  const rows: string[] = [];
  proxy.query(`BEGIN; DECLARE c CURSOR FOR ${CONCATENATED}`);
  await proxy.until('Z');
  for (const [sql, count] of [
    ['FETCH 7 FROM c', 7],
    ['MOVE 0 FROM c', 0],
    ['FETCH c', 1],
    ['FETCH ALL FROM c', 22],
    ['FETCH 5 FROM c', 0],
  ] as const) {
    proxy.query(sql);
    const found = (await proxy.until('Z')).filter(({ type }) => type === 'D');
    expect(found).toHaveLength(count);
    rows.push(...found.map(({ body }) => body.toString('latin1')));
  }
  expect(new Set(rows).size).toBe(30);
  proxy.query('ROLLBACK');
  await proxy.until('Z');
});

test('a cursor does not see what is written after DECLARE', async () => {
  for (const scroll of ['', 'SCROLL']) {
    for (const sql of [MERGED, GATHERED, GROUPED]) {
      await inTransaction(
        `DECLARE c ${scroll} CURSOR FOR ${sql}`,
        'UPDATE items SET n = n + 1, name = name || id',
        'DELETE FROM items WHERE id > 20',
        'FETCH 4 FROM c',
        'DELETE FROM items',
        'FETCH ALL FROM c',
      );
    }
  }
});

test('several cursors, of one shard and of several, at once', async () => {
  await inTransaction(
    'DECLARE one CURSOR FOR SELECT id, name FROM items WHERE id = 5',
    `DECLARE a CURSOR FOR ${MERGED}`,
    'DECLARE "B c" CURSOR WITHOUT HOLD FOR SELECT id, text FROM notes ORDER BY id',
    `DECLARE s SCROLL CURSOR FOR ${GROUPED}`,
    'DECLARE two CURSOR FOR SELECT id FROM items WHERE id = 6',
    'FETCH 2 FROM a',
    'FETCH 1 FROM "B c"',
    'FETCH ALL FROM one',
    'FETCH LAST FROM s',
    'FETCH ALL FROM two',
    'SELECT count(*) FROM items',
    'FETCH 2 FROM a',
    'CLOSE s',
    'FETCH 1 FROM "B c"',
    'CLOSE ALL',
    'FETCH 1 FROM a',
  );
  await inTransaction(
    `DECLARE a CURSOR FOR ${MERGED}`,
    'CLOSE a',
    'DECLARE a CURSOR FOR SELECT id, name FROM items WHERE id = 5',
    'FETCH ALL FROM a',
    'CLOSE a',
    `DECLARE a CURSOR FOR ${GROUPED}`,
    'FETCH 1 FROM a',
    'CLOSE ALL',
    'CLOSE a',
  );
});

test('a name that is taken is refused, whatever has it', async () => {
  const one = 'SELECT id, name FROM items WHERE id = 5';
  for (const [first, second] of [
    [MERGED, MERGED],
    [one, MERGED],
    [MERGED, one],
    [one, 'SELECT id, text FROM notes'],
  ] as const) {
    await inTransaction(`DECLARE a CURSOR FOR ${first}`, `DECLARE a CURSOR FOR ${second}`);
  }
});

test('a cursor goes with the savepoint that it was made behind', async () => {
  await inTransaction(
    `DECLARE a CURSOR FOR ${MERGED}`,
    'SAVEPOINT s',
    `DECLARE b CURSOR FOR ${GROUPED}`,
    `DECLARE d SCROLL CURSOR FOR ${GROUPED}`,
    'FETCH 1 FROM a',
    'FETCH 1 FROM b',
    'ROLLBACK TO s',
    'FETCH 1 FROM a',
    `DECLARE b CURSOR FOR ${MERGED}`,
    'DECLARE d CURSOR FOR SELECT 1',
    'FETCH 1 FROM b',
    'RELEASE s',
    'FETCH 1 FROM b',
  );
});

test('an error ends it, unless a savepoint is there', async () => {
  const failing = 'SELECT id, 10 / (20 - id) FROM items ORDER BY id';
  await inTransaction(
    `DECLARE a CURSOR FOR ${MERGED}`,
    `DECLARE f CURSOR FOR ${failing}`,
    'SAVEPOINT s',
    'MOVE 25 FROM f',
    'FETCH 1 FROM f',
    'ROLLBACK TO s',
    'FETCH 1 FROM a',
  );
});

test('outside a transaction there is none', async () => {
  for (const sql of [
    `DECLARE a CURSOR FOR ${MERGED}`,
    'FETCH 1 FROM a',
    'CLOSE a',
    'CLOSE ALL',
    `DECLARE a CURSOR FOR ${MERGED}; FETCH 2 FROM a; FETCH 1 FROM a`,
    'FETCH 1 FROM a',
    `BEGIN; DECLARE a CURSOR FOR ${MERGED}; FETCH 2 FROM a; MOVE 3 FROM a; FETCH 1 FROM a; CLOSE a; COMMIT`,
  ]) {
    await pair.expectSame((c) => {
      c.query(sql);
    });
  }
});

test('BINARY cursors, and formats that a FETCH asks for', async () => {
  for (const sql of [MERGED, GATHERED]) {
    await inTransaction(
      `DECLARE c BINARY CURSOR FOR ${sql}`,
      'FETCH 2 FROM c',
      'MOVE 1 FROM c',
      'FETCH ALL FROM c',
    );
    await inTransaction(`DECLARE c BINARY SCROLL CURSOR FOR ${sql}`, 'FETCH LAST FROM c');
    await extended(
      [`DECLARE c CURSOR FOR ${sql}`],
      ['FETCH 2 FROM c', 1],
      ['FETCH 3 FROM c', 1],
      ['MOVE 1 FROM c', 1],
      ['FETCH ALL FROM c', 1],
    );
  }
});

/** Statements by the extended protocol inside a transaction: text, result format, values. */
async function extended(
  ...steps: readonly (readonly [string, number?, (readonly string[])?])[]
): Promise<void> {
  await pair.expectSame((c) => c.query('BEGIN'));
  for (const [sql, format = 0, values = []] of steps) {
    const write = (c: WireClient): void => {
      c.parse(sql, 's');
      c.describe('S', 's');
      c.bind({ statement: 's', values, resultFormats: [format] });
      c.describe('P');
      c.execute();
      c.closeNamed('S', 's');
      c.sync();
    };
    await pair.expectSame(write, { tableless: true });
  }
  await pair.expectSame((c) => c.query('ROLLBACK'));
}

test('the extended protocol declares with values, fetches and closes', async () => {
  for (const scroll of ['', 'SCROLL']) {
    await extended(
      [
        `DECLARE c ${scroll} CURSOR FOR SELECT id, name, $2::text FROM items WHERE n = $1 ORDER BY id`,
        0,
        ['2', 'x'],
      ],
      ['FETCH 2 FROM c'],
      ['FETCH 3 FROM c'],
      ['MOVE 1 FROM c'],
      ['CLOSE c'],
    );
  }
});

test('a cursor is a portal, and a portal a cursor', async () => {
  const steps: readonly ((c: WireClient) => void)[] = [
    (c) => c.query('BEGIN'),
    (c) => c.query(`DECLARE c CURSOR FOR ${MERGED}`),
    (c) => (c.describe('P', 'c'), c.execute('c', 2), c.sync()),
    (c) => c.query('FETCH 2 FROM c'),
    (c) => (c.execute('c', 3), c.closeNamed('P', 'c'), c.sync()),
    (c) => (c.parse(GROUPED), c.bind({ portal: 'p' }), c.execute('p', 1), c.sync()),
    (c) => c.query('FETCH 2 FROM p'),
    (c) => c.query('CLOSE p'),
    (c) => (c.execute('p', 1), c.sync()),
    (c) => c.query('ROLLBACK'),
  ];
  for (const step of steps) await pair.expectSame(step);
});

test('rows of a portal in binary are passed over by MOVE, which has no format', async () => {
  const steps: readonly ((c: WireClient) => void)[] = [
    (c) => c.query('BEGIN'),
    (c) => (c.parse(MERGED), c.bind({ portal: 'p', resultFormats: [1] }), c.sync()),
    (c) => (c.execute('p', 2), c.sync()),
    (c) => c.query('MOVE FORWARD 3 FROM p'),
    (c) => (c.execute('p', 2), c.sync()),
    (c) => c.query('ROLLBACK'),
  ];
  for (const step of steps) await pair.expectSame(step);
});

test('row limits of FETCH itself', async () => {
  await pair.expectSame((c) => c.query('BEGIN'));
  await pair.expectSame((c) => c.query(`DECLARE c CURSOR FOR ${MERGED}`));
  await pair.expectSame((c) => {
    c.parse('FETCH 5 FROM c');
    c.bind();
    c.execute('', 2);
    c.execute('', 2);
    c.execute('', 2);
    c.sync();
  });
  await pair.expectSame((c) => c.query('ROLLBACK'));
});

test('rows are not changed by their cursor over several shards', async () => {
  const { proxy } = pair;
  for (const [sql, states] of [
    ['BEGIN', []],
    ['DECLARE c CURSOR FOR SELECT id FROM items FOR UPDATE', []],
    ['FETCH 1 FROM c', []],
    ['UPDATE items SET n = 1 WHERE CURRENT OF c', ['0A000']],
    ['ROLLBACK', []],
  ] as const) {
    proxy.query(sql);
    expect(sqlStates(await proxy.until('Z'))).toEqual(states);
  }
});
