/* The vindex `tiered`: periods of time on shards by their age, and the job that moves them. */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startProxy, type Proxy } from '../support/proxy.js';
import { clusterConfig, type ClusterTables } from '../support/proxy-config.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import type { ServerName } from '../support/servers.js';

const shards = ['s0', 's1', 's2', 's3'] as const satisfies readonly ServerName[];

/** Everybody here may have a backend of each shard. */
const pool = { size: 10, queue_timeout: '2s' };

/** Periods of a day: those of the last 30 days on s0 and s1, of the last 60 on s2, all others on s3. */
const tiers = [
  { younger_than: '30d', shards: ['s0', 's1'] },
  { younger_than: '60d', shards: ['s2'] },
  { shards: ['s3'] },
];
/** To a proxy with these all periods are young: it puts them where the job of another one finds them too old. */
const young = [{ younger_than: '5200w', shards: ['s0', 's1'] }, { shards: ['s3'] }];

function tables(own: object[], interval: string): ClusterTables {
  const by = (table: string): object => ({
    type: 'tiered',
    ...{ table, period: 'day', tiers: own, interval },
  });
  return {
    vindexes: { by_day: by('day_shards') },
    shop: {
      events: { shard_key: 'ts', vindex: 'by_day' },
      marks: { shard_key: 'ts', vindex: 'by_day' },
      days: { shard_key: 'd', vindex: 'by_day' },
    },
  };
}

const schema = [
  'CREATE TABLE events (ts timestamptz, id int, n int, PRIMARY KEY (ts, id))',
  'CREATE TABLE marks (ts timestamptz PRIMARY KEY, mark text)',
  'CREATE TABLE days (d date, n int)',
];

let scene: Scene;
let client: pg.Client;
let admin: pg.Client;

beforeAll(async () => {
  scene = await openScene('tiered', tables(young, '24h'), schema, { pool });
  client = await connectPg(scene.proxy.url);
  admin = await connectConsole(scene.proxy);
});

afterAll(async () => {
  await Promise.all([client.end(), admin.end()]);
  await scene.close();
});

function connectConsole({ url }: Proxy): Promise<pg.Client> {
  const console = new URL(url);
  console.pathname = '/shardgate';
  return connectPg(console.href);
}

const DAY_MS = 86_400_000;

/** The day that was so many days ago. */
function day(ago: number): string {
  return new Date(Date.now() - ago * DAY_MS).toISOString().slice(0, 10);
}

/** Minutes and seconds. */
function clock(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(14, 19);
}

/** Where the rows of each day are. */
async function whereabouts(): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const shard of shards) {
    const rows = await scene.databases.query(
      shard,
      `SELECT DISTINCT to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM events`,
    );
    for (const [own] of rows) {
      found.set(String(own), [...(found.get(String(own)) ?? []), shard]);
    }
  }
  return found;
}

test('a new period gets the tier of its age, and stays on one shard with all its rows', async () => {
  const ages = [0, 1, 45, 400];
  const values = ages.flatMap((ago) => [
    `('${day(ago)} 00:00:00Z', 1, ${ago})`,
    `('${day(ago)} 23:59:59.999999Z', 2, ${ago})`,
  ]);
  const strict = await startProxy({
    config: clusterConfig(scene.databases, tables(tiers, '24h'), { pool }),
  });
  const one = await connectPg(strict.url);
  await one.query(`INSERT INTO events VALUES ${values.join(', ')}`);
  await one.end();
  await strict.stop();
  const places = await whereabouts();
  expect(ages.map((ago) => places.get(day(ago))?.length)).toEqual(ages.map(() => 1));
  const [today, yesterday, ...older] = ages.map((ago) => places.get(day(ago))![0]);
  expect([today, yesterday].sort()).toEqual(['s0', 's1']);
  expect(older).toEqual(['s2', 's3']);
  await client.query('DELETE FROM events');
});

