import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyspaceIdCell } from '../../../src/keyspace/keyspace-id.js';
import { hashBytes, hashInt64, hashUint32 } from '../../../src/vindex/lookup3.js';

function id(fill: (cell: KeyspaceIdCell) => void): string {
  const cell = new KeyspaceIdCell();
  fill(cell);
  return cell.hi.toString(16).padStart(8, '0') + cell.lo.toString(16).padStart(8, '0');
}

test('bytes hash as hash_bytes_extended does: hashtextextended(v, 0) of PostgreSQL 18', () => {
  const cases = {
    '': '9fb1b765a7ea466d',
    abc: 'a25b273dd12feb97',
    abcdefghijkl: '97216e83a1763ad4',
    abcdefghijklmnop: '0c32ac11840989db',
  };
  for (const [text, expected] of Object.entries(cases)) {
    const bytes = Buffer.from(text);
    expect([text, id((cell) => hashBytes(bytes, 0, bytes.length, cell))]).toEqual([text, expected]);
  }
});

test('property: an int hashes as the four little-endian bytes it is', () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(value);
      expect(id((cell) => hashUint32(value, cell))).toBe(
        id((cell) => hashBytes(bytes, 0, 4, cell)),
      );
    }),
  );
});

test('property: an int8 that fits into an int4 hashes as the int4', () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      const small = id((cell) => hashUint32(value, cell));
      expect(id((cell) => hashInt64(value < 0 ? -1 : 0, value, cell))).toBe(small);
      // Halves may come signed or unsigned.
      expect(id((cell) => hashInt64(value < 0 ? 0xffffffff : 0, value >>> 0, cell))).toBe(small);
    }),
  );
});

test('property: only the bytes between start and end count', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), fc.uint8Array(), (before, value, after) => {
      const message = Buffer.concat([before, value, after]);
      const end = before.length + value.length;
      expect(id((cell) => hashBytes(message, before.length, end, cell))).toBe(
        id((cell) => hashBytes(value, 0, value.length, cell)),
      );
    }),
  );
});

test('halves are unsigned', () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      const cell = new KeyspaceIdCell();
      hashUint32(value, cell);
      expect(cell.hi).toBeGreaterThanOrEqual(0);
      expect(cell.lo).toBeGreaterThanOrEqual(0);
    }),
  );
});
