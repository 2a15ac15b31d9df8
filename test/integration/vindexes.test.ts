/*
 * Goal: every vindex finds the rows that it has placed, and ranges of the key leave no row out.
 * Method: a table for each vindex with keys around its boundaries; random statements with conditions on the key run
 * through the proxy and on one plain Postgres, in both protocols and under several time zones. Shards that can compute
 * keyspace ids are asked whether their rows are their own. To look longer: SHARDGATE_VINDEX_QUERIES=5000.
 */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Vindex } from '../../src/keyspace/vindex.js';
import { TypeOid } from '../../src/keyspace/type-oids.js';
import type { VindexTypeName } from '../../src/vindex/registry.js';
import { Dice } from '../support/chaos-random.js';
import { KeyConditions, quoted, type KeyedTable } from '../support/key-conditions.js';
import { connectPg, openScene, type Scene } from '../support/scene.js';
import { seedFrom } from '../support/seed.js';
import { makeSound, shards } from '../unit/vindex/samples.js';

const QUERIES = Number(process.env['SHARDGATE_VINDEX_QUERIES'] ?? 400);
const SEED = seedFrom('SHARDGATE_VINDEX_SEED');

interface Range {
  readonly to?: number | string;
  readonly shard: string;
}

interface Case extends KeyedTable {
  readonly type: keyof typeof TypeOid;
  readonly vindex: {
    readonly type: VindexTypeName;
    readonly values?: Readonly<Record<string, string>>;
    readonly ranges?: readonly Range[];
    readonly [option: string]: unknown;
  };
}

const numbers = Array.from({ length: 32 }, (_unused, index) => String(index - 8));
const texts = ['', 'a', 'az', 'b', 'ba', 'B', 'm', 'lz', 'z', 'é', 'éa', 'ê', '日本', '%', 'a%'];
/** As character(3). */
const padded = ['', 'a', 'ab', 'ab!', 'm', 'l z', 'M', 'é', '日本', '%'];
const bytes = ['\\x', '\\x00', '\\x0000', '\\x61', '\\x616200', '\\x6162', '\\x4000000000000000'];
const on = (shard: string, to?: number | string): Range =>
  to === undefined ? { shard } : { to, shard };

