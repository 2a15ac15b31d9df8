import { describe, expect, test } from 'vitest';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { vindexTypes, type VindexTypeName } from '../../../src/vindex/registry.js';
import { mapText } from './mapping.js';
import { makeSample, makeSound, shardOfId } from './samples.js';

const types = Object.keys(vindexTypes) as VindexTypeName[];
const columns = Object.keys(TypeOid) as (keyof typeof TypeOid)[];

describe.each(types)('type %s', (type) => {
  test('makes a frozen vindex of that name and type', () => {
    const made = makeSample(type);
    expect(made).toMatchObject({ name: 'by_key', type });
    expect(Object.isFrozen(made)).toBe(true);
  });

  test('is the same mapping whenever it is made', () => {
    expect(makeSound(type).mapping).toBe(makeSound(type).mapping);
  });

  test.each(columns)('%s columns are refused where nothing maps them', (column) => {
    const vindex = makeSound(type);
    const mapped = vindex.mapper(TypeOid[column], TypeOid.unknown) !== null;
    expect(vindex.refusal(TypeOid[column]) === null).toBe(mapped);
    if (!mapped) expect(vindex.sqlExpression('k', TypeOid[column])).toBeNull();
    if (!mapped) expect(vindex.order?.places(TypeOid[column], TypeOid.unknown) ?? null).toBeNull();
  });

  test('a mapper is made once per pair of types', () => {
    const vindex = makeSound(type);
    for (const column of columns) {
      const oid = TypeOid[column];
      expect(vindex.mapper(oid, TypeOid.unknown)).toBe(vindex.mapper(oid, TypeOid.unknown));
    }
  });
});

test('no two types map alike, but for a ring, which hashes', () => {
  expect(new Set(types.map((type) => makeSound(type).mapping)).size).toBe(types.length - 1);
  expect(makeSound('ring').mapping).toBe(makeSound('hash').mapping);
});

test.each<VindexTypeName>(['hash', 'xxhash', 'md5'])(
  '%s spreads 100,000 keys over four shards evenly',
  (type) => {
    const mapper = makeSound(type).mapper(TypeOid.int8, TypeOid.int8)!;
    const counts = new Map<string, number>();
    for (let key = 0; key < 100_000; key++) {
      const shard = shardOfId(mapText(mapper, String(key)));
      counts.set(shard, (counts.get(shard) ?? 0) + 1);
    }
    expect(counts.size).toBe(4);
    for (const count of counts.values()) expect(Math.abs(count / 25_000 - 1)).toBeLessThan(0.03);
  },
);
