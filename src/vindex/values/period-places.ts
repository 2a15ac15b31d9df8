import type { KeyspaceId, KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import type { MapOutcome } from '../../keyspace/vindex.js';
import type { KeySinks } from '../key-sinks.js';
import { isLeastOfPlace } from '../slices.js';
import { beginsDay, beginsPeriod, dayOfMoment, periodOfDay, type PeriodName } from './periods.js';

/** Period 0 has place 2 * PLACE_ZERO: no date has a period as far below. */
const PLACE_ZERO = 2 ** 40;

/** They write the place of a value's period in the order of all. */
export function periodPlaces(period: PeriodName): KeySinks {
  const ofMoment: KeySinks['timestamp'] = (hi, lo, out) => {
    const days = dayOfMoment(hi, lo);
    const first = beginsDay({ hi, lo }) && beginsPeriod(days, period);
    return writePlace(periodOfDay(days, period), first, out);
  };
  return {
    date: (_hi, lo, out) =>
      writePlace(periodOfDay(lo | 0, period), beginsPeriod(lo | 0, period), out),
    timestamp: ofMoment,
    timestamptz: ofMoment,
  };
}

/** The number of the period that has a place. */
export function periodAt({ hi, lo }: KeyspaceId): number {
  return Math.floor((hi * 0x100000000 + lo) / 2) - PLACE_ZERO;
}

/** Even where the value is the first one of its period. */
function writePlace(number: number, first: boolean, out: KeyspaceIdCell): MapOutcome {
  const place = 2 * (number + PLACE_ZERO) + (first ? 0 : 1);
  out.hi = Math.floor(place / 0x100000000);
  out.lo = place % 0x100000000;
  return isLeastOfPlace(out);
}
