import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../support/scene.js';
import { WireClient } from '../support/wire-client.js';
import { sqlStates, typesOf, WirePair } from '../support/wire-pair.js';

let scene: Scene;
const pairs: WirePair[] = [];

beforeAll(async () => {
  scene = await openScene(
    'advisorylocks',
    { main: { settings: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } },
    [
      'CREATE TABLE items (id int8 PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value text)',
      `INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
      `INSERT INTO settings VALUES ('k', 'v')`,
    ],
    { pool: { size: 2, queue_timeout: '2s' } },
  );
});
afterAll(async () => {
  await scene.close();
});
afterEach(() => {
  for (const pair of pairs.splice(0)) pair.close();
});

async function open(): Promise<WirePair> {
  const { proxy, oraclePort, databases } = scene;
  const pair = await WirePair.open(proxy.port, oraclePort, { database: databases.name });
  pairs.push(pair);
  return pair;
}

async function same(pair: WirePair, ...queries: readonly string[]): Promise<void> {
  for (const sql of queries) {
    await pair.expectSame((client) => {
      client.query(sql);
    });
  }
}

/** Advisory locks that backends of the shard hold. */
async function held(): Promise<unknown> {
  const sql = `SELECT count(*)::int FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND d.datname = current_database()`;
  const [row] = await scene.databases.query('main', sql);
  return row![0];
}

describe('a session-level advisory lock', () => {
  test('keeps others out until its session unlocks it', async () => {
    const [a, b] = [await open(), await open()];
    await same(a, 'SELECT pg_advisory_lock(7)', 'SELECT pg_try_advisory_lock(7)');
    await same(b, 'SELECT pg_try_advisory_lock(7)', 'SELECT pg_try_advisory_lock(8)');
    // Statements of others go on meanwhile, on the same shard and elsewhere.
    await same(b, "SELECT value FROM settings WHERE key = 'k'", 'SELECT count(*) FROM items');
    await same(a, 'SELECT pg_advisory_unlock(7)');
    await same(b, 'SELECT pg_try_advisory_lock(7)');
    await same(a, 'SELECT pg_advisory_unlock(7)');
    await same(b, 'SELECT pg_try_advisory_lock(7)', 'SELECT pg_advisory_unlock_all()');
    await same(a, 'SELECT pg_advisory_unlock(7), pg_advisory_unlock(7)');
    await same(b, 'SELECT pg_advisory_lock(7)', 'SELECT pg_advisory_unlock(7)');
    await expect.poll(held).toBe(0);
  });

  test('outlives its transaction, rolled back or not', async () => {
    const [a, b] = [await open(), await open()];
    await same(a, 'BEGIN', 'SELECT pg_advisory_lock(1, 2)', 'ROLLBACK');
    await same(b, 'SELECT pg_try_advisory_lock(1, 2)', 'SELECT pg_try_advisory_lock_shared(1, 2)');
    await same(a, 'BEGIN', "UPDATE items SET name = 'x' WHERE id = 1", 'COMMIT');
    await same(a, 'BEGIN', 'SELECT pg_advisory_unlock(1, 2)', "UPDATE items SET name = 'x'");
    await same(
      b,
      'SELECT pg_try_advisory_lock_shared(1, 2)',
      'SELECT pg_advisory_unlock_shared(1, 2)',
    );
    await same(
      a,
      'COMMIT',
      'BEGIN',
      'SELECT pg_try_advisory_lock_shared(5)',
      'SELECT 1/0',
      'COMMIT',
    );
    await same(a, 'SELECT pg_advisory_unlock_shared(5)');
    await expect.poll(held).toBe(0);
  });

  test('is waited for', async () => {
    const [a, b] = [await open(), await open()];
    await same(a, 'SELECT pg_advisory_lock(3)');
    const waiting = same(b, 'SELECT pg_advisory_lock(3)', 'SELECT pg_advisory_unlock(3)');
    await same(a, "INSERT INTO settings VALUES ('migration', '1')", 'SELECT pg_advisory_unlock(3)');
    await waiting;
    await same(b, "DELETE FROM settings WHERE key = 'migration'");
    await expect.poll(held).toBe(0);
  });

  test('by prepared statements, with parameters', async () => {
    const [a, b] = [await open(), await open()];
    const run = (pair: WirePair, sql: string): Promise<unknown> =>
      pair.expectSame((client) => {
        client.parse(sql, '', [20]);
        client.bind({ values: ['99'] });
        client.describe('P');
        client.execute();
        client.sync();
      });
    await run(a, 'SELECT pg_try_advisory_lock($1)');
    await run(b, 'SELECT pg_try_advisory_lock($1)');
    await run(b, 'SELECT pg_advisory_unlock($1)');
    await run(a, 'SELECT pg_advisory_unlock($1)');
    await run(b, 'SELECT pg_try_advisory_lock($1)');
    await run(b, 'SELECT pg_advisory_unlock($1)');
    await expect.poll(held).toBe(0);
  });

  test('is gone with its client, however that goes', async () => {
    const { proxy, databases } = scene;
    const [a, b] = [await open(), await open()];
    await same(a, 'SELECT pg_advisory_lock(11)');
    a.close();
    await same(b, 'SELECT pg_advisory_lock(11)', 'SELECT pg_advisory_unlock(11)');
    const client = await WireClient.login({ port: proxy.port, database: databases.name });
    client.query('BEGIN; SELECT pg_advisory_lock(12)');
    await client.until('Z');
    client.destroy();
    await same(b, 'SELECT pg_advisory_lock(12)', 'SELECT pg_advisory_unlock(12)');
    const waiter = await WireClient.login({ port: proxy.port, database: databases.name });
    await same(b, 'SELECT pg_advisory_lock(13)');
    waiter.query('SELECT pg_advisory_lock(13)');
    await expect.poll(held).toBe(2);
    waiter.destroy();
    await expect.poll(held).toBe(1);
    await same(b, 'SELECT pg_advisory_unlock(13)');
    await expect.poll(held).toBe(0);
  });

  test('that cannot be had in time, or is cancelled, leaves nothing behind', async () => {
    const [a, b] = [await open(), await open()];
    await same(a, 'SELECT pg_advisory_lock(21)');
    await same(b, "SET lock_timeout = '50ms'", 'SELECT pg_advisory_lock(21)', 'RESET lock_timeout');
    await same(b, 'BEGIN', "SELECT pg_advisory_lock('x')", 'ROLLBACK', 'SELECT 1');
    await same(a, 'SELECT pg_advisory_unlock(21)');
    await expect.poll(held).toBe(0);
  });

  test('is given up by DISCARD ALL', async () => {
    const [a, b] = [await open(), await open()];
    await same(a, 'SELECT pg_advisory_lock(22)', 'DISCARD PLANS');
    await same(b, 'SELECT pg_try_advisory_lock(22)', 'DISCARD ALL');
    await same(a, 'DISCARD ALL');
    await same(b, 'SELECT pg_try_advisory_lock(22)');
    await b.expectSame((client) => {
      client.parse('DISCARD ALL');
      client.bind();
      client.execute();
      client.sync();
    });
    await same(a, 'SELECT pg_try_advisory_lock(22)', 'SELECT pg_advisory_unlock(22)');
    await expect.poll(held).toBe(0);
  });

  test('in scripts and COPY', async () => {
    const [a, b] = [await open(), await open()];
    await same(a, 'SELECT pg_advisory_lock(31); SELECT count(*) FROM items');
    await same(b, 'SELECT pg_try_advisory_lock(31)');
    await same(a, 'SELECT count(*) FROM items; SELECT pg_advisory_unlock(31)');
    await same(a, 'COPY (SELECT pg_advisory_lock(32)) TO STDOUT');
    await same(b, 'SELECT pg_try_advisory_lock(32)');
    await same(a, 'SELECT pg_advisory_unlock(32)');
    await expect.poll(held).toBe(0);
  });

  test('dies with its shard connection, and so does the session', async () => {
    const { databases } = scene;
    const a = await open();
    await same(a, 'SELECT pg_advisory_lock(41)');
    await databases.query(
      'main',
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`,
    );
    expect(typesOf(await a.proxy.closed())).toBe('E');
  });

  test('keeps no backend where it is only given up', async () => {
    const [a, b] = [await open(), await open()];
    // Pools of two let one session keep a backend; what has no lock is not that one.
    await nobodyKeepsOne(b);
    await same(a, 'BEGIN', 'SELECT pg_advisory_unlock_all()', 'SELECT pg_advisory_unlock(51)');
    await same(b, 'CREATE TEMP TABLE kept (id int)', 'DROP TABLE kept');
    await same(a, 'COMMIT');
    await nobodyKeepsOne(b);
    await same(a, 'BEGIN', 'SELECT pg_advisory_lock(51)', 'SELECT pg_advisory_unlock_all()');
    await same(a, 'COMMIT');
    await nobodyKeepsOne(b);
    expect(await held()).toBe(0);
  });
});

/** A session that keeps its backend gives it back behind the answer to what it does last. */
async function nobodyKeepsOne({ proxy }: WirePair): Promise<void> {
  const states = async (): Promise<string[]> => {
    proxy.query('CREATE TEMP TABLE probe (); DROP TABLE probe');
    return sqlStates(await proxy.until('Z'));
  };
  await expect.poll(states, { timeout: 10_000 }).toEqual([]);
}
