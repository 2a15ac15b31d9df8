import type { RangeOwner } from '../keyspace/key-range-tiling.js';
import type { KeyspaceId, KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { MAPPED, type KeyOrder, type MapOutcome, type Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { IdSpace, shardsNamed } from './id-space.js';
import { literalType, readLiteral } from './key-literals.js';
import type { KeySinks } from './key-sinks.js';
import { vindexType, type VindexProblem } from './options.js';
import { periodAt, periodPlaces } from './values/period-places.js';
import {
  beginsPeriod,
  dayOfMoment,
  modulo,
  periodNames,
  periodOfDay,
  type PeriodName,
} from './values/periods.js';

/** From a period on, its shards take one period after the other. */
interface Turn {
  readonly from: number;
  readonly shards: readonly RangeOwner[];
  readonly ids: readonly KeyspaceId[];
}

const shardsField = {
  form: { kind: 'shards' },
  description: 'They take one period after the other; named twice, a shard takes twice as many',
} as const;

/** Periods of time on shards in turn; timestamptz in UTC. */
export const timeType = vindexType(
  'Periods of time on shards in turn',
  {
    period: {
      form: { kind: 'choice', choices: periodNames },
      description: 'What goes to one shard as a whole; of a timestamptz in UTC',
      requiredCure: 'write period: day, week, month or year',
    },
    shards: {
      ...shardsField,
      description: `${shardsField.description}. Left out: all of the keyspace`,
    },
    turns: {
      form: {
        kind: 'rows',
        fields: {
          from: {
            form: { kind: 'value' },
            description: 'First day of the first period; the first turn goes without',
          },
          shards: { ...shardsField, requiredCure: 'write shards: [ NAME, ... ]' },
        },
      },
      description: 'In place of shards, where coming periods go to others than past ones',
    },
  },
  ({ name, options, shards }) => {
    const problems: VindexProblem[] = [];
    const period = (options.period ?? 'month') as PeriodName;
    if (options.turns !== undefined && options.shards !== undefined) {
      const hint = 'write the shards into the first turn';
      problems.push({ message: 'both shards and turns', hint, path: ['shards'] });
    }
    const everywhere = { from: undefined, shards: shards.map((shard) => shard.name) };
    const raw = options.turns ?? [
      options.shards === undefined ? everywhere : { ...everywhere, shards: options.shards },
    ];
    const turns: Turn[] = [];
    for (const [index, turn] of raw.entries()) {
      const path = options.turns === undefined ? [] : ['turns', index];
      const owners = shardsNamed(turn.shards ?? [], shards, [...path, 'shards'], problems);
      const from = readStart(turn.from, index === 0, period, path, problems);
      if (from === null) continue;
      if (index > 1 && from <= (turns.at(-1)?.from ?? -Infinity)) {
        const message = `${JSON.stringify(turn.from)} is not behind the start of the turn before`;
        problems.push({ message, hint: 'list the turns in their order', path: [...path, 'from'] });
      }
      const ids = owners.map((shard, place) => new IdSpace([shard]).idOf(`${from} ${place}`));
      turns.push({ from, shards: owners, ids });
    }
    return problems.length > 0 ? problems : makeTime(name, period, turns);
  },
);

/** The period of a turn's `from`; that of the first turn is period 0, from which it counts both ways. */
function readStart(
  from: string | undefined,
  isFirst: boolean,
  period: PeriodName,
  path: readonly (string | number)[],
  problems: VindexProblem[],
): number | null {
  if (isFirst) {
    if (from === undefined) return 0;
    const hint = 'leave it out: periods before the second turn are all of the first one';
    problems.push({ message: 'the first turn has a start', hint, path: [...path, 'from'] });
    return null;
  }
  if (from === undefined) {
    const hint = `write from: the first day of a ${period}`;
    problems.push({ message: 'a turn without a start', hint, path });
    return null;
  }
  const literal = readLiteral(from, literalType('date', []), [...path, 'from'], problems);
  if (literal?.kind !== 'int64') return null;
  if (!beginsPeriod(literal.lo | 0, period)) {
    const message = `${JSON.stringify(from)} is not the first day of a ${period}`;
    const hint = 'write the day with which its first period begins';
    problems.push({ message, hint, path: [...path, 'from'] });
    return null;
  }
  return periodOfDay(literal.lo | 0, period);
}

function makeTime(name: string, period: PeriodName, turns: readonly Turn[]): Vindex {
  const find = (number: number, out: KeyspaceIdCell): MapOutcome => {
    const { from, ids } = turnOf(number, turns);
    const id = ids[modulo(number - from, ids.length)]!;
    out.hi = id.hi;
    out.lo = id.lo;
    return MAPPED;
  };
  const ofDay = (days: number, out: KeyspaceIdCell): MapOutcome =>
    find(periodOfDay(days, period), out);
  const ofMoment: KeySinks['timestamp'] = (hi, lo, out) => ofDay(dayOfMoment(hi, lo), out);
  const named = turns.map(({ from, shards }) => [from, shards.map((shard) => shard.name)]);
  return makeComputed({
    name,
    type: 'time',
    mapping: `time ${JSON.stringify([period, named])}`,
    followsRanges: true,
    sinks: {
      date: (_hi, lo, out) => ofDay(lo | 0, out),
      timestamp: ofMoment,
      timestamptz: ofMoment,
    },
    sql: () => null,
    order: {
      sinks: periodPlaces(period),
      eachSpan: periodSpans(turns),
    },
  });
}

function turnOf(number: number, turns: readonly Turn[]): Turn {
  for (let index = turns.length - 1; index > 0; index--) {
    if (turns[index]!.from <= number) return turns[index]!;
  }
  return turns[0]!;
}

/** A turn's shards are visited once at most, however many periods there are. */
function periodSpans(turns: readonly Turn[]): KeyOrder['eachSpan'] {
  return (firstPlace, lastPlace, visit) => {
    const first = periodAt(firstPlace);
    const last = periodAt(lastPlace);
    turns.forEach(({ from, ids }, index) => {
      const begin = index === 0 ? first : Math.max(first, from);
      const end = Math.min(last, (turns[index + 1]?.from ?? Infinity) - 1);
      const count = Math.min(end - begin + 1, ids.length);
      for (let step = 0; step < count; step++) {
        const id = ids[modulo(begin + step - from, ids.length)]!;
        visit(id, id);
      }
    });
  };
}
