/*
 * Goal: the example configurations do what they say they are for.
 * Method: each file is read as it stands, but for the addresses of its servers; then its application's tables are made
 * and filled through the proxy, and its statements are compared with one plain Postgres.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { exampleApplications } from '../support/example-applications.js';
import { Comparison } from '../support/oracle.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import type { ProxyConfig } from '../support/proxy-config.js';
import { connectPg } from '../support/scene.js';
import { shardNames } from '../support/servers.js';

const ENV = { APP_PASSWORD: 'one', OPERATOR_PASSWORD: 'two', SHARD_PASSWORD: 'three' };
const LOOKUPS_FILLED_MS = 30_000;

type ExampleFile = ProxyConfig & {
  readonly keyspaces: Readonly<Record<string, { readonly shards: { primary: string }[] }>>;
};

/** The file, with a database of the test's servers in place of each of its shards. */
async function withServers(name: string): Promise<{ config: ExampleFile; sets: DatabaseSet[] }> {
  const file = new URL(`../../config/${name}.yaml`, import.meta.url);
  // The test takes ports that are free.
  const config = { ...(parse(readFileSync(file, 'utf8')) as ExampleFile), http: {} };
  const shards = Object.values(config.keyspaces).flatMap((keyspace) => keyspace.shards);
  const names = Array.from(
    { length: Math.ceil(shards.length / shardNames.length) },
    (_unused, index) => `example_${name.replaceAll('-', '_')}_${index}`,
  );
  const sets = await Promise.all(names.map((set) => createDatabaseSet(set)));
  const free = sets.flatMap(({ urls }) => shardNames.map((server) => urls[server]));
  for (const [index, shard] of shards.entries()) shard.primary = free[index]!;
  return { config, sets };
}

function login(proxy: Proxy, user: string, password: string, database?: string): string {
  const address = new URL(proxy.url);
  address.username = user;
  address.password = password;
  if (database !== undefined) address.pathname = `/${database}`;
  return address.href;
}

describe.each(exampleApplications)('the example $name', (application) => {
  const { schema, same, routes, byLookup = [], refused = [], ids = [] } = application;
  let sets: DatabaseSet[];
  let proxy: Proxy;
  let comparison: Comparison;
  let client: pg.Client;
  let console: pg.Client;

  beforeAll(async () => {
    const example = await withServers(application.name);
    sets = example.sets;
    proxy = await startProxy({ config: example.config, env: ENV });
    const app = login(proxy, 'app', ENV.APP_PASSWORD);
    comparison = await Comparison.open(app, sets[0]!.urls.oracle);
    client = await connectPg(app);
    console = await connectPg(login(proxy, 'operator', ENV.OPERATOR_PASSWORD, 'shardgate'));
    for (const sql of schema) await comparison.both(sql);
  });

  afterAll(async () => {
    await Promise.all([client.end(), console.end(), comparison.close()]);
    await proxy.stop();
    await Promise.all(sets.map((set) => set.drop()));
  });

  test('gives the answers of one PostgreSQL', async () => {
    for (const sql of same) await comparison.expectSame(sql);
  });

  test('asks the one shard that the key leads to', async () => {
    const found: Record<string, unknown> = {};
    for (const sql of Object.keys(routes)) {
      const { rows } = await console.query<{ shards: string }>(`ROUTE ${sql}`);
      found[sql] = rows.map(({ shards }) => shards).join(' and ');
    }
    expect(found).toEqual(routes);
  });

  test.runIf(byLookup.length > 0)('asks one shard where a lookup leads to it', async () => {
    const deadline = Date.now() + LOOKUPS_FILLED_MS;
    for (const sql of byLookup) {
      // Lookups are filled behind the back of clients.
      while ((await shardsOf(client, sql)) > 1 && Date.now() < deadline) await sleep(50);
      expect(await shardsOf(client, sql), sql).toBe(1);
      await comparison.expectSame(sql);
    }
  });

  test.runIf(refused.length > 0)('refuses what it says', async () => {
    for (const sql of refused) await comparison.expectRefused(sql);
  });

  test.runIf(ids.length > 0)('makes ids', async () => {
    const made = new Set<string>();
    for (const sql of ids) {
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
      made.add(String(rows[0]![0]));
    }
    expect(made.size).toBe(ids.length);
    for (const id of made) expect(id).toMatch(/^\d{15,19}$/);
  });

  test('has every row where it belongs', async () => {
    const { rows } = await console.query<{ wrong: string }>('AUDIT');
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ wrong }) => Number(wrong) > 0)).toEqual([]);
  });
});

/** On how many shards a statement runs; EXPLAIN of one shard is PostgreSQL's own. */
async function shardsOf(client: pg.Client, sql: string): Promise<number> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
  const line = rows.map((row) => row['QUERY PLAN']).find((text) => text.includes('Shards: '));
  return line === undefined ? 1 : line.split(',').length;
}
