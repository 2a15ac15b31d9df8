import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';
import { errorFields } from '../support/wire-messages.js';
import { WirePair } from '../support/wire-pair.js';

/** Key types, each with texts that PostgreSQL does not take for it. */
const refused: Readonly<Record<string, readonly string[]>> = {
  smallint: ['abc', '', '40000', '-32769', '0x1G', '1_', '4.5'],
  int: [
    ...['abc', '', ' ', '12a', '1.5', '99999999999', '2147483648', '-2147483649', ' 99999999999x'],
    ...['99999999999x', '0xFFFFFFFFF', '0xfg', '0b2', '0o', '_1', '1__0', '1 2', '+-1', 'é', '1e3'],
    ...['2147483648x', '-', '0x', '--1', '0_x', '00000000002147483648'],
  ],
  bigint: [
    'abc',
    '9223372036854775808',
    '-9223372036854775809',
    '99999999999999999999999999',
    '1.0',
  ],
  numeric: ['abc', '', '1e', '1..2', '.', '1e200000', '1e99999999999', '--1', '1_', 'NaNa'],
  uuid: ['abc', '', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1', 'g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  bytea: ['\\x1', '\\xzz', '\\x1 2', 'a\\b', '\\xé', '\\400', '\\x1z'],
  boolean: ['maybe', '', '2', 'tru e', 'é'],
  date: [
    'abc',
    '2024-02-30',
    '2024-13-01',
    '2024-00-10',
    '2024-01-32',
    '0000-01-01',
    '5874898-01-01',
  ],
  timestamp: [
    ...['abc', '2024-02-30 10:00:00', '2024-01-01 25:00:00', '2024-01-01 10:60:00'],
    ...['2024-13-01 10:00:00', '294277-01-01 00:00:00', '2024-01-01 10:60', '2024-01-01 25:00'],
  ],
  timestamptz: [
    ...['abc', '2024-02-30 10:00:00Z', '2024-01-01 10:00:00+16', '294277-01-01 00:00:00Z'],
    ...['2024-01-01 10:60Z', '2024-01-01 10:00 +16'],
  ],
};

/** The same in binary, in hex. */
const refusedBinary: Readonly<Record<string, readonly string[]>> = {
  smallint: ['', '01', '010203'],
  int: ['', '010203', '0102030405'],
  bigint: ['00', '010203040506070809'],
  numeric: [
    '',
    '0001',
    '0001000000',
    '00010000123400000001',
    '0001000000004000',
    'ffff000000000000',
  ].concat(['00010000000000002710', '00010000000000000001ff', '0001000000000000']),
  uuid: ['', 'a0', '00'.repeat(17)],
  boolean: ['', '0101'],
  date: ['00', '0000000000'],
  timestamp: ['00', '00'.repeat(9)],
  text: ['ff', '61c3', 'e228a1', 'eda080', 'f4908080', 'c080', '00', '6100', 'f0288cbc'],
};
const types = new Set([...Object.keys(refused), ...Object.keys(refusedBinary)]);
const tableOf = (type: string): string => `of_${type}`;

let scene: Scene;
let pair: WirePair;

beforeAll(async () => {
  const key = (): { shard_key: string; vindex: string } => ({ shard_key: 'k', vindex: 'by_key' });
  scene = await openScene(
    'shard_key_values',
    {
      main: {},
      shop: {
        ...{ ints: key(), longs: key(), texts: key() },
        ...Object.fromEntries([...types].map((type) => [tableOf(type), key()])),
      },
    },
    [
      ...[...types].map((type) => `CREATE TABLE ${tableOf(type)} (k ${type}, v text)`),
      'CREATE TABLE ints (k int, v text)',
      'CREATE TABLE longs (k bigint, v text)',
      'CREATE TABLE texts (k text, v text)',
    ],
  );
  const { proxy, oraclePort, databases } = scene;
  pair = await WirePair.open(proxy.port, oraclePort, { database: databases.name });
});
afterAll(async () => {
  pair.close();
  await scene.close();
});

/** Stores the value, finds it by the same words, and by a plain value. */
async function storesAndFinds(table: string, value: string): Promise<void> {
  const { comparison } = scene;
  await comparison.expectSame(`INSERT INTO ${table} (k, v) VALUES (${value}, 'x')`);
  await comparison.expectSame(`SELECT k, v FROM ${table} WHERE k = ${value}`);
  await comparison.expectSame(`SELECT k, v FROM ${table} WHERE k IN (${value}, 1000003)`);
  await comparison.expectSame(`DELETE FROM ${table} WHERE ${value} = k RETURNING k`);
  // The plan is kept: the same words again, and with other literals.
  const other = value.replace(/(?<![a-z])\d+/, '9');
  await comparison.expectSame(`INSERT INTO ${table} (k, v) VALUES (${other}, 'y')`);
}

describe('integer keys may be computed from constants', () => {
  test.each([
    '+109',
    '- 109',
    '-(5)',
    '(7)',
    '+(+(8))',
    '100 + 10',
    '100 - -10',
    '(2 + 3) * 4 - 1',
    '-7 / 2',
    '-7 % 3',
    '6 & 3 | 8 # 1',
    '~5',
    "'5'::int",
    "'  5 '::int",
    "int '17'",
    '5::bigint',
    '5::smallint + 3',
    '5::int::bigint',
    "'5'::int::bigint::int",
    "-('5'::int)",
    '(100 + 10)::bigint',
    'CAST(5 AS bigint)',
    '0x1F + 0b11',
    '1_000 + 1',
    "pg_catalog.int4 '3'",
    '3 OPERATOR(pg_catalog.+) 4',
  ])('%s', async (value) => {
    await storesAndFinds('ints', value);
    await storesAndFinds('longs', value);
  });

  test.each([
    '2147483647 + 1::bigint',
    '3000000000 - 1',
    '-9223372036854775808',
    '9007199254740993 + 2',
  ])('%s, as bigint', async (value) => {
    await storesAndFinds('longs', value);
  });

  test('in several rows, each on its shard', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `(${i} * 7 + ${i}, 'row')`).join(', ');
    await scene.comparison.expectSame(`INSERT INTO ints VALUES ${rows}`);
    expect(await misplacedRows(scene.databases, 'ints', 'k', 'hashint4extended')).toEqual([]);
    expect(await misplacedRows(scene.databases, 'longs', 'k', 'hashint8extended')).toEqual([]);
  });

  test('and with a parameter that is cast more than once', async () => {
    const { comparison } = scene;
    await comparison.expectSame("INSERT INTO longs VALUES ($1::int::bigint, 'p')", ['70']);
    await comparison.expectSame('SELECT * FROM longs WHERE k = $1::int::bigint', ['70']);
    await comparison.expectSame('SELECT * FROM longs WHERE k = +$1::int', ['70']);
  });
});

