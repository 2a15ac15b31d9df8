import { describe, expect, test } from 'vitest';
import { collectedKeys, type KeyDirectory } from '../../../src/keyspace/key-directory.js';
import { KeyspaceIdCell, type KeyspaceId } from '../../../src/keyspace/keyspace-id.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { MAPPED, NO_MATCH, type Vindex } from '../../../src/keyspace/vindex.js';
import { beginsPeriod, periodOfDay } from '../../../src/vindex/values/periods.js';
import { mapText } from './mapping.js';
import { makeSound, problemsOf, shardOfId } from './samples.js';

type TypeName = keyof typeof TypeOid;

function shardOf(
  vindex: Vindex,
  column: TypeName,
  text: string,
  input: TypeName = 'unknown',
): string {
  return shardOfId(mapText(vindex.mapper(TypeOid[column], TypeOid[input])!, text));
}

/** Shards of the places between two values, both included. */
function shardsBetween(vindex: Vindex, column: TypeName, low: string, high: string): string {
  const mapper = vindex.order!.places(TypeOid[column], TypeOid.unknown)!;
  const place = (text: string): KeyspaceIdCell => {
    const cell = new KeyspaceIdCell();
    const bytes = Buffer.from(text);
    expect([MAPPED, NO_MATCH]).toContain(mapper.text(bytes, 0, bytes.length, cell));
    return cell;
  };
  const found = new Set<string>();
  vindex.order!.eachSpan(place(low), place(high), ({ hi }, to) => {
    for (let quarter = hi >>> 30; quarter <= to.hi >>> 30; quarter++) found.add(`s${quarter}`);
  });
  return [...found].sort().join(' ');
}

describe('range', () => {
  const numbers = makeSound('range');

  test.each([
    ['-1', 's2'],
    ['0', 's0'],
    ['999', 's0'],
    ['1000', 's1'],
    ['4999', 's1'],
    ['5000', 's0'],
    ['9223372036854775807', 's0'],
    ['-9223372036854775808', 's2'],
  ])('%s is on %s', (value, shard) => {
    expect(shardOf(numbers, 'int8', value)).toBe(shard);
  });

  test('numbers of other types are where the same integer is', () => {
    expect(shardOf(numbers, 'int4', '1e3', 'numeric')).toBe('s1');
    expect(shardOf(numbers, 'int2', '1000', 'int8')).toBe('s1');
    expect(shardOf(numbers, 'int8', '1000.5', 'numeric')).toBe('no match');
  });

  test('values between two are on the shards of the ranges between', () => {
    expect(shardsBetween(numbers, 'int8', '-5', '-1')).toBe('s2');
    expect(shardsBetween(numbers, 'int8', '-5', '0')).toBe('s0 s2');
    expect(shardsBetween(numbers, 'int8', '0', '1000')).toBe('s0 s1');
    expect(shardsBetween(numbers, 'int8', '1000', '4999')).toBe('s1');
  });

  test.each<[TypeName, string, readonly string[], readonly string[]]>([
    ['text', 'text', ['m', 'é'], ['', 'lz', 'm', 'm\u0001', 'z', 'é', '日']],
    ['numeric', 'numeric', ['-0.5', '10'], ['-Infinity', '-1', '-0.5', '0', '9.99', '10', 'NaN']],
    [
      'date',
      'date',
      ['2024-01-01', '2024-07-01'],
      ['-infinity', '2023-12-31', '2024-01-01', 'infinity'],
    ],
    [
      'timestamptz',
      'timestamptz',
      ['2024-01-01 00:00:00+00', '2024-01-01 00:00:00.000001Z'],
      ['2023-12-31 23:59:59.999999Z', '2024-01-01 01:00:00+01', '2024-01-01 00:00:00.000001Z'],
    ],
    [
      'uuid',
      'uuid',
      ['40000000-0000-0000-0000-000000000000', '80000000-0000-0000-0000-000000000000'],
      ['00000000-0000-0000-0000-000000000000', '40000000-0000-0000-0000-000000000000'],
    ],
    ['bytea', 'bytea', ['\\x00ff', '\\x80'], ['\\x', '\\x00ff', '\\x00ff00', '\\xff']],
  ])('%s values in their order never go back', (column, type, [low, high], values) => {
    const ranges = [{ to: low, shard: 's0' }, { to: high, shard: 's1' }, { shard: 's2' }];
    const vindex = makeSound('range', { column_type: type, ranges });
    const places = values.map((value) => shardOf(vindex, column, value));
    expect(places).toEqual(places.toSorted());
    expect(new Set(places).size).toBeGreaterThan(1);
  });

  test('what cannot be ranges is told', () => {
    const ranges = (...list: object[]): object => ({ ranges: list });
    const last = { shard: 's3' };
    expect([
      problemsOf('range', { ...ranges({ to: '5', shard: 's0' }, { to: '5', shard: 's1' }, last) }),
      problemsOf('range', { ...ranges({ to: '9', shard: 's0' }, { to: '5', shard: 's1' }, last) }),
      problemsOf('range', { ...ranges({ shard: 's0' }, last) }),
      problemsOf('range', { ...ranges({ to: '5', shard: 's0' }) }),
      problemsOf('range', { ...ranges({ to: '5', shard: 's9' }, last) }),
      problemsOf('range', { column_type: 'date', ...ranges({ to: '5', shard: 's0' }, last) }),
      problemsOf('range', { column_type: 'uuid', ...ranges({ to: '5', shard: 's0' }, last) }),
    ]).toEqual([
      [
        'ranges.1.to: "5" is not above the end of the range before; list the ranges in the order of their values',
      ],
      [
        'ranges.1.to: "5" is not above the end of the range before; list the ranges in the order of their values',
      ],
      ['ranges.0: a range without an end in front of others; write to: VALUE'],
      ['ranges.0.to: values from "5" on have no range; end the list with a range without to'],
      ['ranges.0.shard: the keyspace has no shard "s9"; did you mean "s0"?'],
      [
        'ranges.0.to: "5" depends on settings as a value of type date; write it in ISO form, such as 2024-01-31, 2024-01-31 12:00:00, or with +00 for timestamptz',
      ],
      [
        'ranges.0.to: "5" is no value of type uuid; write a uuid, or the column_type that the columns have',
      ],
    ]);
  });
});

