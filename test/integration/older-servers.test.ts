/*
 * Servers of PostgreSQL 15, as Debian 12 has them, behind the proxy and as the plain Postgres: what the other tests
 * show with 18 must hold in essence there too. Its pg_dump, which refuses younger servers, is compared as well.
 */
import { execFile, spawn } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import pg from 'pg';
import { PostgresServer } from '../../scripts/lib/postgres-server.mjs';
import { serverUser, spawnIdentity } from '../../scripts/lib/unprivileged-user.mjs';
import { removeAtEnd } from '../../scripts/lib/watchdog-client.mjs';
import type { DatabaseSet } from '../support/cluster.js';
import { Comparison } from '../support/oracle.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { serverNames } from '../support/servers.js';

const BIN = '/usr/lib/postgresql/15/bin';
const installed = existsSync(join(BIN, 'initdb'));
if (!installed) console.log(`no PostgreSQL 15 in ${BIN}: its tests are skipped`);

const execute = promisify(execFile);
const NAME = 'older';
const sharded = { shard_key: 'id', vindex: 'by_key' };

let folder: string;
let server: PostgresServer;
let proxy: Proxy;
let comparison: Comparison;

/** One server for all: shards are databases, and so is the plain Postgres. */
async function startServer(): Promise<void> {
  const user = serverUser();
  folder = mkdtempSync(join(tmpdir(), 'shardgate-older-'));
  removeAtEnd(folder);
  if (user !== null) chownSync(folder, user.uid, user.gid);
  const dataFolder = join(folder, 'data');
  const args = ['-D', dataFolder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '-N'];
  const code = await new Promise((resolve) => {
    const made = spawn(join(BIN, 'initdb'), [...args, '--locale=C'], { ...spawnIdentity(user) });
    made.on('close', resolve);
  });
  expect(code).toBe(0);
  appendFileSync(
    join(dataFolder, 'postgresql.conf'),
    'max_prepared_transactions = 20\nfsync = off\n',
  );
  const logFile = join(folder, 'log');
  const common = { bin: BIN, user, password: null, name: NAME };
  server = await PostgresServer.start({ ...common, dataFolder, logFile });
}

async function createDatabases(): Promise<DatabaseSet['urls']> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  for (const name of serverNames) await client.query(`CREATE DATABASE ${NAME}_${name}`);
  await client.end();
  const urls = serverNames.map((name) => [name, server.url(`${NAME}_${name}`)]);
  return Object.fromEntries(urls) as DatabaseSet['urls'];
}

