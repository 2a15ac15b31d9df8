import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';
import type { Proxy } from '../support/proxy.js';
import {
  connectTo,
  dataShards,
  openTwoPhaseScene,
  type TwoPhaseScene,
} from '../support/two-phase-scene.js';

/*
 * Goal: money is neither made nor lost, and nobody is told a wrong outcome, while backends and a proxy are killed at
 * random. Method: clients of two proxies move money between accounts on different shards, each transfer noted on both
 * sides; meanwhile backends of the shards are terminated and one proxy is killed and started again. The seed is
 * printed.
 */
const CHAOS_MS = 5000;
const CLIENTS_PER_PROXY = 3;
const ACCOUNTS = 24;
const BALANCE = 1000;

/** What a client was told of a transfer. */
type Told = 'committed' | 'rolled back' | 'unknown';

let scene: TwoPhaseScene;
const proxies: Proxy[] = [];

beforeAll(async () => {
  scene = await openTwoPhaseScene('two_phase_chaos');
  proxies.push(await scene.startProxy(), await scene.startProxy());
});
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  await scene.close();
});

/** Numbers in [0, 1); mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function transfer(client: pg.Client, name: string, from: number, to: number): Promise<Told> {
  let committing = false;
  try {
    await client.query('BEGIN');
    for (const [account, amount] of [
      [from, -1],
      [to, 1],
    ] as const) {
      await client.query('UPDATE accounts SET balance = balance + $2 WHERE id = $1', [
        account,
        amount,
      ]);
      await client.query('INSERT INTO transfers VALUES ($1, $2)', [account, name]);
    }
    committing = true;
    const { command } = await client.query('COMMIT');
    return command === 'COMMIT' ? 'committed' : 'rolled back';
  } catch (error) {
    const { code } = error as { code?: string };
    // Without an answer to COMMIT (no SQLSTATE, or 08007) it may have happened.
    const open = code === undefined || !/^[0-9A-Z]{5}$/.test(code) || code === '08007';
    if (!committing) await client.query('ROLLBACK').catch(() => undefined);
    return committing && open ? 'unknown' : 'rolled back';
  }
}

test('transfers stay whole while backends and a proxy are killed', async () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`two-phase chaos, seed ${seed}`);
  const random = randomFrom(seed);
  const pick = (bound: number): number => 1 + Math.floor(random() * bound);
  const setUp = await connectTo(proxies[0]!.url);
  for (let id = 1; id <= ACCOUNTS; id++) {
    await setUp.query('INSERT INTO accounts VALUES ($1, $2)', [id, BALANCE]);
  }
  await setUp.end();

  const told = new Map<string, Told>();
  let running = true;
  const client = async (proxy: () => Proxy, id: string): Promise<void> => {
    for (let n = 0; running;) {
      const connection = await connectTo(proxy().url).catch(() => null);
      if (connection === null) {
        await sleep(50);
        continue;
      }
      // Until the connection is gone with its proxy.
      let gone = false;
      connection.on('error', () => (gone = true));
      connection.on('end', () => (gone = true));
      while (running && !gone) {
        const name = `${id}-${n++}`;
        const from = pick(ACCOUNTS);
        // Always in the order of ids: nobody is to wait for a deadlock to be found.
        const to = pick(ACCOUNTS);
        if (from < to) told.set(name, await transfer(connection, name, from, to));
      }
      await connection.end().catch(() => undefined);
    }
  };
  const killer = async (): Promise<void> => {
    while (running) {
      await sleep(30 + random() * 100);
      const shard = dataShards[pick(dataShards.length) - 1]!;
      await scene.databases.query(
        shard,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name LIKE 'shardgate%'
          ORDER BY random() LIMIT 1`,
      );
    }
  };
  const clients = proxies.flatMap((_, at) =>
    Array.from({ length: CLIENTS_PER_PROXY }, (__, n) => client(() => proxies[at]!, `${at}${n}`)),
  );
  const killing = killer();
  await sleep(CHAOS_MS / 2);
  await proxies[0]!.kill();
  proxies[0] = await scene.startProxy();
  await sleep(CHAOS_MS / 2);
  running = false;
  await Promise.all([killing, ...clients]);
  await scene.untilNothingIsPrepared();

  const sides = new Map<string, number>();
  let total = 0;
  for (const shard of dataShards) {
    for (const [name] of await scene.databases.query(shard, 'SELECT transfer FROM transfers')) {
      sides.set(name as string, (sides.get(name as string) ?? 0) + 1);
    }
    const rows = await scene.databases.query(
      shard,
      'SELECT COALESCE(sum(balance), 0)::int FROM accounts',
    );
    total += rows[0]![0] as number;
  }
  const counts = { committed: 0, 'rolled back': 0, unknown: 0 };
  for (const outcome of told.values()) counts[outcome]++;
  console.log(`two-phase chaos: ${JSON.stringify(counts)}`);
  expect([...sides].filter(([, count]) => count !== 2)).toEqual([]);
  expect(total).toBe(ACCOUNTS * BALANCE);
  for (const [name, outcome] of told) {
    if (outcome === 'committed') expect(sides.has(name), `${name} was committed`).toBe(true);
    if (outcome === 'rolled back') expect(sides.has(name), `${name} was rolled back`).toBe(false);
  }
  expect(counts.committed).toBeGreaterThan(10);
  expect(counts['rolled back']).toBeGreaterThan(0);
});