test('statements are answered as by one Postgres', async () => {
  const { comparison } = scene;
  const rows = [0, 1, 2, 45, 90].flatMap((ago) => [
    `('${day(ago)} 01:00:00Z', 1, ${ago})`,
    `('${day(ago)} 02:00:00Z', 2, ${ago})`,
  ]);
  await comparison.expectSame(`INSERT INTO events VALUES ${rows.join(', ')}`);
  await comparison.expectSame(
    `INSERT INTO marks VALUES ('${day(1)} 01:00:00Z', 'a'), ('${day(90)} 02:00:00Z', 'b')`,
  );
  await comparison.expectSame(`INSERT INTO days VALUES ('${day(0)}', 1), ('${day(90)}', 2)`);
  for (const sql of [
    `SELECT * FROM events WHERE ts = '${day(1)} 01:00:00Z'`,
    `SELECT * FROM events WHERE ts = '${day(7)} 01:00:00Z'`,
    `SELECT * FROM events WHERE ts IN ('${day(1)} 01:00:00Z', '${day(90)} 01:00:00Z') ORDER BY n`,
    `SELECT * FROM events WHERE ts >= '${day(2)}Z' AND ts < '${day(0)}Z' ORDER BY ts, id`,
    `SELECT count(*), sum(n) FROM events`,
    `SELECT ts, mark FROM events JOIN marks USING (ts) ORDER BY ts`,
    `SELECT * FROM days WHERE d BETWEEN '${day(100)}' AND '${day(50)}'`,
    `SELECT d, count(*) FROM days GROUP BY d ORDER BY d`,
    `UPDATE events SET n = n + 1 WHERE ts = '${day(2)} 02:00:00Z' RETURNING *`,
    `UPDATE days SET n = n + 1`,
    `DELETE FROM events WHERE ts < '${day(80)}Z' AND id = 2`,
    `SELECT * FROM events ORDER BY ts, id`,
  ]) {
    await comparison.expectSame(sql);
  }
  await comparison.expectSame('SELECT * FROM events WHERE ts = $1', [`${day(1)} 01:00:00Z`]);
  await comparison.expectSame('SELECT * FROM days WHERE d = $1', [day(90)]);
});