describe('time', () => {
  const inTurn = makeSound('time', { period: 'month', shards: ['s0', 's1', 's2'] });

  test('periods go to the shards in turn, before 2000 too', () => {
    const shards = ['1999-12-31', '2000-01-01', '2000-01-31', '2000-02-01', '2000-03-01'].map(
      (day) => shardOf(inTurn, 'date', day),
    );
    expect(shards).toEqual(['s2', 's0', 's0', 's1', 's2']);
  });

  test('a date, a timestamp and a timestamptz of one moment in UTC are on one shard', () => {
    for (const day of ['0001-01-01', '1900-02-28', '2000-02-29', '2024-12-31', '294276-12-31']) {
      const shard = shardOf(inTurn, 'date', day);
      expect(shardOf(inTurn, 'timestamp', `${day} 23:59:59.999999`)).toBe(shard);
      expect(shardOf(inTurn, 'timestamptz', `${day} 00:00:00Z`)).toBe(shard);
    }
    expect(shardOf(inTurn, 'timestamptz', '2000-02-01 00:30:00+01')).toBe('s0');
  });

  test('turns: what is past stays where it is', () => {
    const turns = [
      { shards: ['s3'] },
      { from: '2024-01-01', shards: ['s0', 's1'] },
      { from: '2025-01-01', shards: ['s0', 's1', 's2'] },
    ];
    const vindex = makeSound('time', { period: 'month', turns });
    const days = [
      '1980-01-01',
      '2023-12-31',
      '2024-01-01',
      '2024-02-01',
      '2024-12-01',
      '2025-03-01',
    ];
    expect(days.map((day) => shardOf(vindex, 'date', day))).toEqual([
      's3',
      's3',
      's0',
      's1',
      's1',
      's2',
    ]);
    expect(shardsBetween(vindex, 'date', '-infinity', '2023-12-31')).toBe('s3');
    expect(shardsBetween(vindex, 'date', '2023-12-31', '2024-01-31')).toBe('s0 s3');
    expect(shardsBetween(vindex, 'date', '2024-01-01', '2024-12-31')).toBe('s0 s1');
    expect(shardsBetween(vindex, 'date', '2024-12-31', 'infinity')).toBe('s0 s1 s2');
  });

  test('periods follow the calendar', () => {
    const wrong: number[] = [];
    for (let days = -800_000; days < 800_000; days += 13) {
      const date = new Date(Date.UTC(2000, 0, 1) + days * 86_400_000);
      const months = (date.getUTCFullYear() - 2000) * 12 + date.getUTCMonth();
      const agrees =
        periodOfDay(days, 'month') === months &&
        beginsPeriod(days, 'month') === (date.getUTCDate() === 1) &&
        beginsPeriod(days, 'week') === (date.getUTCDay() === 1);
      if (!agrees) wrong.push(days);
    }
    expect(wrong).toEqual([]);
  });

  test('what cannot be turns is told', () => {
    const first = { shards: ['s0'] };
    const turn = (from: string): object => ({ from, shards: ['s1'] });
    expect([
      problemsOf('time', { period: 'month', turns: [first, turn('2024-01-02')] }),
      problemsOf('time', { period: 'week', turns: [first, turn('2024-01-02')] }),
      problemsOf('time', { period: 'day', turns: [first, turn('2024-01-02'), turn('2024-01-01')] }),
      problemsOf('time', { period: 'day', turns: [turn('2024-01-02')] }),
      problemsOf('time', { period: 'day', turns: [first, first] }),
      problemsOf('time', { period: 'day', turns: [first], shards: ['s1'] }),
      problemsOf('time', { period: 'day', shards: ['s1', 'x9'] }),
    ]).toEqual([
      [
        'turns.1.from: "2024-01-02" is not the first day of a month; write the day with which its first period begins',
      ],
      [
        'turns.1.from: "2024-01-02" is not the first day of a week; write the day with which its first period begins',
      ],
      [
        'turns.2.from: "2024-01-01" is not behind the start of the turn before; list the turns in their order',
      ],
      [
        'turns.0.from: the first turn has a start; leave it out: periods before the second turn are all of the first one',
      ],
      ['turns.1: a turn without a start; write from: the first day of a day'],
      ['shards: both shards and turns; write the shards into the first turn'],
      ['shards: the keyspace has no shard "x9"; its shards are s0, s1, s2, s3'],
    ]);
  });
});

