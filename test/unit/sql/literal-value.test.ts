import { describe, expect, test } from 'vitest';
import { constantLiteral, literalValue, type LiteralText } from '../../../src/sql/literal-value.js';
import { Parser, type ParsedStatement } from '../../../src/sql/parser.js';
import { corpus } from './corpus.js';
import { scan } from './scanning.js';

describe('the value of a literal', () => {
  test.each([
    ['42', '42'],
    ['1_0', '1_0'],
    ['2.50', '2.50'],
    ["''", ''],
    ["'abc'", 'abc'],
    ["'it''s'", "it's"],
    ["''''", "'"],
    ["'a'\n'b'", 'ab'],
    ["'a''' -- c '\n '''b'", "a''b"],
    ["'back\\slash'", 'back\\slash'],
    ["E'abc'", 'abc'],
    ["E'it''s \\'x\\''", "it's 'x'"],
    ["E'\\b\\f\\n\\r\\t\\v\\\\\\q'", '\b\f\n\r\t\v\\q'],
    ["E'\\x41\\x4z\\101\\7'", 'A\x04zA\x07'],
    ["E'\\xc3\\xa4\\303\\244'", 'ää'],
    ["E'\\u00e4\\U0001F600\\ud83d\\ude00'", 'ä😀😀'],
    ["E'\\x'", 'x'],
    ["E'a\\\\'\n'\\x41'", 'a\\A'],
    ["E'\\x4'\n'1'", '\x041'],
    ["U&'d\\0061t\\+000061'", 'data'],
    ["U&'a\\\\b''c'", "a\\b'c"],
    ["U&'\\D83D\\DE00'", '😀'],
    ["U&'\\00'\n'41'", 'A'],
    ["U&'d!0061!!\\' UESCAPE '!'", 'da!\\'],
    ["U&'d!0061' -- '\n uescape /* '?' */ '!'", 'da'],
    ["U&'''0061' UESCAPE '!'", "'0061"],
    ['$$it\'s \\ "x"$$', 'it\'s \\ "x"'],
    ['$tag$a $$ b$tag$', 'a $$ b'],
    ['$$$$', ''],
  ])('%s', (sql, value) => {
    expect(scan(sql).values).toEqual([value]);
  });

  test.each([
    ["E'\\u12'"],
    ["E'\\U00110000'"],
    ["E'\\u0000'"],
    ["E'\\ud83d'"],
    ["E'\\ud83dx'"],
    ["E'\\ud83d\\u0041'"],
    ["E'\\ude00'"],
    ["E'\\xff'"],
    ["E'\\000'"],
    ["E'\\400'"],
    ["U&'\\12'"],
    ["U&'\\+0000'"],
    ["U&'\\0000'"],
    ["U&'\\D83D'"],
    ["U&'\\DE00'"],
    ["U&'a' UESCAPE '+'"],
    ["U&'a' UESCAPE 'ab'"],
    ["U&'a' UESCAPE ''"],
    ["B'1'"],
    ["X'1F'"],
    ['-- comment'],
  ])('there is none for %s', (sql) => {
    expect(scan(sql).values).toEqual([null]);
  });

  test('a number behind a minus sign carries it', () => {
    const bytes = Buffer.from('SELECT - /* c */ 42');
    const { literals } = scan(bytes);
    const out: LiteralText = { bytes, start: 0, end: 0 };
    expect(literalValue(bytes, 0, literals, 1, true, out)).toBe(true);
    expect(Buffer.from(out.bytes.subarray(out.start, out.end)).toString()).toBe('-42');
  });

  test('a plain string is read where it stands, without a copy', () => {
    const bytes = Buffer.from("SELECT 'abc'");
    const { literals } = scan(bytes);
    const out: LiteralText = { bytes: new Uint8Array(0), start: 0, end: 0 };
    literalValue(bytes, 0, literals, 0, false, out);
    expect(out.bytes).toBe(bytes);
    expect([out.start, out.end]).toEqual([8, 11]);
  });

  test('a long string with doubled quotes has room', () => {
    const value = "it's ".repeat(5000);
    expect(scan(`'${value.replaceAll("'", "''")}'`).values).toEqual([value]);
  });
});

interface Constant {
  readonly location: number;
  readonly value: string;
}

/** Every A_Const of a tree that has a value, with its location. */
function constantsOf(node: unknown, found: Constant[] = []): Constant[] {
  if (node === null || typeof node !== 'object') return found;
  for (const [name, child] of Object.entries(node)) {
    if (name === 'A_Const') addConstant(child as Record<string, unknown>, found);
    else constantsOf(child, found);
  }
  return found;
}

function addConstant(constant: Record<string, unknown>, found: Constant[]): void {
  // Locations and zero values are left out of the tree where they are zero; -1 means none.
  const location = (constant['location'] as number | undefined) ?? 0;
  if (location < 0) return;
  const integer = constant['ival'] as { ival?: number } | undefined;
  const decimal = constant['fval'] as { fval: string } | undefined;
  const string = constant['sval'] as { sval?: string } | undefined;
  if (integer) found.push({ location, value: String(integer.ival ?? 0) });
  else if (decimal) found.push({ location, value: decimal.fval });
  else if (string) found.push({ location, value: string.sval ?? '' });
}

/** PostgreSQL takes an integer's value, however it is written. */
function canonical(text: string): string {
  const match = /^(-?)(?:0+(?=\d))?(0[xob][\da-f_]+|[\d_]+)$/i.exec(text);
  if (match === null) return text;
  const value = BigInt(match[2]!.replaceAll('_', ''));
  return String(match[1] === '-' ? -value : value);
}

describe('a constant of the parse tree', () => {
  test.each([
    ['- /* 9 */ 5', 1, true],
    ['-(5)', 0, true],
    ['- -- 9\n -(-(5))', 1, true],
    ['-(-5)', 0, false],
    ["N'x'", 0, false],
    ['day', null, false],
    ["day '1'", null, false],
    ['', null, false],
    ['-', null, false],
    ['/* 1 */', null, false],
  ])('%s', (sql, index, negative) => {
    const bytes = Buffer.from(`SELECT ${sql}`);
    const { literals } = scan(bytes);
    const expected = index === null ? null : { index, negative };
    expect(constantLiteral(bytes, 0, bytes.length, literals, 7)).toEqual(expected);
  });
});

describe('the parse tree and the scanner agree on every constant', async () => {
  const parser = await Parser.create();
  test.each(corpus.map((sql) => [sql]))('%s', (sql) => {
    const bytes = Buffer.from(sql);
    const { literals } = scan(sql);
    const statements = parser.parse(bytes) as ParsedStatement[];
    for (const { location, value } of statements.flatMap(({ node }) => constantsOf(node))) {
      const found = constantLiteral(bytes, 0, bytes.length, literals, location);
      if (found === null) {
        expect(bytes.subarray(location).toString()).toMatch(/^["\p{L}]/u);
        continue;
      }
      const out: LiteralText = { bytes, start: 0, end: 0 };
      expect(literalValue(bytes, 0, literals, found.index, found.negative, out)).toBe(true);
      const text = Buffer.from(out.bytes.subarray(out.start, out.end)).toString();
      expect(canonical(text)).toBe(canonical(value));
    }
  });
});
