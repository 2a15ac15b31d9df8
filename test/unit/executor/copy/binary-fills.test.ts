import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BinaryFills } from '../../../../src/executor/copy/binary-fills.js';
import { TypeOid } from '../../../../src/keyspace/type-oids.js';
import { binaryWriter } from '../../../../src/vindex/values/binary-ids.js';
import { cutsArbitrary } from './splitting.js';

const HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const LONG_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\x05\0\0\0\x03abc', 'latin1');
const TRAILER = Buffer.from([0xff, 0xff]);

type Value = string | null;

function row(values: readonly Value[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(values.length);
  const fields = values.map((value) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value === null ? -1 : value.length);
    return Buffer.concat([length, Buffer.from(value ?? '')]);
  });
  return Buffer.concat([count, ...fields]);
}

/** Data of two columns with `0`, `1`, ... behind its rows, where it comes in pieces of these lengths. */
function filled(data: Buffer, cuts: readonly number[] = []): string {
  const fills = new BinaryFills(2, [binaryWriter(TypeOid.text)!]);
  const out: Buffer[] = [];
  let count = 0;
  let at = 0;
  for (const length of [...cuts, data.length]) {
    const end = Math.min(data.length, at + length);
    const ended = fills.scan(data, at, end);
    const rows = Array.from({ length: ended }, () => [String(count++)]);
    // A chunk may have moved when its values are there.
    const moved = Buffer.concat([Buffer.from('...'), data.subarray(at, end)]);
    out.push(fills.fill(moved, 3, moved.length, rows));
    if (fills.fault !== null) {
      return `${Buffer.concat(out).toString('latin1')} ${fills.fault.message}`;
    }
    at = end;
  }
  return Buffer.concat(out).toString('latin1');
}

const latin1 = (...parts: readonly Buffer[]): string => Buffer.concat(parts).toString('latin1');

const rowsOf: readonly (readonly Value[])[] = [
  ['a', null],
  ['', 'bc'],
  [null, null],
];
const given = rowsOf.map(row);
const wanted = rowsOf.map((values, i) => row([...values, String(i)]));

test.each([
  ['a header alone', [HEADER], latin1(HEADER)],
  ['rows', [HEADER, ...given, TRAILER], latin1(HEADER, ...wanted, TRAILER)],
  ['an extended header', [LONG_HEADER, ...given], latin1(LONG_HEADER, ...wanted)],
  [
    'a row cut off',
    [HEADER, given[0]!, given[1]!.subarray(0, 9)],
    latin1(HEADER, wanted[0]!, Buffer.from([0, 3]), given[1]!.subarray(2, 9)),
  ],
  ['half a count', [HEADER, given[0]!, Buffer.from([0])], latin1(HEADER, wanted[0]!)],
  ['more behind the end', [HEADER, TRAILER, given[0]!], latin1(HEADER, TRAILER, given[0]!)],
  [
    'another signature',
    [Buffer.from('PGCOPY1'), given[0]!],
    latin1(Buffer.from('PGCOPY1'), given[0]!),
  ],
  [
    'a length that is none',
    [HEADER, Buffer.from([0, 2, 255, 255, 255, 254]), given[0]!],
    latin1(HEADER, Buffer.from([0, 3, 255, 255, 255, 254]), given[0]!),
  ],
  [
    'a field too few',
    [HEADER, given[0]!, row(['a']), given[1]!],
    `${latin1(HEADER, wanted[0]!)} row field count is 1, expected 2`,
  ],
  [
    'a field too many',
    [HEADER, row(['a', 'b', 'c'])],
    `${latin1(HEADER)} row field count is 3, expected 2`,
  ],
])('%s, whole and byte by byte', (_, parts, right) => {
  const data = Buffer.concat(parts);
  expect(filled(data)).toBe(right);
  expect(filled(data, Array<number>(data.length).fill(1))).toBe(right);
});

test('wherever the data is cut, it is the same', () => {
  const values = fc.tuple(fc.option(fc.string()), fc.option(fc.string()));
  fc.assert(
    fc.property(fc.array(values, { maxLength: 6 }), cutsArbitrary, fc.nat(), (rows, cuts, end) => {
      const whole = Buffer.concat([HEADER, ...rows.map(row), TRAILER]);
      const data = whole.subarray(0, whole.length - (end % whole.length));
      expect(filled(data, cuts)).toBe(filled(data));
    }),
  );
});

test.each([
  [TypeOid.int2, '-2', 'fffe'],
  [TypeOid.int4, '70000', '00011170'],
  [TypeOid.int8, '9007199254740993', '0020000000000001'],
  [TypeOid.float4, '3', '40400000'],
  [TypeOid.float8, '3', '4008000000000000'],
  [TypeOid.numeric, '0', '0000000000000000'],
  [TypeOid.numeric, '-120003', '000200014000000000' + '0c0003'],
  [TypeOid.uuid, '01234567-89ab-cdef-0123-456789abcdef', '0123456789abcdef0123456789abcdef'],
  [TypeOid.varchar, '17', '3137'],
])('an id in the binary format of type %d: %s', (type, id, hex) => {
  expect(binaryWriter(type)!(id).toString('hex')).toBe(hex);
});

test('an id that its column cannot hold is an error', () => {
  expect(() => binaryWriter(TypeOid.int2)!('32768')).toThrow('smallint out of range');
  expect(() => binaryWriter(TypeOid.int4)!('2147483648')).toThrow('integer out of range');
  expect(binaryWriter(TypeOid.jsonb)).toBeUndefined();
});
