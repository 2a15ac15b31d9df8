import { describe, expect, test } from 'vitest';
import { KeyspaceIdCell, signedId, type KeyspaceId } from '../../../src/keyspace/keyspace-id.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { MAPPED, NO_SHARD, type Vindex } from '../../../src/keyspace/vindex.js';
import { mapText } from './mapping.js';
import { makeSound, problemsOf, shardOfId } from './samples.js';

type Columns = readonly (keyof typeof TypeOid)[];

/** The part of a column's value, as a mapper writes it. */
function partOf(vindex: Vindex, place: number, type: keyof typeof TypeOid, text: string) {
  const bytes = Buffer.from(text);
  const cell = new KeyspaceIdCell();
  const mapper = vindex.parts!.mapper(place, TypeOid[type], TypeOid.unknown)!;
  return { outcome: mapper.text(bytes, 0, bytes.length, cell), cell };
}

function idOf(vindex: Vindex, types: Columns, values: readonly string[]): KeyspaceId {
  const parts = values.map((value, place) => {
    const { outcome, cell } = partOf(vindex, place, types[place]!, value);
    if (outcome !== MAPPED) throw new Error(`no key: ${value}`);
    return cell;
  });
  const out = new KeyspaceIdCell();
  vindex.parts!.combine(parts, out);
  return out;
}

function shardOf(vindex: Vindex, types: Columns, ...values: readonly string[]): string {
  return shardOfId(BigInt(signedId(idOf(vindex, types, values))));
}

/** The ids that keys with this first column may have, as hex. */
function spansOf(vindex: Vindex, type: keyof typeof TypeOid, value: string): string[] {
  const { cell } = partOf(vindex, 0, type, value);
  const spans: string[] = [];
  vindex.parts!.eachSpan!([cell], (from, to) => spans.push(`${hex(from)}-${hex(to)}`));
  return spans;
}

function hex({ hi, lo }: KeyspaceId): string {
  return hi.toString(16).padStart(8, '0') + lo.toString(16).padStart(8, '0');
}

const both: Columns = ['text', 'int8'];
const hashed = makeSound('hash');
const composite = makeSound('composite');
const fields = makeSound('composite', {
  columns: [{ type: 'numeric', bits: '3' }, { type: 'md5', bits: '40' }, { type: 'binary' }],
});
const region = makeSound('region', {
  regions: [
    { values: ['eu', 'africa'], shards: ['s0', 's1'] },
    { values: ['us'], shards: ['s2'] },
  ],
  others: ['s3'],
});

const salted = makeSound('salted', { column_type: 'text', hot: ['eu', 'big'], salts: '8' });

describe.each([
  ['hash', hashed],
  ['composite', composite],
  ['region', region],
  ['salted', salted],
])('%s of two columns', (_name, vindex) => {
  const keys = Array.from({ length: 100_000 }, (_, i) => i);

  test('spreads 100,000 keys over the shards that a first column leaves evenly', () => {
    const counts = new Map<string, number>();
    for (const key of keys) {
      const first = vindex === region ? 'eu' : `tenant ${key}`;
      const shard = shardOf(vindex, both, first, String(key));
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
    }
    expect(counts.size).toBe(vindex === region ? 2 : 4);
    const even = keys.length / counts.size;
    for (const count of counts.values()) expect(Math.abs(count / even - 1)).toBeLessThan(0.03);
  }, 60_000);

  test('is the same id for the same key, whatever was mapped in between', () => {
    const first = hex(idOf(vindex, both, ['eu', '7']));
    idOf(vindex, both, ['us', '8']);
    expect(hex(idOf(vindex, both, ['eu', '7']))).toBe(first);
    expect(hex(idOf(vindex, ['varchar', 'int4'], ['eu', '7']))).toBe(first);
    const others = ['8', '9', '10', '11'].map((other) => hex(idOf(vindex, both, ['eu', other])));
    expect(others).not.toEqual(others.map(() => first));
  });

  test('its spans hold the ids of all keys that begin so', () => {
    const { eachSpan } = vindex.parts!;
    if (eachSpan === null) return;
    for (const first of ['eu', 'us', 'moon']) {
      const spans = spansOf(vindex, 'text', first);
      for (let key = 0; key < 500; key++) {
        const id = hex(idOf(vindex, both, [first, String(key)]));
        const inside = spans.some((span) => span.slice(0, 16) <= id && id <= span.slice(17));
        expect(inside, `${first} ${key}`).toBe(true);
      }
    }
  });

  test('types that cannot be keys are refused for each column', () => {
    for (const place of [0, 1]) {
      for (const type of Object.values(TypeOid)) {
        const mapped = vindex.parts!.mapper(place, type, TypeOid.unknown) !== null;
        expect(vindex.parts!.refusal(place, type) === null).toBe(mapped);
      }
    }
  });
});

