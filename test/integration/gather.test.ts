import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CANCEL_REQUEST } from '../../src/protocol/codes.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

let scene: Scene;

/** Above what travels as parameters, on every shard. */
const MANY = 12_000;

beforeAll(async () => {
  scene = await openScene(
    'gather',
    {
      shop: {
        people: { shard_key: 'id' },
        visits: { shard_key: 'id' },
        odd: { shard_key: 'id' },
        wide: { shard_key: 'id' },
      },
    },
    [
      'CREATE TABLE settings (name text PRIMARY KEY, value int)',
      'CREATE TABLE people (id bigint PRIMARY KEY, name varchar(20), tags int[], born date)',
      'CREATE TABLE visits (id bigint PRIMARY KEY, person bigint, place text, cost numeric(8,2))',
      "CREATE TYPE mood AS ENUM ('sad', 'fine')",
      'CREATE TYPE pair AS (a int, b text)',
      'CREATE TABLE wide (id bigint PRIMARY KEY, long text)',
      'CREATE TABLE odd (id bigint PRIMARY KEY, m mood, ms mood[], p pair)',
      "INSERT INTO settings VALUES ('low', 10), ('high', 190)",
    ],
    { limits: { gather_memory: '1MB' } },
  );
  const { comparison } = scene;
  const people = series(200, (i) => `(${i}, 'p${i}', '{${i},${i % 7}}', date '2000-01-01' + ${i})`);
  await comparison.both(`INSERT INTO people VALUES ${people}`);
  for (let first = 0; first < MANY; first += 3000) {
    const visits = series(3000, (n) => {
      const i = first + n;
      return `(${i}, ${i % 300}, ${i % 9 === 0 ? 'NULL' : `'x${i % 11}'`}, ${i}.25)`;
    });
    await comparison.both(`INSERT INTO visits VALUES ${visits}`);
  }
  const odd = series(20, (i) => `(${i}, 'fine', '{sad,fine}', row(${i}, E'tab\\t\\\\ "q" \\n'))`);
  await comparison.both(`INSERT INTO odd VALUES ${odd}`);
  const wide = series(300, (i) => `(${i}, repeat('wide', 2500))`);
  await comparison.both(`INSERT INTO wide VALUES ${wide}`);
});

function series(count: number, row: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => row(i + 1)).join(', ');
}

afterAll(async () => {
  await scene.close();
});

/** Joins of `visits` are large, joins of the others small. */
const LARGE =
  'SELECT p.name, count(*), sum(v.cost) FROM people p JOIN visits v ON v.person = p.id' +
  ' GROUP BY p.name ORDER BY p.name';
const SMALL =
  'SELECT p.name, s.name, rank() OVER (ORDER BY p.born DESC) FROM people p' +
  ' JOIN settings s ON s.value = p.id ORDER BY p.id';
/** Both sides are large, and rows of the home are read where they are. */
const JOINED =
  'SELECT count(*), sum(a.cost - b.cost) FROM visits a JOIN visits b ON b.id = a.person';
/** Columns without an array type of their own. */
const ODD =
  "SELECT o.id, o.m, o.ms, o.p, (o.p).b, p.name FROM odd o JOIN people p ON p.born = date '2000-01-01' + o.id::int ORDER BY o.id";
/** Relies on the primary key, which only a table has. */
const GROUPED =
  'SELECT p.id, p.name, count(*) FROM people p JOIN visits v ON v.person = p.id GROUP BY p.id';
/** Takes seconds, most of them on the home. */
const SLOW = 'SELECT count(*) FROM visits a JOIN visits b ON a.person <> b.person + a.id * 0';

/** What a gather may have left on any server: tables, statements that run, open transactions. */
async function leftovers(): Promise<string[]> {
  const found: string[] = [];
  for (const server of ['main', 's0', 's1', 's2', 's3'] as const) {
    const rows = await scene.databases.query(
      server,
      `SELECT relname FROM pg_class WHERE relname LIKE 'shardgate input%'
       UNION ALL SELECT state || ': ' || query FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND backend_type = 'client backend' AND state <> 'idle'`,
    );
    found.push(...rows.map(([what]) => `${server}: ${String(what)}`));
  }
  return found;
}