describe.skipIf(!installed)('shards of PostgreSQL 15', () => {
  let plainUrl: string;

  beforeAll(async () => {
    await startServer();
    const urls = await createDatabases();
    plainUrl = urls.oracle;
    const databases = { name: NAME, urls } as DatabaseSet;
    const tables = {
      main: { settings: {} },
      shop: {
        items: sharded,
        parts: { shard_key: 'item_id', vindex: 'by_key' },
        codes: { shard_key: 'code', vindex: 'by_key' },
        countries: { type: 'reference' },
      },
    };
    proxy = await startProxy({ config: clusterConfig(databases, tables) });
    comparison = await Comparison.open(proxy.url, plainUrl);
    for (const sql of [
      "CREATE TYPE mood AS ENUM ('sad', 'ok')",
      'CREATE TABLE items (id int8 PRIMARY KEY, name text NOT NULL, price numeric(8,2), mood mood)',
      'CREATE TABLE parts (item_id int8 REFERENCES items, n int4, PRIMARY KEY (item_id, n))',
      'CREATE TABLE codes (code text PRIMARY KEY, n serial)',
      'CREATE TABLE countries (code char(2) PRIMARY KEY, name text)',
      'CREATE TABLE settings (key text PRIMARY KEY, value int)',
      'CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 5',
      'CREATE INDEX items_name ON items (name)',
      "COMMENT ON TABLE items IS 'things'",
      "INSERT INTO items SELECT g, 'item ' || g, g * 1.5, 'ok' FROM generate_series(1, 20) g",
      'INSERT INTO parts SELECT i, n FROM generate_series(1, 20) i, generate_series(1, 2) n',
      "INSERT INTO codes (code) VALUES ('a'), ('b'), ('c'), ('d')",
      "INSERT INTO countries VALUES ('at', 'Austria'), ('de', 'Germany')",
      "INSERT INTO settings VALUES ('a', 1), ('b', 2)",
    ]) {
      await comparison.both(sql);
    }
  }, 120_000);

  afterAll(async () => {
    await comparison?.close();
    await proxy?.stop();
    await server?.stopNow();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    'SELECT * FROM items WHERE id = 7',
    'SELECT id, name FROM items ORDER BY name DESC LIMIT 5 OFFSET 2',
    'SELECT count(*), sum(price), avg(price), min(name) FROM items',
    'SELECT mood, count(*) FROM items GROUP BY mood ORDER BY mood',
    'SELECT a.id, b.id FROM items a JOIN items b ON a.id = b.id + 1 ORDER BY 1',
    'SELECT i.name, s.value FROM items i JOIN settings s ON s.value = i.id ORDER BY 1',
    'SELECT i.name, p.n FROM items i JOIN parts p ON p.item_id = i.id ORDER BY i.id, p.n',
    "SELECT * FROM codes WHERE code = 'c'",
    'SELECT * FROM cheap ORDER BY id',
    'SELECT rank() OVER (ORDER BY price), id FROM items ORDER BY id',
    "UPDATE items SET price = price + 1, mood = 'sad' WHERE price > 10",
    "UPDATE countries SET name = upper(name) WHERE code = 'de'",
    'DELETE FROM parts WHERE n = 2 AND item_id < 5',
    'INSERT INTO items SELECT id + 100, name FROM items WHERE id < 4',
    "UPDATE codes SET code = code || 'x' WHERE n > 2",
    'SELECT * FROM codes ORDER BY n',
    "MERGE INTO settings USING (SELECT 'a' AS k) s ON s.k = key WHEN MATCHED THEN UPDATE SET value = 9",
    'SELECT * FROM items ORDER BY id',
    'SELECT * FROM nowhere',
    'SELECT 1/0 FROM items',
  ])('answer as one does: %s', async (sql) => {
    await comparison.expectSame(sql);
  });

  test('commit over several of them, and roll back', async () => {
    for (const sql of [
      'BEGIN',
      "INSERT INTO items (id, name) VALUES (201, 'x'), (202, 'y'), (203, 'z'), (204, 'w')",
      "INSERT INTO settings VALUES ('c', 3)",
      'COMMIT',
      'BEGIN',
      'DELETE FROM items WHERE id > 200',
      'SAVEPOINT s',
      'SELECT 1/0',
      'ROLLBACK TO s',
      'SELECT count(*) FROM items',
      'ROLLBACK',
      'SELECT id FROM items WHERE id > 200 ORDER BY id',
      'SELECT count(*) FROM pg_prepared_xacts',
    ]) {
      await comparison.expectSame(sql);
    }
  });

  test('run prepared statements, and cancel', async () => {
    const client = new pg.Client({ connectionString: proxy.url });
    await client.connect();
    const query = { name: 's', text: 'SELECT name FROM items WHERE id = $1', values: [3] };
    for (let i = 0; i < 3; i++)
      expect((await client.query(query)).rows).toEqual([{ name: 'item 3' }]);
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const sleeping = client.query('SELECT pg_sleep(30), id FROM items');
    const other = new pg.Client({ connectionString: proxy.url });
    await other.connect();
    await Promise.all([
      expect(sleeping).rejects.toMatchObject({ code: '57014' }),
      new Promise((resolve) => setTimeout(resolve, 300)).then(() =>
        other.query('SELECT pg_cancel_backend($1)', [rows[0]!.pid]),
      ),
    ]);
    await other.end();
    await client.end();
  });

  test.each([[[]], [['--clean', '--if-exists', '--no-owner']], [['-t', 'items', '-t', 'parts']]])(
    'pg_dump --schema-only %j',
    async (more) => {
      const dump = async (url: string): Promise<string[]> => {
        const args = ['--schema-only', '-N', 'shardgate', ...more, url];
        const { stdout } = await execute(join(BIN, 'pg_dump'), args);
        // These two name a secret of the dump.
        return stdout.split('\n').filter((line) => !/^\\(un)?restrict /.test(line));
      };
      const [ours, theirs] = await Promise.all([dump(proxy.url), dump(plainUrl)]);
      expect(theirs.length).toBeGreaterThan(50);
      expect(ours).toEqual(theirs);
    },
  );
});
