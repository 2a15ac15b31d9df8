import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseKeyRange } from '../../../src/keyspace/key-range.js';
import { compareKeyspaceIds, type KeyspaceId } from '../../../src/keyspace/keyspace-id.js';
import {
  makeKeyspace,
  makeTopology,
  type KeyspaceSpec,
} from '../../../src/keyspace/topology-builder.js';
import type { Vindex } from '../../../src/keyspace/vindex.js';

const vindex: Vindex = {
  name: 'by_id',
  type: 'none',
  refusal: () => null,
  mapper: () => null,
  sqlExpression: () => null,
  mapping: 'test',
  order: null,
  cost: 1,
  parts: null,
};

function shard(name: string, ...ranges: string[]): KeyspaceSpec['shards'][number] {
  return { name, ranges: ranges.map((text) => parseKeyRange(text)!) };
}

const shop: KeyspaceSpec = {
  name: 'shop',
  shards: [shard('s0', '-40'), shard('s1', '80-c0', '40-60'), shard('s2', 'c0-', '60-80')],
  vindexes: [vindex],
  tables: [
    { type: 'sharded', schema: 'public', name: 'orders', keyColumns: ['id'], vindex: 'by_id' },
    { type: 'reference', schema: 'public', name: 'countries' },
  ],
};

const main: KeyspaceSpec = {
  name: 'main',
  shards: [shard('m')],
  vindexes: [],
  tables: [
    { type: 'unsharded', schema: 'public', name: 'settings' },
    { type: 'reference', schema: 'public', name: 'units' },
  ],
};

describe('makeKeyspace', () => {
  test.each([
    ['0', 's0'],
    ['3fffffffffffffff', 's0'],
    ['4000000000000000', 's1'],
    ['5fffffffffffffff', 's1'],
    ['6000000000000000', 's2'],
    ['7fffffffffffffff', 's2'],
    ['8000000000000000', 's1'],
    ['bfffffffffffffff', 's1'],
    ['c000000000000000', 's2'],
    ['ffffffffffffffff', 's2'],
  ])('id %s belongs to %s', (hex, owner) => {
    const id = BigInt(`0x${hex}`);
    const keyspace = makeKeyspace(shop);
    expect(keyspace.shardOf(Number(id >> 32n), Number(id & 0xffffffffn)).name).toBe(owner);
  });

  test('one shard without a range is unsharded and owns every id', () => {
    const keyspace = makeKeyspace(main);
    expect(keyspace.sharded).toBe(false);
    expect(keyspace.shardOf(0xffffffff, 0xffffffff)).toBe(keyspace.shards[0]);
  });

  test('one shard with the whole space is sharded, so that it can be split later', () => {
    expect(makeKeyspace({ ...shop, shards: [shard('s0', '-')] }).sharded).toBe(true);
  });

  test('tables point to their keyspace and vindex', () => {
    const keyspace = makeKeyspace(shop);
    const orders = keyspace.tables.get('public.orders');
    expect(orders).toMatchObject({ type: 'sharded', keyColumns: ['id'] });
    expect(orders?.keyspace).toBe(keyspace);
    expect(orders?.type === 'sharded' && orders.vindex).toBe(vindex);
  });

  test('a reference table of an unsharded keyspace has one copy: it is an unsharded table', () => {
    expect(makeKeyspace(main).tables.get('public.units')?.type).toBe('unsharded');
  });

  test('ranges of a shard are sorted and everything is frozen', () => {
    const keyspace = makeKeyspace(shop);
    const ranges = keyspace.shards[1]!.ranges;
    expect(ranges.map((range) => range.from.hi)).toEqual([0x40000000, 0x80000000]);
    for (const value of [
      keyspace,
      keyspace.shards,
      keyspace.shards[1],
      ranges,
      ranges[0],
      ranges[0]!.from,
    ]) {
      expect(Object.isFrozen(value)).toBe(true);
    }
  });

  test.each<[string, KeyspaceSpec, RegExp]>([
    ['a gap', { ...shop, shards: [shard('s0', '-40')] }, /no shard owns the key range "40-"/],
    ['an unknown vindex', { ...shop, vindexes: [] }, /unknown vindex "by_id"/],
    ['a table twice', { ...main, tables: [main.tables[0]!, main.tables[0]!] }, /stands twice/],
    [
      'a sharded table without shards',
      { ...main, tables: [shop.tables[0]!] },
      /is sharded, the keyspace is not/,
    ],
    [
      'an unsharded table among shards',
      { ...shop, tables: [main.tables[0]!] },
      /the keyspace is sharded/,
    ],
    [
      'a shard name twice',
      { ...shop, shards: [shard('a', '-80'), shard('a', '80-')] },
      /not unique/,
    ],
  ])('refuses %s', (_name, spec, message) => {
    expect(() => makeKeyspace(spec)).toThrow(message);
  });
});

