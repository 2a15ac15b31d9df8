/*
 * Goal: money is neither made nor lost, every transfer has both of its legs or none, whatever was acknowledged is
 * there, and nothing stays prepared, while the proxy and the shards are killed (kill -9). Method: eight clients move
 * money between accounts of four shards, in transactions, in single statements and in texts of several statements; a
 * lookup leads to the legs, receipts have snowflake ids. The proxy is killed now and then, and dies by itself at every
 * step of a commit; shards are killed in turn. SHARDGATE_BANK_ROUNDS looks longer, SHARDGATE_BANK_SEED repeats the
 * choices (not the timing).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CrashPoint } from '../../src/transaction/crash-points.js';
import { Dice } from '../support/chaos-random.js';
import { startMortalServers, type MortalServers } from '../support/chaos-servers.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig, type ProxyConfig } from '../support/proxy-config.js';
import { isAlive, startProxy, type Proxy } from '../support/proxy.js';
import { connectTo } from '../support/two-phase-scene.js';

const ROUNDS = Number(process.env['SHARDGATE_BANK_ROUNDS'] ?? 1);
const SEED = Number(process.env['SHARDGATE_BANK_SEED'] ?? Date.now() % 2 ** 31);

const SHARDS = ['s0', 's1', 's2', 's3'] as const;
const CLIENTS = 8;
const ACCOUNTS = 40;
const BALANCE = 1000;
/** Commits that a proxy gets so far in before it dies, and what it lives at most. */
const LIFE_COMMITS = 6;
const LIFE_MS = 2500;
/** Between the deaths of two shards. */
const SHARD_LIFE_MS = 1500;
/** From the last start of the proxy, with recovery as it is by default. */
const RECOVERED_MS = 10_000;
/** The proxy dies here by itself, once a round each; or anywhere, where no commit gets that far. */
const DEATHS: readonly CrashPoint[] = [
  'before-prepare',
  'prepare-sent',
  'first-prepared',
  'prepared',
  'decision-sent',
  'decided',
  'first-finished',
  'finished',
];

let databases: DatabaseSet;
let mortal: MortalServers;
let config: ProxyConfig;
let proxy: Proxy;
const urls: Record<string, string> = {};

beforeAll(async () => {
  [databases, mortal] = await Promise.all([createDatabaseSet('bank'), startMortalServers(SHARDS)]);
  for (const server of mortal.servers) {
    await ask(server.url('postgres'), 'CREATE DATABASE bank');
    urls[server.name] = server.url('bank');
  }
  const byId = { shard_key: 'id', vindex: 'by_key' };
  config = clusterConfig(
    { ...databases, urls: { ...databases.urls, ...urls } },
    {
      shop: {
        accounts: byId,
        legs: { ...byId, lookups: { transfer: 'by_transfer' } },
        receipts: { ...byId, ids: { column: 'id', from: 'snowflake' } },
      },
      vindexes: { by_transfer: { type: 'lookup', table: 'leg_idx' } },
    },
    { pool: { size: 20, connect_timeout: '1s', queue_timeout: '3s' }, log: { level: 'warn' } },
  );
  proxy = await startProxy({ config });
  const client = await connectTo(proxy.url);
  await client.query('CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL)');
  await client.query('CREATE TABLE legs (id int8, transfer text, PRIMARY KEY (id, transfer))');
  await client.query('CREATE TABLE receipts (id int8 PRIMARY KEY, transfer text NOT NULL)');
  const rows = Array.from({ length: ACCOUNTS }, (_, i) => `(${i + 1}, ${BALANCE})`);
  await client.query(`INSERT INTO accounts VALUES ${rows.join(', ')}`);
  await client.end();
});
afterAll(async () => {
  await proxy.stop();
  await Promise.all([mortal.stop(), databases.drop()]);
});

