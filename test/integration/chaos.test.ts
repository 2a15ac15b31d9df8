/*
 * Goal: whatever breaks, nothing that was acknowledged is lost, nothing happens twice or by halves, nobody hangs, and
 * whoever has nothing to do with it notices nothing. Method: clients that write, read, copy, cancel, stall and vanish
 * while three of five servers are killed, shut down and frozen. Every increment is counted by whoever made it; at the
 * end the books must agree. SHARDGATE_CHAOS_SECONDS looks longer, SHARDGATE_CHAOS_SEED repeats the choices (not the
 * timing).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Ledger } from '../support/chaos-ledger.js';
import {
  cancellingClient,
  idleClients,
  monkey,
  slowReader,
  vanishingClients,
} from '../support/chaos-nuisances.js';
import { Dice } from '../support/chaos-random.js';
import { startMortalServers, type MortalServers } from '../support/chaos-servers.js';
import { Stage } from '../support/chaos-stage.js';
import { untilAtRest, type ShardQuery } from '../support/chaos-watch.js';
import {
  bystander,
  copyingClient,
  countingClient,
  markingClient,
  scatterReader,
} from '../support/chaos-writers.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectPg } from '../support/scene.js';

const SECONDS = Number(process.env['SHARDGATE_CHAOS_SECONDS'] ?? 7);
const SEED = Number(process.env['SHARDGATE_CHAOS_SEED'] ?? Date.now() % 2 ** 31);

const COUNTERS = 32;
const AT_REST_MS = 15_000;
/** Nobody kills these two; the bystanders live there. */
const SAFE = ['main', 's0'] as const;
const MORTAL = ['s1', 's2', 's3'] as const;

let databases: DatabaseSet;
let mortal: MortalServers;
let proxy: Proxy;
const servers: Record<string, ShardQuery> = {};

beforeAll(async () => {
  [databases, mortal] = await Promise.all([createDatabaseSet('chaos'), startMortalServers(MORTAL)]);
  const urls = { ...databases.urls };
  for (const server of mortal.servers) {
    const url = server.url('postgres');
    await queryOf(url)('CREATE DATABASE chaos');
    urls[server.name as (typeof MORTAL)[number]] = server.url('chaos');
  }
  for (const name of [...SAFE, ...MORTAL]) servers[name] = queryOf(urls[name]);
  const sharded = { shard_key: 'id', vindex: 'by_key' };
  proxy = await startProxy({
    config: clusterConfig(
      { ...databases, urls },
      {
        main: { plain: {} },
        shop: { counters: sharded, marks: sharded, bystanders: sharded },
      },
      {
        pool: { size: 20, connect_timeout: '1s', queue_timeout: '3s' },
        log: { level: 'warn' },
      },
    ),
    env: { SHARDGATE_RECOVERY_AGE_MS: '2000', SHARDGATE_RECOVERY_INTERVAL_MS: '500' },
  });
  const client = await connectPg(proxy.url);
  for (const table of ['plain', 'counters', 'bystanders']) {
    await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, n int NOT NULL)`);
  }
  await client.query('CREATE TABLE marks (id int NOT NULL, tag text NOT NULL)');
  await client.query('INSERT INTO plain VALUES (1, 0)');
  for (let id = 1; id <= COUNTERS; id++) {
    await client.query('INSERT INTO counters VALUES ($1, 0)', [id]);
    await client.query('INSERT INTO bystanders VALUES ($1, 0)', [id]);
  }
  await client.end();
});
afterAll(async () => {
  await proxy.stop();
  await Promise.all([mortal.stop(), databases.drop()]);
});

function queryOf(url: string): ShardQuery {
  return async (sql) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
    } finally {
      await client.end();
    }
  };
}

async function onAllShards(sql: string): Promise<unknown[][]> {
  return (
    await Promise.all(MORTAL.concat('s0' as never).map((name) => servers[name]!(sql)))
  ).flat();
}

test(
  `servers die for ${SECONDS} s under clients of every kind (seed ${SEED})`,
  async () => {
    console.log(`chaos: SHARDGATE_CHAOS_SEED=${SEED}`);
    const ledger = new Ledger(Array.from({ length: COUNTERS }, (_, i) => i + 1));
    const stage = new Stage(proxy, databases.name, ledger, new Dice(SEED));
    const [[onS0] = []] = await servers['s0']!('SELECT min(id) FROM bystanders');
    const idle = await idleClients(stage, 30);
    const running = Promise.all([
      monkey(stage, mortal.servers),
      ...Array.from({ length: 5 }, () => countingClient(stage)),
      ...['marks a', 'marks b'].map((name) => markingClient(stage, name)),
      ...['copies a', 'copies b'].map((name) => copyingClient(stage, name)),
      scatterReader(stage),
      scatterReader(stage),
      slowReader(stage),
      vanishingClients(stage),
      cancellingClient(stage),
      bystander(stage, 'main', 1),
      bystander(stage, 's0', onS0 as number),
    ]);
    await Promise.race([sleep(SECONDS * 1000), running]);
    stage.over = true;
    const [events] = await running;
    await idle.check();
    await untilAtRest(proxy, servers, AT_REST_MS).catch((error: unknown) => {
      stage.problem(String(error));
    });

    const found = await onAllShards('SELECT id, n FROM counters');
    const floor = ledger.floor();
    for (const [id, n] of found) {
      const wrong = ledger.wrong(id as number, n as number, floor);
      if (wrong !== null) stage.problem(wrong);
    }
    expect(found).toHaveLength(COUNTERS);
    const tags = await onAllShards('SELECT tag, count(*)::int FROM marks GROUP BY tag');
    const perTag = new Map<string, number>();
    for (const [tag, rows] of tags) {
      perTag.set(tag as string, (perTag.get(tag as string) ?? 0) + (rows as number));
    }
    for (const wrong of ledger.wrongMarks(perTag)) stage.problem(wrong);

    const summary = {
      events: events.join(', '),
      increments: ledger.done,
      unknown: ledger.unknown,
      marks: ledger.markFates(),
      errors: Object.fromEntries(stage.errors),
    };
    console.log(`chaos: ${JSON.stringify(summary)}`);
    const logs = `\n${JSON.stringify(summary)}\n${proxy.logs().split('\n').slice(-20).join('\n')}`;
    expect(stage.problems, logs).toEqual([]);
    expect(events.length).toBeGreaterThan(2);
    expect(ledger.done).toBeGreaterThan(20);
    expect(ledger.markFates().done).toBeGreaterThan(10);
  },
  SECONDS * 1000 + 60_000,
);
