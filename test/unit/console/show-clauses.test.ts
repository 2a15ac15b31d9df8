/* What stands behind SHOW: conditions by SQL's three-valued logic, order, limits. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Column, Row } from '../../../src/console/column.js';
import { readClauses } from '../../../src/console/show-clauses.js';
import { Parser } from '../../../src/sql/parser.js';

const columns: readonly Column[] = [
  { name: 'name', type: 'text' },
  { name: 'size', type: 'int4' },
  { name: 'big', type: 'numeric' },
  { name: 'up', type: 'bool' },
];
const rows: readonly Row[] = [
  ['s0', 10, 5, true],
  ['s1', 9, 100, false],
  ['main_a%', null, 7, null],
  [null, 3, 7, true],
];

let parser: Parser;
beforeAll(async () => {
  parser = await Parser.create();
});

async function names(text: string, params: readonly (string | null)[] = []): Promise<unknown[]> {
  const clauses = await readClauses(text, columns, parser);
  return clauses.apply(rows, params).map(([name]) => name);
}

async function codeOf(text: string, params: readonly string[] = []): Promise<unknown> {
  return names(text, params).then(
    () => 'no error',
    (error: unknown) => (error as { code: string }).code,
  );
}

describe('WHERE', () => {
  test.each<[string, unknown[]]>([
    ['', ['s0', 's1', 'main_a%', null]],
    ["WHERE name = 's1'", ['s1']],
    ["WHERE name <> 's1'", ['s0', 'main_a%']],
    ['WHERE size = 10', ['s0']],
    // By number, not by text.
    ['WHERE size > 9', ['s0']],
    ["WHERE size > '9'", ['s0']],
    ['WHERE 9 < size', ['s0']],
    ['WHERE big >= 7 AND size < 10', ['s1', null]],
    ['WHERE size > -1', ['s0', 's1', null]],
    ['WHERE size IS NULL', ['main_a%']],
    ['WHERE size IS NOT NULL AND name IS NULL', [null]],
    ['WHERE up', ['s0', null]],
    ['WHERE NOT up', ['s1']],
    ["WHERE up = 'f'", ['s1']],
    ['WHERE up = true OR size = 9', ['s0', 's1', null]],
    // Unknown OR true is true; NOT of unknown stays unknown.
    ["WHERE size > 100 OR name = 'main_a%'", ['main_a%']],
    ['WHERE NOT (size > 9)', ['s1', null]],
    ["WHERE name IN ('s0', 'x', 's1')", ['s0', 's1']],
    ["WHERE name NOT IN ('s0')", ['s1', 'main_a%']],
    ["WHERE name NOT IN ('s0', NULL)", []],
    ["WHERE name LIKE 's_'", ['s0', 's1']],
    ["WHERE name NOT LIKE 's%'", ['main_a%']],
    ["WHERE name LIKE '%\\_a\\%'", ['main_a%']],
    ["WHERE name ILIKE 'S%'", ['s0', 's1']],
    ['WHERE size BETWEEN 4 AND 9', ['s1']],
    ['WHERE size NOT BETWEEN 4 AND 9', ['s0', null]],
    ['WHERE name = NULL', []],
  ])('%s', async (text, wanted) => {
    expect(await names(text)).toEqual(wanted);
  });

  test('parameters are values, NULL too', async () => {
    expect(await names('WHERE name = $1 OR size = $2', ['s0', '3'])).toEqual(['s0', null]);
    expect(await names('WHERE name = $1', [null])).toEqual([]);
  });

  test.each([
    ['WHERE nope = 1', '42703'],
    ['WHERE x.name = 1', '0A000'],
    ['WHERE lower(name) = 1', '0A000'],
    ['WHERE name IN (SELECT 1)', '0A000'],
    ['WHERE size', '0A000'],
    ['WHERE size = up', '0A000'],
    ["WHERE size = 'ten'", '22P02'],
    ["WHERE up = 'perhaps'", '22P02'],
    ['GROUP BY name', '0A000'],
    ['FOR UPDATE', '0A000'],
    ['UNION SELECT 1', '0A000'],
    [', y', '0A000'],
    ['y', '42601'],
    ['WHERE', '42601'],
    ['LIMIT -1', '2201W'],
    ['LIMIT size', '0A000'],
    ['FETCH FIRST 1 ROW WITH TIES', '42601'],
    ['ORDER BY 5', '0A000'],
    ['ORDER BY size + 1', '0A000'],
  ])('%s is refused with %s', async (text, code) => {
    expect(await codeOf(text)).toBe(code);
  });
});

describe('ORDER BY and LIMIT', () => {
  test.each<[string, unknown[]]>([
    ['ORDER BY size', [null, 's1', 's0', 'main_a%']],
    ['ORDER BY size DESC', ['main_a%', 's0', 's1', null]],
    ['ORDER BY size DESC NULLS LAST', ['s0', 's1', null, 'main_a%']],
    ['ORDER BY 3 DESC, name DESC', ['s1', null, 'main_a%', 's0']],
    ['ORDER BY name NULLS FIRST LIMIT 2', [null, 'main_a%']],
    ['ORDER BY name LIMIT 1 OFFSET 1', ['s0']],
    ['LIMIT 0', []],
    ['LIMIT NULL', ['s0', 's1', 'main_a%', null]],
  ])('%s', async (text, wanted) => {
    expect(await names(text)).toEqual(wanted);
  });
});

test('columns whose names are key words need no quotes', async () => {
  const own: readonly Column[] = [
    { name: 'user', type: 'text' },
    { name: 'table', type: 'text' },
    { name: 'to', type: 'text' },
  ];
  const list: readonly Row[] = [
    ['ann', 'user', null],
    ['bob', "the user's table", 's1'],
  ];
  const found = async (text: string): Promise<unknown[]> =>
    (await readClauses(text, own, parser)).apply(list, ['bob']).map(([user]) => user);
  expect(await found("WHERE user = 'ann'")).toEqual(['ann']);
  expect(await found('WHERE "user" = $1 AND TO IS NOT NULL')).toEqual(['bob']);
  expect(await found("WHERE table = 'user'")).toEqual(['ann']);
  expect(await found("WHERE table = 'the user''s table'")).toEqual(['bob']);
  expect(await found("WHERE table = E'the user\\'s table'")).toEqual(['bob']);
  expect(await found('ORDER BY user DESC LIMIT 1')).toEqual(['bob']);
});
