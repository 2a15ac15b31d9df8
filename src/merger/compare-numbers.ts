import { readInt32, readUint16 } from '../protocol/framing.js';
import type { Comparator } from './comparator.js';

/* Numbers of fixed size, big-endian (PostgreSQL 18, src/backend/libpq/pqformat.c). */

export const compareBool: Comparator = (a, aStart, _aEnd, b, bStart) => a[aStart]! - b[bStart]!;

export const compareInt2: Comparator = (a, aStart, _aEnd, b, bStart) =>
  ((readUint16(a, aStart) << 16) >> 16) - ((readUint16(b, bStart) << 16) >> 16);

/** int4, date (the infinities are its extremes). */
export const compareInt4: Comparator = (a, aStart, _aEnd, b, bStart) => {
  const left = readInt32(a, aStart);
  const right = readInt32(b, bStart);
  return left < right ? -1 : left > right ? 1 : 0;
};

/** int8, money, time, timestamp and timestamptz (the infinities are their extremes). */
export const compareInt8: Comparator = (a, aStart, aEnd, b, bStart, bEnd) =>
  compareInt4(a, aStart, aEnd, b, bStart, bEnd) ||
  compareUint4(a, aStart + 4, aEnd, b, bStart + 4, bEnd);

/** oid. */
export const compareUint4: Comparator = (a, aStart, _aEnd, b, bStart) => {
  const left = readInt32(a, aStart) >>> 0;
  const right = readInt32(b, bStart) >>> 0;
  return left < right ? -1 : left > right ? 1 : 0;
};

export const compareFloat4: Comparator = (a, aStart, _aEnd, b, bStart) =>
  compareFloats(a.readFloatBE(aStart), b.readFloatBE(bStart));

export const compareFloat8: Comparator = (a, aStart, _aEnd, b, bStart) =>
  compareFloats(a.readDoubleBE(aStart), b.readDoubleBE(bStart));

/** NaN equals NaN and is greater than all others; -0 equals 0 (float8_cmp_internal). */
function compareFloats(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}
