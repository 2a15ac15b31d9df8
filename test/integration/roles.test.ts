/*
 * Roles are made, changed and granted through the proxy as on one Postgres: on each server once,
 * however many of its databases are shards.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { serverNames } from '../support/servers.js';

const tables = {
  main: { logs: {} },
  shop: {
    things: { shard_key: 'id', vindex: 'by_key' },
    owned: { shard_key: 'id', vindex: 'by_key' },
  },
};

let scene: Scene;
/** Two of its shards are databases of one server, under different addresses. */
let shared: Proxy;

beforeAll(async () => {
  scene = await openScene('roles', tables, [
    'CREATE TABLE things (id int PRIMARY KEY, t text)',
    `INSERT INTO things SELECT g, 't' || g FROM generate_series(1, 20) g`,
  ]);
  const { databases } = scene;
  await databases.query('main', 'CREATE DATABASE roles_beside');
  const beside = new URL(databases.urls.main);
  beside.hostname = 'localhost';
  beside.pathname = '/roles_beside';
  const urls = { ...databases.urls, s0: beside.toString() };
  shared = await startProxy({ config: clusterConfig({ ...databases, urls }, tables) });
});
afterAll(async () => {
  await shared.stop();
  const { databases } = scene;
  await databases.query('main', 'DROP DATABASE roles_beside WITH (FORCE)');
  for (const name of serverNames) {
    const client = await connectPg(databases.urls[name]);
    const { rows } = await client.query<{ rolname: string }>(
      `SELECT rolname FROM pg_roles WHERE rolname LIKE 'sgt\\_%'`,
    );
    for (const { rolname } of rows) {
      await client.query(`DROP OWNED BY ${rolname}`);
      await client.query(`DROP ROLE ${rolname}`);
    }
    await client.end();
  }
  await scene.close();
});

describe('as on one server', () => {
  test.each([
    'CREATE ROLE sgt_reader',
    'CREATE ROLE sgt_reader',
    'GRANT SELECT ON things TO sgt_reader',
    'SET ROLE sgt_reader',
    'SELECT count(*) FROM things',
    `UPDATE things SET t = 'x'`,
    'CREATE ROLE sgt_other',
    'RESET ROLE',
    'ALTER ROLE sgt_reader CREATEROLE',
    `COMMENT ON ROLE sgt_reader IS 'reads'`,
    'CREATE ROLE sgt_group ROLE sgt_reader',
    'REVOKE sgt_group FROM sgt_reader',
    'GRANT sgt_group TO sgt_reader WITH ADMIN OPTION',
    'ALTER ROLE sgt_group RENAME TO sgt_team',
    'DROP ROLE sgt_reader',
    'REVOKE SELECT ON things FROM sgt_reader',
    'DROP ROLE sgt_reader, sgt_team',
    'DROP ROLE IF EXISTS sgt_nobody',
    'DROP ROLE postgres',
    `DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sgt_app') THEN CREATE ROLE sgt_app; END IF; END $$`,
    'CREATE ROLE sgt_a; CREATE ROLE sgt_b; DROP ROLE sgt_a, sgt_b',
    `ALTER ROLE sgt_app SET work_mem = '1MB'; ALTER ROLE sgt_app SET search_path TO a, "B"`,
    `SELECT rolconfig FROM pg_roles WHERE rolname = 'sgt_app'`,
    'ALTER USER sgt_app RESET work_mem',
    'ALTER ROLE sgt_app SET no_such_setting = 1',
    'ALTER ROLE sgt_nobody SET work_mem = 64',
    `SELECT rolconfig FROM pg_roles WHERE rolname = 'sgt_app'`,
    'ALTER ROLE sgt_app RESET ALL',
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });

  test('what a role owns is given to another one, or dropped, in every database', async () => {
    for (const sql of [
      'CREATE ROLE sgt_old',
      'CREATE ROLE sgt_new',
      'CREATE TABLE owned (id int PRIMARY KEY)',
      'INSERT INTO owned SELECT generate_series(1, 9)',
      'ALTER TABLE owned OWNER TO sgt_old',
      'DROP ROLE sgt_old',
      'BEGIN',
      'DROP OWNED BY sgt_old',
      `SELECT to_regclass('owned')`,
      'ROLLBACK',
      'REASSIGN OWNED BY sgt_old TO sgt_new',
      `SELECT tableowner FROM pg_tables WHERE tablename = 'owned'`,
      'GRANT SELECT ON things TO sgt_old',
      'DROP OWNED BY sgt_old',
      'DROP ROLE sgt_old',
      'SELECT count(*) FROM owned',
      'DROP OWNED BY sgt_new CASCADE',
      `SELECT to_regclass('owned')`,
      'DROP ROLE sgt_new',
      'DROP OWNED BY sgt_new',
      'REASSIGN OWNED BY sgt_app TO sgt_nobody',
    ]) {
      await scene.comparison.expectSame(sql);
    }
  });

  test('in a transaction, with grants and rows on several shards', async () => {
    for (const sql of [
      'BEGIN',
      'CREATE ROLE sgt_writer',
      'GRANT INSERT ON things TO sgt_writer',
      'SET LOCAL ROLE sgt_writer',
      `INSERT INTO things VALUES (101, 'a'), (102, 'b'), (103, 'c'), (104, 'd')`,
      'SELECT * FROM things',
      'ROLLBACK',
      `SELECT count(*) FROM pg_roles WHERE rolname = 'sgt_writer'`,
    ]) {
      await scene.comparison.expectSame(sql);
    }
  });
});

test('who may log in is said by the configuration, which a NOTICE tells', async () => {
  const client = await connectPg(scene.proxy.url);
  const told: (string | undefined)[] = [];
  client.on('notice', ({ message }) => told.push(message));
  await client.query('CREATE USER sgt_login');
  await client.query(`ALTER ROLE sgt_login SET timezone = 'UTC'`);
  await client.query('DROP ROLE sgt_login');
  await client.end();
  expect(told).toEqual([
    expect.stringContaining('who may log in to Shardgate'),
    expect.stringContaining('do not begin with them'),
  ]);
});

test('what would lock Shardgate out is refused', async () => {
  await scene.comparison.expectRefused('ALTER ROLE postgres NOLOGIN', undefined, /connects to/);
  await scene.comparison.expectRefused('ALTER ROLE CURRENT_USER PASSWORD NULL');
  await scene.comparison.expectRefused(`ALTER ROLE postgres SET work_mem = '1MB'`);
  await scene.comparison.expectRefused(`ALTER ROLE ALL SET work_mem = '1MB'`);
  await scene.comparison.expectRefused('DROP OWNED BY CURRENT_USER');
  await scene.comparison.expectRefused(
    'REASSIGN OWNED BY postgres TO sgt_app',
    undefined,
    /postgres/,
  );
});

test('a server with several shards makes a role once', async () => {
  const client = await connectPg(shared.url);
  await client.query('CREATE ROLE sgt_once');
  await client.query(`COMMENT ON ROLE sgt_once IS 'made once'`);
  await client.query(`ALTER ROLE sgt_once SET work_mem = '1MB'`);
  await expect(client.query('DROP OWNED BY sgt_once')).rejects.toMatchObject({ code: '0A000' });
  await client.query('DROP ROLE sgt_once');
  await client.end();
});
