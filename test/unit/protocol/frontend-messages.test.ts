import { describe, expect, test } from 'vitest';
import { SqlError } from '../../../src/errors/sql-error.js';
import {
  BindLayout,
  queryTextEnd,
  readExecute,
  readParse,
  readTarget,
  resultFormats,
} from '../../../src/protocol/frontend-messages.js';
import { int32, message } from './messages.js';

const PREFIX = Buffer.from('xx\0xx');

/** The message in the middle of a read buffer: what stands around it must not be read. */
function placed(bytes: Buffer): { buffer: Buffer; start: number; end: number } {
  const buffer = Buffer.concat([PREFIX, bytes, Buffer.from('\0\0\0\0\0\0')]);
  return { buffer, start: PREFIX.length, end: PREFIX.length + bytes.length };
}

function sqlStateOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof SqlError) return error.code;
    throw error;
  }
  return 'read';
}

/** Every proper prefix of the content, its length adjusted, must be refused. */
function expectCutsRefused(
  whole: Buffer,
  read: (b: Buffer, s: number, e: number) => unknown,
): void {
  for (let length = 5; length < whole.length; length++) {
    const { buffer, start, end } = placed(whole.subarray(0, length));
    expect(sqlStateOf(() => read(buffer, start, end))).toBe('08P01');
  }
  const { buffer, start, end } = placed(Buffer.concat([whole, Buffer.from('\0')]));
  expect(sqlStateOf(() => read(buffer, start, end))).toBe('08P01');
}

describe('Parse', () => {
  const whole = message('P', 's1\0', 'select $1\0', 2, int32(23), int32(-1));

  test('name, where the text is, and types without sign', () => {
    const { buffer, start, end } = placed(whole);
    const parse = readParse(buffer, start, end);
    expect(parse.name).toBe('s1');
    expect(buffer.toString('utf8', parse.textStart, parse.textEnd)).toBe('select $1');
    expect(parse.paramTypes).toEqual([23, 0xffffffff]);
  });

  test('empty name, empty text, no types', () => {
    const { buffer, start, end } = placed(message('P', '\0\0', 0));
    const parse = readParse(buffer, start, end);
    expect(parse).toMatchObject({ name: '', paramTypes: [] });
    expect(parse.textEnd).toBe(parse.textStart);
  });

  test('cut off or too long: 08P01', () => {
    expectCutsRefused(whole, readParse);
  });

  test('more types than there are', () => {
    const { buffer, start, end } = placed(message('P', '\0\0', 0xffff, int32(1)));
    expect(sqlStateOf(() => readParse(buffer, start, end))).toBe('08P01');
  });
});