describe('text keys may be written in every notation of strings', () => {
  test.each([
    "'x'",
    "CAST('x' AS text)",
    "'x'::text::varchar",
    "E'a\\tb\\x41\\u00e9\\''",
    "U&'d\\0061t\\+000061'",
    "U&'d!0061' UESCAPE '!'",
    "$$it's$$",
    '$q$a $$ b$q$',
    "'a'\n'b'",
    "'it''s'",
    "'5'",
    "text 'y'",
  ])('%s', async (value) => {
    const { comparison } = scene;
    await comparison.expectSame(`INSERT INTO texts (k, v) VALUES (${value}, 'x')`);
    await comparison.expectSame(`SELECT k, v FROM texts WHERE k = ${value}`);
    await comparison.expectSame(`SELECT k, v FROM texts WHERE k IN (${value}, 'nobody')`);
    expect(await misplacedRows(scene.databases, 'texts', 'k', 'hashtextextended')).toEqual([]);
  });
});

describe('what cannot be known in front of the shards is computed by one of them first', () => {
  test.each([
    "length('abc')",
    '5 ^ 2',
    '1 << 3',
    '(SELECT 1)',
    'abs(-5)',
    '2147483647 + 1',
    '1 / 0',
    "'5'::int + length('a')",
    '(5.5)::int + 1',
  ])('%s', async (value) => {
    await scene.comparison.expectSame(`INSERT INTO ints (k, v) VALUES (${value}, 'x')`);
    await scene.comparison.expectSame(`SELECT k, v FROM ints WHERE k = 3`);
    expect(await misplacedRows(scene.databases, 'ints', 'k', 'hashint4extended')).toEqual([]);
  });

  test('also where a schema in front of pg_catalog may have an operator of its own', async () => {
    const { comparison } = scene;
    await comparison.both('SET search_path = public, pg_catalog');
    await comparison.expectSame("INSERT INTO ints VALUES (1 + 1, 'x')");
    await comparison.both('RESET search_path');
    expect(await misplacedRows(scene.databases, 'ints', 'k', 'hashint4extended')).toEqual([]);
  });
});

describe('a value that is not of the type of its shard key is the error of Postgres', () => {
  const texts = Object.entries(refused).flatMap(([type, values]) =>
    values.map((value): [string, string] => [type, value]),
  );

  test.each(texts)('%s: %s', async (type, value) => {
    const { comparison } = scene;
    const table = tableOf(type);
    const literal = `'${value.replaceAll("'", "''")}'`;
    for (const sql of [
      `INSERT INTO ${table} VALUES (${literal}, 'é')`,
      `INSERT /* é */ INTO ${table} (v, k) VALUES ('é', ${literal}::${type})`,
      `SELECT * FROM ${table} WHERE k = ${literal}`,
    ]) {
      const { error } = await comparison.expectSame(sql);
      expect(error, sql).not.toBeNull();
    }
    await comparison.expectSame(`INSERT INTO ${table} VALUES ($1, 'x')`, [value]);
    await comparison.expectSame(`DELETE FROM ${table} WHERE k = $1`, [value]);
  });

  const bytes = Object.entries(refusedBinary).flatMap(([type, values]) =>
    values.map((value): [string, string] => [type, value]),
  );

  test.each(bytes)('%s in binary: %s', async (type, hex) => {
    const table = tableOf(type);
    for (const sql of [`INSERT INTO ${table} VALUES ($1)`, `SELECT v FROM ${table} WHERE k = $1`]) {
      const errors = [pair.proxy, pair.oracle].map(async (client) => {
        client.parse(sql);
        client.bind({ values: [Buffer.from(hex, 'hex')], formats: [1] });
        client.execute();
        client.sync();
        const error = (await client.until('Z')).find((message) => message.type === 'E');
        const { C, M } = error === undefined ? {} : errorFields(error);
        return [C, M];
      });
      const [proxy, oracle] = await Promise.all(errors);
      expect(oracle![0], sql).toBeDefined();
      expect(proxy, sql).toEqual(oracle);
    }
  });

  test('in COPY data too', async () => {
    for (const client of [pair.proxy, pair.oracle]) client.query('COPY of_int FROM STDIN');
    const codes = [pair.proxy, pair.oracle].map(async (client) => {
      await client.until('G');
      client.copyData('1\tx\nabc\ty\n');
      client.copyDone();
      const error = (await client.until('Z')).find((message) => message.type === 'E')!;
      const { C, M } = errorFields(error);
      return [C, M];
    });
    const [proxy, oracle] = await Promise.all(codes);
    expect(proxy).toEqual(oracle);
  });
});
