import type { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import { INVALID, MAPPED, UNREADABLE, type MapOutcome } from '../../keyspace/vindex.js';
import { trimSpaces, skipSpaces } from './ascii.js';

/**
 * Dates and times in ISO 8601 text, with or without seconds, the one spelling whose meaning no setting changes.
 * Everything else that Postgres reads (month names, other orders, BC, `today`, abbreviated zones) depends on
 * DateStyle, TimeZone or the clock and is UNREADABLE.
 */

const DAY = String.raw`(\d{4,7})-(\d\d)-(\d\d)`;
const TIME = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?`;
const OFFSET = String.raw`(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)`;
const DATE = new RegExp(`^${DAY}$`);
const TIMESTAMP = new RegExp(`^${DAY}(?:[T ]${TIME})?$`);
const TIMESTAMPTZ = new RegExp(`^${DAY}[T ]${TIME} ?${OFFSET}$`);
/** Longer texts match no pattern: 7 + 6 digits of date, 15 of time, 7 of zone. */
const TEXT_BYTES_MAX = 40;

const SECONDS_PER_DAY = 86400;
/** 0001-01-01 as days since 2000-01-01. */
const DAY_OF_YEAR_ONE = -730119;
/** 5874897-12-31, the last date (DATE_END_JULIAN - 1 less POSTGRES_EPOCH_JDATE). */
const DAY_MAX = 2145031948;
/** 294277-01-01 00:00:00, the first second that a timestamp cannot hold (END_TIMESTAMP). */
const SECOND_END = 9223371331200;
/** MAX_TZDISP_HOUR. */
const ZONE_HOURS_MAX = 15;

/** Reads a date into the cell as days since 2000-01-01, sign-extended two's complement halves. */
export function readDateText(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: KeyspaceIdCell,
): MapOutcome {
  const text = shortText(bytes, start, end);
  const infinity = infinitySign(text);
  if (infinity !== 0) {
    setDays(infinity > 0 ? 0x7fffffff : -0x80000000, out);
    return MAPPED;
  }
  const match = DATE.exec(text);
  if (match === null) return otherText(text);
  const days = dayNumber(Number(match[1]), Number(match[2]), Number(match[3]));
  if (days === null || days > DAY_MAX) return INVALID;
  setDays(days, out);
  return MAPPED;
}

/** Reads a timestamp into the cell as microseconds since 2000-01-01, two's complement halves. */
export function readTimestampText(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: KeyspaceIdCell,
): MapOutcome {
  const text = shortText(bytes, start, end);
  const infinity = infinitySign(text);
  return infinity !== 0 ? setInfinity(infinity, out) : setMoment(TIMESTAMP, text, out);
}

/**
 * Like `readTimestampText`, in UTC: the text must say its offset, since TimeZone would fill it in
 * otherwise.
 */
export function readTimestamptzText(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: KeyspaceIdCell,
): MapOutcome {
  const text = shortText(bytes, start, end);
  const infinity = infinitySign(text);
  return infinity !== 0 ? setInfinity(infinity, out) : setMoment(TIMESTAMPTZ, text, out);
}

/**
 * The trimmed text, or one that matches nothing where it is too long. Bytes above 0x7f match
 * nothing either.
 */
function shortText(bytes: Uint8Array, start: number, end: number): string {
  const first = skipSpaces(bytes, start, end);
  const stop = trimSpaces(bytes, first, end);
  if (stop - first > TEXT_BYTES_MAX) return '';
  return String.fromCharCode(...bytes.subarray(first, stop));
}

function infinitySign(text: string): -1 | 0 | 1 {
  if (text.length > 9) return 0;
  const lower = text.toLowerCase();
  return lower === 'infinity' ? 1 : lower === '-infinity' ? -1 : 0;
}

/**
 * Groups of a match: year, month, day, hour, minute, second, fraction, zone sign, zone hours, zone
 * minutes.
 */
function setMoment(pattern: RegExp, text: string, out: KeyspaceIdCell): MapOutcome {
  const match = pattern.exec(text);
  if (match === null) return otherText(text);
  const part = (index: number): number => Number(match[index] ?? 0);
  const days = dayNumber(part(1), part(2), part(3));
  const [hour, minute, second] = [part(4), part(5), part(6)];
  if (days === null || hour > 24 || minute > 59 || second > 60) return INVALID;
  // Postgres carries 24:00:00 and second 60 over, within limits not worth repeating here.
  if (hour === 24 || second === 60) return UNREADABLE;
  const [zoneHours, zoneMinutes] = [part(9), part(10)];
  if (zoneHours > ZONE_HOURS_MAX || zoneMinutes > 59) return INVALID;
  const offset = (zoneHours * 3600 + zoneMinutes * 60) * (match[8] === '-' ? -1 : 1);
  const seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
  if (seconds >= SECOND_END) return INVALID;
  setMicroseconds(seconds, Number((match[7] ?? '').padEnd(6, '0')), out);
  return MAPPED;
}

/** Words that stand for a date or time without any digit (PostgreSQL 18, datetime.c, datetktbl). */
const words = /now|today|tomorrow|yesterday|epoch|infinity|allballs/i;

/** Text that is not ISO 8601: Postgres reads nothing from letters alone but a few words. */
function otherText(text: string): MapOutcome {
  return text === '' || !/^[a-z ]+$/i.test(text) || words.test(text) ? UNREADABLE : INVALID;
}

/** Days since 2000-01-01 in the Gregorian calendar, or null where there is no such day. */
function dayNumber(year: number, month: number, day: number): number | null {
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) return null;
  // Counting years from March puts the leap day last, so that 153 days per five months is exact.
  const fromMarch = (month + 9) % 12;
  const marchYear = year - (month <= 2 ? 1 : 0);
  const leapDays =
    Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  const dayOfYear = Math.floor((153 * fromMarch + 2) / 5) + day - 1;
  // 0001-01-01 is day 306 of the March year 0.
  return marchYear * 365 + leapDays + dayOfYear - 306 + DAY_OF_YEAR_ONE;
}

function daysOfMonth(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
}

function setDays(days: number, out: KeyspaceIdCell): void {
  out.hi = days < 0 ? 0xffffffff : 0;
  out.lo = days >>> 0;
}

/**
 * `seconds` * 10^6 + `fraction`, exactly: the product passes 2^53, so it is taken in two parts of
 * 20 bits.
 */
function setMicroseconds(seconds: number, fraction: number, out: KeyspaceIdCell): void {
  const upper = Math.floor(seconds / 0x100000) * 1_000_000;
  const lower = (seconds - Math.floor(seconds / 0x100000) * 0x100000) * 1_000_000 + fraction;
  const upperHi = Math.floor(upper / 0x1000);
  const low = (upper - upperHi * 0x1000) * 0x100000 + lower;
  const carry = Math.floor(low / 0x100000000);
  out.hi = (upperHi + carry) >>> 0;
  out.lo = low >>> 0;
}

/** The first microsecond of a day, counted from 2000-01-01, as halves; INVALID where no timestamp holds it. */
export function daysToMicroseconds(days: number, out: KeyspaceIdCell): MapOutcome {
  if (days === 0x7fffffff || days === -0x80000000) return setInfinity(days, out);
  const seconds = days * SECONDS_PER_DAY;
  if (seconds >= SECOND_END) return INVALID;
  setMicroseconds(seconds, 0, out);
  return MAPPED;
}

/** DT_NOEND and DT_NOBEGIN: the greatest and least int8. */
function setInfinity(sign: number, out: KeyspaceIdCell): MapOutcome {
  out.hi = sign > 0 ? 0x7fffffff : 0x80000000;
  out.lo = sign > 0 ? 0xffffffff : 0;
  return MAPPED;
}

/**
 * Whether microseconds (two's complement halves) have no nonzero digit behind `precision` places;
 * infinities have none.
 */
export function fitsPrecision(cell: KeyspaceIdCell, precision: number): boolean {
  if (cell.hi === 0x7fffffff && cell.lo === 0xffffffff) return true;
  if (cell.hi === 0x80000000 && cell.lo === 0) return true;
  const unit = 10 ** (6 - precision);
  // (hi * 2^32 + lo) mod unit; hi mod unit times 2^32 stays below 2^52.
  return (((cell.hi | 0) % unit) * 0x100000000 + cell.lo) % unit === 0;
}
