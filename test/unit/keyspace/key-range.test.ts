import { expect, test } from 'vitest';
import { formatKeyRange, parseKeyRange } from '../../../src/keyspace/key-range.js';
import { compareKeyspaceIds } from '../../../src/keyspace/keyspace-id.js';

test.each(['-40', '40-80', 'c0-', '-', '4080-c0', '8000000000000001-ffffffffffffffff'])(
  'a key range reads back as it was written: %s',
  (text) => {
    expect(formatKeyRange(parseKeyRange(text)!)).toBe(text);
  },
);

test('bounds are left-aligned hex', () => {
  expect(parseKeyRange('4-8')).toEqual({
    from: { hi: 0x40000000, lo: 0 },
    to: { hi: 0x80000000, lo: 0 },
  });
  expect(parseKeyRange('123456789abcdef0-')?.from).toEqual({ hi: 0x12345678, lo: 0x9abcdef0 });
});

test.each(['', '40', '80-40', '40-40', '-00', 'g0-', '40-80-c0', '11111111111111111-'])(
  'no key range: %j',
  (text) => {
    expect(parseKeyRange(text)).toBeNull();
  },
);

test('keyspace ids compare as unsigned 64-bit numbers', () => {
  const ids = [
    { hi: 0, lo: 0 },
    { hi: 0, lo: 0xffffffff },
    { hi: 0x7fffffff, lo: 0 },
    { hi: 0x80000000, lo: 0 },
    { hi: 0xffffffff, lo: 0xffffffff },
  ];
  expect(ids.toReversed().sort(compareKeyspaceIds)).toEqual(ids);
});
