import { beforeAll, expect, test } from 'vitest';
import { LiteralKind, Literals } from '../../../src/sql/literals.js';
import { literalValue, type LiteralText } from '../../../src/sql/literal-value.js';
import { scanShape } from '../../../src/sql/scanner.js';
import { corpus } from '../../unit/sql/corpus.js';
import { loadOracle, oracleKind, oracleLiterals } from '../../unit/sql/oracle-scan.js';
import { fuzz, fuzzSeconds, type Random } from './random.js';

/**
 * Goal: the scanner finds exactly the literals that PostgreSQL's lexer finds, in any text; other values of the same
 * kinds never change a shape; no bytes make it throw. Method: random sequences of the fragments that lexers stumble
 * over, compared with libpg-query's own token list; corpus statements with their literals replaced; random bytes.
 */

beforeAll(loadOracle);

const timeout = fuzzSeconds * 1000 + 30_000;

const fragments = [
  "'",
  "''",
  "'a'",
  '"',
  '"a"',
  '""',
  "E'",
  "e'\\''",
  '\\',
  "\\'",
  "U&'",
  "u&'x'",
  'U&"',
  "B'",
  "b'1'",
  "X'",
  "N'",
  '$',
  '$$',
  '$a$',
  '$a',
  '$1',
  '$2',
  '--',
  '/*',
  '*/',
  '-',
  '/',
  '*',
  '+',
  '.',
  '..',
  ':',
  '::',
  ',',
  '(',
  ')',
  '[',
  ']',
  ';',
  '=',
  '<',
  '@',
  '#',
  '&',
  '?',
  '!',
  '%',
  '^',
  '|',
  '~',
  '`',
  '\n',
  ' ',
  '\t',
  '\r',
  '\f',
  '\v',
  '0',
  '1',
  '9',
  '10',
  '_',
  '1_0',
  '0x',
  '0x1F',
  '0o7',
  '0b1',
  'e',
  'E',
  'e5',
  'E+',
  '1e5',
  '1.5',
  '.5',
  '5.',
  'a',
  'b',
  'x',
  'n',
  'u',
  'select',
  'é',
  '€',
  '2147483647',
  '2147483648',
  '9223372036854775808',
  'UESCAPE',
  "'!'",
  '{',
  '\u0001',
] as const;

function soup(random: Random): string {
  let text = '';
  for (let n = random.below(30); n >= 0; n--) text += random.pick(fragments);
  return text;
}

function scanned(sql: string): { literals: Literals; shape: string | null } {
  const bytes = Buffer.from(sql);
  const literals = new Literals();
  return { shape: scanShape(bytes, 0, bytes.length, literals), literals };
}

/** What libpg-query's lexer does otherwise than PostgreSQL's, or what we span wider than a token. */
function isComparable(sql: string): boolean {
  // It accepts a parameter with junk behind it, and knows no UESCAPE clause as part of a string. A comment ends a
  // string for it even where PostgreSQL continues the string behind it.
  return !/\$\d+[\p{L}_]/u.test(sql) && !/uescape/i.test(sql) && !/'\s*--/.test(sql);
}

test('finds what the lexer finds', { timeout }, async () => {
  let compared = 0;
  await fuzz((random) => {
    const sql = soup(random);
    if (sql === '' || !isComparable(sql)) return;
    const oracle = oracleLiterals(sql);
    if (oracle === undefined) return;
    const { literals } = scanned(sql);
    // A text that the lexer refuses may still have a scan: its faults lie inside of literals.
    if (oracle === null || !literals.complete) {
      expect(literals.complete && oracle === null ? hasFault(sql) : true, sql).toBe(true);
      if (oracle !== null) expect(hasStrayByte(sql), sql).toBe(true);
      return;
    }
    compared++;
    const ours = Array.from({ length: literals.count }, (_, i) => ({
      start: literals.starts[i],
      end: literals.ends[i],
      kind: oracleKind(literals.kinds[i]!),
    }));
    expect(ours, sql).toEqual(oracle);
  });
  expect(compared).toBeGreaterThan(0);
});