// Made by PostgreSQL 18: SELECT hash_record_extended(ROW($1, $2), 0).
test.each<[Columns, readonly string[], string]>([
  [['text', 'int8'], ['eu', '7'], '8468172600271294724'],
  [['text', 'int8'], ['', '-9223372036854775808'], '-2874662592455238330'],
  [['int4', 'text'], ['-1', 'Ü'], '4412304332990260433'],
  [['uuid', 'date'], ['00000000-0000-0000-0000-000000000001', '2024-02-29'], '3389624026293992128'],
  [['numeric', 'bool'], ['1.50', 't'], '-647862901870135248'],
  [['int2', 'timestamp', 'bytea'], ['5', '2024-01-01 12:00:00', '\\x00ff'], '3121928286254872501'],
  [['timestamptz', 'varchar'], ['2024-01-01 12:00:00+00', 'a'], '-808794391179782256'],
])('hash of %s %s is that of a row on the server', (types, values, id) => {
  expect(signedId(idOf(hashed, types, values))).toBe(id);
});

// Made by PostgreSQL 18, by the SQL of the vindex.
test.each<[Columns, readonly string[], string]>([
  [['text', 'int8'], ['eu', '7'], '8115154868128892328'],
  [['text', 'int8'], ['us', '-3'], '7809687562289791426'],
  [['date', 'uuid'], ['2024-02-29', '00000000-0000-0000-0000-000000000001'], '8050799468479103393'],
  [['int8', 'text', 'text'], ['-1', 'abc', 'x'], '-1008760055311433728'],
  [['int8', 'text', 'bytea'], ['5', '', '\\x80ff'], '-5006963080589991968'],
  [['int4', 'int8', 'text'], ['13', '99', ''], '-5364825824354631680'],
])('composite of %s %s is what its SQL gives on the server', (types, values, id) => {
  expect(signedId(idOf(types.length === 2 ? composite : fields, types, values))).toBe(id);
});

// Made by PostgreSQL 18, by the SQL of the vindex: of a hot value, one of others, and where no value is hot.
test.each<[Columns, readonly string[], string]>([
  [['text', 'int8'], ['big', '7'], '-3039826646884962488'],
  [['text', 'int8'], ['big', '8'], '6183545389969813320'],
  [['text', 'int8'], ['small', '7'], '1162241429657551291'],
  [['int4', 'uuid'], ['7', '00000000-0000-0000-0000-000000000001'], '-3288951424994980865'],
  [['int8', 'date'], ['-9', '2024-02-29'], '517862894389914397'],
  [['numeric', 'text'], ['1.50', ''], '-8828336294488843818'],
])('salted of %s %s is what its SQL gives on the server', (types, values, id) => {
  expect(signedId(idOf(saltedFor(types), types, values))).toBe(id);
});

function saltedFor([first]: Columns): Vindex {
  if (first === 'text') return salted;
  return makeSound('salted', first === 'numeric' ? { salts: '2' } : undefined);
}

