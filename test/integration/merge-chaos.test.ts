/*
 * Goal: a merge or a gather that breaks off leaves nothing behind: one clean error, a session that
 * goes on, no busy backend, no temporary table, no memory.
 * Method: large tables on two shards; the statement is brought to a known point (a shard waits for
 * a lock, the client does not read, one server works alone on the gathered rows), and then a server
 * is killed, the client cancels, vanishes, or runs into its time limit.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { watchMemory } from '../support/chaos-watch.js';
import { openChaosScene, type ChaosScene, type ChaosSession } from '../support/select-chaos.js';

const MERGE = 'SELECT id, k, pad FROM big ORDER BY k, id DESC';
/** Rows of both tables meet on keys of neither. */
const GATHER =
  'SELECT b.id, l.pad FROM big b JOIN large l ON b.k = l.k AND b.id = l.id + 10 ORDER BY b.id';
/** 80 MB: more than sockets hold between the shards and a client that does not read. */
const WIDE_MERGE = 'SELECT id, repeat(pad, 5) FROM big ORDER BY k, id';
const WIDE_GATHER =
  'SELECT b.id, repeat(l.pad, 5) FROM big b JOIN large l ON b.k = l.k AND b.id = l.id';
/** The rows are there soon; their pairs take a server many seconds. */
const LONG_GATHER =
  'SELECT count(*) FROM big b JOIN large l ON b.k = l.k WHERE length(b.pad || l.pad) > 1';
const LOST = /^(08|57)/;
const MEMORY_MB_MAX = 200;

let scene: ChaosScene;

beforeAll(async () => {
  scene = await openChaosScene();
});
afterAll(async () => {
  await scene.close();
});

/** The session still works, on both shards and across them. */
async function expectAlive(client: ChaosSession): Promise<void> {
  const { idOn } = scene;
  const count = `SELECT count(*) FROM big b JOIN large l ON b.k = l.id WHERE b.id < 100`;
  for (const sql of [
    `SELECT k FROM big WHERE id = ${idOn.s0}`,
    `SELECT k FROM big WHERE id = ${idOn.s1}`,
    'SELECT id FROM big ORDER BY id LIMIT 1',
    count,
  ]) {
    await expect.poll(async () => (await client.run(sql)).state, { timeout: 10_000 }).toBeNull();
  }
}

describe('the statements themselves', () => {
  test('give all rows, and leave nothing behind', async () => {
    const client = await scene.client();
    expect(await client.run(MERGE)).toMatchObject({ state: null, rows: 40_000 });
    expect(await client.run(GATHER)).toMatchObject({ state: null, rows: 39_990 });
    await client.run('BEGIN');
    expect(await client.run(GATHER)).toMatchObject({ state: null, rows: 39_990 });
    expect(await client.run(GATHER)).toMatchObject({ state: null, rows: 39_990 });
    await client.run('COMMIT');
    await scene.untilAtRest();
    client.close();
  });
});

describe('a server is killed', () => {
  test.each([
    ['merge', MERGE],
    ['gather', GATHER],
  ])('before its rows of a %s come', async (_what, sql) => {
    const client = await scene.client();
    const unlock = await scene.lock('s1', 'big');
    client.wire.query(sql);
    await scene.untilWaiting('s1');
    await scene.killAndRestart('s1');
    const { state, message } = await client.ending();
    expect(state, message).toMatch(LOST);
    await unlock();
    expect((await client.run(`SELECT k FROM big WHERE id = ${scene.idOn.s0}`)).state).toBeNull();
    await expectAlive(client);
    await scene.untilAtRest();
    client.close();
  });

  test('in the middle of the rows of a merge', async () => {
    const client = await scene.client();
    await client.startReading(WIDE_MERGE);
    await scene.killAndRestart('s1');
    client.goOn();
    const { state, message, rows } = await client.ending();
    expect(state, message).toMatch(LOST);
    expect(rows).toBeLessThan(39_999);
    await expectAlive(client);
    await scene.untilAtRest();
    client.close();
  });

  test('inside a transaction, which has then failed', async () => {
    const client = await scene.client();
    await client.run('BEGIN');
    const unlock = await scene.lock('s1', 'large');
    client.wire.query(GATHER);
    await scene.untilWaiting('s1');
    await scene.killAndRestart('s1');
    expect((await client.ending()).state).toMatch(LOST);
    await unlock();
    expect((await client.run('SELECT 1')).state).toBe('25P02');
    await client.run('ROLLBACK');
    await expectAlive(client);
    await scene.untilAtRest();
    client.close();
  });

  test('while it works on gathered rows', async () => {
    const client = await scene.client();
    client.wire.query(LONG_GATHER);
    const home = await scene.untilOneWorks();
    await scene.killAndRestart(home);
    const { state, message } = await client.ending();
    expect(state, message).toMatch(LOST);
    await expectAlive(client);
    await scene.untilAtRest();
    client.close();
  });
});