/** Cancels and rollbacks are on their way for a moment. */
async function expectClean(): Promise<void> {
  const deadline = Date.now() + 10_000;
  let left = await leftovers();
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(100);
    left = await leftovers();
  }
  expect(left).toEqual([]);
}

async function errorOf(promise: Promise<unknown>): Promise<pg.DatabaseError> {
  try {
    await promise;
  } catch (error) {
    return error as pg.DatabaseError;
  }
  throw new Error('no error');
}

describe('answers', () => {
  test('of small inputs, which travel as parameters', async () => {
    await scene.comparison.expectSame(SMALL);
    await scene.comparison.expectSame(
      'SELECT p.name, $1::text FROM people p JOIN settings s ON s.value < p.id AND p.id < $2 ORDER BY p.id LIMIT $3',
      ['x', 100, 5],
    );
    expect(await leftovers()).toEqual([]);
  });

  test('of a small side that leads to the shards of its keys, and to no other ones', async () => {
    const sql =
      "SELECT v.id, v.place FROM settings s JOIN visits v ON v.id = s.value WHERE s.name = 'low'";
    await scene.comparison.expectSame(sql);
    const client = await connectPg(scene.proxy.url);
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
    expect(rows.map((row) => row['QUERY PLAN'].trim())).toContain(
      'Only Rows With: id = value of settings s, if those are few',
    );
    await client.end();
    const locked: pg.Client[] = [];
    for (const name of ['s0', 's1', 's2', 's3'] as const) {
      const shard = await connectPg(scene.databases.urls[name]);
      const found = await shard.query('SELECT FROM visits WHERE id = 10');
      if (found.rows.length > 0) await shard.end();
      else {
        await shard.query('BEGIN; LOCK TABLE visits');
        locked.push(shard);
      }
    }
    expect(locked).toHaveLength(3);
    await scene.comparison.expectSame(sql);
    for (const shard of locked) await shard.end();
  });

  test('of large inputs, which travel through temporary tables', async () => {
    await scene.comparison.expectSame(LARGE);
    await scene.comparison.expectSame(
      'SELECT p.tags, count(*) FROM people p JOIN visits v ON v.person = p.id AND v.id > $1' +
        ' GROUP BY p.tags HAVING count(*) > $2 ORDER BY p.tags',
      [50, 3],
    );
    await scene.comparison.expectSame(
      'SELECT v.place, w.place, v.id FROM visits v LEFT JOIN visits w ON w.person = v.id ORDER BY v.id, w.id LIMIT 500',
    );
    await expectClean();
  });

  test('of rows that are found by the values of other rows', async () => {
    const { comparison } = scene;
    for (const [sql, values] of [
      [
        'SELECT v.id, p.name FROM people p JOIN visits v ON v.person = p.id WHERE p.id = 7 ORDER BY 1',
      ],
      ['SELECT v.id, p.name FROM visits v JOIN people p ON p.id = v.person WHERE v.id = $1', [17]],
      ['SELECT v.id, p.name FROM visits v LEFT JOIN people p ON p.id = v.person WHERE v.id = 251'],
      [
        `SELECT a.id, b.id, c.id FROM people p JOIN visits a ON a.person = p.id
           JOIN visits b ON b.id = a.person JOIN visits c ON c.person = b.id
           WHERE p.id IN (3, 9) ORDER BY 1, 2, 3 LIMIT 300`,
      ],
      ["SELECT count(*) FROM visits WHERE person IN (SELECT id FROM people WHERE name LIKE 'p1%')"],
      [
        "SELECT count(*) FROM visits WHERE person NOT IN (SELECT id FROM people WHERE name LIKE 'p1%')",
      ],
      [
        "SELECT v.id, p.name FROM people p LEFT JOIN visits v ON v.person = p.id WHERE p.name = 'p5' ORDER BY 1",
      ],
      [
        "SELECT p.id, (SELECT sum(cost) FROM visits v WHERE v.person = p.id) FROM people p WHERE p.name < 'p2' ORDER BY 1",
      ],
      ["SELECT count(*) FROM people p JOIN visits v ON v.person = p.id WHERE p.name = 'nobody'"],
      ["SELECT count(*) FROM people p FULL JOIN visits v ON v.person = p.id AND p.name = 'p5'"],
    ] as const) {
      await comparison.expectSame(sql, values === undefined ? undefined : [...values]);
    }
    await expectClean();
  });

  test('of rows that more values lead to than was thought', async () => {
    // All visits pass the condition, which the planner takes for a choice.
    await scene.comparison.expectSame(
      'SELECT count(*), sum(b.cost) FROM visits a JOIN visits b ON b.person = a.id WHERE a.id > 0',
    );
    await expectClean();
  });

  test('of types that only text can carry from one server to another', async () => {
    await scene.databases.onEach(['s1'], "CREATE TYPE shifts_the_oids AS ENUM ('x')");
    await scene.comparison.expectSame(ODD);
  });

  test('are errors where one Postgres has one, with its words', async () => {
    await scene.comparison.expectSame(
      'SELECT 1 / (p.id - 50) FROM people p JOIN visits v ON v.person = p.id',
    );
    await scene.comparison.expectSame(
      'SELECT nosuch FROM people p JOIN visits v ON v.person = p.id',
    );
    await expectClean();
  });
});