describe('Bind', () => {
  const values = [int32(2), '42', int32(-1), int32(0)] as const;
  const whole = message('B', 'p\0', 's\0', 3, 1, 0, 1, 3, ...values, 2, 0, 1);

  function read(bytes: Buffer): { layout: BindLayout; buffer: Buffer } {
    const { buffer, start, end } = placed(bytes);
    const layout = new BindLayout();
    layout.read(buffer, start, end);
    if (layout.fault !== null) throw layout.fault;
    return { layout, buffer };
  }

  test('names, values, NULL is not the empty value, formats', () => {
    const { layout, buffer } = read(whole);
    const text = (from: number, to: number): string => buffer.toString('utf8', from, to);
    expect(text(layout.portalStart, layout.portalEnd)).toBe('p');
    expect(text(layout.statementStart, layout.statementEnd)).toBe('s');
    expect(layout.valueCount).toBe(3);
    expect(text(layout.valueStart[0]!, layout.valueEnd[0]!)).toBe('42');
    expect(layout.valueStart[1]).toBe(-1);
    expect(layout.valueStart[2]).toBeGreaterThan(0);
    expect(layout.valueEnd[2]).toBe(layout.valueStart[2]);
    expect([0, 1, 2].map((i) => layout.isBinary(buffer, i))).toEqual([true, false, true]);
    expect(buffer.subarray(layout.restStart)[1]).toBe(3);
  });

  test.each([
    ['no formats: text', 0, [], false],
    ['one format for all', 1, [1], true],
    ['one format for all, text', 1, [0], false],
  ])('%s', (_name, count, formats, binary) => {
    const { layout, buffer } = read(
      message('B', '\0\0', count, ...formats, 2, int32(-1), int32(-1), 0),
    );
    expect([layout.isBinary(buffer, 0), layout.isBinary(buffer, 1)]).toEqual([binary, binary]);
  });

  test('65,535 values', () => {
    const many = Array.from({ length: 65_535 }, (_, i) =>
      Buffer.from([0, 0, 0, 1, 0x30 + (i % 10)]),
    );
    const { layout, buffer } = read(message('B', '\0\0', 0, 65_535, Buffer.concat(many), 0));
    expect(layout.valueCount).toBe(65_535);
    expect(buffer[layout.valueStart[65_534]!]).toBe(0x34);
  });

  test('the layout serves one message after the other', () => {
    const { layout } = read(whole);
    const { buffer, start, end } = placed(message('B', '\0\0', 0, 0, 0));
    layout.read(buffer, start, end);
    expect(layout.valueCount).toBe(0);
    expect(layout.isBinary(buffer, 0)).toBe(false);
  });

  test('cut off or too long: 08P01', () => {
    expectCutsRefused(whole, (buffer, start, end) => {
      read(buffer.subarray(start, end));
    });
  });

  test.each([
    ['two formats for one value', message('B', '\0\0', 2, 0, 0, 1, int32(-1), 0), '08P01'],
    ['two formats for no value', message('B', '\0\0', 2, 0, 0, 0, 0), '08P01'],
    ['one format for no value', message('B', '\0\0', 1, 0, 0, 0), 'read'],
    ['a negative length', message('B', '\0\0', 0, 1, int32(-2), 0), '08P01'],
    ['a length of 2 GB', message('B', '\0\0', 0, 1, int32(0x7fffffff), 0), '08P01'],
    ['format 2', message('B', '\0\0', 1, 2, 1, int32(-1), 0), '22023'],
    ['format -1', message('B', '\0\0', 1, 0xffff, 1, int32(-1), 0), '22023'],
    ['more values than there are', message('B', '\0\0', 0, 0xffff, int32(-1), 0), '08P01'],
    ['more formats than there are', message('B', '\0\0', 0xffff, 0, 0, 0), '08P01'],
  ])('%s', (_name, bytes, state) => {
    expect(sqlStateOf(() => read(bytes))).toBe(state);
  });

  test.each([
    ['none: all text', 0, [], [false, false, false]],
    ['one for all', 1, [1], [true, true, true]],
    ['one per column', 2, [0, 1], [false, true, false]],
  ])('result formats: %s', (_name, count, formats, expected) => {
    const { layout, buffer } = read(
      message('B', '\0\0', 1, 1, 2, int32(3), 'abc', int32(-1), count, ...formats),
    );
    const end = buffer.length - 6;
    const format = resultFormats(Buffer.from(buffer.subarray(layout.restStart, end)));
    expect([0, 1, 2].map((column) => format(column))).toEqual(expected);
  });
});

describe('Describe and Close', () => {
  test.each([
    ['S', 'statement'],
    ['P', 'portal'],
  ])('%s names a %s', (letter, kind) => {
    const { buffer, start, end } = placed(message('D', `${letter}é1\0`));
    expect(readTarget(buffer, start, end)).toEqual({ kind, name: 'é1' });
  });

  test('cut off, too long, of another kind: 08P01', () => {
    expectCutsRefused(message('C', 'Sab\0'), readTarget);
    const { buffer, start, end } = placed(message('C', 'Xab\0'));
    expect(sqlStateOf(() => readTarget(buffer, start, end))).toBe('08P01');
  });
});

describe('Execute', () => {
  test.each([
    [0, 0],
    [5, 5],
    [-1, 0],
    [0x7fffffff, 0x7fffffff],
  ])('row limit %i is %i', (sent, rowsMax) => {
    const { buffer, start, end } = placed(message('E', 'c1\0', int32(sent)));
    expect(readExecute(buffer, start, end)).toEqual({ portal: 'c1', rowsMax });
  });

  test('the unnamed portal', () => {
    const { buffer, start, end } = placed(message('E', '\0', int32(0)));
    expect(readExecute(buffer, start, end).portal).toBe('');
  });

  test('cut off or too long: 08P01', () => {
    expectCutsRefused(message('E', 'c1\0', int32(1)), readExecute);
  });
});

describe('Query', () => {
  test('the text ends at its zero byte', () => {
    const { buffer, start, end } = placed(message('Q', 'select 1\0'));
    expect(buffer.toString('utf8', start + 5, queryTextEnd(buffer, start, end))).toBe('select 1');
  });

  test('empty text', () => {
    const { buffer, start, end } = placed(message('Q', '\0'));
    expect(queryTextEnd(buffer, start, end)).toBe(start + 5);
  });

  test('without zero byte, or with bytes behind it: 08P01', () => {
    expectCutsRefused(message('Q', 'ab\0'), queryTextEnd);
    const { buffer, start, end } = placed(message('Q', 'a\0b\0'));
    expect(sqlStateOf(() => queryTextEnd(buffer, start, end))).toBe('08P01');
  });
});