describe('composite', () => {
  test('equal first columns are one range of ids', () => {
    const [span] = spansOf(composite, 'text', 'eu');
    expect(span).toMatch(/^(.{4})0{12}-\1f{12}$/);
    expect(spansOf(fields, 'int8', '5')).toEqual(['a000000000000000-bfffffffffffffff']);
    // The last three bits of a number.
    expect(spansOf(fields, 'int8', '13')).toEqual(['a000000000000000-bfffffffffffffff']);
  });

  test('takes keys of as many columns as it lists', () => {
    const { columnsMin, columnsMax } = fields.parts!;
    expect([columnsMin, columnsMax]).toEqual([3, 3]);
    expect(fields.mapper(TypeOid.int8, TypeOid.int8)).toBeNull();
  });

  test('what cannot be put together is told', () => {
    const columns = (...list: object[]): object => ({ columns: list });
    expect([
      problemsOf('composite', { ...columns({ type: 'hash' }) }),
      problemsOf('composite', { ...columns({ type: 'hash' }, { type: 'hash' }) }),
      problemsOf('composite', { ...columns({ bits: '64' }, {}) }),
      problemsOf('composite', { ...columns({ bits: '0' }, {}) }),
      problemsOf('composite', { ...columns({ bits: '60' }, { bits: '5' }) }),
      problemsOf('composite', { ...columns({ bits: '1.5' }, {}) }),
    ]).toEqual([
      ['columns: a composite vindex of one column; list 2 to 32 columns'],
      [
        'columns.0: a column without bits; write bits: a number from 1 to 63; all columns have 64 together',
      ],
      [
        'columns.0.bits: 64 bits for a column; write bits: a number from 1 to 63; all columns have 64 together',
      ],
      [
        'columns.0.bits: 0 bits for a column; write bits: a number from 1 to 63; all columns have 64 together',
      ],
      [
        'columns.1.bits: 5 bits for a column; write bits: a number from 1 to 4; all columns have 64 together',
      ],
      [
        'columns.0.bits: 1.5 bits for a column; write bits: a number from 1 to 63; all columns have 64 together',
      ],
    ]);
  });
});

describe('region', () => {
  test('the first column chooses the shards, alone as well', () => {
    for (let key = 0; key < 50; key++) {
      expect(['s0', 's1']).toContain(shardOf(region, both, 'africa', String(key)));
      expect(shardOf(region, both, 'us', String(key))).toBe('s2');
      expect(shardOf(region, both, 'moon', String(key))).toBe('s3');
    }
    const alone = region.mapper(TypeOid.text, TypeOid.unknown)!;
    expect(['s0', 's1']).toContain(shardOfId(mapText(alone, 'eu')));
    expect(shardOfId(mapText(alone, 'us'))).toBe('s2');
    expect(spansOf(region, 'text', 'eu')).toEqual([
      '0000000000000000-3fffffffffffffff',
      '4000000000000000-7fffffffffffffff',
    ]);
  });

  test('a value of no region has no shard', () => {
    const strict = makeSound('region', { regions: [{ values: ['1'], shards: ['s0'] }] });
    expect(partOf(strict, 0, 'int8', '2').outcome).toBe(NO_SHARD);
    expect(partOf(strict, 0, 'int8', '01').outcome).toBe(MAPPED);
    expect(mapText(strict.mapper(TypeOid.int8, TypeOid.unknown)!, '2')).toBe('no shard');
  });

  test('what cannot be regions is told', () => {
    const regions = (...list: object[]): object => ({ regions: list });
    expect([
      problemsOf('region', {
        ...regions({ values: ['a'], shards: ['s0'] }, { values: ['b', 'a'], shards: ['s1'] }),
      }),
      problemsOf('region', { ...regions({ values: ['a'], shards: ['s0', 's9'] }) }),
      problemsOf('region', { ...regions({ values: ['a'], shards: ['s0'] }), others: ['x'] }),
      problemsOf('region', { column_type: 'date', ...regions({ values: ['a'], shards: ['s0'] }) }),
    ]).toEqual([
      ['regions.1.values.1: value "a" is listed twice; keep one of its spellings'],
      ['regions.0.shards: the keyspace has no shard "s9"; did you mean "s0"?'],
      ['others: the keyspace has no shard "x"; its shards are s0, s1, s2, s3'],
      [
        'regions.0.values.0: "a" is no value of type date; write it in ISO form, such as 2024-01-31, 2024-01-31 12:00:00, or with +00 for timestamptz',
      ],
    ]);
  });
});

