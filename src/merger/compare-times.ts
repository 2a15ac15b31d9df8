import { readInt32 } from '../protocol/framing.js';
import { compareInt4, compareInt8 } from './compare-numbers.js';
import type { Comparator } from './comparator.js';

/*
 * Times that no plain integer orders (PostgreSQL 18, src/backend/utils/adt: date.c, timestamp.c).
 *
 *   time, timestamp(tz): | microseconds 8 |
 *   timetz:              | microseconds 8 | zone 4, seconds west of UTC |
 *   interval:            | microseconds 8 | days 4 | months 4 |
 */

/** time, timestamp, timestamptz. */
export const compareTime = compareInt8;

/** By the instant, then by the zone, so that equal instants in two zones differ (timetz_cmp_internal). */
export const compareTimetz: Comparator = (a, aStart, aEnd, b, bStart, bEnd) => {
  const left = instant(a, aStart);
  const right = instant(b, bStart);
  if (left !== right) return left < right ? -1 : 1;
  return compareInt4(a, aStart + 8, aEnd, b, bStart + 8, bEnd);
};

/** Microseconds: less than a day and a zone, so exact. */
function instant(value: Buffer, start: number): number {
  const time = readInt32(value, start) * 2 ** 32 + (readInt32(value, start + 4) >>> 0);
  return time + readInt32(value, start + 8) * 1_000_000;
}

/**
 * A month counts 30 days and a day 24 hours (interval_cmp_value, in 128 bits). Here: whole days, then
 * the rest of a day, so that every number is exact in 53 bits. A day is 2^13 * 10,546,875
 * microseconds, and the lower 13 bits are compared last.
 */
export const compareInterval: Comparator = (a, aStart, _aEnd, b, bStart) => {
  const left = coarseTime(a, aStart);
  const right = coarseTime(b, bStart);
  const leftDays = Math.floor(left / COARSE_DAY);
  const rightDays = Math.floor(right / COARSE_DAY);
  const days = leftDays + calendarDays(a, aStart) - (rightDays + calendarDays(b, bStart));
  if (days !== 0) return days;
  const rest = left - leftDays * COARSE_DAY - (right - rightDays * COARSE_DAY);
  if (rest !== 0) return rest;
  return (readInt32(a, aStart + 4) & FINE_MASK) - (readInt32(b, bStart + 4) & FINE_MASK);
};

const FINE_BITS = 13;
const FINE_MASK = (1 << FINE_BITS) - 1;
const COARSE_DAY = 86_400_000_000 / 2 ** FINE_BITS;

/** Microseconds without their lower 13 bits: 51 bits. */
function coarseTime(value: Buffer, start: number): number {
  const low = readInt32(value, start + 4) >>> FINE_BITS;
  return readInt32(value, start) * 2 ** (32 - FINE_BITS) + low;
}

function calendarDays(value: Buffer, start: number): number {
  return readInt32(value, start + 12) * 30 + readInt32(value, start + 8);
}
