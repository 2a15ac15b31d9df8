import { describe, expect, test } from 'vitest';
import { KeySamples, statementsOf } from '../../../src/executor/key-samples.js';
import { ShardTargets, ValueSource } from '../../../src/executor/shard-targets.js';
import type { Keyspace, Shard } from '../../../src/keyspace/topology.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import type { Vindex } from '../../../src/keyspace/vindex.js';
import type { ColumnTerm, KeyTerm } from '../../../src/planner/plan.js';
import { makeSound, shards as owners } from '../vindex/samples.js';

const shards: Shard[] = owners.map((owner, index) => ({ ...owner, index, keyspace: 'shop' }));
const keyspace: Keyspace = {
  name: 'shop',
  sharded: true,
  shards,
  vindexes: new Map(),
  tables: new Map(),
  shardOf: (hi) => shards[hi >>> 30]!,
};
const encoder = new TextEncoder();
const hash = makeSound('hash');
const salted = makeSound('salted', { hot: ['1'], salts: '4' });

function column(value: string, place = 0, vindex: Vindex = hash): ColumnTerm {
  return {
    source: { kind: 'constant', bytes: encoder.encode(value) },
    mapper: vindex.parts!.mapper(place, TypeOid.int8, TypeOid.int8)!,
    inputType: TypeOid.int8,
    columnType: TypeOid.int8,
    column: 'orders.id',
    table: { schema: 'public', name: 'orders' },
  };
}

function tuple(vindex: Vindex, ...values: readonly string[]): KeyTerm {
  return {
    columns: values.map((value, place) => [column(value, place, vindex)]),
    parts: vindex.parts!,
    whole: true,
  };
}

/** `key: shards` of what was seen of a term. */
function seenOf(term: KeyTerm): string[] {
  const samples = new KeySamples();
  samples.take(keyspace, term, new ValueSource());
  return [...samples.all()].flatMap(({ keys }) =>
    Array.from(keys.all(), ({ key, shards: own }) => `${key}: ${own}`),
  );
}

describe('samples of keys', () => {
  test('one of 128 is looked at, by chance', () => {
    const samples = new KeySamples(() => 0.5);
    const targets = new ShardTargets(samples);
    for (let i = 0; i < 12_800; i++) {
      targets.resolve(keyspace, [[column(i % 2 === 0 ? '7' : '8')]], new ValueSource());
    }
    const [orders] = [...samples.all()];
    expect(orders).toMatchObject({ keyspace: 'shop', schema: 'public', table: 'orders' });
    expect(orders!.keys.seen).toBe(100);
    expect(statementsOf(100)).toBe(12_800);
  });

  test('keys that are stored are looked at too', () => {
    const samples = new KeySamples(() => 0);
    const targets = new ShardTargets(samples);
    for (let i = 0; i < 200; i++) targets.forStoring(keyspace, column('7'), new ValueSource());
    const [orders] = [...samples.all()];
    expect([...orders!.keys.all()]).toMatchObject([{ key: '7', shards: 's3' }]);
  });

  test('a key of several columns is all of them, or the first one where that leads to shards', () => {
    expect(seenOf(tuple(hash, '5', '6'))).toEqual(['5, 6: s2']);
    expect(seenOf(tuple(salted, '5', '6'))).toEqual(['5: s2']);
    expect(seenOf(tuple(salted, '1', '6'))).toEqual(['1: s0 s1 s2 s3']);
  });

  test('lists, NULL and what cannot be read are no keys', () => {
    const nothing: ColumnTerm = { ...column('7'), source: { kind: 'constant', bytes: null } };
    const list: KeyTerm = {
      columns: [[column('5'), column('6')], [column('7', 1)]],
      parts: hash.parts!,
      whole: true,
    };
    expect(seenOf(nothing)).toEqual([]);
    expect(seenOf(list)).toEqual([]);
    expect(seenOf({ ...column('7'), source: { kind: 'paramArray', index: 0 } })).toEqual([]);
    expect(seenOf({ ...column('7'), source: { kind: 'param', index: 0 } })).toEqual([]);
  });

  test('long keys are cut', () => {
    const term: ColumnTerm = {
      ...column('x'.repeat(5000)),
      mapper: hash.mapper(TypeOid.text, TypeOid.text)!,
      inputType: TypeOid.text,
      columnType: TypeOid.text,
    };
    expect(seenOf(term)).toEqual([expect.stringMatching(/^x{200}: s\d$/)]);
  });
});
