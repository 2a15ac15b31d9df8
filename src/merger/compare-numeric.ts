import { readUint16 } from '../protocol/framing.js';
import type { Comparator } from './comparator.js';

/*
 * numeric (PostgreSQL 18, numeric_send): number of digits, weight of the first digit, sign, display scale, then the
 * digits, all of 16 bits. A digit counts to 10,000; the value is the sum of digit[i] * 10000 ^ (weight - i).
 */

const DIGITS = 8;
const NEGATIVE = 0x4000;
const NAN = 0xc000;
const INFINITY = 0xd000;
const NEGATIVE_INFINITY = 0xf000;

/** -Infinity, negative numbers, 0, positive ones, Infinity, NaN; 1.0 equals 1.00 (cmp_numerics). */
export const compareNumeric: Comparator = (a, aStart, aEnd, b, bStart, bEnd) => {
  const rank = rankOf(a, aStart);
  const difference = rank - rankOf(b, bStart);
  if (difference !== 0) return difference;
  if (rank === POSITIVE_RANK) return compareDigits(a, aStart, aEnd, b, bStart, bEnd);
  return rank === NEGATIVE_RANK ? compareDigits(b, bStart, bEnd, a, aStart, aEnd) : 0;
};

const NEGATIVE_RANK = 1;
const ZERO_RANK = 2;
const POSITIVE_RANK = 3;

function rankOf(value: Buffer, start: number): number {
  const sign = readUint16(value, start + 4);
  if (sign === NAN) return 5;
  if (sign === INFINITY) return 4;
  if (sign === NEGATIVE_INFINITY) return 0;
  // Zero has no digits: leading and trailing zeros are never kept.
  if (readUint16(value, start) === 0) return ZERO_RANK;
  return sign === NEGATIVE ? NEGATIVE_RANK : POSITIVE_RANK;
}

/** Absolute values that are not zero. */
const compareDigits: Comparator = (a, aStart, aEnd, b, bStart, bEnd) => {
  const weights = weightOf(a, aStart) - weightOf(b, bStart);
  if (weights !== 0) return weights;
  let left = aStart + DIGITS;
  let right = bStart + DIGITS;
  while (left < aEnd && right < bEnd) {
    const difference = readUint16(a, left) - readUint16(b, right);
    if (difference !== 0) return difference;
    left += 2;
    right += 2;
  }
  return aEnd - left - (bEnd - right);
};

function weightOf(value: Buffer, start: number): number {
  return (readUint16(value, start + 2) << 16) >> 16;
}
