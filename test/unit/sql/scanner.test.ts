import { beforeAll, describe, expect, test } from 'vitest';
import { Literals, LiteralKind, literalTypeOid } from '../../../src/sql/literals.js';
import {
  SHAPE_TEXT_MAX,
  fingerprintText,
  scanShape,
  shapeCacheable,
} from '../../../src/sql/scanner.js';
import { brokenStatements, corpus } from './corpus.js';
import { loadOracle, oracleKind, oracleLiterals } from './oracle-scan.js';
import { readable, scan } from './scanning.js';

beforeAll(loadOracle);

describe('literals', () => {
  test.each([
    ['1 22 2147483647 007', ['int4 1', 'int4 22', 'int4 2147483647', 'int4 007']],
    ['2147483648', ['int4Edge 2147483648']],
    ['2147483649 9223372036854775807', ['int8 2147483649', 'int8 9223372036854775807']],
    ['9223372036854775808', ['int8Edge 9223372036854775808']],
    ['9223372036854775809', ['bigInteger 9223372036854775809']],
    ['0000000000000000000000012', ['int4 0000000000000000000000012']],
    [
      '0x7fffffff 0x80000000 0X80000001',
      ['int4 0x7fffffff', 'int4Edge 0x80000000', 'int8 0X80000001'],
    ],
    ['0o17 0b101 0x_F', ['int4 0o17', 'int4 0b101', 'int4 0x_F']],
    ['1_000 3_000_000_000', ['int4 1_000', 'int8 3_000_000_000']],
    [
      '0x8000000000000000 0xFFFFFFFFFFFFFFFFF',
      ['int8Edge 0x8000000000000000', 'bigInteger 0xFFFFFFFFFFFFFFFFF'],
    ],
    [
      '1.5 .5 5. 1e5 1.5E-3 1.e+5',
      ['decimal 1.5', 'decimal .5', 'decimal 5.', 'decimal 1e5', 'decimal 1.5E-3', 'decimal 1.e+5'],
    ],
    ['1..2', ['int4 1', 'int4 2']],
    ['1...2', ['int4 1', 'decimal .2']],
    ['-1 - 1 +1', ['int4 1', 'int4 1', 'int4 1']],
    ['a1 _2 é3 a$4 $5 t1.c2', []],
    ["'a' '' 'it''s'", ["string 'a'", "string ''", "string 'it''s'"]],
    ["E'\\'' e'a''b'", ["escapeString E'\\''", "escapeString e'a''b'"]],
    ["be'x' N'y'", ["string 'x'", "string 'y'"]],
    ["B'1' x'F'", ["bitString B'1'", "hexString x'F'"]],
    ["B'1''0'", ["bitString B'1'", "string '0'"]],
    ["U&'a' u&'b'", ["unicodeString U&'a'", "unicodeString u&'b'"]],
    ["U&'a' uescape '!' 5", ["unicodeString U&'a' uescape '!'", 'int4 5']],
    ["U&'a' uescapes '!'", ["unicodeString U&'a'", "string '!'"]],
    [
      '$$a$$ $t$ $$ $t$ $$$$',
      ['dollarString $$a$$', 'dollarString $t$ $$ $t$', 'dollarString $$$$'],
    ],
    ['1$$a$$', ['int4 1', 'dollarString $$a$$']],
    ['a$$b$$', []],
    ['1e+5$$a$$', ['decimal 1e+5', 'dollarString $$a$$']],
    ["'a'\n'b'", ["string 'a'\n'b'"]],
    ["'a' 'b'", ["string 'a'", "string 'b'"]],
    ["'a' -- c\n'b'", ["string 'a' -- c\n'b'"]],
    ["E'a'\n'\\'b'", ["escapeString E'a'\n'\\'b'"]],
    ["'a' /* c */\n'b'", ["string 'a'", 'comment /* c */', "string 'b'"]],
    ['/* a /* 1 */ b */ -- 2\n3', ['comment /* a /* 1 */ b */', 'comment -- 2', 'int4 3']],
    ['"1" "a""2"', []],
  ])('%s', (sql, spans) => {
    const scanned = scan(sql);
    expect(scanned.spans).toEqual(spans);
    expect(scanned.literals.complete).toBe(true);
    expect(scanned.shape).not.toBeNull();
  });

  test('what the lexer refuses has no shape, unless the fault is in a literal or stays in the shape', () => {
    const refused = brokenStatements.filter((sql) => oracleLiterals(sql) === null);
    expect(refused.length).toBeGreaterThan(20);
    for (const sql of refused) {
      const { shape, values, literals } = scan(sql);
      const verbatim = /""|\$9{11}/.test(sql);
      expect(shape === null || values.includes(null) || verbatim, sql).toBe(true);
      expect(literals.complete, sql).toBe(shape !== null);
    }
  });

  test.each(corpus.filter((sql) => sql !== '').map((sql) => [sql]))(
    'PostgreSQL finds the same ones in: %s',
    (sql) => {
      expect(ours(sql)).toEqual(theirs(sql));
    },
  );
});

