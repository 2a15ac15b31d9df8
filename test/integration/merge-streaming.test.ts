/*
 * Goal: a sorted answer of all shards streams: memory does not grow with it, rows leave as soon as they can, and
 * nothing that breaks it off leaves a backend in a bad state. The answers themselves are compared in
 * select-merge.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { watchMemory } from '../support/chaos-watch.js';
import { openScene, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';
import { WireClient } from '../support/wire-client.js';
import { errorFields, rowTexts, type WireMessage } from '../support/wire-messages.js';

const ROWS = 400;
const PEAK_MB_MAX = 200;
const MINUTE_MS = 60_000;
/** No row waits in a server's output buffer of 8 kB for its neighbours. */
const WIDE = `repeat('x', 9000)`;

let scene: Scene;
let client: WireClient;

beforeAll(async () => {
  scene = await openScene(
    'merge_streaming',
    { shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int PRIMARY KEY, k int NOT NULL)',
      // IMMUTABLE is a lie that lets shards run it while they sort.
      `CREATE FUNCTION dawdle(id int, at int, seconds float8) RETURNS int IMMUTABLE COST 1
       LANGUAGE plpgsql AS $$
       BEGIN IF id = at THEN PERFORM pg_sleep(seconds); END IF; RETURN id; END $$`,
    ],
    { log: { level: 'warn' }, limits: { message_size: '100MB' } },
  );
  client = await login();
  const values = Array.from({ length: ROWS }, (_, i) => `(${i + 1}, ${(i * 7) % 10})`);
  expect(await run(`INSERT INTO items VALUES ${values.join()}`)).toBe(`INSERT 0 ${ROWS}`);
  client.terminate();
});
afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  client = await login();
  // Rows come sorted from the index, one after the other.
  expect(await run('SET enable_sort = off')).toBe('SET');
  return () => {
    client.destroy();
  };
});

function login(): Promise<WireClient> {
  return WireClient.login({ port: scene.proxy.port, database: scene.databases.name });
}

/** Runs a simple query: its tag, or the SQLSTATE of its error. */
async function run(sql: string): Promise<string> {
  client.query(sql);
  return endOf(await client.until('Z'));
}

function endOf(messages: readonly WireMessage[]): string {
  const last = messages.find(({ type }) => type === 'C' || type === 'E');
  if (last?.type === 'E') return errorFields(last)['C']!;
  return last?.body.toString('utf8', 0, last.body.length - 1) ?? '';
}

describe('a large sorted answer', () => {
  test.each([
    ['of rows larger than a read buffer', 'ORDER BY k, id', 0],
    ['to a slow reader', 'ORDER BY k, id', 20],
  ])(
    `%s stays within ${PEAK_MB_MAX} MB`,
    async (_what, order, pauseMs) => {
      const memory = watchMemory(scene.proxy);
      client.query(`SELECT k, id, repeat('x', 300000) FROM items ${order}`);
      const keys: string[] = [];
      for (;;) {
        const message = await client.next(MINUTE_MS);
        if (message.type === 'Z') break;
        if (message.type !== 'D') continue;
        const [k, id, filler] = rowTexts(message);
        expect(filler!.length).toBe(300_000);
        keys.push(`${k!.padStart(2)} ${id!.padStart(4)}`);
        if (pauseMs === 0 || keys.length % 20 !== 0) continue;
        client.socket.pause();
        await sleep(pauseMs);
        client.socket.resume();
      }
      expect(keys.length).toBe(ROWS);
      expect(keys).toEqual([...keys].sort());
      expect(await memory.stop()).toBeLessThan(PEAK_MB_MAX);
    },
    MINUTE_MS,
  );
});

describe('the first rows', () => {
  test('leave before the slowest shard has ended', async () => {
    const started = performance.now();
    client.query(`SELECT dawdle(id, ${ROWS - 1}, 1.5), ${WIDE} FROM items ORDER BY id`);
    await client.next();
    const { type } = await client.next();
    const firstMs = performance.now() - started;
    const rest = await client.until('Z');
    expect(type).toBe('D');
    expect(endOf(rest)).toBe(`SELECT ${ROWS}`);
    expect(performance.now() - started).toBeGreaterThan(1500);
    expect(firstMs).toBeLessThan(1000);
  });

  test('are all there is to wait for under LIMIT: shards that go on are cancelled', async () => {
    const started = performance.now();
    // Nine rows of other shards are there at once; one shard sleeps over its first.
    expect(await run(`SELECT dawdle(id, 1, 20), ${WIDE} FROM items LIMIT 9`)).toBe('SELECT 9');
    expect(performance.now() - started).toBeLessThan(4000);
    expect(await run('SELECT id FROM items ORDER BY id LIMIT 3')).toBe('SELECT 3');
  });
});

describe('a merge that is broken off', () => {
  const division = `SELECT 1 / (id - ${ROWS / 2}), ${WIDE} FROM items ORDER BY id`;

  test('by an error of one shard ends with it, in order up to there', async () => {
    client.query(division);
    const messages = await client.until('Z');
    expect(endOf(messages)).toBe('22012');
    expect(await run('SELECT id FROM items ORDER BY id')).toBe(`SELECT ${ROWS}`);
  });

  test('in a transaction fails that, and ROLLBACK makes all shards usable again', async () => {
    await run('BEGIN');
    expect(await run('SELECT id FROM items ORDER BY id LIMIT 2')).toBe('SELECT 2');
    expect(await run(division)).toBe('22012');
    expect(await run('SELECT id FROM items ORDER BY id')).toBe('25P02');
    expect(await run('ROLLBACK')).toBe('ROLLBACK');
    expect(await run('SELECT id FROM items ORDER BY id')).toBe(`SELECT ${ROWS}`);
  });

  test('by the end of one server process tells so, and the next statement works', async () => {
    client.query(`SELECT dawdle(id, ${ROWS / 2}, 10), ${WIDE} FROM items ORDER BY id`);
    await client.next();
    const killed = await Promise.all(
      shardNames.slice(1).map((name) =>
        scene.databases.query(
          name,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND query LIKE '%dawdle%' AND wait_event = 'PgSleep'`,
        ),
      ),
    );
    expect(killed.flat().length).toBe(1);
    expect(endOf(await client.until('Z'))).toMatch(/^(57P01|08006)$/);
    expect(await run('SELECT id FROM items ORDER BY id')).toBe(`SELECT ${ROWS}`);
  });

  test('by a client that has gone leaves no backend behind', async () => {
    client.query(`SELECT dawdle(id, ${ROWS / 2}, 30), ${WIDE} FROM items ORDER BY id`);
    await client.next();
    client.destroy();
    const running = async (): Promise<number> => {
      const found = await Promise.all(
        shardNames.map((name) =>
          scene.databases.query(
            name,
            `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
             AND pid <> pg_backend_pid() AND state <> 'idle'`,
          ),
        ),
      );
      return found.flat().length;
    };
    for (let i = 0; i < 50 && (await running()) > 0; i++) await sleep(100);
    expect(await running()).toBe(0);
  });
});
