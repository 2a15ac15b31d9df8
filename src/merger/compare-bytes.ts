import { compareInt4 } from './compare-numbers.js';
import type { Comparator } from './comparator.js';

/** Up to here a loop is faster than the call of a native function. */
const LOOP_BYTES = 32;
const BLANK = 0x20;

/**
 * As unsigned bytes, a prefix first: bytea, uuid, macaddr, xid8, pg_lsn, "char", tid, and text whose
 * collation orders by bytes.
 */
export const compareBytes: Comparator = (a, aStart, aEnd, b, bStart, bEnd) => {
  const aLength = aEnd - aStart;
  const bLength = bEnd - bStart;
  const common = aLength < bLength ? aLength : bLength;
  const loop = common < LOOP_BYTES ? common : LOOP_BYTES;
  for (let i = 0; i < loop; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  if (common <= LOOP_BYTES) return aLength - bLength;
  return a.compare(b, bStart + loop, bEnd, aStart + loop, aEnd);
};

/** character(n): blanks at the end do not count (bpcharcmp). */
export const compareBpchar: Comparator = (a, aStart, aEnd, b, bStart, bEnd) => {
  let aStop = aEnd;
  while (aStop > aStart && a[aStop - 1] === BLANK) aStop--;
  let bStop = bEnd;
  while (bStop > bStart && b[bStop - 1] === BLANK) bStop--;
  return compareBytes(a, aStart, aStop, b, bStart, bStop);
};

/** bit, varbit: number of bits (4), then these in bytes. The bytes first, then the number (bit_cmp). */
export const compareBits: Comparator = (a, aStart, aEnd, b, bStart, bEnd) =>
  compareBytes(a, aStart + 4, aEnd, b, bStart + 4, bEnd) ||
  compareInt4(a, aStart, aEnd, b, bStart, bEnd);

const ADDRESS = 4;

/**
 * inet, cidr: family, bits of the netmask, is cidr, length, address (a byte each but the last). By
 * family, network part, length of the netmask, address (network_cmp_internal).
 */
export const compareInet: Comparator = (a, aStart, aEnd, b, bStart, bEnd) => {
  const families = a[aStart]! - b[bStart]!;
  if (families !== 0) return families;
  const aBits = a[aStart + 1]!;
  const bBits = b[bStart + 1]!;
  const common = aBits < bBits ? aBits : bBits;
  const whole = common >> 3;
  const left = aStart + ADDRESS;
  const right = bStart + ADDRESS;
  const networks = compareBytes(a, left, left + whole, b, right, right + whole);
  if (networks !== 0) return networks;
  if ((common & 7) !== 0) {
    const shift = 8 - (common & 7);
    const difference = (a[left + whole]! >> shift) - (b[right + whole]! >> shift);
    if (difference !== 0) return difference;
  }
  return aBits - bBits || compareBytes(a, left, aEnd, b, right, bEnd);
};