describe('list', () => {
  test('listed values are on their shard, others on the shards for others only', () => {
    const vindex = makeSound('list');
    expect(shardOf(vindex, 'int8', ' +7 ')).toBe('s3');
    const found = new Set(
      Array.from({ length: 500 }, (_u, i) => shardOf(vindex, 'int4', `${i + 8}`)),
    );
    expect([...found].sort()).toEqual(['s0', 's1', 's2']);
  });

  test('others stay where a hash has them, if that is a shard for others', () => {
    const list = makeSound('list').mapper(TypeOid.int8, TypeOid.int8)!;
    const hash = makeSound('hash').mapper(TypeOid.int8, TypeOid.int8)!;
    for (let key = 8; key < 300; key++) {
      const id = mapText(hash, String(key));
      if (shardOfId(id) !== 's3') expect(mapText(list, String(key))).toBe(id);
    }
  });

  test('without others a value that is not listed has no shard', () => {
    const vindex = makeSound('list', {
      values: new Map([
        ['eu', 's0'],
        ['us', 's1'],
      ]),
    });
    expect(shardOf(vindex, 'text', 'eu')).toBe('s0');
    expect(mapText(vindex.mapper(TypeOid.text, TypeOid.text)!, 'asia')).toBe('no shard');
  });

  test('what cannot be a list is told', () => {
    const values = (...entries: [string, string][]): object => ({ values: new Map(entries) });
    expect([
      problemsOf('list', { ...values(['1', 's0'], ['01', 's1']) }),
      problemsOf('list', { ...values(['1', 'x']) }),
      problemsOf('list', { ...values(['a', 's0']), column_type: 'bigint' }),
      problemsOf('list', { ...values(['a', 's0']), others: ['s0', 's5'] }),
    ]).toEqual([
      ['values.01: value "01" is listed twice; keep one of its spellings'],
      ['values.1: the keyspace has no shard "x"; its shards are s0, s1, s2, s3'],
      [
        'values.a: "a" is no value of type bigint; write a bigint, or the column_type that the columns have',
      ],
      ['others: the keyspace has no shard "s5"; did you mean "s0"?'],
    ]);
  });
});

