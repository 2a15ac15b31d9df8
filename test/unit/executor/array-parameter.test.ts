import { expect, test } from 'vitest';
import { arrayColumn, arrayParameters } from '../../../src/executor/array-parameter.js';
import { int32, message } from '../protocol/messages.js';

function column(type: number, typmod: number): { name: string; type: number; typmod: number } {
  return { name: 'c', type, typmod };
}

test('types keep their modifiers, in words that no search path can mean otherwise', () => {
  const casts = [
    column(1043, 14),
    column(1042, 7),
    // numeric(10, 2), numeric(3, -2), numeric(1000, 1000)
    column(1700, ((10 << 16) | 2) + 4),
    column(1700, ((3 << 16) | (-2 & 0x7ff)) + 4),
    column(1700, ((1000 << 16) | 1000) + 4),
    column(1184, 3),
    column(1083, 0),
    column(1562, 7),
  ].map((each) => arrayColumn(each)?.cast);
  expect(casts).toEqual([
    'varchar(10)',
    'character(3)',
    'numeric(10, 2)',
    'numeric(3, -2)',
    'numeric(1000, 1000)',
    'timestamp(3) with time zone',
    'time(0)',
    'bit varying(7)',
  ]);
});

test('arrays, types of users and modifiers that are not known go another way', () => {
  expect(arrayColumn(column(1007, -1))).toBe(null);
  expect(arrayColumn(column(16_400, -1))).toBe(null);
  expect(arrayColumn(column(1186, 0x7fff0002))).toBe(null);
  expect(arrayColumn(column(1186, -1))).not.toBe(null);
});

test('an array has its elements as the rows have them, nulls and empty strings apart', () => {
  const rows = [
    message('D', 2, int32(4), int32(7), int32(-1)),
    message('D', 2, int32(4), int32(8), int32(0)),
  ];
  const columns = [arrayColumn(column(23, -1))!, arrayColumn(column(25, -1))!];
  // Dimensions, nulls, element type, then size and lower bound (array.c, array_send).
  expect(arrayParameters([Buffer.concat(rows)], 2, columns)).toEqual([
    Buffer.concat([1, 0, 23, 2, 1, 4, 7, 4, 8].map(int32)),
    Buffer.concat([1, 1, 25, 2, 1, -1, 0].map(int32)),
  ]);
  expect(arrayParameters([], 0, [columns[0]!])).toEqual([Buffer.concat([0, 0, 23].map(int32))]);
});