async function ask(url: string, sql: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

async function onShards(sql: string): Promise<unknown[][]> {
  return (await Promise.all(SHARDS.map((name) => ask(urls[name]!, sql)))).flat();
}

/** What a client was told of a transfer. */
type Told = 'committed' | 'rolled back' | 'unknown';

interface Transfer {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Money and legs, in one transaction; answers the last command tag. */
const ways: readonly ((client: pg.Client, transfer: Transfer) => Promise<string>)[] = [
  async (client, { name, from, to }) => {
    await client.query('BEGIN');
    for (const [id, amount] of [
      [from, -1],
      [to, 1],
    ]) {
      await client.query('UPDATE accounts SET balance = balance + $2 WHERE id = $1', [id, amount]);
      await client.query('INSERT INTO legs VALUES ($1, $2)', [id, name]);
    }
    await client.query('INSERT INTO receipts (transfer) VALUES ($1)', [name]);
    return (await client.query('COMMIT')).command;
  },
  async (client, { name, from, to }) => {
    const text = `UPDATE accounts SET balance = balance + CASE id WHEN ${from} THEN -1 ELSE 1 END
       WHERE id IN (${from}, ${to});
      INSERT INTO legs VALUES (${from}, '${name}'), (${to}, '${name}');
      INSERT INTO receipts (transfer) VALUES ('${name}')`;
    await client.query(text);
    return 'COMMIT';
  },
  async (client, { name, from, to }) => {
    // No money, so that one statement is all of it.
    await client.query('INSERT INTO legs VALUES ($1, $3), ($2, $3)', [from, to, name]);
    return 'COMMIT';
  },
];

/** The last one moves no money and gives no receipt. */
const ALONE = ways.length - 1;

function wayOf(name: string): number {
  return Number(name.slice(1)) % ways.length;
}

/** What AUDIT says of the lookup of the legs, and of anything that is wrong. */
async function audit(): Promise<{ readonly lookup: string; readonly wrong: string[] }> {
  const url = new URL(proxy.url);
  url.pathname = '/shardgate';
  const rows = await ask(url.href, 'AUDIT legs');
  const texts = rows.map(String);
  return {
    lookup: texts.find((row) => row.includes('lookup of transfer')) ?? 'none',
    wrong: rows.filter(([, , , , wrong]) => wrong !== '0').map(String),
  };
}

async function move(client: pg.Client, way: number, transfer: Transfer): Promise<Told> {
  try {
    return (await ways[way]!(client, transfer)) === 'COMMIT' ? 'committed' : 'rolled back';
  } catch (error) {
    const { code } = error as { code?: string };
    await client.query('ROLLBACK').catch(() => undefined);
    // Only a lost connection and 08007 leave the question open.
    return code === undefined || !/^[0-9A-Z]{5}$/.test(code) || code === '08007'
      ? 'unknown'
      : 'rolled back';
  }
}

test(
  `transfers stay whole while the proxy and the shards are killed (seed ${SEED})`,
  async () => {
    console.log(`bank: SHARDGATE_BANK_SEED=${SEED}`);
    // Nobody is killed before the lookup is used.
    await expect
      .poll(async () => (await audit()).lookup, { timeout: 20_000 })
      .toMatch(/^(?!none|.*not complete)/);
    const dice = new Dice(SEED);
    const told = new Map<string, Told>();
    let over = false;
    let transfers = 0;
    const teller = async (): Promise<void> => {
      while (!over) {
        const client = await connectTo(proxy.url).catch(() => null);
        let outcome: Told = client === null ? 'unknown' : 'committed';
        // The connection may be gone where the outcome is unknown.
        while (outcome !== 'unknown' && !over) {
          const from = dice.between(1, ACCOUNTS);
          const to = 1 + ((from + dice.below(ACCOUNTS - 1)) % ACCOUNTS);
          const transfer = { name: `t${transfers++}`, from, to };
          outcome = await move(client!, wayOf(transfer.name), transfer);
          told.set(transfer.name, outcome);
        }
        client?.end().catch(() => undefined);
        await sleep(20);
      }
    };
    const shardKiller = async (): Promise<void> => {
      while (!over) {
        await sleep(SHARD_LIFE_MS * (0.5 + dice.below(100) / 100));
        const server = mortal.servers[dice.below(mortal.servers.length)]!;
        await server.kill();
        await sleep(dice.below(300));
        await server.restart();
      }
    };
    const running = [shardKiller(), ...Array.from({ length: CLIENTS }, teller)];
    let deaths = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (const point of DEATHS) {
        await proxy.kill();
        const env = { SHARDGATE_CRASH_POINT: `${point}:${LIFE_COMMITS}` };
        proxy = await startProxy({ config, env });
        const deadline = Date.now() + LIFE_MS;
        while (isAlive(proxy.pid) && Date.now() < deadline) await sleep(20);
        if (!isAlive(proxy.pid)) deaths++;
      }
    }
    await proxy.kill();
    proxy = await startProxy({ config });
    const lastStart = performance.now();
    await sleep(LIFE_MS);
    over = true;
    await Promise.all(running);
    const prepared = 'SELECT gid FROM pg_prepared_xacts';
    while ((await onShards(prepared)).length > 0 && performance.now() < lastStart + RECOVERED_MS) {
      await sleep(100);
    }
    expect(await onShards(prepared)).toEqual([]);

    const legs = new Map<string, number>();
    for (const [name] of await onShards('SELECT transfer FROM legs')) {
      legs.set(name as string, (legs.get(name as string) ?? 0) + 1);
    }
    expect([...legs].filter(([, count]) => count !== 2)).toEqual([]);
    const sums = await onShards('SELECT COALESCE(sum(balance), 0)::int FROM accounts');
    expect(sums.reduce((sum, [n]) => sum + (n as number), 0)).toBe(ACCOUNTS * BALANCE);
    const moved = [...legs.keys()].filter((name) => wayOf(name) !== ALONE).sort();
    const receipts = await onShards('SELECT id, transfer FROM receipts');
    expect(receipts.map(([, name]) => name as string).sort()).toEqual(moved);
    expect(new Set(receipts.map(([id]) => id)).size).toBe(receipts.length);
    expect((await audit()).wrong).toEqual([]);
    expect((await audit()).lookup).not.toContain('not complete');
    const counts = { committed: 0, 'rolled back': 0, unknown: 0 };
    for (const [name, outcome] of told) {
      counts[outcome]++;
      if (outcome === 'committed') expect(legs.has(name), `${name} was committed`).toBe(true);
      if (outcome === 'rolled back') expect(legs.has(name), `${name} was rolled back`).toBe(false);
    }
    console.log(`bank: ${JSON.stringify({ ...counts, deaths })}`);
    expect(counts.committed).toBeGreaterThan(20);
    expect(deaths).toBeGreaterThan(0);
  },
  60_000 + ROUNDS * 60_000,
);
