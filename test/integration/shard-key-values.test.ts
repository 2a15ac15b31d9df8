import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { misplacedRows, openScene, type Scene } from '../support/scene.js';

let scene: Scene;

beforeAll(async () => {
  const key = (): { shard_key: string; vindex: string } => ({ shard_key: 'k', vindex: 'by_key' });
  scene = await openScene(
    'shard_key_values',
    { main: {}, shop: { ints: key(), longs: key(), texts: key() } },
    [
      'CREATE TABLE ints (k int, v text)',
      'CREATE TABLE longs (k bigint, v text)',
      'CREATE TABLE texts (k text, v text)',
    ],
  );
});
afterAll(async () => {
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

describe('what cannot be known in front of the shards is refused', () => {
  test.each([
    "length('abc')",
    '5 ^ 2',
    '1 << 3',
    '(SELECT 1)',
    'abs(-5)',
    '2147483647 + 1',
    '1 / 0',
    "'5'::int + length('a')",
    'random()::int',
    '(5.5)::int + 1',
  ])('%s', async (value) => {
    await scene.comparison.expectRefused(`INSERT INTO ints (k, v) VALUES (${value}, 'x')`);
  });

  test('also where a schema in front of pg_catalog may have an operator of its own', async () => {
    const { comparison } = scene;
    await comparison.both('SET search_path = public, pg_catalog');
    await comparison.expectRefused("INSERT INTO ints VALUES (1 + 1, 'x')");
    await comparison.both('RESET search_path');
  });
});
