import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { forEachArrayElement } from '../../../src/executor/array-elements.js';

/** The elements as text; null where the bytes are no array. Unrelated bytes stand on both sides. */
function elements(array: string | Buffer): string[] | null {
  const bytes = typeof array === 'string' ? Buffer.from(array) : array;
  const framed = Buffer.concat([Buffer.from('{x,"'), bytes, Buffer.from('",7}')]);
  const found: string[] = [];
  const whole = forEachArrayElement(
    framed,
    4,
    4 + bytes.length,
    typeof array !== 'string',
    (from, start, end) => {
      found.push(Buffer.from(from.subarray(start, end)).toString());
    },
  );
  return whole ? found : null;
}

describe('arrays in text format', () => {
  // Left: what PostgreSQL 15 and 18 accept for text[]; right: `SELECT unnest(...)` without NULLs.
  test.each([
    ['{}', []],
    [' { } ', []],
    ['{1}', ['1']],
    ['{1,2,3}', ['1', '2', '3']],
    ['{ 1 ,\t2\n, 3 }', ['1', '2', '3']],
    ['{NULL,null,Null}', []],
    ['{"NULL",nulls,\\NULL}', ['NULL', 'nulls', 'NULL']],
    ['{a b , c }', ['a b', 'c']],
    ['{"a b ",""}', ['a b ', '']],
    ['{"a,b","c}d","e{f"}', ['a,b', 'c}d', 'e{f']],
    ['{"a\\"b","c\\\\d","\\e"}', ['a"b', 'c\\d', 'e']],
    ['{a\\,b,\\{c\\},d\\ }', ['a,b', '{c}', 'd ']],
    ['{{1,2},{3,4}}', ['1', '2', '3', '4']],
    ['{ { "a" , b } , { NULL , d } }', ['a', 'b', 'd']],
    ['[0:1]={1,2}', ['1', '2']],
    [' [2:2][-1:0] = {{1,2}} ', ['1', '2']],
    ['{é,"日本"}', ['é', '日本']],
  ])('%s', (array, expected) => {
    expect(elements(array)).toEqual(expected);
  });

  test.each([
    '',
    ' ',
    '1',
    '{',
    '{1',
    '{1,',
    '{"1',
    '{"1\\',
    '{1\\',
    '{1}x',
    '{1}}',
    '{1}{2}',
    '}',
    '[0:1]',
    '[0:1]1,2',
    '{a"b"}',
    '{a{b}',
  ])('%j is no array', (array) => {
    expect(elements(array)).toBeNull();
  });

  test('elements come back however they are quoted', () => {
    const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (values) => {
        expect(elements(`{${values.map(quote).join(',')}}`)).toEqual(
          values.map((value) => Buffer.from(value).toString()),
        );
      }),
    );
  });

  test('a hundred thousand quoted elements take time in proportion', () => {
    const array = `{${Array.from({ length: 100_000 }, (_, i) => `"a\\\\${i}"`).join(',')}}`;
    const start = performance.now();
    expect(elements(array)).toHaveLength(100_000);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

/** As array_send writes it: int4 elements of any dimensions. */
function binaryArray(dimensions: readonly number[], values: readonly (Buffer | null)[]): Buffer {
  const header = Buffer.alloc(12 + 8 * dimensions.length);
  header.writeInt32BE(dimensions.length, 0);
  header.writeInt32BE(23, 8);
  dimensions.forEach((length, i) => {
    header.writeInt32BE(length, 12 + 8 * i);
    header.writeInt32BE(1, 16 + 8 * i);
  });
  const parts = values.map((value) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value === null ? -1 : value.length);
    return value === null ? length : Buffer.concat([length, value]);
  });
  return Buffer.concat([header, ...parts]);
}

const bytes = (text: string): Buffer => Buffer.from(text);

describe('arrays in binary format', () => {
  test('no dimensions: no elements', () => {
    expect(elements(binaryArray([], []))).toEqual([]);
  });

  test('elements in order, NULLs left out', () => {
    const array = binaryArray([4], [bytes('a'), null, bytes(''), bytes('bcd')]);
    expect(elements(array)).toEqual(['a', '', 'bcd']);
  });

  test('several dimensions are flattened', () => {
    const array = binaryArray([2, 2], [bytes('a'), bytes('b'), bytes('c'), bytes('d')]);
    expect(elements(array)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a dimension without elements', () => {
    expect(elements(binaryArray([0], []))).toEqual([]);
  });

  test('lengths that do not add up', () => {
    expect(elements(binaryArray([2], [bytes('a')]))).toBeNull();
    expect(elements(binaryArray([1], [bytes('a'), bytes('b')]))).toBeNull();
    expect(elements(binaryArray([-1], []))).toBeNull();
    expect(elements(binaryArray([1, 1, 1, 1, 1, 1, 1], [bytes('a')]))).toBeNull();
    expect(elements(binaryArray([0x7fffffff, 0x7fffffff], [bytes('a')]))).toBeNull();
    const negative = binaryArray([1], [bytes('a')]);
    negative.writeInt32BE(-2, 20);
    expect(elements(negative)).toBeNull();
  });

  test('cut off anywhere it is no array', () => {
    const whole = binaryArray([2], [bytes('ab'), bytes('c')]);
    for (let end = 0; end < whole.length; end++)
      expect(elements(whole.subarray(0, end))).toBeNull();
  });

  test('random bytes neither throw nor spin', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (random) => {
        elements(Buffer.from(random));
        elements(Buffer.from(random).toString('latin1'));
      }),
    );
  });
});
