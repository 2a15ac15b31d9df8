/*
 * DDL that PostgreSQL forbids in a transaction: each shard commits it by itself. What has been done is written down, so
 * that the same statement goes on where it stopped, after an error, a cancel, or a crash of the proxy.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { clusterConfig } from '../support/proxy-config.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';

const tables = { shop: { items: { shard_key: 'id' } } };
const allShards = ['main', 's0', 's1', 's2', 's3'] as const;
let scene: Scene;

beforeAll(async () => {
  scene = await openScene('ddl_steps', tables, [
    'CREATE TABLE items (id int, n int)',
    'INSERT INTO items SELECT g, g FROM generate_series(1, 200) g',
  ]);
});

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  await scene.databases.query('main', 'TRUNCATE shardgate.ddl_jobs').catch(() => undefined);
});

interface Client {
  readonly client: pg.Client;
  readonly notices: string[];
}

async function connect(proxy: Proxy = scene.proxy): Promise<Client> {
  const client = await connectPg(proxy.url);
  const notices: string[] = [];
  client.on('notice', (notice) => notices.push(notice.message ?? ''));
  return { client, notices };
}

/** The indexes of the table by shard: name, and whether it is valid. */
async function indexes(): Promise<Record<string, string>> {
  const found = await Promise.all(
    allShards.map(async (name) => {
      const rows = await scene.databases.query(
        name,
        `SELECT string_agg(indexrelid::regclass::text || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ', '
           ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = 'items'::regclass`,
      );
      return [name, rows[0]![0] ?? ''];
    }),
  );
  return Object.fromEntries(found) as Record<string, string>;
}

function everywhere(text: string): Record<string, string> {
  return Object.fromEntries(allShards.map((name) => [name, text]));
}

async function jobs(): Promise<(string | null)[][]> {
  const rows = await scene.databases.query(
    'main',
    'SELECT statement, ended_at IS NOT NULL FROM shardgate.ddl_jobs ORDER BY begun_at',
  );
  return rows as (string | null)[][];
}

/** Holds a lock that makes concurrent builds on this shard wait; the result ends it. */
async function block(shard: (typeof allShards)[number]): Promise<() => Promise<void>> {
  const blocker = await connectPg(scene.databases.urls[shard]);
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE items IN ROW EXCLUSIVE MODE');
  return async () => {
    await blocker.query('COMMIT');
    await blocker.end();
  };
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 200 && !(await condition()); i++) await sleep(50);
  expect(await condition()).toBe(true);
}

test('tells of each shard that is done, and is written down as done', async () => {
  const { client, notices } = await connect();
  await client.query('CREATE INDEX CONCURRENTLY told ON items (n)');
  expect(notices).toHaveLength(5);
  expect(notices[0]).toBe('shard "main": done (1 of 5)');
  expect(notices[4]).toMatch(/^shard "s\d": done \(5 of 5\)$/);
  expect(await jobs()).toEqual([['CREATE INDEX CONCURRENTLY told ON items (n)', true]]);
  await expect(client.query('CREATE INDEX CONCURRENTLY told ON items (n)')).rejects.toMatchObject({
    code: '42P07',
  });
  await client.query('SET client_min_messages = warning');
  notices.length = 0;
  await client.query('REINDEX INDEX CONCURRENTLY told');
  await client.query({ text: 'DROP INDEX CONCURRENTLY told', name: 'prepared' });
  expect(notices).toEqual([]);
  expect(await indexes()).toEqual(everywhere(''));
  await client.end();
});

test('answers as one PostgreSQL does where nothing can be done, and leaves no trace', async () => {
  for (const sql of [
    'CREATE INDEX CONCURRENTLY ON nowhere (n)',
    'CREATE INDEX CONCURRENTLY x ON items (nothing)',
    'DROP INDEX CONCURRENTLY nowhere',
    'REINDEX TABLE CONCURRENTLY nowhere',
    'BEGIN; CREATE INDEX CONCURRENTLY x ON items (n)',
  ]) {
    const { client } = await connect();
    const oracle = await connectPg(scene.databases.urls.oracle);
    const told = await Promise.all(
      [client, oracle].map((one) =>
        one.query(sql).then(
          () => 'done',
          (error: pg.DatabaseError) => `${error.code} ${error.message}`,
        ),
      ),
    );
    expect(told[0], sql).toBe(told[1]);
    await client.end();
    await oracle.end();
  }
  expect(await jobs()).toEqual([]);
  expect(await indexes()).toEqual(everywhere(''));
});

test.each([
  ['a named index', 'CREATE UNIQUE INDEX CONCURRENTLY once ON items (id, (n % 1000))', 'once'],
  ['one that the server names', 'CREATE UNIQUE INDEX CONCURRENTLY ON items (id)', 'items_id_idx'],
])(
  '%s that fails on one shard is built there when it is said again',
  async (_what, build, name) => {
    const { client, notices } = await connect();
    const [key] = (
      await scene.databases.query('s2', 'SELECT id::int FROM items ORDER BY id LIMIT 1')
    )[0]!;
    const copy = `INSERT INTO items VALUES (${String(key)}, ${String(key)})`;
    await scene.databases.query('s2', copy);
    await expect(client.query(build)).rejects.toMatchObject({
      code: '23505',
      hint: expect.stringMatching(/It failed on "s2"\. Repeat the same statement/) as string,
    });
    expect((await indexes())['s2']).toBe(`${name} invalid`);
    expect(await jobs()).toEqual([[build, false]]);
    await scene.databases.query(
      's2',
      `DELETE FROM items WHERE ctid = (SELECT max(ctid) FROM items WHERE id = ${String(key)})`,
    );
    notices.length = 0;
    await client.query(build);
    expect(notices).toContain('shard "main": has been done before');
    expect(notices).toContain(`shard "s2": dropping invalid index public.${name}`);
    expect(await indexes()).toEqual(everywhere(name));
    expect(await jobs()).toEqual([[build, true]]);
    await client.query(`DROP INDEX CONCURRENTLY ${name}`);
    await client.end();
  },
);

