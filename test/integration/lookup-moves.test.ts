/*
 * A vindex that gives keys other shards: lookups of its tables lead there once REPAIR has moved the rows, and mislead
 * no proxy meanwhile, whatever configuration that has.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startProxy, type Proxy } from '../support/proxy.js';
import type { ProxyConfig } from '../support/proxy-config.js';
import { connectPg, openScene, rowsPerShard, type Scene } from '../support/scene.js';

const WAIT_MS = 30_000;
const tables = {
  vindexes: {
    by_tenant: {
      type: 'list',
      column_type: 'text',
      values: { acme: 's3' },
      others: ['s0', 's1', 's2'],
    },
    by_email: { type: 'lookup_unique', table: 'member_email_idx' },
  },
  shop: {
    members: { shard_key: 'tenant', vindex: 'by_tenant', lookups: { email: 'by_email' } },
  },
};
const emails = ['acme1@x.org', 'bolt1@x.org', 'bolt3@x.org', 'dune2@x.org', 'nobody@x.org'];

let scene: Scene;
let client: pg.Client;
let admin: pg.Client;

beforeAll(async () => {
  scene = await openScene('lookup_moves', tables, [
    'CREATE TABLE members (tenant text, email text UNIQUE, n int, PRIMARY KEY (tenant, email))',
    `INSERT INTO members SELECT t, t || i || '@x.org', i
      FROM unnest('{acme,bolt,dune}'::text[]) t, generate_series(1, 3) i`,
  ]);
  client = await connectPg(scene.proxy.url);
  admin = await consoleOf(scene.proxy);
  await eventually(() => usesLookup(client));
});

afterAll(async () => {
  await Promise.all([client.end(), admin.end()]);
  await scene.close();
});

async function consoleOf(proxy: Proxy): Promise<pg.Client> {
  const url = new URL(proxy.url);
  url.pathname = '/shardgate';
  return connectPg(url.href);
}

/** Gives a tenant shard s3 in a proxy's configuration, which that takes over. */
async function giveShard(proxy: Proxy, tenant: string): Promise<void> {
  const config = readFileSync(proxy.configFile, 'utf8');
  expect(config).toContain('"acme": "s3"');
  const changed = config.replace('"acme": "s3"', `"acme": "s3", "${tenant}": "s3"`);
  writeFileSync(proxy.configFile, changed);
  const own = await consoleOf(proxy);
  await own.query('RELOAD');
  await own.end();
}

async function usesLookup(through: pg.Client): Promise<boolean> {
  const { rows } = await through.query<{ 'QUERY PLAN': string }>(
    "EXPLAIN SELECT * FROM members WHERE email = 'dune2@x.org'",
  );
  return !rows.some((row) => row['QUERY PLAN'].includes('Shards: '));
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`it did not happen within ${WAIT_MS} ms`);
    await sleep(50);
  }
}

/** REPAIR waits for nothing: it is refused while a lookup is being built. */
async function repaired(): Promise<boolean> {
  try {
    await admin.query('REPAIR members');
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: '55000' });
    return false;
  }
}

test('a tenant who gets a shard of his own is found there by his e-mail address', async () => {
  const { comparison, databases, proxy } = scene;
  for (const email of emails) {
    await comparison.expectSame(`SELECT * FROM members WHERE email = '${email}'`);
  }
  expect((await rowsPerShard(databases, 'members'))['s3']).toBe(3);

  await giveShard(proxy, 'bolt');
  await eventually(repaired);

  expect((await rowsPerShard(databases, 'members'))['s3']).toBe(6);
  await eventually(() => usesLookup(client));
  for (const email of emails) {
    await comparison.expectSame(`SELECT * FROM members WHERE email = '${email}'`);
  }
  await comparison.expectSame("INSERT INTO members VALUES ('dune', 'bolt1@x.org', 9)");
  await comparison.expectSame("DELETE FROM members WHERE email = 'bolt3@x.org' RETURNING *");
  await comparison.expectSame("SELECT * FROM members WHERE email = 'bolt3@x.org'");
  await comparison.expectSame("INSERT INTO members VALUES ('dune', 'bolt3@x.org', 9)");
  await comparison.expectSame("SELECT * FROM members WHERE email = 'bolt3@x.org'");
});

test('a proxy that another one has left behind finds all rows, and does not spoil the lookup', async () => {
  const { databases, proxy } = scene;
  const config = JSON.parse(readFileSync(proxy.configFile, 'utf8')) as ProxyConfig;
  const other = await startProxy({ config: { ...config, listen: {}, http: {} } });
  onTestFinished(async () => void (await other.stop()));
  const otherClient = await connectPg(other.url);
  onTestFinished(() => otherClient.end());
  const find = async (email: string): Promise<unknown[]> => {
    const sql = 'SELECT tenant, n FROM members WHERE email = $1';
    return (await otherClient.query(sql, [email])).rows;
  };
  const isBuilding = async (): Promise<boolean> => {
    const [state] = await databases.query('main', 'SELECT definition FROM shardgate.lookups');
    return String(state![0]).startsWith('guarded ');
  };
  const store = "INSERT INTO members VALUES ('acme', 'acme9@x.org', 9)";
  expect(await find('bolt1@x.org')).toEqual([{ tenant: 'bolt', n: 1 }]);

  // Whoever builds the lookup waits for these rows.
  const holder = await connectPg(databases.urls.s3);
  await holder.query('BEGIN');
  await holder.query('SELECT FROM members FOR UPDATE');
  await giveShard(proxy, 'dune');
  await eventually(isBuilding);
  expect(await find('acme1@x.org')).toEqual([{ tenant: 'acme', n: 1 }]);
  expect(await find('dune2@x.org')).toEqual([{ tenant: 'dune', n: 2 }]);
  await expect(otherClient.query(store)).rejects.toMatchObject({ code: '55000' });
  // Values stay unique over all shards; one that goes is free again.
  for (const tenant of ['echo', 'fame', 'gold', 'hope', 'iris']) {
    const taken = client.query(`INSERT INTO members VALUES ('${tenant}', 'acme1@x.org', 9)`);
    await expect(taken).rejects.toMatchObject({ code: '23505' });
    await client.query(`INSERT INTO members VALUES ('${tenant}', 'passing@x.org', 9)`);
    await client.query("DELETE FROM members WHERE email = 'passing@x.org'");
  }
  await holder.end();

  await eventually(() => usesLookup(client));
  await eventually(repaired);
  expect(await find('dune2@x.org')).toEqual([{ tenant: 'dune', n: 2 }]);
  await expect(otherClient.query(store)).rejects.toMatchObject({ code: '55000' });
  await giveShard(other, 'dune');
  await eventually(() => usesLookup(otherClient));
  await otherClient.query(store);
  expect(await find('acme9@x.org')).toEqual([{ tenant: 'acme', n: 9 }]);
});
