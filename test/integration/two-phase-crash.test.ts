import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { crashPoints, type CrashPoint } from '../../src/transaction/crash-points.js';
import { isAlive, type Proxy } from '../support/proxy.js';
import { startRelay, type Cut, type Relay } from '../support/relay.js';
import {
  connectTo,
  dataShards,
  errorOf,
  openTwoPhaseScene,
  withPrimary,
  type TwoPhaseScene,
} from '../support/two-phase-scene.js';

/*
 * Goal: whatever dies while a transaction over three shards commits, afterwards all shards have it or none, as the
 * decision says, and nothing is left prepared. Method: the proxy kills itself at every step of the protocol, backends
 * are terminated, connections are cut at the exact message; then a fresh proxy recovers.
 */
const writers = ['s1', 's0', 's2'] as const;
const everywhere = ['s0', 's1', 's2'];
let scene: TwoPhaseScene;

beforeAll(async () => {
  scene = await openTwoPhaseScene('two_phase_crash');
});
beforeEach(async () => {
  await scene.databases.onEach(dataShards, 'DELETE FROM items');
});
afterAll(async () => {
  await scene.close();
});

/** Writes on s1 (which decides), s0 and s2, reads on s3; answers what COMMIT says, or its error. */
async function transact(
  proxy: Proxy,
  batch: string,
  slots: readonly number[] = [1],
): Promise<unknown> {
  const client = await connectTo(proxy.url);
  try {
    await client.query('BEGIN');
    for (const shard of writers) {
      for (const slot of slots) {
        await client.query('INSERT INTO items VALUES ($1, $2, $3)', [
          scene.ids[shard],
          slot,
          batch,
        ]);
      }
    }
    await client.query('SELECT * FROM items WHERE id = $1', [scene.ids.s3]);
    return (await client.query('COMMIT')).command;
  } catch (error) {
    return error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Runs a fresh proxy until it has recovered everything. */
async function recover(): Promise<void> {
  const proxy = await scene.startProxy();
  await scene.untilNothingIsPrepared();
  await proxy.stop();
}

async function untilGone(proxy: Proxy): Promise<void> {
  await expect.poll(() => isAlive(proxy.pid), { timeout: 10_000 }).toBe(false);
  await proxy.kill();
}

describe('the proxy is killed', () => {
  /** What must be there afterwards; null: either all or nothing. */
  const outcomes: Readonly<Partial<Record<CrashPoint, readonly string[] | null>>> = {
    'before-prepare': [],
    'prepare-sent': [],
    'first-prepared': [],
    prepared: [],
    'decision-sent': null,
    decided: everywhere,
    'first-finished': everywhere,
    finished: everywhere,
  };

  test.each(Object.entries(outcomes))('at %s', async (point, expected) => {
    const proxy = await scene.startProxy({ SHARDGATE_CRASH_POINT: point });
    const answer = await transact(proxy, point);
    expect(answer).toBeInstanceOf(Error);
    await untilGone(proxy);
    await recover();
    const found = await scene.shardsWith(point);
    if (expected === null) expect([[], everywhere]).toContainEqual(found);
    else expect(found).toEqual(expected);
  });

  /** The same outside BEGIN: as one statement, or as one text. */
  const outsideBegin: readonly (readonly [string, CrashPoint, readonly string[]])[] = [
    ['statement', 'prepared', []],
    ['statement', 'decided', everywhere],
    ['statement', 'first-finished', everywhere],
    ['text', 'first-prepared', []],
    ['text', 'decided', everywhere],
  ];
  test.each(outsideBegin)('outside BEGIN, a %s, at %s', async (form, point, expected) => {
    const proxy = await scene.startProxy({ SHARDGATE_CRASH_POINT: point });
    const client = await connectTo(proxy.url);
    const batch = `${form} ${point}`;
    const rows = writers.map((shard) => `(${scene.ids[shard]}, 1, '${batch}')`);
    const inserts =
      form === 'text'
        ? rows.map((row) => `INSERT INTO items VALUES ${row}`).join('; ')
        : `INSERT INTO items VALUES ${rows.join(', ')}`;
    expect(await errorOf(client.query(inserts))).toBeInstanceOf(Error);
    await untilGone(proxy);
    await recover();
    expect(await scene.shardsWith(batch)).toEqual(expected);
  });

  test('before it undoes what failed', async () => {
    const proxy = await scene.startProxy({ SHARDGATE_CRASH_POINT: 'before-undo' });
    // The second row of a slot fails when the transaction ends: on the last shard the others are prepared by then.
    expect(await transact(proxy, 'undone', [1, 1])).toBeInstanceOf(Error);
    await untilGone(proxy);
    await recover();
    expect(await scene.shardsWith('undone')).toEqual([]);
  });

  const duringRecovery: readonly (readonly [left: CrashPoint, again: CrashPoint, string[]])[] = [
    ['prepared', 'recovery-settled', []],
    ['prepared', 'recovery-finished-leg', []],
    ['decided', 'recovery-settled', everywhere],
    ['decided', 'recovery-finished-leg', everywhere],
  ];
  test.each(duringRecovery)('at %s, and the next one at %s', async (left, again, expected) => {
    const first = await scene.startProxy({ SHARDGATE_CRASH_POINT: left });
    await transact(first, `${left} ${again}`);
    await untilGone(first);
    expect(await scene.prepared()).toHaveLength(2);
    const second = await scene.startProxy({ SHARDGATE_CRASH_POINT: again }).catch(() => null);
    if (second !== null) await untilGone(second);
    await recover();
    expect(await scene.shardsWith(`${left} ${again}`)).toEqual(expected);
  });

  test('at every point that there is', () => {
    const tested = new Set([
      ...Object.keys(outcomes),
      ...duringRecovery.map(([, again]) => again),
      'before-undo',
    ]);
    // Those of rows that move, and of lookups: moves-crash.test.ts, lookup-rebuild.test.ts.
    const own = crashPoints.filter((point) => !/^(rows|lookup)-/.test(point));
    expect([...tested].sort()).toEqual([...own].sort());
  });

  test('and two others recover at the same time', async () => {
    const first = await scene.startProxy({ SHARDGATE_CRASH_POINT: 'decided' });
    await transact(first, 'contended');
    await untilGone(first);
    const both = await Promise.all([scene.startProxy(), scene.startProxy()]);
    await scene.untilNothingIsPrepared();
    await Promise.all(both.map((proxy) => proxy.stop()));
    expect(await scene.shardsWith('contended')).toEqual(everywhere);
    for (const proxy of both) expect(proxy.logs()).not.toContain('"level":"error"');
  });
});

describe('a backend is terminated', () => {
  /** Ends the backends of one shard that run or ran something like this. */
  const terminate = async (shard: 's0' | 's1', like: string): Promise<number> => {
    const rows = await scene.databases.query(
      shard,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'shardgate' AND query LIKE $1`,
      [like],
    );
    return rows.length;
  };
  const cases = [
    ['the one that decides', 's1', '%shardgate.decisions%'],
    ['one that prepares', 's0', '%PREPARE TRANSACTION%'],
  ] as const;

  test.each(cases)('%s, during the vote: nothing is committed', async (_which, shard, like) => {
    const proxy = await scene.startProxy();
    const commit = transact(proxy, `slow ${shard}`);
    await expect.poll(() => terminate(shard, like), { timeout: 5000, interval: 20 }).toBe(1);
    expect(await commit).toMatchObject({ code: '08006' });
    await scene.untilNothingIsPrepared();
    expect(await scene.shardsWith(`slow ${shard}`)).toEqual([]);
    // The same proxy goes on.
    expect(await transact(proxy, 'afterwards')).toBe('COMMIT');
    await proxy.stop();
  });

  test('between two statements: the transaction has failed', async () => {
    const proxy = await scene.startProxy();
    const client = await connectTo(proxy.url);
    await client.query('BEGIN');
    for (const shard of writers) {
      await client.query(`INSERT INTO items VALUES ($1, 1, 'between')`, [scene.ids[shard]]);
    }
    await client.query('SAVEPOINT here');
    expect(await terminate('s0', '%')).toBeGreaterThan(0);
    await sleep(200);
    // Not before the client asks for something, and not for what is on other shards only.
    const other = client.query('SELECT * FROM items WHERE id = $1', [scene.ids.s1]);
    expect(await errorOf(other)).toMatchObject({ code: '08006' });
    const again = client.query('SELECT * FROM items WHERE id = $1', [scene.ids.s0]);
    expect(await errorOf(again)).toMatchObject({ code: '25P02' });
    // What s0 held is lost, so going back to a savepoint cannot save the transaction.
    expect(await errorOf(client.query('ROLLBACK TO here'))).toMatchObject({ code: '25P02' });
    expect((await client.query('COMMIT')).command).toBe('ROLLBACK');
    expect(await scene.shardsWith('between')).toEqual([]);
    await client.end();
    await proxy.stop();
  });

  test('just before COMMIT: that is an error, not a ROLLBACK that nobody looks at', async () => {
    const proxy = await scene.startProxy();
    const client = await connectTo(proxy.url);
    await client.query('BEGIN');
    for (const shard of writers) {
      await client.query(`INSERT INTO items VALUES ($1, 1, 'before')`, [scene.ids[shard]]);
    }
    expect(await terminate('s0', '%')).toBeGreaterThan(0);
    await sleep(200);
    expect(await errorOf(client.query('COMMIT'))).toMatchObject({ code: '08006' });
    expect(await scene.shardsWith('before')).toEqual([]);
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
    await proxy.stop();
  });
});

describe('a connection breaks off', () => {
  let relay: Relay;
  let proxy: Proxy;

  const cases: readonly (readonly [string, 's0' | 's1', string, Cut, unknown, string[]])[] = [
    ['before the decision arrives', 's1', 'Q\0\0\0\x0bCOMMIT\0', 'before', { code: '08006' }, []],
    ['behind the decision', 's1', 'Q\0\0\0\x0bCOMMIT\0', 'after', 'COMMIT', everywhere],
    ['before a leg is prepared', 's0', 'PREPARE TRANSACTION', 'before', { code: '08006' }, []],
    ['behind a leg being prepared', 's0', 'PREPARE TRANSACTION', 'after', { code: '08006' }, []],
    ['before a leg commits', 's0', 'COMMIT PREPARED', 'before', 'COMMIT', everywhere],
    ['behind a leg committing', 's0', 'COMMIT PREPARED', 'after', 'COMMIT', everywhere],
  ];
  test.each(cases)('%s', async (name, shard, text, cut, answer, expected) => {
    relay = await startRelay(scene.databases.urls[shard]);
    proxy = await scene.startProxy({}, withPrimary(scene.config, shard, relay.url));
    relay.cutAt(text, cut);
    const said = await transact(proxy, name);
    await relay.cutHappened();
    if (typeof answer === 'string') expect(said).toBe(answer);
    else expect(said).toMatchObject(answer as object);
    // Whoever was told COMMIT reads his writes.
    if (answer === 'COMMIT') expect(await scene.shardsWith(name)).toEqual(expected);
    await scene.untilNothingIsPrepared();
    expect(await scene.shardsWith(name)).toEqual(expected);
    await proxy.stop();
    await relay.close();
  });

  const lasting: readonly (readonly [string, Cut, string[]])[] = [
    ['before the decision arrives', 'before', []],
    ['behind the decision', 'after', everywhere],
  ];
  test.each(lasting)('%s, and the shard stays away', async (name, cut, expected) => {
    const batch = `away ${name}`;
    relay = await startRelay(scene.databases.urls.s1);
    // Recovery must not have looked before the shard is away.
    const late = { SHARDGATE_RECOVERY_AGE_MS: '2000' };
    proxy = await scene.startProxy(late, withPrimary(scene.config, 's1', relay.url));
    relay.cutAt('Q\0\0\0\x0bCOMMIT\0', cut, true);
    const commit = transact(proxy, batch);
    expect(await commit).toMatchObject({
      code: '08007',
      detail: expect.stringContaining('shardgate:shop/s1:') as string,
    });
    // The outcome is open, so both legs wait.
    expect(await scene.prepared()).toHaveLength(2);
    relay.setOpen(true);
    await scene.untilNothingIsPrepared();
    expect(await scene.shardsWith(batch)).toEqual(expected);
    await proxy.stop();
    await relay.close();
  });
});

describe('a connection breaks off under one statement of one shard, outside a transaction', () => {
  const insert = (name: string): string =>
    `INSERT INTO items VALUES (${scene.ids.s0}, 1, '${name}')`;
  const cases: readonly (readonly [string, Cut, (name: string) => string[], string, string[]])[] = [
    ['a write that does not arrive', 'before', (name) => [insert(name)], '08007', []],
    ['a write that is not answered', 'after', (name) => [insert(name)], '08007', ['s0']],
    [
      'a read',
      'after',
      (name) => [`SELECT '${name}' FROM items WHERE id = ${scene.ids.s0}`],
      '08006',
      [],
    ],
    ['a write in a transaction', 'after', (name) => ['BEGIN', insert(name)], '08006', []],
  ];
  test.each(cases)('%s', async (name, cut, statements, state, expected) => {
    const relay = await startRelay(scene.databases.urls.s0);
    const proxy = await scene.startProxy({}, withPrimary(scene.config, 's0', relay.url));
    // Simple and extended.
    for (const options of [{}, { name: 'prepared' }]) {
      await scene.databases.onEach(dataShards, 'DELETE FROM items');
      const client = await connectTo(proxy.url);
      const all = statements(name);
      for (const sql of all.slice(0, -1)) await client.query(sql);
      relay.cutAt(name, cut);
      expect(await errorOf(client.query({ text: all.at(-1)!, ...options }))).toMatchObject({
        code: state,
      });
      await relay.cutHappened();
      expect(await scene.shardsWith(name)).toEqual(expected);
      await client.end();
    }
    await proxy.stop();
    await relay.close();
  });
});