describe('tiered', () => {
  const DAY = 86_400_000;
  const young = { younger_than: 90 * DAY, shards: ['s0', 's1'] };
  const old = { shards: ['s2', 's3'] };

  function tiered(period: string): KeyDirectory {
    return makeSound('tiered', { table: 'p', period, tiers: [young, old] }).directory!;
  }

  /** What the table is asked for when a value is looked for. */
  function periodOf(period: string, column: TypeName, text: string): KeyspaceId {
    const vindex = makeSound('tiered', { table: 'p', period, tiers: [young, old] });
    const asked = collectedKeys([vindex.directory!], () => {
      mapText(vindex.mapper(TypeOid[column], TypeOid.unknown)!, text);
    });
    return [...asked.values()][0]![0]!;
  }

  test.each([
    ['day', '2024-02-29', '2024-02-29', '2024-02-29', 1],
    ['week', '2024-02-29', '2024-02-26', '2024-02-26', 7],
    ['month', '2024-02-29', '2024-02', '2024-02-01', 29],
    ['year', '2024-02-29', '2024', '2024-01-01', 366],
    ['week', '1999-12-31', '1999-12-27', '1999-12-27', 7],
    ['month', '0001-01-01', '0001-01', '0001-01-01', 31],
    ['year', '9999-12-31', '9999', '9999-01-01', 365],
  ])('a %s holds %s', (name, day, label, first, length) => {
    const periods = tiered(name).periods!;
    const { firstDay, endDay, ...rest } = periods.period(periodOf(name, 'date', day));
    expect(rest.label).toBe(label);
    expect(new Date(Date.UTC(2000, 0, 1) + firstDay * DAY).toISOString().slice(0, 10)).toBe(first);
    expect(endDay - firstDay).toBe(length);
    expect(periodOf(name, 'timestamp', `${day} 23:59:59.999999`)).toEqual(
      periodOf(name, 'date', day),
    );
    expect(periodOf(name, 'timestamptz', `${day} 12:00:00+12`)).toEqual(
      periodOf(name, 'date', day),
    );
  });

  test('periods of two kinds never have one id', () => {
    const ids = ['day', 'week', 'month', 'year'].map(
      (name) => periodOf(name, 'date', '2000-01-03').lo & 3,
    );
    expect(new Set(ids).size).toBe(4);
  });

  test('a period falls to the next tier when it has been over for so long', () => {
    const periods = tiered('month').periods!;
    const id = periodOf('month', 'date', '2024-01-15');
    const end = Date.UTC(2024, 1, 1);
    expect(periods.placeAt(id, end - 400 * DAY)).toEqual({ tier: 0, shard: 's0' });
    expect(periods.placeAt(id, end + 90 * DAY - 1)).toEqual({ tier: 0, shard: 's0' });
    expect(periods.placeAt(id, end + 90 * DAY)).toEqual({ tier: 1, shard: 's2' });
    expect(periods.placeAt(periodOf('month', 'date', '2024-02-15'), end)).toEqual({
      tier: 0,
      shard: 's1',
    });
    expect(periods.placeAt(periodOf('month', 'date', '1999-12-15'), end)).toEqual({
      tier: 1,
      shard: 's3',
    });
  });

  test('values without a period have no shard', () => {
    const mapper = makeSound('tiered').mapper(TypeOid.date, TypeOid.unknown)!;
    for (const day of ['infinity', '-infinity', '10000-01-01']) {
      expect(mapText(mapper, day)).toBe('no shard');
    }
  });

  test('what cannot be tiers is told', () => {
    const problems = (...tiers: object[]): string[] =>
      problemsOf('tiered', { table: 'p', period: 'day', tiers });
    expect([
      problems(young),
      problems(old, old),
      problems(young, young, old),
      problems(young, { shards: ['x9'] }),
      problemsOf('tiered', { table: 'a.b.c', period: 'day', tiers: [old] }),
    ]).toEqual([
      [
        'tiers.0.younger_than: older periods have no tier; end the list with a tier without younger_than',
      ],
      [
        'tiers.0: a tier without a limit in front of others; write younger_than: 90d, or the age that fits',
      ],
      ['tiers.1.younger_than: not older than the tier before; list the tiers from young to old'],
      ['tiers.1.shards: the keyspace has no shard "x9"; its shards are s0, s1, s2, s3'],
      ['table: no name of a table; write name or schema.name, spelled as \\d shows it'],
    ]);
  });
});
