import type { KeyspaceId } from '../../keyspace/keyspace-id.js';

/** Periods of the Gregorian calendar; weeks begin on Monday. */
export const periodNames = ['day', 'week', 'month', 'year'] as const;
export type PeriodName = (typeof periodNames)[number];

const EPOCH_MS = Date.UTC(2000, 0, 1);
const DAY_MS = 86_400_000;
/** 2000-01-03, the first Monday, as days since 2000-01-01. */
const FIRST_MONDAY = 2;
/** 2000-01-01 as days since 0000-03-01. */
const EPOCH_FROM_MARCH = 730425;
const DAYS_OF_400_YEARS = 146097;

/**
 * The number of the period that a day is in, or begins: day, week, month or year 0 holds 2000-01-01, or begins in the
 * case of weeks on 2000-01-03. `days` since 2000-01-01.
 */
export function periodOfDay(days: number, period: PeriodName): number {
  if (period === 'day') return days;
  if (period === 'week') return Math.floor((days - FIRST_MONDAY) / 7);
  const months = monthOfDay(days);
  return period === 'month' ? months : Math.floor(months / 12);
}

/** The first day of a period, in days since 2000-01-01. */
export function firstDayOf(number: number, period: PeriodName): number {
  if (period === 'day') return number;
  if (period === 'week') return 7 * number + FIRST_MONDAY;
  const months = period === 'month' ? number : 12 * number;
  return (Date.UTC(2000, months, 1) - EPOCH_MS) / DAY_MS;
}

/** How people call a period: 2024, 2024-01, or its first day. */
export function periodLabel(number: number, period: PeriodName): string {
  const firstDay = new Date(momentOfDay(firstDayOf(number, period))).toISOString();
  return firstDay.slice(0, { year: -20, month: -17, week: -14, day: -14 }[period]);
}

/** When a day begins in UTC, as Date.now counts. */
export function momentOfDay(days: number): number {
  return EPOCH_MS + days * DAY_MS;
}

/** Whether a day is the first one of its period. */
export function beginsPeriod(days: number, period: PeriodName): boolean {
  return period === 'day' || periodOfDay(days - 1, period) !== periodOfDay(days, period);
}

/** Months since 2000-01, counting years from March so that the leap day comes last. */
function monthOfDay(days: number): number {
  const sinceMarch = days + EPOCH_FROM_MARCH;
  const era = Math.floor(sinceMarch / DAYS_OF_400_YEARS);
  const day = sinceMarch - era * DAYS_OF_400_YEARS;
  const leapDays =
    Math.floor(day / 1460) - Math.floor(day / 36524) + Math.floor(day / (DAYS_OF_400_YEARS - 1));
  const year = Math.floor((day - leapDays) / 365);
  const dayOfYear = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100));
  const fromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  return (era * 400 + year - 2000) * 12 + fromMarch + 2;
}

/** From 0 to the divisor, of periods before 2000 too. */
export function modulo(number: number, divisor: number): number {
  return ((number % divisor) + divisor) % divisor;
}

/** A day holds 2^13 times this many microseconds. */
const DAY_UNITS = 10_546_875;

/** The day that a moment is in; `moment`: microseconds since 2000-01-01, two's complement halves. */
export function dayOfMoment(hi: number, lo: number): number {
  return Math.floor(unitsOf(hi, lo) / DAY_UNITS);
}

export function beginsDay({ hi, lo }: KeyspaceId): boolean {
  return (lo & 0x1fff) === 0 && unitsOf(hi, lo) % DAY_UNITS === 0;
}

/** Of 2^13 microseconds: below 2^50, so that doubles hold them. */
function unitsOf(hi: number, lo: number): number {
  return (hi | 0) * 0x80000 + (lo >>> 13);
}