/** Faults that the scanner leaves to the parser: bad escapes in a string, empty names, parameters beyond int4. */
function hasFault(sql: string): boolean {
  return /\\|""|\$\d{10}|[uU]&/.test(sql);
}

/** Bytes that the lexer passes on as tokens and the grammar always refuses. */
function hasStrayByte(sql: string): boolean {
  return /[\\{}`$\u0001]/.test(sql);
}

const otherValues: Readonly<Record<number, readonly string[]>> = {
  [LiteralKind.int4]: ['0', '5', '2147483647', '0x1F', '1_0'],
  [LiteralKind.int8]: ['3000000000', '9223372036854775807', '0xFFFFFFFFF'],
  [LiteralKind.bigInteger]: ['99999999999999999999', '0xFFFFFFFFFFFFFFFFF'],
  [LiteralKind.decimal]: ['1.5', '.5', '1e5', '1.E-3'],
  [LiteralKind.string]: ["''", "'it''s'", "'--'", "'/*'", "'é'", "'a'\n'b'", "'\u0001'"],
  [LiteralKind.escapeString]: ["E''", "e'\\''", "E'\\\\'", "E'a'\n'\\''"],
  [LiteralKind.unicodeString]: ["U&''", "u&'\\0041'", "U&'!0041' UESCAPE '!'"],
  [LiteralKind.dollarString]: ['$$$$', "$$'$$", '$t$ $$ $t$'],
  [LiteralKind.bitString]: ["B''", "b'101'"],
  [LiteralKind.hexString]: ["X''", "x'Ff'"],
  [LiteralKind.comment]: ['/**/', '/* /* nested */ */', "/* ' */"],
  [LiteralKind.int4Edge]: ['2147483648', '0x80000000'],
  [LiteralKind.int8Edge]: ['9223372036854775808'],
};

test('other values of the same kinds leave the shape as it is', { timeout }, async () => {
  await fuzz((random) => {
    const sql = random.pick(corpus);
    const { literals, shape } = scanned(sql);
    const bytes = Buffer.from(sql);
    const kinds = [...literals.kinds.subarray(0, literals.count)];
    let replaced = '';
    let from = 0;
    kinds.forEach((kind, i) => {
      replaced += bytes.subarray(from, literals.starts[i]).toString();
      const own = bytes.subarray(literals.starts[i], literals.ends[i]).toString();
      // A comment to the end of its line must stay one.
      replaced += own.startsWith('--') ? '-- other' : random.pick(otherValues[kind]!);
      from = literals.ends[i]!;
    });
    replaced += bytes.subarray(from).toString();
    const again = scanned(replaced);
    expect(again.shape, `${sql}\n${replaced}`).toBe(shape);
    expect([...again.literals.kinds.subarray(0, again.literals.count)]).toEqual(kinds);
  });
});

test('reads any bytes without throwing, and nothing outside the text', { timeout }, async () => {
  await fuzz((random) => {
    const length = random.below(60);
    const bytes = Buffer.alloc(length + 20, "'");
    const special = Buffer.from('\'"\\$-/*.0eExXbBuU&\n _a');
    for (let i = 0; i < length; i++) {
      bytes[10 + i] = random.below(3) === 0 ? random.below(256) : random.pick([...special]);
    }
    const literals = new Literals();
    const shape = scanShape(bytes, 10, 10 + length, literals);
    const alone = new Literals();
    expect(scanShape(bytes.subarray(10, 10 + length), 0, length, alone)).toBe(shape);
    for (let i = 0; i < literals.count; i++) {
      expect(literals.starts[i]).toBe(alone.starts[i]);
      expect(literals.ends[i]).toBeLessThanOrEqual(length);
      expect(literals.starts[i]!).toBeGreaterThanOrEqual(i === 0 ? 0 : literals.ends[i - 1]!);
      const out: LiteralText = { bytes, start: 0, end: 0 };
      if (literalValue(bytes, 10, literals, i, false, out)) {
        expect(out.end).toBeGreaterThanOrEqual(out.start);
      }
    }
  });
});
