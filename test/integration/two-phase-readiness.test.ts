/*
 * Whether a shard can take part in two-phase commit may change while the proxy runs: its server is started with other
 * settings, its table of decisions is dropped. What cannot be committed then fails as a whole, and says why.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startMortalServers, type MortalServers } from '../support/chaos-servers.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectTo } from '../support/two-phase-scene.js';

const UNTIL_MS = 15_000;

let databases: DatabaseSet;
let mortal: MortalServers;
let proxy: Proxy;
let client: pg.Client;
let s3: string;

beforeAll(async () => {
  [databases, mortal] = await Promise.all([
    createDatabaseSet('two_phase_readiness'),
    startMortalServers(['s3']),
  ]);
  await ask(mortal.servers[0]!.url('postgres'), 'CREATE DATABASE ready');
  s3 = mortal.servers[0]!.url('ready');
  proxy = await startProxy({
    config: clusterConfig(
      { ...databases, urls: { ...databases.urls, s3 } },
      { shop: { countries: { type: 'reference' } } },
      { pool: { size: 4, connect_timeout: '1s' } },
    ),
  });
  client = await connectTo(proxy.url);
  await client.query('CREATE TABLE countries (code text PRIMARY KEY)');
});

afterAll(async () => {
  await client.end();
  await proxy.stop();
  await mortal.stop();
  await databases.drop();
});

async function ask(url: string, sql: string): Promise<unknown[]> {
  const direct = await connectTo(url);
  try {
    return (await direct.query<unknown[]>({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await direct.end();
  }
}

/** Writes on all shards until what comes of it is this; what it says then. */
async function insertUntil(code: string | undefined): Promise<pg.DatabaseError | null> {
  const end = Date.now() + UNTIL_MS;
  for (;;) {
    const insert = client.query('INSERT INTO countries VALUES ($1)', [`c${Date.now()}`]);
    const error = await insert.then(
      () => null,
      (thrown: unknown) => thrown as pg.DatabaseError,
    );
    if (error?.code === code) return error;
    if (Date.now() > end) throw error ?? new Error('it was inserted');
    await sleep(100);
  }
}

/** On every shard the same rows. */
async function expectSameRows(): Promise<void> {
  const count = 'SELECT count(*)::int FROM countries';
  const [here] = await ask(s3, count);
  for (const shard of ['s0', 's1', 's2'] as const) {
    expect(await databases.query(shard, count), shard).toEqual([[here]]);
  }
}

test('a table of decisions that was dropped is made anew', async () => {
  await insertUntil(undefined);
  // Where the first row is written, which decides.
  await databases.query('s0', 'DROP SCHEMA shardgate CASCADE');
  await insertUntil('42P01');
  await expectSameRows();
  await insertUntil(undefined);
  await expectSameRows();
});

test('a server that was started without prepared transactions is named, and used again with them', async () => {
  const [server] = mortal.servers;
  for (const [max, code] of [
    [0, '0A000'],
    [20, undefined],
  ] as const) {
    await ask(s3, `ALTER SYSTEM SET max_prepared_transactions = ${max}`);
    await server!.shutDown();
    await server!.restart();
    const refused = await insertUntil(code);
    if (code !== undefined) {
      expect(refused?.detail).toContain('max_prepared_transactions is 0 there');
      expect(proxy.logs()).toContain('a shard cannot take part in two-phase commit');
      // There is one schema everywhere.
      await client.query('CREATE TABLE everywhere (id int)');
      expect(await ask(s3, `SELECT to_regclass('everywhere') IS NOT NULL`)).toEqual([true]);
    }
    await expectSameRows();
  }
});
