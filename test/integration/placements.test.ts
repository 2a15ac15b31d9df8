/*
 * By what configuration rows lie where they are is noted on the shards: a proxy that has another one says so, until
 * REPAIR has moved the rows.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabaseSet } from '../support/cluster.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { clusterConfig, type ProxyConfig } from '../support/proxy-config.js';
import { connectPg, openScene, rowsPerShard, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';

const WARNING = 'rows of these tables were placed by another configuration';
const tables = {
  vindexes: {
    by_tenant: {
      type: 'list',
      column_type: 'text',
      values: { acme: 's3' },
      others: ['s0', 's1', 's2'],
    },
    by_owner: { type: 'directory', table: 'owner_shards' },
  },
  shop: {
    members: { shard_key: 'tenant', vindex: 'by_tenant' },
    empties: { shard_key: 'tenant', vindex: 'by_tenant' },
    plain: { shard_key: 'id' },
    owned: { shard_key: 'owner', vindex: 'by_owner' },
  },
};

let scene: Scene;
let client: pg.Client;
let admin: pg.Client;

beforeAll(async () => {
  scene = await openScene('placements', tables, [
    'CREATE TABLE members (tenant text, n int, PRIMARY KEY (tenant, n))',
    'CREATE TABLE empties (tenant text PRIMARY KEY)',
    'CREATE TABLE plain (id int PRIMARY KEY)',
    'CREATE TABLE owned (owner int PRIMARY KEY)',
    `INSERT INTO members SELECT t, i FROM unnest('{acme,bolt,dune}'::text[]) t, generate_series(1, 3) i`,
    'INSERT INTO plain SELECT generate_series(1, 20)',
    'INSERT INTO owned SELECT generate_series(1, 20)',
  ]);
  client = await connectPg(scene.proxy.url);
  admin = await consoleOf(scene.proxy);
});

afterAll(async () => {
  await Promise.all([client.end(), admin.end()]);
  await scene.close();
});

function consoleOf(proxy: Proxy): Promise<pg.Client> {
  const url = new URL(proxy.url);
  url.pathname = '/shardgate';
  return connectPg(url.href);
}

async function differing(console: pg.Client): Promise<unknown[]> {
  const { rows } = await console.query<{ table: string }>(
    `SHOW TABLES WHERE placement = 'differs' ORDER BY table`,
  );
  return rows.map(({ table }) => table);
}

async function noted(): Promise<unknown[]> {
  const rows = await scene.databases.query(
    'main',
    'SELECT name FROM shardgate.placements ORDER BY 1',
  );
  return rows.flat();
}

async function checked(file: string): Promise<string> {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ['dist/main.js', 'check', file, '--connect']);
  return stdout;
}

test('where rows lie is noted by the first proxy that knows their tables, and agreed upon', async () => {
  const all = ['public.empties', 'public.members', 'public.owned', 'public.plain'];
  await expect.poll(noted, { timeout: 10_000 }).toEqual(all);
  expect(await differing(admin)).toEqual([]);
  const own = await admin.query(`SHOW TABLES WHERE placement = 'agreed'`);
  expect(own.rows).toHaveLength(4);
});

test('a proxy with another mapping warns until REPAIR; then the one that has kept the old one does', async () => {
  const before = readFileSync(scene.proxy.configFile, 'utf8');
  const other = await startProxy({ config: clusterConfig(scene.databases, tables) });
  const otherAdmin = await consoleOf(other);
  const after = before.replace('"acme": "s3"', '"acme": "s3", "bolt": "s3"');
  expect(after).not.toBe(before);
  try {
    writeFileSync(scene.proxy.configFile, after);
    await admin.query('RELOAD');
    await expect.poll(() => differing(admin), { timeout: 10_000 }).toEqual(['members']);
    await expect.poll(() => scene.proxy.logs()).toContain(WARNING);
    expect(await checked(scene.proxy.configFile)).toContain(
      'note: rows of table "members" were placed by another configuration',
    );
    const metrics = await fetch(`http://127.0.0.1:${scene.proxy.httpPort}/metrics`);
    expect(await metrics.text()).toContain('shardgate_placement_differences 1');
    // What is wrong is counted, and changes nothing.
    await admin.query('AUDIT members');
    expect(await differing(admin)).toEqual(['members']);

    await admin.query('REPAIR members');
    await expect.poll(() => differing(admin), { timeout: 10_000 }).toEqual([]);
    expect(await checked(scene.proxy.configFile)).not.toContain('another configuration');
    await otherAdmin.query('RELOAD');
    // The empty table is wherever the last proxy has looked.
    await expect.poll(() => differing(otherAdmin), { timeout: 10_000 }).toEqual(['members']);
    await expect.poll(() => other.logs()).toContain(WARNING);
  } finally {
    await otherAdmin.end();
    await other.stop();
  }
  const { rows } = await client.query(`SELECT n FROM members WHERE tenant = 'bolt' ORDER BY n`);
  expect(rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  expect((await rowsPerShard(scene.databases, 'members'))['s3']).toBe(6);
});

test('an AUDIT that finds all rows in their places is enough', async () => {
  await scene.databases.query('main', `UPDATE shardgate.placements SET digest = 'other'`);
  await client.query('CREATE SCHEMA looked');
  const all = ['members', 'owned', 'plain'];
  await expect.poll(() => differing(admin), { timeout: 10_000 }).toEqual(all);
  await admin.query('AUDIT plain');
  await expect.poll(() => differing(admin), { timeout: 10_000 }).toEqual(['members', 'owned']);
  await admin.query('AUDIT');
  await expect.poll(() => differing(admin), { timeout: 10_000 }).toEqual([]);
});

test('a table that is dropped is forgotten', async () => {
  await client.query('DROP TABLE plain');
  await expect.poll(noted, { timeout: 10_000 }).not.toContain('public.plain');
});

test('who may note nothing still hears what AUDIT has found', async () => {
  const databases = await createDatabaseSet('placements_poor');
  const role = 'placements_poor';
  await databases.onEach(
    shardNames,
    `CREATE ROLE ${role} LOGIN; CREATE TABLE plain (id int PRIMARY KEY); GRANT ALL ON plain TO ${role}`,
  );
  const config = clusterConfig(databases, { shop: { plain: { shard_key: 'id' } } });
  const poor = JSON.stringify(config).replaceAll('postgres://postgres@', `postgres://${role}@`);
  const proxy = await startProxy({ config: JSON.parse(poor) as ProxyConfig });
  const console = await consoleOf(proxy);
  try {
    const { rows } = await console.query<{ wrong: string }>('AUDIT plain');
    expect(rows.map(({ wrong }) => wrong)).toEqual(rows.map(() => '0'));
    expect(rows.length).toBeGreaterThan(0);
    await expect
      .poll(() => proxy.logs())
      .toContain('it could not be noted by what configuration rows lie');
  } finally {
    await console.end();
    await proxy.stop();
    await databases.onEach(shardNames, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await databases.drop();
  }
});