const cases: readonly Case[] = [
  { name: 'xx', type: 'int8', keys: numbers, vindex: { type: 'xxhash' } },
  { name: 'md', type: 'text', keys: texts, vindex: { type: 'md5' } },
  {
    name: 'loose',
    type: 'text',
    keys: ['Ü', 'ü', 'U', 'u', 'v'],
    vindex: { type: 'unicode_loose' },
  },
  {
    name: 'num',
    type: 'int8',
    keys: ['-9223372036854775808', '-1', '0', '4611686018427387904', '9223372036854775807', '7'],
    vindex: { type: 'numeric' },
  },
  {
    name: 'bin',
    type: 'bytea',
    keys: [...bytes, '\\x40', '\\x400000000000000000', '\\x80', '\\xc0ff', '\\x3fffffffffffffffff'],
    vindex: { type: 'binary' },
  },
  {
    name: 'rng',
    type: 'int4',
    keys: numbers,
    vindex: { type: 'range', ranges: [on('s3', -5), on('s0', 5), on('s1', 15), on('s2')] },
  },
  {
    name: 'txt',
    type: 'text',
    keys: texts,
    vindex: {
      type: 'range',
      column_type: 'text',
      ranges: [on('s3', 'b'), on('s0', 'm'), on('s1', 'é'), on('s2')],
    },
  },
  { name: 'padded', type: 'bpchar', keys: padded, vindex: { type: 'hash' } },
  {
    name: 'pad_rng',
    type: 'bpchar',
    keys: padded,
    vindex: {
      type: 'range',
      column_type: 'text',
      ranges: [on('s3', 'ab'), on('s0', 'm'), on('s1')],
    },
  },
  {
    name: 'pad_list',
    type: 'bpchar',
    keys: padded,
    vindex: { type: 'list', values: { ab: 's3', é: 's0' }, others: ['s1', 's2'] },
  },
  {
    name: 'dec',
    type: 'numeric',
    keys: ['-Infinity', '-2', '-1.5', '-1.49', '0', '2.25', '2.2499', '1e10', 'Infinity', 'NaN'],
    vindex: {
      type: 'range',
      column_type: 'numeric',
      ranges: [on('s3', -1.5), on('s0', 2.25), on('s1')],
    },
  },
  {
    name: 'month',
    type: 'timestamp',
    keys: [
      ...['-infinity', '1999-12-31 23:59:59.999999', '2000-01-01 00:00:00', 'infinity'],
      ...['2024-01-31 23:59:59', '2024-02-01 00:00:00', '2024-02-29 12:00:00'],
      ...['2024-03-01 00:00:00', '2300-05-05 05:05:05.000001'],
    ],
    vindex: { type: 'time', period: 'month' },
  },
  {
    name: 'day',
    type: 'timestamptz',
    keys: [
      ...['-infinity', '2023-12-31 23:59:59.999999+00', '2024-01-01 00:00:00+00', 'infinity'],
      ...['2024-01-01 20:00:00+00', '2024-01-02 00:00:00+00', '2024-01-03 03:00:00+00'],
    ],
    vindex: {
      type: 'time',
      period: 'day',
      turns: [{ shards: ['s3'] }, { from: '2024-01-01', shards: ['s0', 's1', 's2'] }],
    },
  },
  {
    name: 'date',
    type: 'date',
    keys: ['-infinity', '2023-12-25', '2023-12-31', '2024-01-01', '2024-01-08', 'infinity'],
    vindex: { type: 'time', period: 'week', shards: ['s2', 's0'] },
  },
  {
    name: 'tier',
    type: 'timestamptz',
    keys: [
      ...['1999-12-31 23:59:59.999999+00', '2000-01-01 00:00:00+00', '2024-01-31 23:00:00+00'],
      ...['2024-02-01 00:00:00+00', '2024-02-29 12:00:00+00', '9999-12-31 00:00:00+00'],
      ...['0001-01-01 00:00:00+00', '2024-03-01 00:00:00+00'],
    ],
    vindex: {
      type: 'tiered',
      table: 'tier_shards',
      period: 'month',
      tiers: [{ younger_than: '90d', shards: ['s3'] }, { shards: ['s0', 's1', 's2'] }],
    },
  },
  {
    name: 'list',
    type: 'int8',
    keys: numbers,
    vindex: { type: 'list', values: { '7': 's3', '-3': 's0' }, others: ['s0', 's1', 's2'] },
  },
];

let scene: Scene;
let client: pg.Client;