describe('salted', () => {
  const idsOf = (tenant: string): Set<string> =>
    new Set(
      Array.from({ length: 2000 }, (_, key) => hex(idOf(salted, both, [tenant, String(key)]))),
    );

  test('a value that is not hot has one id, that of its hash', () => {
    const plain = signedId(idOf(hashed, ['text'], ['small']));
    expect([...idsOf('small')]).toHaveLength(1);
    expect(signedId(idOf(salted, both, ['small', '1']))).toBe(plain);
    expect(spansOf(salted, 'text', 'small')).toHaveLength(1);
  });

  test('a hot one has as many as there are salts, its unsalted one among them, and no others', () => {
    const ids = [...idsOf('big')].sort();
    const spans = spansOf(salted, 'text', 'big').sort();
    expect(ids).toHaveLength(8);
    expect(spans).toEqual(ids.map((id) => `${id}-${id}`));
    expect(ids).toContain(hex(idOf(hashed, ['text'], ['big'])));
  });

  test('keys of a hot value are spread over the shards evenly', () => {
    const counts = new Map<string, number>();
    for (let key = 0; key < 100_000; key++) {
      const shard = shardOf(salted, both, 'big', String(key));
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
    }
    expect(counts.size).toBe(4);
    for (const count of counts.values()) expect(Math.abs(count / 25_000 - 1)).toBeLessThan(0.03);
  });

  test('the mapping is that of its hot values, in any order and spelling', () => {
    const mappingOf = (hot: readonly string[], salts = '4'): string =>
      makeSound('salted', { hot, salts }).mapping;
    expect(mappingOf(['7', '8'])).toBe(mappingOf(['+8', '007']));
    expect(mappingOf(['7', '8'])).not.toBe(mappingOf(['7']));
    expect(mappingOf(['7', '8'])).not.toBe(mappingOf(['7', '8'], '8'));
  });

  test('without hot values it takes a first column of any type, else that of the values', () => {
    const open = makeSound('salted', { salts: '2' }).parts!;
    const numbers = makeSound('salted').parts!;
    expect([open.refusal(0, TypeOid.text), open.refusal(0, TypeOid.int8)]).toEqual([null, null]);
    expect(numbers.refusal(0, TypeOid.int4)).toBeNull();
    expect(numbers.refusal(0, TypeOid.text)).toMatch(
      /takes keys of type smallint, integer, bigint/,
    );
    expect(numbers.refusal(1, TypeOid.text)).toBeNull();
  });

  test('what cannot be salted is told', () => {
    const salts = (count: string): string[] => problemsOf('salted', { salts: count });
    const cure = 'write a power of two from 2 to 256, about as many as there are shards or more';
    expect([
      salts('3'),
      salts('1'),
      salts('512'),
      salts('4.0'),
      problemsOf('salted', { hot: ['7', '07'], salts: '4' }),
      problemsOf('salted', { hot: ['x'], salts: '4', column_type: 'uuid' }),
    ]).toEqual([
      [`salts: 3 salts for a hot value; ${cure}`],
      [`salts: 1 salts for a hot value; ${cure}`],
      [`salts: 512 salts for a hot value; ${cure}`],
      [`salts: 4.0 salts for a hot value; ${cure}`],
      ['hot.1: value "07" is listed twice; keep one of its spellings'],
      [expect.stringMatching(/^hot\.0: "x" is no value of type uuid/)],
    ]);
  });
});