describe('makeTopology', () => {
  test('numbers the shards over all keyspaces and merges the tables', () => {
    const topology = makeTopology({ version: 3, keyspaces: [main, shop], defaultKeyspace: 'main' });
    expect(topology.version).toBe(3);
    expect(topology.shards.map(({ index, name, keyspace }) => [index, name, keyspace])).toEqual([
      [0, 'm', 'main'],
      [1, 's0', 'shop'],
      [2, 's1', 'shop'],
      [3, 's2', 'shop'],
    ]);
    expect([...topology.tables.keys()]).toEqual([
      'public.settings',
      'public.units',
      'public.orders',
      'public.countries',
    ]);
    expect(topology.defaultKeyspace).toBe(topology.keyspaces[0]);
    expect(topology.tables.get('public.orders')?.keyspace).toBe(topology.keyspaces[1]);
  });

  test.each<[string, readonly KeyspaceSpec[], string | null, string]>([
    [
      'the default keyspace',
      [shop, { ...main, name: 'a', shards: [shard('x')], tables: [] }, main],
      'main',
      'm',
    ],
    ['else an unsharded keyspace', [shop, main], null, 'm'],
    ['else the first shard', [shop], null, 's0'],
  ])('catalog queries go to %s', (_name, keyspaces, defaultKeyspace, expected) => {
    expect(makeTopology({ version: 1, keyspaces, defaultKeyspace }).catalogShard.name).toBe(
      expected,
    );
  });

  test.each<[string, readonly KeyspaceSpec[], string | null, RegExp]>([
    [
      'a table in two keyspaces',
      [shop, { ...main, tables: [{ type: 'unsharded', schema: 'public', name: 'orders' }] }],
      null,
      /stands in two keyspaces/,
    ],
    ['an unknown default keyspace', [shop], 'main', /no default keyspace "main"/],
    ['a sharded default keyspace', [shop], 'shop', /is sharded/],
    [
      'a shard name in two keyspaces',
      [shop, { ...main, shards: [shard('s0')] }],
      null,
      /shard names are not unique/,
    ],
    ['no keyspace', [], null, /at least one keyspace/],
  ])('refuses %s', (_name, keyspaces, defaultKeyspace, message) => {
    expect(() => makeTopology({ version: 1, keyspaces, defaultKeyspace })).toThrow(message);
  });
});

/** Distinct sorted cut points; `short`: upper halves only, which takes another code path. */
function cuts(short: boolean): fc.Arbitrary<KeyspaceId[]> {
  const half = fc.integer({ min: 0, max: 0xffffffff });
  const cut = fc.record({ hi: half, lo: short ? fc.constant(0) : half });
  return fc
    .uniqueArray(cut, { maxLength: 40, comparator: (a, b) => a.hi === b.hi && a.lo === b.lo })
    .map((list) => list.filter((id) => id.hi !== 0 || id.lo !== 0).sort(compareKeyspaceIds));
}

describe.each([
  ['bounds of the upper half', true],
  ['bounds of all 64 bits', false],
])(
  'property: every id belongs to exactly one shard, the one whose range holds it (%s)',
  (_n, short) => {
    test('any cut of the space, any dealing of ranges to shards', () => {
      const anyHalf = fc.integer({ min: 0, max: 0xffffffff });
      const probes = fc.array(fc.record({ hi: anyHalf, lo: anyHalf }), { maxLength: 20 });
      fc.assert(
        fc.property(
          cuts(short),
          fc.integer({ min: 1, max: 5 }),
          probes,
          (bounds, shardCount, ids) => {
            const starts = [{ hi: 0, lo: 0 }, ...bounds];
            const ranges = starts.map((from, index) => ({ from, to: starts[index + 1] ?? null }));
            const shards = Array.from(
              { length: Math.min(shardCount, ranges.length) },
              (_u, place) => ({
                name: `s${place}`,
                ranges: ranges.filter(
                  (_range, index) => index % Math.min(shardCount, ranges.length) === place,
                ),
              }),
            );
            const keyspace = makeKeyspace({ name: 'k', shards, vindexes: [], tables: [] });
            // The bounds themselves and the ids just below them are where an off-by-one would show.
            for (const id of [...ids, ...starts, ...bounds.map(before)]) {
              const holders = keyspace.shards.filter((one) =>
                one.ranges.some(
                  (range) =>
                    compareKeyspaceIds(range.from, id) <= 0 &&
                    (range.to === null || compareKeyspaceIds(id, range.to) < 0),
                ),
              );
              expect(holders).toHaveLength(1);
              expect(keyspace.shardOf(id.hi, id.lo)).toBe(holders[0]);
            }
          },
        ),
        { numRuns: 300 },
      );
    });
  },
);

function before(id: KeyspaceId): KeyspaceId {
  return id.lo > 0 ? { hi: id.hi, lo: id.lo - 1 } : { hi: id.hi - 1, lo: 0xffffffff };
}
