/*
 * Goal: whenever a proxy dies that moves rows (MOVE, REPAIR, the job of `tiered`), afterwards nothing is prepared, each
 * row is there once, and whoever says the same again, or the job of another proxy, finishes it. Method: the proxy kills
 * itself at each step of the transaction, or is killed at random moments; then a fresh one goes on.
 */
import type pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { crashPoints, type CrashPoint } from '../../src/transaction/crash-points.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';
import { isAlive, startProxy, type Proxy } from '../support/proxy.js';
import { clusterConfig } from '../support/proxy-config.js';
import { connectPg } from '../support/scene.js';

const points = crashPoints.filter((point) => point.startsWith('rows-'));
const dataShards = ['s0', 's1', 's2', 's3'] as const;
const ROWS = 60;
/** A dozen proxies start here. */
const TIMEOUT_MS = 180_000;

/** Each point has tables of its own, so that all moves wait at a time. */
const movedTable = (point: CrashPoint): string => `moved_${point.replaceAll('-', '_')}`;
const movedTables = points.map(movedTable);

let databases: DatabaseSet;
let proxy: Proxy;
let client: pg.Client;
let admin: pg.Client;

beforeAll(async () => {
  databases = await createDatabaseSet('moves_crash');
  proxy = await launch();
  client = await connectPg(proxy.url);
  admin = await connectConsole(proxy);
  for (const table of movedTables) {
    await client.query(`CREATE TABLE ${table} (k text, id int, PRIMARY KEY (k, id))`);
  }
  await client.query('CREATE TABLE aged (k date, id int, PRIMARY KEY (k, id))');
  await client.query('CREATE TABLE strays (id int PRIMARY KEY, n int)');
});

afterAll(async () => {
  await Promise.all([client.end(), admin.end()]);
  await proxy.stop();
  await databases.drop();
});

/** `strict`: to its job old days belong to s1, and to that of others to s0 or s2. */
function launch(env: Readonly<Record<string, string>> = {}, strict = false): Promise<Proxy> {
  const tiers = strict
    ? [{ younger_than: '1d', shards: ['s0'] }, { shards: ['s1'] }]
    : [{ shards: ['s0', 's2'] }];
  const directories = movedTables.map((table): [string, object] => [
    `by_${table}`,
    { type: 'directory', table: `${table}_shards` },
  ]);
  const aged = {
    type: 'tiered',
    table: 'aged_shards',
    period: 'day',
    tiers,
    interval: strict ? '1s' : '24h',
  };
  const config = clusterConfig(
    databases,
    {
      vindexes: { ...Object.fromEntries(directories), by_age: aged },
      shop: {
        ...Object.fromEntries(
          movedTables.map((table): [string, object] => [
            table,
            { shard_key: 'k', vindex: `by_${table}` },
          ]),
        ),
        aged: { shard_key: 'k', vindex: 'by_age' },
        strays: { shard_key: 'id' },
      },
    },
    { pool: { size: 4, queue_timeout: '2s' } },
  );
  const quick = { SHARDGATE_RECOVERY_AGE_MS: '300', SHARDGATE_RECOVERY_INTERVAL_MS: '150' };
  return startProxy({ config, env: { ...quick, ...env } });
}

function connectConsole({ url }: Proxy): Promise<pg.Client> {
  const console = new URL(url);
  console.pathname = '/shardgate';
  return connectPg(console.href);
}

/** Runs a console command on a proxy that dies of it. */
async function dieOf(dying: Proxy, command: string): Promise<void> {
  const console = await connectConsole(dying);
  await expect(console.query(command)).rejects.toThrow();
  await console.end().catch(() => undefined);
  await dying.kill();
}

/** Waits until a proxy has died of its job. */
async function dieOfJob(dying: Proxy): Promise<void> {
  await expect.poll(() => isAlive(dying.pid), { timeout: 60_000 }).toBe(false);
  await dying.kill();
}

async function untilNothingIsPrepared(): Promise<void> {
  const sql = 'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()';
  const prepared = (): Promise<unknown[]> =>
    Promise.all(
      (['main', ...dataShards] as const).map((shard) => databases.query(shard, sql)),
    ).then((all) => all.flat());
  await expect.poll(prepared, { timeout: 30_000 }).toEqual([]);
}

/** Rows of a table on each shard that has some. */
async function counts(table: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const shard of dataShards) {
    const [[n] = []] = await databases.query(shard, `SELECT count(*)::int FROM ${table}`);
    if (n !== 0) found[shard] = n as number;
  }
  return found;
}

