import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SqlError } from '../../../src/errors/sql-error.js';
import { Parser, type ParsedStatement } from '../../../src/sql/parser.js';
import { corpus } from './corpus.js';
import { goldenErrors } from './golden-errors.js';

let parser: Parser;
beforeAll(async () => {
  parser = await Parser.create();
});
afterAll(() => parser.close());

/** Parses on this thread: a statement that goes aside fails the test. */
function parse(sql: string | Uint8Array): ParsedStatement[] {
  const statements = parser.parse(Buffer.from(sql as string));
  if (statements instanceof Promise) throw new Error('went to the worker');
  return statements;
}

function errorOf(sql: string | Uint8Array): SqlError {
  try {
    parse(sql);
  } catch (error) {
    if (error instanceof SqlError) return error;
    throw error;
  }
  throw new Error(`accepted: ${String(sql)}`);
}

function textOf(sql: string, { start, length }: ParsedStatement): string {
  return Buffer.from(sql)
    .subarray(start, start + length)
    .toString();
}

describe('accepts', () => {
  test.each(corpus.map((sql) => [sql]))('%s', (sql) => {
    expect(() => parse(sql)).not.toThrow();
  });
});

describe('answers a broken statement as PostgreSQL 18 does', () => {
  test.each(goldenErrors().map((golden) => [golden.sql, golden] as const))('%s', (sql, golden) => {
    const { code, message, position, hint } = errorOf(sql);
    const error = { sql, code, message, position: position ?? null, hint: hint ?? null };
    expect(error).toEqual(golden);
  });
});

describe('statements of a text', () => {
  test('an empty text has none', () => {
    expect(parse('')).toEqual([]);
    expect(parse(' ; -- nothing\n ; /* at all */')).toEqual([]);
  });

  test('each has its own bytes, semicolons inside strings and multibyte text notwithstanding', () => {
    const sql = 'SELECT \'ä;€\'; UPDATE t SET a = $$;$$ ;DELETE FROM "ö;"';
    expect(parse(sql).map((statement) => textOf(sql, statement).trim())).toEqual([
      "SELECT 'ä;€'",
      'UPDATE t SET a = $$;$$',
      'DELETE FROM "ö;"',
    ]);
  });

  test('offsets count from the start of the text, not of the buffer', () => {
    const bytes = Buffer.from('XXXXSELECT 1; SELECT 2YYYY');
    const statements = parser.parse(bytes, 4, bytes.length - 4) as ParsedStatement[];
    expect(statements.map(({ start, length }) => [start, length])).toEqual([
      [0, 8],
      [10, 8],
    ]);
  });

  test('the node is the statement with byte locations', () => {
    const [statement] = parse("SELECT 'ä', 7");
    const select = (statement!.node as { SelectStmt: { targetList: unknown[] } }).SelectStmt;
    expect(select.targetList[1]).toMatchObject({
      ResTarget: { val: { A_Const: { ival: { ival: 7 }, location: 13 } } },
    });
  });
});

describe('encoding', () => {
  test.each([
    ['ff', '0xff'],
    ['c328', '0xc3 0x28'],
    ['c3', '0xc3'],
    ['e28228', '0xe2 0x82 0x28'],
    ['c080', '0xc0 0x80'],
    ['e08080', '0xe0 0x80 0x80'],
    ['eda080', '0xed 0xa0 0x80'],
    ['f4908080', '0xf4 0x90 0x80 0x80'],
    ['f8888080', '0xf8'],
    ['00', '0x00'],
  ])('bytes %s are refused by name', (hex, shown) => {
    const text = Buffer.concat([
      Buffer.from("SELECT 'ä"),
      Buffer.from(hex, 'hex'),
      Buffer.from("'"),
    ]);
    // A sequence cut off by the text's end is shown as far as it goes.
    const cut = hex === 'c3' ? `${shown} 0x27` : shown;
    expect(errorOf(text)).toMatchObject({
      code: '22021',
      message: `invalid byte sequence for encoding "UTF8": ${cut}`,
    });
  });
});

describe('comments', () => {
  test('may stand wherever PostgreSQL has them', () => {
    for (const sql of [
      'SELECT 1 WHERE a NOT /* c */ IN (1)',
      'SELECT a FROM t ORDER BY a NULLS -- c\n FIRST',
      'SELECT x::timestamp WITH /* c */ TIME ZONE',
      "SELECT U&'a' /* c */ UESCAPE /* ' */ '!'",
      "SELECT 'a' -- c'\n -- d\n 'b'",
      "SELECT E'\\'' -- c'\n '\\'' /* d */",
      'SELECT $$--$$ /* ä */, "--", 1 --',
    ]) {
      expect(() => parse(sql), sql).not.toThrow();
    }
  });

  test('do not change what strings hold', () => {
    const tree = JSON.stringify(parse("SELECT '-- a', E'/* \\' */', $$ /* b */ $$ -- c")[0]!.node);
    for (const text of ['-- a', "/* ' */", ' /* b */ ']) expect(tree).toContain(`"sval":"${text}"`);
  });

  test('an operator ends where a comment begins', () => {
    expect(JSON.stringify(parse('SELECT 1 +-- x\n 2')[0]!.node)).toContain('"sval":"+"');
    expect(JSON.stringify(parse('SELECT 1 +/* x */ 2')[0]!.node)).toContain('"sval":"+"');
  });
});