describe('transactions', () => {
  test('see their own writes in what is read where it is', async () => {
    const { comparison } = scene;
    for (const sql of [
      'BEGIN',
      'UPDATE visits SET cost = cost + 1 WHERE id % 3 = 0',
      JOINED,
      'DELETE FROM visits WHERE id < 200',
      JOINED,
      'SELECT v.id, p.name FROM people p JOIN visits v ON v.person = p.id WHERE p.id = 7 ORDER BY 1',
      'ROLLBACK',
      JOINED,
    ]) {
      await comparison.expectSame(sql);
    }
    await expectClean();
  });

  test('see their own writes, and keep their tables apart from savepoints and errors', async () => {
    const { comparison } = scene;
    for (const sql of [
      'BEGIN',
      "INSERT INTO people (id, name) SELECT 900, 'new'",
      LARGE,
      'SAVEPOINT a',
      'SELECT 1 / (p.id - 50) FROM people p JOIN visits v ON v.person = p.id',
      'ROLLBACK TO a',
      LARGE,
      SMALL,
      'ROLLBACK',
      `${SMALL}; ${LARGE}; SELECT 1`,
    ]) {
      await comparison.expectSame(sql);
    }
    await expectClean();
  });

  test('keep the settings that a large join is run under for the statement alone', async () => {
    const { comparison } = scene;
    for (const sql of [
      'BEGIN',
      JOINED,
      'SHOW enable_nestloop',
      'SHOW enable_mergejoin',
      'SET LOCAL enable_mergejoin = off',
      JOINED,
      'SHOW enable_mergejoin',
      'COMMIT',
      'SHOW enable_mergejoin',
      'SET enable_nestloop = off',
      JOINED,
      'SHOW enable_nestloop',
      'RESET enable_nestloop',
      `${JOINED}; SHOW enable_nestloop`,
    ]) {
      await comparison.expectSame(sql);
    }
    await expectClean();
  });

  test('that made temporary tables can still be committed on several shards', async () => {
    const { comparison } = scene;
    for (const sql of [
      'BEGIN',
      'UPDATE people SET name = name || 1 WHERE id < 9',
      LARGE,
      'UPDATE people SET name = name || 2 WHERE id < 9',
      'COMMIT',
      'SELECT name FROM people WHERE id < 9 ORDER BY id',
    ]) {
      await comparison.expectSame(sql);
    }
    // Each time another shard has the tables, which must be the one that is never prepared.
    for (let round = 0; round < 5; round++) {
      const update = `UPDATE people SET name = 'round ${round}' WHERE id < 9`;
      for (const sql of ['BEGIN', LARGE, update, 'COMMIT']) await comparison.expectSame(sql);
    }
  });

  test('that may only read take whatever fits parameters, and say why they take nothing else', async () => {
    await scene.comparison.expectSame('BEGIN READ ONLY');
    await scene.comparison.expectSame(SMALL);
    await scene.comparison.expectSame(LARGE);
    await scene.comparison.expectSame(JOINED);
    await scene.comparison.expectSame(ODD);
    await scene.comparison.expectSame(
      'SELECT o.m, count(*) FROM odd o JOIN odd p ON p.m = o.m AND p.id < 4 GROUP BY o.m',
    );
    await scene.comparison.expectSame(`${GROUPED} ORDER BY p.id`);
    await scene.comparison.expectSame(`${GROUPED}, 1 ORDER BY p.id`);
    await scene.comparison.expectSame('COMMIT');
    const client = await connectPg(scene.proxy.url);
    await client.query('BEGIN READ ONLY');
    const sets = GROUPED.replace('GROUP BY p.id', 'GROUP BY GROUPING SETS ((p.id), (p.id))');
    const error = await errorOf(client.query(sets));
    expect([error.code, error.hint]).toEqual(['0A000', expect.stringContaining('may write')]);
    await client.query('ROLLBACK');
    await client.end();
  });
});