beforeAll(async () => {
  const vindexes = Object.fromEntries(cases.map(({ name, vindex }) => [`by_${name}`, vindex]));
  const tables = cases.map(({ name }) => [name, { shard_key: 'k', vindex: `by_${name}` }]);
  scene = await openScene(
    'vindexes',
    {
      vindexes: {
        ...vindexes,
        by_region: { type: 'list', values: { eu: 's0', us: 's1' } },
        by_rng_too: cases.find(({ name }) => name === 'rng')!.vindex,
      },
      shop: {
        ...(Object.fromEntries(tables) as Record<string, object>),
        rng_too: { shard_key: 'k', vindex: 'by_rng_too' },
        hashed: { shard_key: 'k', vindex: 'by_key' },
        regions: { shard_key: 'region', vindex: 'by_region' },
      },
    },
    [
      ...cases.map(({ name, type }) => {
        const collation = type === 'text' || type === 'bpchar' ? ' COLLATE "C"' : '';
        const sqlType = type === 'bpchar' ? 'character(3)' : type;
        return `CREATE TABLE ${name} (k ${sqlType}${collation} PRIMARY KEY, n int4)`;
      }),
      ...cases.map(({ name, keys }) => {
        const rows = keys.map((key, index) => `(${quoted(key)}, ${index})`);
        return `INSERT INTO ${name} VALUES ${rows.join(', ')}`;
      }),
      'CREATE TABLE rng_too (k int8 PRIMARY KEY, n int4)',
      'CREATE TABLE hashed (k int8 PRIMARY KEY, n int4)',
      'CREATE TABLE regions (region text, n int4)',
      'INSERT INTO rng_too SELECT k, n FROM rng',
      'INSERT INTO hashed SELECT k, n FROM rng',
    ],
  );
  client = await connectPg(scene.proxy.url);
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

/** A SELECT, UPDATE or DELETE with a random condition. */
function statementOf(dice: Dice, { name }: Case, where: (prefix?: string) => string): string {
  switch (dice.below(9)) {
    case 0:
      return `SELECT count(*), min(n), max(k::text) FROM ${name} WHERE ${where()}`;
    case 1:
      return `SELECT * FROM ${name} WHERE ${where()} ORDER BY n, k LIMIT 3`;
    case 2:
      return `SELECT a.k, b.n FROM ${name} a JOIN ${name} b USING (k) WHERE ${where('a.')}`;
    case 3:
      return `SELECT * FROM ${name} WHERE k IN (SELECT k FROM ${name} WHERE ${where()})`;
    case 4:
      return `UPDATE ${name} SET n = n + 1 WHERE ${where()}`;
    case 5:
      return `SELECT k FROM ${name} WHERE ${where()} UNION ALL SELECT k FROM ${name} WHERE ${where()}`;
    case 6:
      return `SELECT a.n, b.n FROM ${name} a LEFT JOIN ${name} b ON a.k = b.k AND ${where('b.')}`;
    default:
      return `SELECT * FROM ${name} WHERE ${where()}`;
  }
}

test(
  `${QUERIES} random conditions of seed ${SEED} on shard keys are answered as by one Postgres`,
  async () => {
    const dice = new Dice(SEED);
    const { comparison } = scene;
    for (let index = 0; index < QUERIES; index++) {
      if (index % 50 === 0) {
        const zone = dice.pick(['UTC', 'Asia/Kolkata', 'America/New_York']);
        await comparison.expectSame(`SET timezone = '${zone}'`);
      }
      const own = dice.pick(cases);
      const conditions = new KeyConditions(dice, own, dice.chance(0.5));
      const sql = statementOf(dice, own, (prefix) => conditions.make(prefix));
      const { params } = conditions;
      await comparison.expectSame(sql, params === null || params.length === 0 ? undefined : params);
    }
    await comparison.expectSame(`SET timezone = 'UTC'`);
  },
  Math.max(120_000, QUERIES * 300),
);

/** Shards as EXPLAIN shows them; one shard's own plan has no such line. */
async function explained(sql: string): Promise<string> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`);
  const line = rows.map((row) => row['QUERY PLAN']).find((text) => text.includes('Shards: '));
  return line === undefined ? 'one' : line.trim().replace('Shards: ', '');
}

describe('ranges of the key choose shards', () => {
  test.each([
    ['SELECT * FROM rng WHERE k < -5', 'one'],
    ['SELECT * FROM rng WHERE k <= -5', 's0, s3'],
    ['SELECT * FROM rng WHERE k >= 5 AND k < 15', 'one'],
    ['SELECT * FROM rng WHERE k > 0 AND k < 15', 's0, s1'],
    ['SELECT * FROM rng WHERE k BETWEEN 5 AND 15 ORDER BY k', 's1, s2'],
    ['SELECT * FROM rng WHERE k < 14.5 AND 5 <= k', 'one'],
    ['SELECT * FROM rng WHERE k > 6 AND k < 9', 'one'],
    ['SELECT * FROM rng WHERE k > 15 AND k < 17', 'one'],
    ['SELECT * FROM dec WHERE k > -2 AND k < 0.5', 's0, s3'],
    [`SELECT * FROM txt WHERE k > 'a' AND k < 'azz'`, 'one'],
    [`SELECT * FROM month WHERE k > '2024-02-20' AND k < '2024-02-29 13:00:00'`, 'one'],
    [`SELECT * FROM date WHERE k > '2023-12-24' AND k < '2023-12-26'`, 's0, s2'],
    ['SELECT * FROM rng WHERE k < -7 OR k > 20', 's2, s3'],
    ['SELECT * FROM rng WHERE k < -7 OR k = 6', 's1, s3'],
    ['SELECT * FROM rng WHERE k < -7 OR n > 20', 's0, s1, s2, s3'],
    ['SELECT * FROM rng a JOIN rng_too b USING (k) WHERE b.k > 16', 'one'],
    [`SELECT * FROM txt WHERE k LIKE 'é%'`, 'one'],
    [`SELECT * FROM txt WHERE k LIKE 'm%' ORDER BY k`, 'one'],
    [`SELECT * FROM txt WHERE k > 'm' COLLATE "und-x-icu"`, 's0, s1, s2, s3'],
    [`SELECT * FROM month WHERE k >= '2024-02-01' AND k < '2024-03-01'`, 'one'],
    [`SELECT * FROM month WHERE k >= '2024-02-01' AND k <= '2024-03-01'`, 's1, s2'],
    [`SELECT * FROM day WHERE k < '2024-01-01 00:00:00Z'`, 'one'],
    [`SELECT * FROM day WHERE k < timestamp '2024-01-01'`, 's0, s1, s2, s3'],
    ['SELECT * FROM hashed WHERE k < -7', 's0, s1, s2, s3'],
    ['SELECT * FROM list WHERE k < -7', 's0, s1, s2, s3'],
  ])('%s: %s', async (sql, expected) => {
    expect(await explained(sql)).toBe(expected);
    await scene.comparison.expectSame(sql);
  });
});

describe('tables of different vindexes', () => {
  test.each([
    'SELECT * FROM rng a JOIN rng_too b USING (k) ORDER BY k',
    'SELECT * FROM rng a JOIN hashed b USING (k) ORDER BY k',
    'SELECT * FROM rng a JOIN xx b USING (k) WHERE a.k > 3 ORDER BY k',
    'UPDATE hashed SET n = -1 FROM rng WHERE rng.k = hashed.k AND rng.k < 0',
    'DELETE FROM list USING rng WHERE list.k = rng.k AND rng.k > 20 RETURNING list.k',
    'INSERT INTO list SELECT k, n FROM rng WHERE k > 20',
    'SELECT * FROM list ORDER BY k',
  ])('%s', async (sql) => {
    await scene.comparison.expectSame(sql);
  });
});

test.each(cases.map((own) => [own.name, own] as const))(
  '%s: rows are inserted, moved and deleted by key',
  async (name, { keys }) => {
    const { comparison } = scene;
    const [first, second] = keys as [string, string];
    await comparison.expectSame(`DELETE FROM ${name} WHERE k = ${quoted(first)}`);
    await comparison.expectSame(`INSERT INTO ${name} VALUES ($1, 100) RETURNING *`, [first]);
    await comparison.expectSame(`DELETE FROM ${name} WHERE k = $1 RETURNING *`, [second]);
    await comparison.expectSame(`UPDATE ${name} SET k = ${quoted(second)} WHERE n = 100`);
    await comparison.expectSame(`SELECT n FROM ${name} WHERE k = ${quoted(second)}`);
    await comparison.expectSame(`SELECT k, n FROM ${name} ORDER BY n, k`);
  },
);

test('a value that is not listed is refused, and found nowhere', async () => {
  const { comparison } = scene;
  await comparison.expectSame(`INSERT INTO regions VALUES ('eu', 1), ('us', 2)`);
  await comparison.expectRefused(`INSERT INTO regions VALUES ('asia', 3)`, undefined, /no shard/);
  await comparison.expectRefused('INSERT INTO regions VALUES ($1, 3)', ['asia'], /no shard/);
  await comparison.expectSame(`SELECT * FROM regions WHERE region = 'asia'`);
  await comparison.expectSame(`SELECT * FROM regions WHERE region IN ('asia', 'eu')`);
});

/** The vindex as the configuration makes it: there all values are texts. */
function vindexOf({ vindex: { type, values, ranges, ...options } }: Case): Vindex {
  return makeSound(type, {
    ...options,
    ...(values === undefined ? {} : { values: new Map(Object.entries(values)) }),
    ...(ranges === undefined ? {} : { ranges: ranges.map(asText) }),
  });
}

function asText({ to, shard }: Range): object {
  return { to: to === undefined ? undefined : String(to), shard };
}

test('shards compute the ids of their rows', async () => {
  const { databases } = scene;
  let checked = 0;
  for (const own of cases) {
    const vindex = vindexOf(own);
    const column = TypeOid[own.type];
    const sql = vindex.sqlExpression('k', column);
    if (sql === null) continue;
    for (const [index, { name }] of shards.entries()) {
      const quarter = `(${sql} >> 62) & 3`;
      const query = `SELECT k::text FROM ${own.name} WHERE (${quarter}) IS DISTINCT FROM ${index}`;
      expect([own.name, name, await databases.query(name as 's0', query)]).toEqual([
        own.name,
        name,
        [],
      ]);
      checked++;
    }
  }
  expect(checked).toBe(8 * shards.length);
});