function ours(sql: string): string[] {
  const { literals } = scan(sql);
  return Array.from({ length: literals.count }, (_, i) => {
    return `${oracleKind(literals.kinds[i]!)} ${literals.starts[i]}-${literals.ends[i]}`;
  });
}

/** Comments inside a span and UESCAPE clauses are parts of the string for us, tokens of their own for the oracle. */
function theirs(sql: string): string[] {
  const { literals } = scan(sql);
  const found: string[] = [];
  for (const { kind, start, end } of oracleLiterals(sql)!) {
    let last = end;
    let inside = false;
    for (let i = 0; i < literals.count; i++) {
      if (start === literals.starts[i]) last = Math.max(end, literals.ends[i]!);
      else if (start > literals.starts[i]! && end <= literals.ends[i]!) inside = true;
    }
    if (!inside) found.push(`${kind} ${start}-${last}`);
  }
  return found.filter((entry) => !isUescapeOfIdentifier(sql, entry) || ours(sql).includes(entry));
}

function isUescapeOfIdentifier(sql: string, entry: string): boolean {
  return entry.startsWith('string') && /U&"/i.test(sql);
}

test('a dollar sign behind a number that ends like a word is the error it is to PostgreSQL', () => {
  for (const sql of ['1e5$2', '1_0$2', '1.5_0$', '1e+5_0$', '0x1F$', '1e5$$a$$']) {
    expect(oracleLiterals(sql), sql).toBeNull();
    expect(scan(sql).literals.complete, sql).toBe(false);
  }
});

