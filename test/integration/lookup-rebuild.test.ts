/*
 * Goal: a lookup that is built, or built anew since it is kept otherwise, misses no row, whatever clients do meanwhile;
 * and where values were unique over all shards before, they are so at every moment, whoever dies when.
 * Method: somebody locks a row, so that whoever builds the lookup stops in the middle; or the proxy kills itself at
 * each step of its way, and a fresh one goes on.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { crashPoints } from '../../src/transaction/crash-points.js';
import { isAlive, startProxy, type Proxy } from '../support/proxy.js';
import type { ProxyConfig } from '../support/proxy-config.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { shardNames } from '../support/servers.js';

const WAIT_MS = 20_000;
const EMAIL = 'people WHERE email';
const dataShards = ['s0', 's1', 's2', 's3'] as const;

interface Keyspace {
  vindexes: Record<string, object>;
  tables: Record<string, { shard_key: string; vindex?: string; lookups?: Record<string, string> }>;
}
type Config = ProxyConfig & { keyspaces: { shop: Keyspace } };

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  scene = await openScene(
    'lookup_rebuild',
    {
      vindexes: { by_email: { type: 'lookup', table: 'people_email_idx' } },
      shop: {
        people: { shard_key: 'id', lookups: { email: 'by_email' } },
        walls: { shard_key: 'id' },
      },
    },
    [
      'CREATE TABLE people (id int PRIMARY KEY, email text, n int)',
      `INSERT INTO people SELECT i, 'p' || i || '@x.org', i FROM generate_series(1, 60) i`,
      'CREATE TABLE walls (id int PRIMARY KEY, code text, n int, pad text)',
      `INSERT INTO walls SELECT i, 'c' || i, 0, repeat('x', 1900) FROM generate_series(1, 3000) i`,
    ],
  );
  client = await connectPg(scene.proxy.url);
  await used(EMAIL);
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

/** Changes a proxy's configuration, which that takes over. */
async function configure(change: (shop: Keyspace) => void, proxy = scene.proxy): Promise<Config> {
  const config = JSON.parse(readFileSync(proxy.configFile, 'utf8')) as Config;
  change(config.keyspaces.shop);
  writeFileSync(proxy.configFile, JSON.stringify(config));
  const url = new URL(proxy.url);
  url.pathname = '/shardgate';
  const admin = await connectPg(url.href);
  await admin.query('RELOAD');
  await admin.end();
  return config;
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  const options = { timeout: WAIT_MS, interval: 50 };
  await vi.waitFor(async () => expect(await check()).toBe(true), options);
}

