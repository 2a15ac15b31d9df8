/*
 * Attacks that poolers have fallen to, beside those of login.test.ts (plain text in front of TLS, a second startup
 * message, malformed SCRAM), session-fuzz.test.ts and hostile-shard.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectPg } from '../support/scene.js';
import { runStatement } from '../support/oracle.js';
import { WireClient } from '../support/wire-client.js';
import { sqlStates } from '../support/wire-pair.js';

const DATABASE = 'attacks';
const SECRETS = {
  user: 'hunter2-of-the-user',
  wrong: 'hunter3-that-is-wrong',
  shard: 'hunter4-of-the-shard',
  literal: 'hunter5-in-a-statement',
  parameter: 'hunter6-in-a-parameter',
};

let databases: DatabaseSet;
let proxy: Proxy;

beforeAll(async () => {
  databases = await createDatabaseSet(DATABASE);
  const urls = Object.fromEntries(
    Object.entries(databases.urls).map(([name, url]) => {
      const withPassword = new URL(url);
      withPassword.password = SECRETS.shard;
      return [name, withPassword.href];
    }),
  ) as DatabaseSet['urls'];
  const tables = { main: { lone: {} }, shop: { items: { shard_key: 'id', vindex: 'by_key' } } };
  proxy = await startProxy({
    config: clusterConfig({ ...databases, urls }, tables, {
      auth: {
        method: 'scram-sha-256',
        users: [
          { name: 'postgres', password: SECRETS.user, role: 'admin' },
          { name: 'app', password: SECRETS.user },
        ],
      },
      log: { level: 'trace' },
    }),
  });
  const client = await login('postgres');
  await client.query('CREATE TABLE items (id int PRIMARY KEY, v text)');
  await client.query('CREATE TABLE lone (id int PRIMARY KEY, v text)');
  const rows = Array.from({ length: 20 }, (_, id) => `(${id}, 'item ${id}')`).join();
  await client.query(`INSERT INTO items VALUES ${rows}; INSERT INTO lone VALUES ${rows}`);
  await client.end();
});
afterAll(async () => {
  await proxy.stop();
  await databases.drop();
});

function login(user: string, options = ''): ReturnType<typeof connectPg> {
  const url = `postgres://${user}:${SECRETS.user}@127.0.0.1:${proxy.port}/${DATABASE}`;
  return connectPg(url, options === '' ? {} : { options });
}

test('a search path of the client does not lead what the proxy runs itself astray', async () => {
  const trap = (name: string, types: string, result: string): string =>
    `CREATE FUNCTION trap.${name}(${types}) RETURNS ${result} LANGUAGE plpgsql
     AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$`;
  for (const name of ['main', 's0', 's1', 's2', 's3'] as const) {
    await databases.query(name, 'CREATE SCHEMA trap');
    for (const [function_, types, result] of [
      ['unnest', 'anyarray', 'SETOF anyelement'],
      ['set_config', 'text, text, boolean', 'text'],
      ['pg_backend_pid', '', 'integer'],
      ['pg_blocking_pids', 'integer', 'integer[]'],
      ['pg_current_xact_id_if_assigned', '', 'xid8'],
      ['hashint4extended', 'integer, bigint', 'bigint'],
    ] as const) {
      await databases.query(name, trap(function_, types, result));
    }
    await databases.query(name, 'CREATE TABLE trap.decisions (trapped int)');
  }
  const client = await login('app', '-c search_path=trap,pg_catalog,public');
  for (const sql of [
    'SELECT count(*) FROM items a JOIN lone b ON a.v = b.v',
    'SELECT id FROM items ORDER BY id LIMIT 3',
    'INSERT INTO items SELECT id + 100, v FROM lone',
    `UPDATE items SET v = 'x' WHERE v IN (SELECT v FROM lone)`,
    `BEGIN; UPDATE items SET v = 'y'; COMMIT`,
    `SET work_mem = '5MB'; SELECT v FROM items WHERE id = 1`,
    'DECLARE c CURSOR FOR SELECT id FROM items ORDER BY id',
    'DELETE FROM items WHERE id >= 100',
  ]) {
    const { error } = await runStatement(client, sql);
    expect([sql, error?.message ?? '']).not.toEqual([sql, expect.stringContaining('trapped')]);
  }
  const { rows } = await client.query('SELECT count(*)::int AS n FROM items');
  expect(rows).toEqual([{ n: 20 }]);
  await client.end();
});

test('who is not an admin ends or cancels nobody else', async () => {
  const [admin, app] = [await login('postgres'), await login('app')];
  const { rows } = await admin.query('SELECT pg_backend_pid() AS pid');
  const pid = Number(rows[0].pid);
  for (const name of ['pg_terminate_backend', 'pg_cancel_backend']) {
    expect((await runStatement(app, `SELECT ${name}(${pid})`)).error?.code).toBe('42501');
  }
  expect((await admin.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await admin.end();
  await app.end();
});

test('long names in a startup message are refused, and harm nobody', async () => {
  for (const [user, database] of [
    ['postgres', 'd'.repeat(9000)],
    ['u'.repeat(9000), DATABASE],
    ['u'.repeat(4000), 'd'.repeat(4000)],
  ] as const) {
    const client = await WireClient.open({ port: proxy.port });
    client.startup({ port: proxy.port, user, database });
    expect((await client.next()).type).toBe('R');
    client.destroy();
  }
  const client = await login('app');
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await client.end();
});

describe('secrets', () => {
  test('stand in no log, no error and no metric', async () => {
    const errors: string[] = [];
    const note = (error: unknown): void => {
      errors.push(JSON.stringify(error, Object.getOwnPropertyNames(error)));
    };
    for (const [user, password] of [
      ['app', SECRETS.wrong],
      ['nobody', SECRETS.wrong],
    ] as const) {
      const url = `postgres://${user}:${password}@127.0.0.1:${proxy.port}/${DATABASE}`;
      await connectPg(url).catch(note);
    }
    const client = await login('app');
    for (const sql of [
      `SELECT '${SECRETS.literal}' FROM items ORDER BY nothing`,
      `SELECT '${SECRETS.literal}'::text, pg_sleep(0) FROM nowhere`,
      `CREATE ROLE attacks_user PASSWORD '${SECRETS.literal}' NOTHING`,
    ]) {
      await client.query(sql).catch(() => undefined);
    }
    await client.query('SELECT $1::text FROM items ORDER BY 1', [SECRETS.parameter]);
    await client.query('SELECT 1 / (length($1) - 22)', [SECRETS.parameter]).catch(note);
    await client.end();
    // A login in the middle of which the client sends something else.
    const broken = await WireClient.open({ port: proxy.port });
    broken.startup({ port: proxy.port, user: 'app', database: DATABASE });
    await broken.next();
    broken.query(SECRETS.wrong);
    expect(sqlStates(await broken.closed())).toHaveLength(1);
    const metrics = await (await fetch(`http://127.0.0.1:${proxy.httpPort}/metrics`)).text();
    const page = await (await fetch(`http://127.0.0.1:${proxy.httpPort}/`)).text();
    const told = { logs: proxy.logs(), errors: errors.join('\n'), metrics, page };
    expect(told.logs).toContain('login refused');
    expect(errors.length).toBeGreaterThan(2);
    for (const [where, text] of Object.entries(told)) {
      for (const secret of Object.values(SECRETS)) {
        expect(text.includes(secret), `${secret} in ${where}`).toBe(false);
      }
    }
  });
});