describe('shape', () => {
  test.each([
    ['SELECT 1', 'SELECT <int4>'],
    ["SELECT -5, 'a', E'b' FROM t", 'SELECT -<int4>, <string>, <escapeString> FROM t'],
    ['SELECT $1 + 3000000000', 'SELECT $1 + <int8>'],
    ['SELECT a /* trace=1 */ FROM t -- x', 'SELECT a <comment> FROM t <comment>'],
    ['', ''],
  ])('of %s', (sql, shape) => {
    expect(readable(scan(sql).shape)).toBe(shape);
  });

  test('is equal for other values of the same kinds', () => {
    expect(scan("SELECT 'a', 1, 2.5, $$x$$ -- a").shape).toBe(
      scan("SELECT 'it''s', 99999, .0, $t$y$t$ -- b").shape,
    );
  });

  test.each([
    ['the sign', 'SELECT 5', 'SELECT -5'],
    ['the length of an IN list', 'a IN (1, 2)', 'a IN (1, 2, 3)'],
    ['int4 against int8', 'SELECT 1', 'SELECT 3000000000'],
    ['int8 against numeric', 'SELECT 3000000000', 'SELECT 99999999999999999999'],
    ['integer against decimal', 'SELECT 1', 'SELECT 1.0'],
    ['string against integer', "SELECT '1'", 'SELECT 1'],
    ['the one integer whose sign changes its type', 'SELECT -2147483648', 'SELECT -2147483649'],
    ['identifiers', 'SELECT a', 'SELECT b'],
    ['case', 'SELECT A', 'SELECT a'],
    ['parameters', 'SELECT $1', 'SELECT $2'],
    ['white space', 'SELECT 1', 'SELECT  1'],
    ['one string or two', "'a'\n'b'", "'a' 'b'"],
  ])('tells %s', (_what, one, other) => {
    expect(scan(one).shape).not.toBe(scan(other).shape);
  });

  test('is refused where a byte could pass for a marker', () => {
    expect(scan('SELECT "a\u0001"').shape).toBeNull();
    expect(scan('SELECT "a\u0001"').literals.complete).toBe(true);
    expect(scan('SELECT \u0001').literals.complete).toBe(false);
    expect(scan("SELECT '\u0001'").shape).toBe(scan("SELECT 'a'").shape);
  });

  test('is refused for an identifier whose name depends on a string', () => {
    const { shape, literals } = scan('SELECT U&"d!0061" UESCAPE \'!\', 5');
    expect(shape).toBeNull();
    expect(literals.complete).toBe(true);
  });

  test('ends at the bound, but literals are found beyond it', () => {
    const fits = `SELECT '${'x'.repeat(SHAPE_TEXT_MAX - 9)}'`;
    expect(shapeCacheable(fits.length)).toBe(true);
    expect(scan(fits).shape).not.toBeNull();
    expect(scan(`${fits} `).shape).toBeNull();
    const many = `INSERT INTO t VALUES ${Array.from({ length: 50_000 }, (_, i) => `(${i},'a')`).join()}`;
    const { shape, literals, values } = scan(many);
    expect(shape).toBeNull();
    expect(literals.complete).toBe(true);
    expect(literals.count).toBe(100_000);
    expect(values.slice(-2)).toEqual(['49999', 'a']);
  });

  test('a verbatim text that fills the bound exactly is kept whole', () => {
    const text = `SELECT ${'a'.repeat(SHAPE_TEXT_MAX - 7)}`;
    expect(scan(text).shape).toBe(text);
  });
});

describe('Literals', () => {
  test('are reused from text to text', () => {
    const literals = new Literals();
    const big = Buffer.from('1,'.repeat(200_000));
    scanShape(big, 0, big.length, literals);
    expect(literals.count).toBe(200_000);
    const small = Buffer.from('{');
    scanShape(small, 0, 1, literals);
    expect(literals).toMatchObject({ count: 0, complete: false });
    scanShape(Buffer.from('5'), 0, 1, literals);
    expect(literals).toMatchObject({ count: 1, complete: true });
    expect(literals.starts.length).toBeLessThan(1000);
  });

  test('the literal of a negated constant is found from its minus sign', () => {
    const sql = 'SELECT 1, - /* 9 */ 5, 7 -- end';
    const { literals } = scan(sql);
    expect(literals.starts[literals.atOrAfter(sql.indexOf('-'))]).toBe(sql.indexOf('5'));
    expect(literals.atOrAfter(sql.indexOf('7') + 1)).toBe(-1);
  });

  test('types follow the grammar, where the sign may matter', () => {
    expect(literalTypeOid(LiteralKind.int4, true)).toBe(23);
    expect(literalTypeOid(LiteralKind.int4Edge, false)).toBe(20);
    expect(literalTypeOid(LiteralKind.int4Edge, true)).toBe(23);
    expect(literalTypeOid(LiteralKind.int8Edge, false)).toBe(1700);
    expect(literalTypeOid(LiteralKind.int8Edge, true)).toBe(20);
    expect(literalTypeOid(LiteralKind.string, false)).toBe(705);
  });
});

test('the raw text as a key keeps every byte apart', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const key = fingerprintText(bytes, 1, 256);
  expect(key).toHaveLength(255);
  expect(Buffer.from(key, 'latin1')).toEqual(Buffer.from(bytes.subarray(1)));
});