/** Waits until a proxy uses a lookup; `condition`: `table WHERE column`. */
async function used(condition: string, through = client): Promise<void> {
  await eventually(async () => {
    const { rows } = await through.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT * FROM ${condition} = 'none'`,
    );
    return !rows.some((row) => row['QUERY PLAN'].includes('Shards: '));
  });
}

/** What is known of a lookup where it has entries. */
async function statesOf(lookup: string): Promise<string[]> {
  const sql = `SELECT definition FROM shardgate.lookups WHERE name = 'public.${lookup}'`;
  const answers = await Promise.all(shardNames.map((shard) => scene.databases.query(shard, sql)));
  return answers.flat(2).map((state) => /^\w*/.exec(String(state))![0]);
}

/** Somebody who keeps a row of a table on a shard locked. */
async function holderOf(shard: (typeof dataShards)[number], row: string): Promise<pg.Client> {
  const holder = await connectPg(scene.databases.urls[shard]);
  onTestFinished(() => holder.end());
  await holder.query('BEGIN');
  await holder.query(`${row} FOR UPDATE`);
  return holder;
}

/** Waits until whoever builds a lookup waits for such a row. */
async function stopped(shard: (typeof dataShards)[number]): Promise<void> {
  const sql = `SELECT FROM pg_stat_activity WHERE application_name = 'shardgate lookup builds'
    AND datname = current_database() AND wait_event_type = 'Lock' AND wait_event <> 'relation'`;
  await eventually(async () => (await scene.databases.query(shard, sql)).length > 0);
}

/** The entries of a lookup of people's addresses are those of the rows, on shards where they are asked for. */
async function expectSound(lookup: string): Promise<void> {
  const { databases } = scene;
  const entries = await Promise.all(
    shardNames.map((shard) => databases.query(shard, `SELECT value, keyspace_id FROM ${lookup}`)),
  );
  const rows = await Promise.all(
    dataShards.map((shard) =>
      databases.query(shard, 'SELECT email, hashint4extended(id, 0) FROM people'),
    ),
  );
  const texts = (list: unknown[][][]): string[] =>
    list.flat().map((row) => row.map(String).join(' '));
  expect(texts(entries).sort()).toEqual(texts(rows).sort());
  for (const id of [1, 17, 33, 60]) {
    await scene.comparison.expectSame(`SELECT * FROM people WHERE email = 'p${id}@x.org'`);
  }
}

/** No shard takes a second row with a value that is there, and each takes one that is not. */
async function expectUnique(through: pg.Client): Promise<void> {
  for (const id of [101, 102, 103, 104, 105, 106, 107, 108]) {
    const store = `INSERT INTO people VALUES (${id}, $1, 0)`;
    for (const taken of ['p1@x.org', 'p33@x.org', 'p60@x.org']) {
      await expect(through.query(store, [taken])).rejects.toMatchObject({ code: '23505' });
    }
    await through.query(store, ['new@x.org']);
    await through.query('UPDATE people SET email = $1 WHERE id = $2', ['newer@x.org', id]);
    await through.query('DELETE FROM people WHERE email = $1', ['newer@x.org']);
  }
  // A row from before lets its value go.
  await through.query(`UPDATE people SET email = 'other@x.org' WHERE id = 2`);
  await through.query(`INSERT INTO people VALUES (109, 'p2@x.org', 0)`);
  await through.query('DELETE FROM people WHERE id = 109');
  await through.query(`UPDATE people SET email = 'p2@x.org' WHERE id = 2`);
}

test('a row that goes elsewhere in its table while a lookup is built is found', async () => {
  const { databases, comparison } = scene;
  const early = "ctid >= '(0,2)' AND ctid < '(20,0)'";
  await databases.onEach(['s0'], `DELETE FROM walls WHERE ${early}`);
  await databases.onEach(['s0'], 'VACUUM walls');
  const [[id]] = (await databases.query(
    's0',
    "SELECT id FROM walls WHERE ctid > '(130,0)' LIMIT 1",
  )) as [[number]];
  const holder = await holderOf('s0', "SELECT FROM walls WHERE ctid = '(0,1)'");
  await configure(({ vindexes, tables }) => {
    vindexes['by_code'] = { type: 'lookup', table: 'walls_code_idx' };
    tables['walls']!.lookups = { code: 'by_code' };
  });
  await stopped('s0');
  await comparison.both('UPDATE walls SET n = 1 WHERE id = $1', [id]);
  const sql = `SELECT ctid < '(20,0)' FROM walls WHERE id = ${id}`;
  expect(await databases.query('s0', sql)).toEqual([[true]]);
  await holder.end();
  await used('walls WHERE code');
  const entry = `SELECT FROM walls_code_idx WHERE value = 'c${id}'`;
  expect(await databases.query('main', entry)).toHaveLength(1);
  await comparison.expectSame(`SELECT id, n FROM walls WHERE code = 'c${id}'`);
});

describe('one that is kept otherwise from now on', () => {
  /** Names the table of the lookup, and whether that is sharded by its values. */
  const keep = (lookup: string, spread: boolean, type = 'lookup_unique') => {
    return ({ vindexes, tables }: Keyspace): void => {
      vindexes['by_email'] = { type, table: lookup };
      delete tables['people_email_idx'];
      delete tables['people_email_idx2'];
      if (spread) tables[lookup] = { shard_key: 'value' };
    };
  };

  test('is unique where it was not', async () => {
    await configure(keep('people_email_idx', false));
    await used(EMAIL);
    await expectUnique(client);
    await expectSound('people_email_idx');
  });

  test.each([
    ['on all shards', 'people_email_idx', true],
    ['in another table there', 'people_email_idx2', true],
    ['in another table on one shard', 'people_email_idx', false],
    ['on all shards again', 'people_email_idx', true],
    ['on one shard again', 'people_email_idx', false],
  ])('keeps values unique: %s', async (_where, lookup, spread) => {
    const holder = await holderOf('s2', 'SELECT FROM people');
    await configure(keep(lookup, spread));
    await stopped('s2');
    expect(await statesOf(lookup)).toContain('guarded');
    await expectTaken();
    await holder.end();
    await used(EMAIL);
    await expectUnique(client);
    await expectSound(lookup);
  });

  /** The same while rows of s2 are locked, which it does not touch. */
  async function expectTaken(): Promise<void> {
    for (const id of [101, 102, 103, 104, 105, 106, 107, 108]) {
      for (const taken of ['p1@x.org', 'p33@x.org', 'p60@x.org']) {
        const store = client.query(`INSERT INTO people VALUES ($1, $2, 0)`, [id, taken]);
        await expect(store).rejects.toMatchObject({ code: '23505' });
      }
    }
  }

  test('takes several rows with a value where it is not unique any more', async () => {
    await configure(keep('people_email_idx', false, 'lookup'));
    await used(EMAIL);
    const values = [201, 202, 203, 204, 205, 206].map((id) => `(${id}, 'p1@x.org', 0)`);
    await scene.comparison.both(`INSERT INTO people VALUES ${values.join(', ')}`);
    await scene.comparison.expectSame(`SELECT * FROM people WHERE email = 'p1@x.org'`);
    await scene.comparison.both('DELETE FROM people WHERE id > 200');
    await configure(keep('people_email_idx', false));
    await used(EMAIL);
  });

  test('is left alone where its table is one of somebody else', async () => {
    await client.query('CREATE TABLE notes (value text PRIMARY KEY, keyspace_id int8, note text)');
    await client.query(`INSERT INTO notes VALUES ('a', 1, 'mine')`);
    await configure(keep('notes', false));
    await eventually(() => Promise.resolve(scene.proxy.logs().includes('it has other columns')));
    expect(await scene.databases.query('main', 'SELECT note FROM notes')).toEqual([['mine']]);
    await configure(keep('people_email_idx', false));
    await used(EMAIL);
    await expectUnique(client);
  });
});

describe('where the proxy dies', () => {
  const points = crashPoints.filter((point) => point.startsWith('lookup-'));

  test.each(points.map((point, place) => [point, place] as const))(
    'at %s',
    async (point, place) => {
      const file = readFileSync(scene.proxy.configFile, 'utf8');
      const config = JSON.parse(file) as Config & { listen?: object; http?: object };
      const { shop } = config.keyspaces;
      // Each time from one shard to all, with another table.
      const lookup = `people_email_${place}_idx`;
      shop.vindexes['by_email'] = { type: 'lookup_unique', table: lookup };
      shop.tables[lookup] = { shard_key: 'value' };
      const start = (env: Readonly<Record<string, string>>): Promise<Proxy> =>
        startProxy({
          config: { ...config, listen: {}, http: {} },
          env: { SHARDGATE_RECOVERY_AGE_MS: '300', SHARDGATE_RECOVERY_INTERVAL_MS: '150', ...env },
          waitUntilReady: env['SHARDGATE_CRASH_POINT'] === undefined,
        });
      const dying = await start({ SHARDGATE_CRASH_POINT: point });
      await eventually(() => Promise.resolve(!isAlive(dying.pid)));
      await dying.kill();
      const proxy = await start({});
      onTestFinished(async () => void (await proxy.stop()));
      const through = await connectPg(proxy.url);
      onTestFinished(() => through.end());
      // Until it is settled whether the switch has happened, writes are refused.
      await eventually(async () => {
        const store = through.query(`INSERT INTO people VALUES (101, 'p1@x.org', 0)`);
        const code = await store.then(
          () => 'stored',
          (error: { code: string }) => error.code,
        );
        expect(['23505', '55000']).toContain(code);
        return code === '23505';
      });
      await used(EMAIL, through);
      await expectUnique(through);
      await expectSound(lookup);
      const prepared = 'SELECT FROM pg_prepared_xacts WHERE database = current_database()';
      for (const shard of shardNames) {
        expect(await scene.databases.query(shard, prepared)).toEqual([]);
      }
      // The first proxy takes it back, likewise.
      await configure(() => undefined);
      await used(EMAIL);
      await expectUnique(client);
    },
  );
});
