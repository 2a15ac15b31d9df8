import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Parser, type ParsedStatement } from '../../../src/sql/parser.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../../src/sql/quote.js';

describe('quoteIdentifier', () => {
  test.each([
    ['orders', 'orders'],
    ['order', '"order"'],
    ['_a1', '_a1'],
    ['A', '"A"'],
    ['a$b', '"a$b"'],
    ['1a', '"1a"'],
    ['é', '"é"'],
    ['a"b', '"a""b"'],
    ['', '""'],
    ['int', '"int"'],
    ['name', 'name'],
  ])('%s', (name, quoted) => {
    expect(quoteIdentifier(name)).toBe(quoted);
  });

  test('both parts of a qualified name', () => {
    expect(quoteQualified('public', 'user')).toBe('public."user"');
  });
});

describe('quoteLiteral', () => {
  test.each([
    ['a', "'a'"],
    ["it's", "'it''s'"],
    ["a\\b'c", "E'a\\\\b''c'"],
    ['', "''"],
  ])('%s', (value, quoted) => {
    expect(quoteLiteral(value)).toBe(quoted);
  });
});

test('the grammar reads back what was quoted', async () => {
  const parser = await Parser.create();
  const text = fc.string({ unit: 'binary', minLength: 1 }).filter((value) => isStorable(value));
  fc.assert(
    fc.property(text, text, (name, value) => {
      const sql = `SELECT ${quoteLiteral(value)} FROM ${quoteIdentifier(name.slice(0, 10))}`;
      const [statement] = parser.parse(Buffer.from(sql)) as ParsedStatement[];
      expect(statement!.node).toMatchObject({
        SelectStmt: {
          targetList: [{ ResTarget: { val: { A_Const: { sval: { sval: value } } } } }],
          fromClause: [{ RangeVar: { relname: name.slice(0, 10) } }],
        },
      });
    }),
  );
});

/** PostgreSQL has no NUL; a cut must not leave half a surrogate pair. */
function isStorable(value: string): boolean {
  const cut = value.slice(0, 10);
  const isWhole = (text: string): boolean => Buffer.from(text).toString() === text;
  return !value.includes('\0') && isWhole(value) && isWhole(cut);
}