test(
  'MOVE, and the job of tiers, killed at each step, are finished by another proxy',
  { timeout: TIMEOUT_MS },
  async () => {
    for (const table of [...movedTables, 'aged']) {
      const key = table === 'aged' ? '2020-02-02' : 'k';
      const rows = Array.from({ length: ROWS }, (_, id) => `('${key}', ${id})`);
      await client.query(`INSERT INTO ${table} VALUES ${rows.join(', ')}`);
    }
    const before = await Promise.all(movedTables.map(counts));
    expect(before.map((own) => Object.values(own))).toEqual(movedTables.map(() => [ROWS]));
    const targets = before.map((own) => dataShards.find((shard) => own[shard] === undefined)!);
    const move = (place: number): string => `MOVE ${movedTables[place]!} k TO ${targets[place]!}`;
    const dying: Proxy[] = [];
    for (const point of points) dying.push(await launch({ SHARDGATE_CRASH_POINT: point }));
    const aging = await launch({ SHARDGATE_CRASH_POINT: 'rows-decided' }, true);
    await Promise.all([...dying.map((own, place) => dieOf(own, move(place))), dieOfJob(aging)]);
    await untilNothingIsPrepared();
    for (const [place, point] of points.entries()) {
      const table = movedTable(point);
      const now = await counts(table);
      expect(Object.values(now), table).toEqual([ROWS]);
      const [entry] = await databases.query('main', `SELECT shard, moving FROM ${table}_shards`);
      expect(entry).toEqual([Object.keys(now)[0], true]);
      const arrives = point === 'rows-decided' || point === 'rows-moved';
      expect(now[targets[place]!] === ROWS, table).toBe(arrives);
      const all = await client.query(`SELECT count(*)::int AS n FROM ${table}`);
      expect(all.rows).toEqual([{ n: ROWS }]);
      await expect(client.query(`SELECT FROM ${table} WHERE k = 'k'`)).rejects.toMatchObject({
        code: '55000',
      });
    }
    const next = await launch({}, true);
    await Promise.all(
      points.map(async (_point, place) => {
        const console = await connectConsole(place % 2 === 0 ? next : proxy);
        const moved = (): Promise<string> =>
          console.query(move(place)).then(
            () => 'moved',
            (error: Error) => error.message,
          );
        // A server may take a moment to see that the other one has died.
        await expect.poll(moved, { timeout: 60_000 }).toBe('moved');
        await console.end();
      }),
    );
    for (const [place, table] of movedTables.entries()) {
      expect(await counts(table)).toEqual({ [targets[place]!]: ROWS });
      const found = await client.query(`SELECT FROM ${table} WHERE k = 'k'`);
      expect(found.rowCount).toBe(ROWS);
    }
    const entry = (): Promise<unknown[][]> =>
      databases.query('main', 'SELECT shard, moving FROM aged_shards');
    await expect.poll(entry, { timeout: 30_000 }).toEqual([['s1', false]]);
    expect(await counts('aged')).toEqual({ s1: ROWS });
    await next.stop();
  },
);

test(
  'REPAIR, killed at each step it has and at random moments, loses and doubles no row',
  { timeout: TIMEOUT_MS },
  async () => {
    const strays = Array.from({ length: 800 }, (_, i) => `(${i}, ${i})`).join(', ');
    await databases.query('s0', `INSERT INTO strays VALUES ${strays}`);
    for (const point of points.filter((own) => own !== 'rows-first-prepared')) {
      await dieOf(await launch({ SHARDGATE_CRASH_POINT: point }), 'REPAIR strays');
      await untilNothingIsPrepared();
      const all = await client.query(
        'SELECT count(*)::int AS n, count(DISTINCT id)::int AS d FROM strays',
      );
      expect(all.rows).toEqual([{ n: 800, d: 800 }]);
    }
    for (let round = 0; round < 3; round++) {
      const dying = await launch();
      const console = await connectConsole(dying);
      const repair = console.query('REPAIR strays').catch(() => undefined);
      await sleep(Math.random() * 100);
      await dying.kill();
      await repair;
      await console.end().catch(() => undefined);
    }
    // What those who have died have sent may still be on its way.
    const wrong = async (): Promise<unknown[]> => {
      await admin.query('REPAIR strays');
      const { rows } = await admin.query<{ wrong: string }>('AUDIT strays');
      return rows.filter((line) => line.wrong !== '0');
    };
    await expect.poll(wrong, { timeout: 30_000 }).toEqual([]);
    await untilNothingIsPrepared();
    const sums =
      'SELECT count(*)::int AS n, count(DISTINCT id)::int AS d, sum(n)::int AS s FROM strays';
    const all = async (): Promise<unknown[]> => (await client.query(sums)).rows;
    await expect.poll(all, { timeout: 30_000 }).toEqual([{ n: 800, d: 800, s: (800 * 799) / 2 }]);
  },
);
