import type { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import { hashBytes } from '../lookup3.js';
import { applySign } from './int.js';

/** PostgreSQL keeps numeric as base-10000 digits (NBASE in numeric.c), here called groups. */
export const GROUP_BASE = 10000;
export const GROUP_DIGITS = 4;
/**
 * Decimal digits before the point: the greatest weight is 0x7fff, the weight of the first group
 * counts from 0.
 */
export const INTEGER_DIGITS_MAX = (0x7fff + 1) * GROUP_DIGITS;
/** NUMERIC_DSCALE_MAX: digits behind the point. */
export const SCALE_MAX = 0x3fff;
/** 2^64 has 20 decimal digits: five groups, so an int8 never has a greater weight. */
const INT8_WEIGHT_MAX = 4;

const FIRST_BUFFER_BYTES = 64;

/**
 * A numeric in PostgreSQL's canonical form: no zero groups at either end. Group i counts
 * 10000^(weight - i). The groups lie as little-endian int16 in `bytes`, which is how the server
 * hashes them. Reused from value to value, so that reading allocates only when a value is longer
 * than any before.
 */
export class DecimalCell {
  kind: 'finite' | 'nan' | 'infinity' = 'finite';
  negative = false;
  weight = 0;
  /** Number of groups; 0 is the value zero. */
  count = 0;
  bytes = new Uint8Array(FIRST_BUFFER_BYTES);

  setSpecial(kind: 'nan' | 'infinity', negative = false): void {
    this.kind = kind;
    this.negative = negative;
    this.count = 0;
  }

  /** Starts a finite value whose first group will have this weight. */
  begin(negative: boolean, weight: number): void {
    this.kind = 'finite';
    this.negative = negative;
    this.weight = weight;
    this.count = 0;
  }

  /** Adds the next group; leading zero groups only lower the weight. */
  push(group: number): void {
    if (group === 0 && this.count === 0) {
      this.weight--;
      return;
    }
    const at = this.count * 2;
    if (at === this.bytes.length) this.grow();
    this.bytes[at] = group & 0xff;
    this.bytes[at + 1] = group >>> 8;
    this.count++;
  }

  /** Drops trailing zero groups. */
  finish(): void {
    while (this.count > 0 && this.group(this.count - 1) === 0) this.count--;
  }

  group(index: number): number {
    return this.bytes[index * 2]! | (this.bytes[index * 2 + 1]! << 8);
  }

  private grow(): void {
    const larger = new Uint8Array(this.bytes.length * 2);
    larger.set(this.bytes);
    this.bytes = larger;
  }
}

/**
 * hash_numeric_extended(value, 0): NaN and the infinities hash to the seed, zero to the seed less
 * one.
 */
export function hashDecimal(decimal: DecimalCell, out: KeyspaceIdCell): void {
  if (decimal.kind !== 'finite') {
    out.hi = 0;
    out.lo = 0;
    return;
  }
  if (decimal.count === 0) {
    out.hi = 0xffffffff;
    out.lo = 0xffffffff;
    return;
  }
  hashBytes(decimal.bytes, 0, decimal.count * 2, out);
  out.hi = (out.hi ^ (decimal.weight >> 31)) >>> 0;
  out.lo = (out.lo ^ decimal.weight) >>> 0;
}

/** The value as two's complement halves; false where it is no whole number within int8. */
export function decimalToInt64(decimal: DecimalCell, out: KeyspaceIdCell): boolean {
  const { count, weight } = decimal;
  if (decimal.kind !== 'finite') return false;
  if (count > 0 && (weight > INT8_WEIGHT_MAX || count > weight + 1)) return false;
  // Five groups stay below 10^20, so `hi` below 2^35; applySign refuses what passes int8.
  let hi = 0;
  let lo = 0;
  for (let index = 0; count > 0 && index <= weight; index++) {
    const low = lo * GROUP_BASE + (index < count ? decimal.group(index) : 0);
    hi = hi * GROUP_BASE + Math.floor(low / 0x100000000);
    lo = low >>> 0;
  }
  out.hi = hi;
  out.lo = lo;
  return applySign(decimal.negative, out);
}

/**
 * The greatest int8 that is not above the value, or the least int8 where all are above, as two's complement halves.
 * False: it is not the value itself. NaN is above all numbers.
 */
export function floorToInt64(decimal: DecimalCell, out: KeyspaceIdCell): boolean {
  if (decimalToInt64(decimal, out)) return true;
  const { kind, count, weight, negative } = decimal;
  const isWhole = count <= weight + 1;
  if (kind === 'finite' && !isWhole) {
    decimal.count = Math.max(0, weight + 1);
    const fits = decimalToInt64(decimal, out);
    decimal.count = count;
    if (fits) {
      if (negative) decrement(out);
      return false;
    }
  }
  const below = kind !== 'nan' && negative;
  out.hi = below ? 0x80000000 : 0x7fffffff;
  out.lo = below ? 0 : 0xffffffff;
  return false;
}

/** Less one, but not below the least int8. */
function decrement(cell: KeyspaceIdCell): void {
  if (cell.hi === 0x80000000 && cell.lo === 0) return;
  if (cell.lo === 0) cell.hi = (cell.hi - 1) >>> 0;
  cell.lo = (cell.lo - 1) >>> 0;
}

/** As PostgreSQL orders numerics: -Infinity, numbers, Infinity, NaN. Negative: `a` comes first. */
export function compareDecimals(a: DecimalCell, b: DecimalCell): number {
  const rank = rankOf(a);
  if (rank !== rankOf(b)) return rank - rankOf(b);
  if (a.kind !== 'finite' || a.count === 0) return 0;
  const sign = a.negative ? -1 : 1;
  if (a.weight !== b.weight) return (a.weight - b.weight) * sign;
  for (let index = 0; index < a.count && index < b.count; index++) {
    const difference = a.group(index) - b.group(index);
    if (difference !== 0) return difference * sign;
  }
  return (a.count - b.count) * sign;
}

function rankOf({ kind, count, negative }: DecimalCell): number {
  if (kind === 'nan') return 3;
  if (kind === 'infinity') return negative ? -2 : 2;
  return count === 0 ? 0 : negative ? -1 : 1;
}

/** Makes the decimal the value of two's complement int8 halves. */
export function int64ToDecimal(cell: KeyspaceIdCell, decimal: DecimalCell): void {
  const negative = cell.hi > 0x7fffffff;
  const lo = negative ? -cell.lo >>> 0 : cell.lo;
  const hi = negative ? (~cell.hi + (lo === 0 ? 1 : 0)) >>> 0 : cell.hi;
  magnitudeToDecimal(negative, hi, lo, decimal);
}

/** Makes the decimal an unsigned 64-bit magnitude with a sign. */
export function magnitudeToDecimal(
  negative: boolean,
  high: number,
  low: number,
  decimal: DecimalCell,
): void {
  // Four divisions peel off the lower groups; what remains of 2^64 after them is the highest, below
  // 2000.
  let hi = high;
  let lo = low;
  const divide = (): number => {
    const rest = (hi % GROUP_BASE) * 0x100000000 + lo;
    hi = Math.floor(hi / GROUP_BASE);
    lo = Math.floor(rest / GROUP_BASE);
    return rest % GROUP_BASE;
  };
  const group0 = divide();
  const group1 = divide();
  const group2 = divide();
  const group3 = divide();
  decimal.begin(negative, INT8_WEIGHT_MAX);
  decimal.push(lo);
  decimal.push(group3);
  decimal.push(group2);
  decimal.push(group1);
  decimal.push(group0);
  decimal.finish();
}

/**
 * Whether the value has no nonzero digit behind `scale` decimal places (before the point where
 * negative).
 */
export function fitsScale(decimal: DecimalCell, scale: number): boolean {
  if (decimal.kind !== 'finite' || decimal.count === 0) return true;
  let exponent = (decimal.weight - decimal.count + 1) * GROUP_DIGITS;
  for (let last = decimal.group(decimal.count - 1); last % 10 === 0; last /= 10) exponent++;
  return exponent >= -scale;
}