test('ranges of time ask the shards that have their periods', async () => {
  const { comparison } = scene;
  await comparison.both('DELETE FROM events');
  const ages = [3, 4, 5, 20, 50, 51, 120];
  const strict = await startProxy({
    config: clusterConfig(scene.databases, tables(tiers, '24h'), { pool }),
  });
  const one = await connectPg(strict.url);
  try {
    for (const ago of ages) {
      const sql = `INSERT INTO events VALUES ('${day(ago)} 08:00:00Z', ${ago}, ${ago})`;
      await one.query(sql);
      await scene.databases.query('oracle', sql);
      // Whoever begins behind it sees it, through whatever proxy.
      await comparison.expectSame(
        `SELECT * FROM events WHERE ts >= '${day(ago)} 00:00Z' AND id = ${ago}`,
      );
    }
    const asked = async (where: string): Promise<unknown> => {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN SELECT * FROM events WHERE ${where}`,
      );
      const lines = rows.map((row) => row['QUERY PLAN'].trim());
      return lines.find((line) => line.startsWith('Shards:')) ?? 'one';
    };
    expect(await asked(`ts >= '${day(51)} 00:00Z' AND ts < '${day(49)} 00:00Z'`)).toBe('one');
    expect(await asked(`ts < '${day(100)} 00:00Z'`)).toBe('one');
    const both = `ts BETWEEN '${day(60)} 00:00Z' AND '${day(40)} 00:00Z' OR ts < '${day(100)} 00:00Z'`;
    expect(await asked(both)).toBe('Shards: s2, s3');
    expect(await asked(`ts > '${day(5)} 00:00Z'`)).toBe('Shards: s0, s1');
    expect(await asked(`ts BETWEEN '${day(60)} 00:00Z' AND '${day(4)} 00:00Z'`)).toBe(
      'Shards: s0, s1, s2',
    );
    expect(await asked(`ts > 'infinity'`)).toBe('one');
    expect(await asked('id > 0')).toBe('Shards: s0, s1, s2, s3');
    const { rows } = await admin.query(`ROUTE SELECT * FROM events WHERE ${both}`);
    expect(rows).toMatchObject([{ shards: 's2 s3', reason: 'ranges of the shard key' }]);
    const bounds = [130, 120, 51, 50, 49, 20, 5, 4, 3, 1];
    for (const [place, older] of bounds.entries()) {
      for (const younger of bounds.slice(place)) {
        const at = (ago: number): string => `${day(ago)} 08:00:00Z`;
        await comparison.expectSame(
          `SELECT id FROM events WHERE ts > '${at(older)}' AND ts <= '${at(younger)}' ORDER BY id`,
        );
        await comparison.expectSame(
          'SELECT count(*), sum(n) FROM events WHERE ts >= $1 AND ts < $2',
          [at(older), at(younger)],
        );
      }
    }
    await comparison.expectSame(
      `UPDATE events SET n = n + 1 WHERE ts < '${day(40)} 00:00Z' RETURNING id`,
    );
    await comparison.expectSame(
      `DELETE FROM events WHERE ts >= '${day(50)} 00:00Z' AND ts < '${day(4)} 00:00Z'`,
    );
    await comparison.both('BEGIN');
    await comparison.expectSame(`INSERT INTO events VALUES ('${day(77)} 00:00:00Z', 77, 77)`);
    await comparison.expectSame(`SELECT * FROM events WHERE ts < '${day(60)} 00:00Z' ORDER BY ts`);
    await comparison.both('ROLLBACK');
    await comparison.expectSame(
      `SELECT e.id, f.id FROM events e JOIN events f ON f.n = e.n WHERE e.ts < '${day(40)} 00:00Z' ORDER BY 1, 2`,
    );
    await comparison.expectSame('SELECT * FROM events ORDER BY ts');
  } finally {
    await one.end();
    await strict.stop();
  }
});

test.each([`'infinity'`, `'-infinity'`, 'NULL', `'10000-01-01'`])(
  'a row of %s is refused, and none is found',
  async (value) => {
    await scene.comparison.expectRefused(`INSERT INTO days VALUES (${value}, 1)`);
    await scene.comparison.expectSame(`SELECT * FROM days WHERE d = ${value}`);
  },
);

test('the length of periods that are there cannot be changed', async () => {
  const weeks = tables(young, '24h');
  const { by_day } = weeks.vindexes!;
  const config = clusterConfig(
    scene.databases,
    { ...weeks, vindexes: { by_day: { ...by_day, period: 'week' } } },
    { pool },
  );
  const other = await startProxy({ config });
  const one = await connectPg(other.url);
  await expect(one.query(`SELECT FROM days WHERE d = '${day(0)}'`)).rejects.toMatchObject({
    code: '0A000',
  });
  await one.end();
  await other.stop();
});

describe('the job', () => {
  test(
    'moves periods that are too old, and no statement sees a row twice or not at all',
    { timeout: 120_000 },
    async () => {
      const old = [40, 70, 200];
      await client.query('DELETE FROM events');
      await client.query('DELETE FROM marks');
      for (const ago of [0, ...old]) {
        const times = Array.from({ length: 300 }, (_, i) => `'${day(ago)} 00:${clock(i)}Z'`);
        const events = times.map((time, i) => `(${time}, ${i}, 0)`);
        const marks = times.filter((_, i) => i % 3 === 0).map((time) => `(${time}, 'm')`);
        await client.query(`INSERT INTO events VALUES ${events.join(', ')}`);
        await client.query(`INSERT INTO marks VALUES ${marks.join(', ')}`);
      }
      const strict = await startProxy({
        config: clusterConfig(scene.databases, tables(tiers, '1s'), { pool }),
      });
      let over = false;
      const seen = new Set<string>();
      let written = 0;
      const until = async (
        url: string,
        act: (one: pg.Client) => Promise<string>,
      ): Promise<void> => {
        const one = await connectPg(url);
        while (!over) {
          seen.add(await act(one).catch((error: pg.DatabaseError) => error.code ?? String(error)));
        }
        await one.end();
      };
      const text = async (one: pg.Client, sql: string, params: unknown[] = []): Promise<string> =>
        JSON.stringify((await one.query({ text: sql, values: params, rowMode: 'array' })).rows);
      const urls = [scene.proxy.url, strict.url];
      const busy = urls.flatMap((url) => [
        until(url, (one) => text(one, `SELECT count(*) FROM events WHERE n = 0`)),
        until(url, (one) => text(one, 'SELECT count(*) FROM events WHERE n = $1', [0])),
        until(url, (one) =>
          text(one, 'SELECT count(*), max(mark) FROM events JOIN marks USING (ts)'),
        ),
        until(url, (one) =>
          text(one, `SELECT count(*) FROM events WHERE n = 0 AND ts < '${day(30)} 00:00Z'`),
        ),
        until(url, (one) => text(one, `SELECT id FROM events WHERE ts = '${day(70)} 00:00:07Z'`)),
        until(url, async (one) => {
          await one.query(`INSERT INTO events VALUES ('${day(0)} 12:00:00Z', $1, 1)`, [++written]);
          return 'written';
        }),
      ]);
      // Two of them at a time would meet in deadlocks, as on one Postgres.
      busy.push(
        until(scene.proxy.url, async (one) => {
          const { rowCount } = await one.query('UPDATE marks SET mark = mark');
          return `marks ${rowCount}`;
        }),
      );
      const states = async (): Promise<string[]> => {
        const { rows } = await admin.query<{ period: string; shard: string }>('SHOW TIERS');
        return old.map((ago) => rows.find(({ period }) => period === day(ago))!.shard);
      };
      try {
        await expect
          .poll(() => whereabouts().then((all) => old.map((ago) => all.get(day(ago))?.join())), {
            timeout: 45_000,
            interval: 200,
          })
          .toEqual(['s2', 's3', 's3']);
        const console = await connectConsole(strict);
        await expect
          .poll(async () => (await console.query(`SHOW TIERS WHERE state <> 'stays'`)).rows, {
            timeout: 20_000,
          })
          .toEqual([]);
        await console.end();
      } finally {
        over = true;
        await Promise.all(busy);
        await strict.stop();
      }
      expect(await states()).toEqual(['s2', 's3', 's3']);
      const right = ['[["1200"]]', '[["400","m"]]', '[["900"]]', '[[7]]', 'marks 400', 'written'];
      expect([...seen].filter((one) => one !== '55000' && !right.includes(one))).toEqual([]);
      expect([...seen]).toEqual(expect.arrayContaining(right.slice(0, 3)));
      expect(await text(client, `SELECT id FROM events WHERE ts = '${day(70)} 00:00:07Z'`)).toBe(
        '[[7]]',
      );
      const counted = await client.query('SELECT count(*)::int AS n FROM events WHERE n = 1');
      expect(counted.rows).toEqual([{ n: written }]);
      expect(strict.logs()).toContain('a period has moved');
      const audit = await admin.query<{ wrong: string }>('AUDIT');
      expect(audit.rows.filter(({ wrong }) => wrong !== '0')).toEqual([]);
    },
  );

  test('can be run by hand, and is done by one proxy at a time', async () => {
    await scene.comparison.expectSame(`INSERT INTO days VALUES ('${day(300)}', 3)`);
    const strict = await startProxy({
      config: clusterConfig(scene.databases, tables(tiers, '24h'), { pool }),
    });
    const console = await connectConsole(strict);
    const second = await connectConsole(strict);
    const place = async (): Promise<unknown> =>
      (await console.query(`SHOW TIERS WHERE period = '${day(300)}'`)).rows;
    // Its own job looks once at the start, and may be at it.
    await expect
      .poll(
        async () => {
          await Promise.allSettled([console.query('TIER days'), second.query('TIER days')]);
          return place();
        },
        { timeout: 30_000 },
      )
      .toMatchObject([{ shard: 's3', tier: 3, state: 'stays', to: null }]);
    await Promise.all([console.end(), second.end()]);
    await strict.stop();
    await scene.comparison.expectSame('SELECT * FROM days ORDER BY d');
  });

  test.each([
    ['TIER', '42601'],
    ['TIER nothing', '42P01'],
  ])('%s is refused', async (command, code) => {
    await expect(admin.query(command)).rejects.toMatchObject({ code });
  });
});