describe('what breaks off', () => {
  test('limits.gather_memory is told by name', async () => {
    const client = await connectPg(scene.proxy.url);
    const wide = "SELECT count(*) FROM wide w JOIN people p ON p.name || 'x' <> w.long";
    const error = await errorOf(client.query(wide));
    expect([error.code, error.detail]).toEqual([
      '53200',
      expect.stringContaining('limits.gather_memory'),
    ]);
    await client.query(SMALL);
    await client.end();
    await expectClean();
  });

  test('a cancel at any moment leaves nothing behind, and the session goes on', async () => {
    const client = await connectPg(scene.proxy.url);
    for (const delayMs of [1, 5, 10, 20, 40, 80, 160, 320]) {
      const running = errorOf(client.query(SLOW));
      await sleep(delayMs);
      await cancel(client);
      expect((await running).code).toBe('57014');
      expect((await client.query('SELECT count(*)::int AS n FROM people')).rows).toEqual([
        { n: 200 },
      ]);
    }
    await client.end();
    await expectClean();
  });

  test('a client that vanishes at any moment leaves nothing behind', async () => {
    for (const delayMs of [1, 5, 10, 20, 40, 80, 160, 320]) {
      const client = await connectPg(scene.proxy.url);
      const running = errorOf(client.query(SLOW));
      await sleep(delayMs);
      streamOf(client).destroy();
      await running;
    }
    await expectClean();
  });

  test('a shard that dies in the middle is a clean error, and everything goes on', async () => {
    const client = await connectPg(scene.proxy.url, { application_name: 'shardgate' });
    for (const server of ['s0', 's3', 's1'] as const) {
      const running = errorOf(client.query(SLOW));
      await sleep(60);
      await scene.databases.query(
        server,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
           AND application_name = 'shardgate' AND state <> 'idle'`,
      );
      await cancel(client);
      expect(['08006', '57P01', '57014']).toContain((await running).code);
      await client.query(SMALL);
    }
    await client.end();
    await expectClean();
    await scene.comparison.expectSame(LARGE);
  });
});

/** Asks the proxy to cancel what the client runs, as libpq does. */
function cancel(client: pg.Client): Promise<void> {
  const keys = client as unknown as { processID: number; secretKey: number };
  const request = Buffer.alloc(16);
  [16, CANCEL_REQUEST, keys.processID, keys.secretKey].forEach((word, i) => {
    request.writeInt32BE(word, 4 * i);
  });
  return new Promise((resolve) => {
    const socket = connect(scene.proxy.port, '127.0.0.1', () => socket.end(request));
    socket.on('close', () => resolve());
  });
}

function streamOf(client: pg.Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}
