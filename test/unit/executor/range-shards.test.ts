import { expect, test } from 'vitest';
import { ShardTargets, ValueSource } from '../../../src/executor/shard-targets.js';
import { shardsWithin } from '../../../src/executor/range-shards.js';
import { makeKeyspace } from '../../../src/keyspace/topology-builder.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import type { KeyBound } from '../../../src/planner/plan.js';
import { makeSound, shardOfId, shards } from '../vindex/samples.js';
import { mapText } from '../vindex/mapping.js';

const numbers = [-9, -1, 0, 1, 2, 998, 999, 1000, 1001, 1002, 4999, 5000, 5001, 7000].map(String);
const days = ['1999-12-30', '1999-12-31', '2000-01-01', '2000-01-02', '2000-01-30'].concat([
  '2000-01-31',
  '2000-02-01',
  '2000-02-02',
  '2000-03-01',
  '2000-03-05',
  '2000-05-05',
]);
const words = ['', '@', '@\u0001', 'a', 'abcdefgh', 'abcdefghi', 'abcdefghj', '~', 'é', 'ê'];

test.each([
  ['range', 'int8', numbers],
  ['numeric', 'int8', numbers],
  ['time', 'date', days],
  ['binary', 'text', words],
] as const)(
  '%s: no value between two bounds is on a shard that is left out',
  (type, column, keys) => {
    const vindex = makeSound(type);
    const keyspace = makeKeyspace({ name: 'k', shards, vindexes: [vindex], tables: [] });
    const oid = TypeOid[column];
    const places = vindex.order!.places(oid, oid)!;
    const mapper = vindex.mapper(oid, oid)!;
    const bound = (text: string, inclusive: boolean): KeyBound => ({
      source: { kind: 'constant', bytes: Buffer.from(text) },
      mapper: places,
      inclusive,
    });
    const missed: string[] = [];
    keys.forEach((low, from) => {
      keys.forEach((high, to) => {
        for (const inclusive of [true, false]) {
          const lower = { lower: bound(low, inclusive), upper: null };
          const upper = { lower: null, upper: bound(high, inclusive) };
          const ranges = { order: vindex.order!, conditions: [[lower], [upper]] };
          const selector = { kind: 'all', keyspace, within: [ranges] } as const;
          const found = shardsWithin(selector, new ValueSource(), new ShardTargets());
          const names = found.map((shard) => shard.name);
          const between = inclusive
            ? keys.slice(from, to + 1)
            : keys.slice(from + 1, Math.max(to, 0));
          for (const key of between) {
            const own = shardOfId(mapText(mapper, key));
            if (!names.includes(own)) missed.push(`${low} ${key} ${high} ${String(inclusive)}`);
          }
        }
      });
    });
    expect(missed).toEqual([]);
  },
);
