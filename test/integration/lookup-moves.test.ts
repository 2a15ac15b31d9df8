/* A vindex that gives keys other shards: lookups of its tables lead there once REPAIR has moved the rows. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
  const console = new URL(scene.proxy.url);
  console.pathname = '/shardgate';
  admin = await connectPg(console.href);
  await eventually(usesLookup);
});

afterAll(async () => {
  await Promise.all([client.end(), admin.end()]);
  await scene.close();
});

async function usesLookup(): Promise<boolean> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(
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

  const config = readFileSync(proxy.configFile, 'utf8');
  expect(config).toContain('"acme": "s3"');
  writeFileSync(proxy.configFile, config.replace('"acme": "s3"', '"acme": "s3", "bolt": "s3"'));
  await admin.query('RELOAD');
  await eventually(repaired);

  expect((await rowsPerShard(databases, 'members'))['s3']).toBe(6);
  await eventually(usesLookup);
  for (const email of emails) {
    await comparison.expectSame(`SELECT * FROM members WHERE email = '${email}'`);
  }
  await comparison.expectSame("INSERT INTO members VALUES ('dune', 'bolt1@x.org', 9)");
  await comparison.expectSame("DELETE FROM members WHERE email = 'bolt3@x.org' RETURNING *");
  await comparison.expectSame("SELECT * FROM members WHERE email = 'bolt3@x.org'");
  await comparison.expectSame("INSERT INTO members VALUES ('dune', 'bolt3@x.org', 9)");
  await comparison.expectSame("SELECT * FROM members WHERE email = 'bolt3@x.org'");
});
