/*
 * The numbers that tell the snowflake ids of proxies apart, lent by rows of the catalog shard: no id is made twice,
 * whoever starts together, whatever their clocks do, and a number's next holder begins behind the one before.
 */
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { Ids } from '../../src/executor/ids/ids.js';
import type { Shard } from '../../src/keyspace/topology.js';
import { createLogger } from '../../src/util/logger.js';
import { createDatabaseSet, type DatabaseSet } from '../support/cluster.js';

const HOUR_MS = 3_600_000;
const snowflake = { kind: 'snowflake' } as const;

let databases: DatabaseSet;
let pool: pg.Pool;
let proxies: Ids[] = [];

beforeAll(async () => {
  databases = await createDatabaseSet('machine_numbers');
  pool = new pg.Pool({ connectionString: databases.urls.main });
  await newProxy().fetch(snowflake, 1);
});

beforeEach(async () => {
  await databases.query('main', 'TRUNCATE shardgate.machines');
});

afterEach(() => {
  vi.useRealTimers();
  for (const proxy of proxies) proxy.stop();
  proxies = [];
});

afterAll(async () => {
  await pool.end();
  await databases.drop();
});

/** What a proxy makes ids of, asking a real server. */
function newProxy(): Ids {
  const query = async (_: Shard, sql: string): Promise<(string | null)[][]> => {
    const result = await pool.query({
      text: sql,
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
    });
    return (Array.isArray(result) ? [] : result.rows) as (string | null)[][];
  };
  const proxy = new Ids(
    query,
    () => ({ keyspace: 'main', name: 'main' }) as Shard,
    createLogger('silent'),
  );
  proxies.push(proxy);
  return proxy;
}

const machineOf = (id: string): number => Number((BigInt(id) >> 12n) & 1023n);

test('proxies that start together get a number each', async () => {
  const ids = await Promise.all(Array.from({ length: 10 }, () => newProxy().fetch(snowflake, 1)));
  expect(ids.map(([id]) => machineOf(id!)).sort((a, b) => a - b)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
  ]);
});

test('behind a clock that was set back by hours ids go on, with another number', async () => {
  const proxy = newProxy();
  const before = await proxy.fetch(snowflake, 3);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - HOUR_MS });
  // More than are left of the last millisecond.
  expect(proxy.take(snowflake, 4096)).toBeNull();
  const both = await Promise.all([proxy.fetch(snowflake, 2), proxy.fetch(snowflake, 5000)]);
  const after = both.flat();
  expect(new Set([...before, ...after]).size).toBe(5005);
  expect(new Set(before.map(machineOf))).toEqual(new Set([0]));
  expect(new Set(after.map(machineOf))).toEqual(new Set([1]));
  // Who comes with a right clock takes neither, and nobody takes the first before its ids are in the past.
  await databases.query('main', `UPDATE shardgate.machines SET expires = 'epoch'`);
  expect(machineOf((await newProxy().fetch(snowflake, 1))[0]!)).toBe(2);
});

test('a clock that was set back by half a second is waited for', async () => {
  const proxy = newProxy();
  const [before] = await proxy.fetch(snowflake, 1);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 500 });
  const [after] = await proxy.fetch(snowflake, 1);
  expect(machineOf(after!)).toBe(0);
  expect(BigInt(after!)).toBeGreaterThan(BigInt(before!));
});

test('the next holder of a number begins behind all ids that the one before may have made', async () => {
  const [first] = await newProxy().fetch(snowflake, 1);
  await databases.query(
    'main',
    `INSERT INTO shardgate.machines SELECT n, 'other', 'infinity', 0 FROM generate_series(1, 1023) n`,
  );
  await databases.query('main', `UPDATE shardgate.machines SET expires = 'epoch' WHERE id = 0`);
  const untilMs = Date.now() + 700;
  await databases.query(
    'main',
    `UPDATE shardgate.machines SET used_until_ms = ${untilMs} WHERE id = 0`,
  );
  const [second] = await newProxy().fetch(snowflake, 1);
  expect(machineOf(second!)).toBe(0);
  expect(BigInt(second!)).toBeGreaterThan(BigInt(first!));
  expect(Number((BigInt(second!) >> 22n) + 1_704_067_200_000n)).toBeGreaterThan(untilMs);
});

test('where all numbers are lent, or may have made ids ahead of the clock, there is no id', async () => {
  await databases.query(
    'main',
    `INSERT INTO shardgate.machines SELECT n, 'other', CASE n WHEN 7 THEN timestamptz 'epoch' ELSE 'infinity' END,
     ${Date.now() + HOUR_MS} FROM generate_series(0, 1023) n`,
  );
  await expect(newProxy().fetch(snowflake, 1)).rejects.toMatchObject({
    code: '53000',
    message: 'no snowflake id: every machine number is in use',
  });
  await databases.query('main', 'UPDATE shardgate.machines SET used_until_ms = 0');
  expect(machineOf((await newProxy().fetch(snowflake, 1))[0]!)).toBe(7);
});
