import { KeyDirectory, type PeriodTiers } from '../keyspace/key-directory.js';
import { signedId, type KeyspaceId, type KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { NO_SHARD, type MapOutcome } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { readTable, tableField } from './directory.js';
import { IdSpace, shardsNamed } from './id-space.js';
import type { KeySinks } from './key-sinks.js';
import { vindexType, type VindexProblem } from './options.js';
import { periodAt, periodPlaces } from './values/period-places.js';
import {
  dayOfMoment,
  firstDayOf,
  modulo,
  momentOfDay,
  periodLabel,
  periodNames,
  periodOfDay,
  type PeriodName,
} from './values/periods.js';

/** How often periods are looked at that may have become too old for their tier. */
const INTERVAL_MS = 60_000;

/** A table tells the shard of each period of time; by their age periods belong to groups of shards. */
export const tieredType = vindexType(
  'Periods of time on groups of shards by their age; a job moves those that grow too old',
  {
    table: tableField,
    period: {
      form: { kind: 'choice', choices: periodNames },
      description: 'What goes to one shard as a whole; of a timestamptz in UTC',
      requiredCure: 'write period: day, week, month or year',
    },
    tiers: {
      form: {
        kind: 'rows',
        fields: {
          younger_than: {
            form: { kind: 'age' },
            description: 'Of periods that ended less than this ago; the last tier goes without',
          },
          shards: {
            form: { kind: 'shards' },
            description: 'They take one period after the other',
            requiredCure: 'write shards: [ NAME, ... ]',
          },
        },
      },
      description: 'Groups of shards, from young periods to old ones',
      requiredCure: 'write tiers: [ { younger_than: 90d, shards: [...] }, { shards: [...] } ]',
    },
    interval: {
      form: { kind: 'interval' },
      description: 'How often periods that have become too old for their shard are moved',
    },
  },
  ({ name, options, shards }) => {
    const problems: VindexProblem[] = [];
    const table = readTable(options.table, problems);
    const tiers = (options.tiers ?? []).map(({ younger_than: limit, shards: names }, place) => {
      shardsNamed(names ?? [], shards, ['tiers', place, 'shards'], problems);
      return { youngerThanMs: limit ?? null, shards: names ?? [] };
    });
    checkLimits(tiers, problems);
    if (table === null || problems.length > 0) return problems;
    const period = (options.period ?? 'month') as PeriodName;
    const periods = periodTiers(period, tiers, options.interval ?? INTERVAL_MS);
    const directory = new KeyDirectory(
      table,
      true,
      new Map(shards.map((shard) => [shard.name, new IdSpace([shard])])),
      (column, type, id) => rowsOfPeriod(column, type, periods.period(id)),
      periods,
    );
    const ofDay = (days: number, out: KeyspaceIdCell): MapOutcome => {
      if (days < FIRST_DAY || days > LAST_DAY) return NO_SHARD;
      writeId(periodOfDay(days, period), period, out);
      return directory.place(out);
    };
    const ofMoment: KeySinks['timestamp'] = (hi, lo, out) => ofDay(dayOfMoment(hi, lo), out);
    return makeComputed({
      name,
      type: 'tiered',
      mapping: `tiered ${table.schema}.${table.name}`,
      sinks: {
        date: (_hi, lo, out) => ofDay(lo | 0, out),
        timestamp: ofMoment,
        timestamptz: ofMoment,
      },
      // Only the table knows.
      sql: () => null,
      order: {
        sinks: periodPlaces(period),
        eachSpan: (first, last, visit) => {
          const [from, to] = [nearestPeriod(periodAt(first)), nearestPeriod(periodAt(last))];
          directory.eachSpan(periodId(from, period), periodId(to, period), visit);
        },
      },
      directory,
    });
  },
);

/** A condition that an index on the column serves. Sessions that use it are in UTC. */
function rowsOfPeriod(
  column: string,
  type: number,
  { firstDay, endDay }: ReturnType<PeriodTiers['period']>,
): string | null {
  const cast = DAY_AS.get(type);
  if (cast === undefined) return null;
  const day = (days: number): string => `('2000-01-01'::pg_catalog.date + (${days}))${cast}`;
  return `${column} >= ${day(firstDay)} AND ${column} < ${day(endDay)}`;
}

/** From a day to its first moment, by type of column. */
const DAY_AS: ReadonlyMap<number, string> = new Map([
  [TypeOid.date, ''],
  [TypeOid.timestamp, '::pg_catalog.timestamp'],
  [TypeOid.timestamptz, '::pg_catalog.timestamptz'],
]);

/** 0001-01-01 and 9999-12-31, as days since 2000-01-01: all that is outside, infinity too, has no shard. */
const FIRST_DAY = -730_119;
const LAST_DAY = 2_921_939;

function checkLimits(tiers: PeriodTiers['tiers'], problems: VindexProblem[]): void {
  tiers.forEach(({ youngerThanMs }, place) => {
    const isLast = place === tiers.length - 1;
    const path = ['tiers', place, ...(youngerThanMs === null ? [] : ['younger_than'])];
    if (isLast && youngerThanMs !== null) {
      const hint = 'end the list with a tier without younger_than';
      problems.push({ message: 'older periods have no tier', hint, path });
    } else if (!isLast && youngerThanMs === null) {
      const hint = 'write younger_than: 90d, or the age that fits';
      problems.push({ message: 'a tier without a limit in front of others', hint, path });
    } else if (!isLast && place > 0 && youngerThanMs! <= (tiers[place - 1]!.youngerThanMs ?? -1)) {
      const hint = 'list the tiers from young to old';
      problems.push({ message: 'not older than the tier before', hint, path });
    }
  });
}

function periodTiers(
  period: PeriodName,
  tiers: PeriodTiers['tiers'],
  intervalMs: number,
): PeriodTiers {
  const kind = periodNames.indexOf(period);
  return Object.freeze({
    tiers,
    intervalMs,
    kind,
    period(id: KeyspaceId) {
      const number = numberOf(id, kind);
      return {
        label: periodLabel(number, period),
        firstDay: firstDayOf(number, period),
        endDay: firstDayOf(number + 1, period),
      };
    },
    placeAt(id: KeyspaceId, nowMs: number) {
      const number = numberOf(id, kind);
      const ageMs = nowMs - momentOfDay(firstDayOf(number + 1, period));
      const tier = tiers.findIndex(
        ({ youngerThanMs }) => youngerThanMs === null || ageMs < youngerThanMs,
      );
      const { shards } = tiers[tier]!;
      return { tier, shard: shards[modulo(number, shards.length)]! };
    },
  });
}

/** The key of a period in the directory: its number, and its kind, so that kinds can be told apart. */
function writeId(number: number, period: PeriodName, out: KeyspaceIdCell): void {
  const { hi, lo } = periodId(number, period);
  out.hi = hi;
  out.lo = lo;
}

function periodId(number: number, period: PeriodName): KeyspaceId {
  const id = 4 * number + periodNames.indexOf(period);
  return { hi: id < 0 ? 0xffffffff : 0, lo: id >>> 0 };
}

/** Periods are days or longer: none of a row is outside of these. */
function nearestPeriod(number: number): number {
  return Math.max(FIRST_DAY, Math.min(number, LAST_DAY));
}

function numberOf(id: KeyspaceId, kind: number): number {
  return (Number(signedId(id)) - kind) / 4;
}
