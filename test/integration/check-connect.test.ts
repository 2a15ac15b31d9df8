/* `shardgate check FILE --connect`, as somebody runs it who is about to start a proxy. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anyFreePort } from '../../scripts/lib/ports.mjs';
import { projectRoot } from '../../scripts/lib/project.mjs';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig, type ClusterTables } from '../support/proxy-config.js';
import { shardNames } from '../support/servers.js';

const folder = mkdtempSync(join(tmpdir(), 'shardgate-live-check-'));
let databases: DatabaseSet;

beforeAll(async () => {
  databases = await createDatabaseSet('check_connect');
  await databases.onEach(
    shardNames,
    `CREATE TABLE customers (id bigint PRIMARY KEY, name text, boxes box)`,
  );
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await databases.drop();
});

interface Outcome {
  readonly code: number;
  readonly output: string;
}

function check(tables: ClusterTables, urls: Record<string, string> = {}): Promise<Outcome> {
  const file = join(folder, 'shardgate.yaml');
  const config = clusterConfig({ ...databases, urls: { ...databases.urls, ...urls } }, tables);
  writeFileSync(file, JSON.stringify(config));
  return run(['check', file, '--connect', '--timeout', '20s']);
}

function run(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const command = ['dist/main.js', ...args];
    execFile(process.execPath, command, { cwd: projectRoot }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

const CUSTOMERS: ClusterTables = { shop: { customers: { shard_key: 'id' } } };

describe('check --connect', () => {
  test('finds a sound cluster sound, and leaves nothing behind on it', async () => {
    const { code, output } = await check(CUSTOMERS);
    expect(output).toMatch(/ {2}s2: PostgreSQL \d+\.\d+, \d+ ms\n/);
    expect(output).toContain('\n0 problems, 0 notes.\n');
    expect(code).toBe(0);
    const made = `SELECT count(*)::int FROM pg_namespace WHERE nspname = 'shardgate'`;
    expect(await databases.query('main', made)).toEqual([[0]]);
  });

  test('names a shard that cannot be reached, and still tells of the others', async () => {
    const port = await anyFreePort();
    const { code, output } = await check(
      { main: { settings: {} }, ...CUSTOMERS },
      { s1: `postgres://postgres:secret@127.0.0.1:${port}/shop` },
    );
    expect(code).toBe(3);
    expect(output).toContain('problem: shard "s1": ');
    expect(output).toContain('ECONNREFUSED');
    expect(output).toContain('note: there is no table "settings" (keyspace "main"); CREATE it');
    expect(output).toContain('\n1 problem, 1 note.\n');
    expect(output).not.toContain('secret');
  });

  test('says where the catalog shard cannot be reached that schemas were not compared', async () => {
    const port = await anyFreePort();
    const { code, output } = await check(CUSTOMERS, { main: `postgres://u@127.0.0.1:${port}/d` });
    expect(code).toBe(3);
    expect(output).toContain('schemas were not compared: shard "main" did not answer');
  });

  test('tells tables and keys that the configuration misspells, with what is meant', async () => {
    const { code, output } = await check({
      shop: {
        customer: { shard_key: 'id' },
        customers: { shard_key: 'nam' },
      },
    });
    expect(code).toBe(3);
    expect(output).toContain('there is no table "customer" (keyspace "shop"); name "customers" if');
    expect(output).toContain('has no column "nam", its shard key; did you mean "name"?');
  });

  test('tells keys of types that their vindex cannot take', async () => {
    const { code, output } = await check({ shop: { customers: { shard_key: 'boxes' } } });
    expect(code).toBe(3);
    expect(output).toContain('column "boxes" of table "customers" cannot be its shard key: ');
  });

  test('tells objects that shards have otherwise, missing shells among them', async () => {
    await databases.query('s3', 'ALTER TABLE customers ALTER name TYPE varchar(9)');
    await databases.onEach(['main', 's1', 's2', 's3'], 'CREATE TABLE notes (id int)');
    try {
      const { code, output } = await check(CUSTOMERS);
      expect(code).toBe(3);
      expect(output).toMatch(/problem: shard "s0": table public\.notes: missing; create it there/);
      expect(output).toMatch(/shard "s3": column public\.customers\.name: character varying\(9\)/);
    } finally {
      await databases.query('s3', 'ALTER TABLE customers ALTER name TYPE text');
      await databases.onEach(['main', 's1', 's2', 's3'], 'DROP TABLE notes');
    }
  });

  test('sees through two names of one database', async () => {
    const other = new URL(databases.urls.s2);
    other.hostname = 'localhost';
    const { code, output } = await check(CUSTOMERS, { s3: other.href });
    expect([code, output]).toEqual([3, expect.stringContaining('the same database as shard "s2"')]);
  });

  test('names a user who may not do what a commit over several shards takes', async () => {
    const role = 'check_connect_guest';
    await databases.query('s0', `CREATE ROLE ${role} LOGIN`);
    const other = new URL(databases.urls.s0);
    other.username = role;
    try {
      const { code, output } = await check(CUSTOMERS, { s0: other.href });
      expect(code).toBe(3);
      expect(output).toContain('"s0": the table shardgate.decisions cannot be used there; Let the');
    } finally {
      await databases.query('s0', `DROP ROLE ${role}`);
    }
  });

  test('wants a time that is one', async () => {
    const file = join(folder, 'any.yaml');
    const { code } = await run(['check', file, '--connect', '--timeout', 'soon']);
    expect(code).toBe(2);
  });
});
