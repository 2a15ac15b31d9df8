import { describe, expect, test } from 'vitest';
import { tilingProblems } from '../../../src/keyspace/key-range-tiling.js';
import { ringRanges, type RingMember } from '../../../src/keyspace/ring.js';

const NODES = 1024;

function members(count: number, weight = 1): RingMember[] {
  return Array.from({ length: count }, (_unused, index) => ({ name: `s${index}`, weight }));
}

/** The name of the owner of each virtual node. */
function owners(ring: readonly RingMember[]): string[] {
  const names: string[] = [];
  ringRanges(ring).forEach((ranges, index) => {
    for (const { from, to } of ranges) {
      const end = to === null ? NODES : to.hi >>> 22;
      for (let node = from.hi >>> 22; node < end; node++) names[node] = ring[index]!.name;
    }
  });
  return names;
}

function counts(ring: readonly RingMember[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const name of owners(ring)) out[name] = (out[name] ?? 0) + 1;
  return out;
}

test.each([1, 2, 3, 4, 7, 20])('the ranges of %i shards tile the space', (count) => {
  const ring = members(count);
  const ranges = ringRanges(ring);
  expect(tilingProblems(ring.map(({ name }, index) => ({ name, ranges: ranges[index]! })))).toEqual(
    [],
  );
});

describe('shares', () => {
  test('are those of the weights', () => {
    expect(counts(members(4))).toEqual({ s0: 256, s1: 256, s2: 256, s3: 256 });
    const ring = [
      { name: 'a', weight: 1 },
      { name: 'b', weight: 2 },
      { name: 'c', weight: 5 },
    ];
    expect(counts(ring)).toEqual({ a: 128, b: 256, c: 640 });
  });

  test('are never nothing', () => {
    const ring = [...members(2, 1000), { name: 'light', weight: 1 }];
    expect(counts(ring)['light']).toBe(1);
  });

  test('hang on names, not on places', () => {
    const ring = members(5);
    expect(owners(ring.toReversed())).toEqual(owners(ring));
  });
});

test.each([2, 3, 4, 7, 10])(
  'a shard more than %i takes its share, and little else moves',
  (count) => {
    const [before, after] = [owners(members(count)), owners(members(count + 1))];
    const moved = after.filter((name, node) => name !== before[node]);
    const share = NODES / (count + 1);
    expect(moved.filter((name) => name === `s${count}`).length).toBeGreaterThan(share - 2);
    expect(moved.length).toBeLessThan(share * 1.3);
  },
);

test('who owns what never changes', () => {
  // Golden: other ranges would leave the rows of running clusters on the wrong shards.
  const nodes = ringRanges(members(3)).map((ranges) =>
    ranges.slice(0, 3).map(({ from, to }) => `${from.hi >>> 22}-${to!.hi >>> 22}`),
  );
  expect(nodes.map((own) => own.join(' '))).toEqual([
    '0-1 3-6 8-10',
    '1-3 7-8 10-11',
    '6-7 12-15 18-20',
  ]);
});