test('a cancel ends it everywhere; said again it goes on', async () => {
  const release = await block('s1');
  const { client } = await connect();
  const [row] = (await client.query('SELECT pg_backend_pid() AS pid')).rows as { pid: number }[];
  const other = await connect();
  const build = client.query('CREATE INDEX CONCURRENTLY cut ON items (n)');
  const failed = expect(build).rejects.toMatchObject({ code: '57014' });
  await until(async () => (await indexes())['s1'] === 'cut invalid');
  await other.client.query(`SELECT pg_cancel_backend(${row!.pid})`);
  await failed;
  await release();
  await client.query('CREATE INDEX CONCURRENTLY cut ON items (n)');
  expect(await indexes()).toEqual(everywhere('cut'));
  await client.query('DROP INDEX CONCURRENTLY cut');
  await client.end();
  await other.client.end();
});

test.each([
  ['while a server still builds', true],
  ['after that has been broken off', false],
])('a proxy is killed %s; the next one goes on', async (_when, builds) => {
  const config = clusterConfig(scene.databases, tables, { pool: { size: 4 } });
  const first = await startProxy({ config });
  const { client } = await connect(first);
  const release = await block('s1');
  const sql = 'CREATE INDEX CONCURRENTLY lost ON items (n)';
  const lost = client.query(sql).catch(() => 'lost');
  await until(async () => {
    const { s0, s1, s2 } = await indexes();
    return s0 === 'lost' && s1 === 'lost invalid' && s2 === 'lost';
  });
  await first.kill();
  expect(await lost).toBe('lost');
  if (!builds) {
    await scene.databases.query(
      's1',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE query LIKE 'CREATE INDEX CONCURRENTLY lost%' AND pid <> pg_backend_pid()`,
    );
    await release();
  }
  const second = await startProxy({ config });
  await until(() => second.logs().includes('DDL is unfinished') || builds);
  const { client: again, notices } = await connect(second);
  const repeated = again.query(sql);
  if (builds) {
    await until(() => notices.includes('shard "s1": is still at it; waiting'));
    await release();
  }
  await repeated;
  if (!builds) expect(notices).toContain('shard "s1": dropping invalid index public.lost');
  expect(notices).toContain('shard "s0": has been done before');
  expect(await indexes()).toEqual(everywhere('lost'));
  expect(await jobs()).toEqual([[sql, true]]);
  await again.query('DROP INDEX CONCURRENTLY lost');
  await again.end();
  await second.stop();
});

test('what was done and has been dropped since is built again', async () => {
  const { client } = await connect();
  const [row] = await scene.databases.query('s2', 'SELECT id::int FROM items ORDER BY id LIMIT 1');
  const value = String(row![0]);
  await scene.databases.query('s2', `INSERT INTO items VALUES (${value}, ${value})`);
  const build = 'CREATE UNIQUE INDEX CONCURRENTLY undone ON items (id)';
  await expect(client.query(build)).rejects.toMatchObject({ code: '23505' });
  await client.query('DROP INDEX IF EXISTS undone');
  await scene.databases.query(
    's2',
    `DELETE FROM items WHERE ctid = (SELECT max(ctid) FROM items WHERE id = ${value})`,
  );
  await client.query(build);
  expect(await indexes()).toEqual(everywhere('undone'));
  await client.query('DROP INDEX CONCURRENTLY undone');
  await client.end();
});

test('two clients at the same statement: the second hears that the index exists', async () => {
  const [one, two] = [await connect(), await connect()];
  const sql = 'CREATE INDEX CONCURRENTLY twice ON items (n)';
  const told = await Promise.all(
    [one, two].map(({ client }) =>
      client.query(sql).then(
        () => 'done',
        (error: pg.DatabaseError) => error.code,
      ),
    ),
  );
  expect(told.sort()).toEqual(['42P07', 'done']);
  expect(await indexes()).toEqual(everywhere('twice'));
  await one.client.query('DROP INDEX CONCURRENTLY twice');
  await one.client.end();
  await two.client.end();
});

test('a partition that was detached in part is finalized', async () => {
  const { client } = await connect();
  await client.query('CREATE TABLE log (id int, day int) PARTITION BY LIST (day)');
  await client.query('CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1)');
  const detach = 'ALTER TABLE log DETACH PARTITION log_1 CONCURRENTLY';
  const reader = await connectPg(scene.databases.urls.s3);
  await reader.query('BEGIN');
  await reader.query('SELECT * FROM log');
  const waiting = client.query(detach);
  const failed = expect(waiting).rejects.toMatchObject({ code: '57014' });
  const pending = `SELECT 1 FROM pg_inherits WHERE inhrelid = 'log_1'::regclass AND inhdetachpending`;
  await until(async () => (await scene.databases.query('s3', pending)).length > 0);
  await scene.databases.query(
    's3',
    `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
      WHERE query LIKE 'ALTER TABLE log DETACH%' AND pid <> pg_backend_pid()`,
  );
  await failed;
  await reader.query('COMMIT');
  await reader.end();
  await client.query(detach);
  const left = await Promise.all(
    allShards.map((name) =>
      scene.databases.query(name, `SELECT 1 FROM pg_inherits WHERE inhrelid = 'log_1'::regclass`),
    ),
  );
  expect(left.flat()).toEqual([]);
  await client.end();
});