describe('the client', () => {
  /** Brings a statement to a known point; the answer is what must be undone in the end. */
  const points: readonly [string, (client: ChaosSession) => Promise<() => Promise<void>>][] = [
    ['a merge waits for a shard', (client) => waitingFor(client, MERGE)],
    ['a gather waits for a shard', (client) => waitingFor(client, GATHER)],
    [
      'a merge waits for the client',
      async (client) => {
        await client.startReading(WIDE_MERGE);
        return () => Promise.resolve();
      },
    ],
    [
      'the answer of a gather waits for the client',
      async (client) => {
        await client.startReading(WIDE_GATHER);
        return () => Promise.resolve();
      },
    ],
    [
      'gathered rows are worked on',
      async (client) => {
        client.wire.query(LONG_GATHER);
        await scene.untilOneWorks();
        return () => Promise.resolve();
      },
    ],
  ];

  async function waitingFor(client: ChaosSession, sql: string): Promise<() => Promise<void>> {
    const unlock = await scene.lock('s1', 'big');
    client.wire.query(sql);
    await scene.untilWaiting('s1');
    return unlock;
  }

  test.each(points)('cancels while %s', async (_when, arrive) => {
    const client = await scene.client();
    const undo = await arrive(client);
    await client.cancel();
    client.goOn();
    expect((await client.ending()).state).toBe('57014');
    await undo();
    await expectAlive(client);
    await scene.untilAtRest();
    client.close();
  });

  test.each(points)('vanishes while %s', async (_when, arrive) => {
    const client = await scene.client();
    const undo = await arrive(client);
    client.wire.destroy();
    // Before the lock is gone: a backend that waits for it must be cancelled, too.
    await sleep(300);
    await undo();
    await scene.untilAtRest();
    const next = await scene.client();
    await expectAlive(next);
    next.close();
  });

  test.each([
    ['merge', MERGE],
    ['gather', GATHER],
  ])('has a time limit that ends a %s', async (_what, sql) => {
    const client = await scene.client();
    await client.run(`SET statement_timeout = '400ms'`);
    const unlock = await scene.lock('s1', 'big');
    expect((await client.run(sql)).state).toBe('57014');
    await unlock();
    await client.run('RESET statement_timeout');
    await expectAlive(client);
    await scene.untilAtRest();
    client.close();
  });
});

test.each([
  ['merge', WIDE_MERGE],
  ['gather', WIDE_GATHER],
])('a slow reader of a %s of 80 MB does not grow memory', async (_what, sql) => {
  const client = await scene.client();
  const memory = watchMemory(scene.proxy);
  client.wire.query(sql);
  let bytes = 0;
  for (let message = await client.wire.next(30_000); message.type !== 'Z';) {
    expect(message.type).not.toBe('E');
    const before = bytes;
    bytes += message.body.length;
    if (Math.floor(bytes / 2 ** 21) > Math.floor(before / 2 ** 21)) {
      client.wire.socket.pause();
      await sleep(30);
      client.wire.socket.resume();
    }
    message = await client.wire.next(30_000);
  }
  expect(bytes).toBeGreaterThan(80_000_000);
  expect(await memory.stop()).toBeLessThan(MEMORY_MB_MAX);
  await scene.untilAtRest();
  client.close();
});
