import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tilingProblems } from '../../../src/keyspace/key-range-tiling.js';
import { parseKeyRange, type KeyRange } from '../../../src/keyspace/key-range.js';

function range(text: string): KeyRange {
  const parsed = parseKeyRange(text);
  if (parsed === null) throw new Error(`no key range: ${text}`);
  return parsed;
}

function owners(spec: Record<string, string>): { name: string; ranges: KeyRange[] }[] {
  return Object.entries(spec).map(([name, ranges]) => ({
    name,
    ranges: ranges.split(' ').filter(Boolean).map(range),
  }));
}

function messages(spec: Record<string, string>): string[] {
  return tilingProblems(owners(spec)).map((problem) => problem.message);
}

describe('key ranges that tile the space', () => {
  test.each<[string, Record<string, string>]>([
    ['one shard without a range', { main: '' }],
    ['one shard with the whole space', { s0: '-' }],
    ['two halves', { s0: '-80', s1: '80-' }],
    ['listed in another order', { s2: 'c0-', s0: '-40', s1: '40-c0' }],
    ['several ranges per shard', { s0: '-20 80-a0', s1: '20-80 a0-' }],
    ['bounds of all 64 bits', { s0: '-8000000000000001', s1: '8000000000000001-' }],
  ])('%s', (_name, spec) => {
    expect(messages(spec)).toEqual([]);
  });
});

describe('key ranges that do not', () => {
  test('a keyspace without shards', () => {
    expect(messages({})).toEqual(['the keyspace has no shards']);
  });

  test('a gap at the start, in the middle and at the end are three problems', () => {
    expect(messages({ s0: '10-40', s1: '60-f0' })).toEqual([
      'no shard owns the key range "-10"',
      'no shard owns the key range "40-60"',
      'no shard owns the key range "f0-"',
    ]);
  });

  test('a gap names the shards on both sides', () => {
    const [problem] = tilingProblems(owners({ s0: '-40', s1: '60-' }));
    expect(problem?.shardNames).toEqual(['s0', 's1']);
    expect(problem?.hint).toContain('"40-60"');
  });

  test('an overlap names both ranges and both shards', () => {
    const problems = tilingProblems(owners({ s0: '-80', s1: '40-' }));
    expect(problems).toEqual([
      {
        message: 'key ranges "-80" and "40-" of shards "s0" and "s1" overlap',
        hint: expect.stringContaining('exactly one range'),
        shardNames: ['s0', 's1'],
      },
    ]);
  });

  test('an overlap within one shard', () => {
    expect(messages({ s0: '-80 40-c0', s1: 'c0-' })).toEqual([
      'key ranges "-80" and "40-c0" of shard "s0" overlap',
    ]);
  });

  test('a short range inside a long one does not hide what the long one covers', () => {
    expect(messages({ s0: '-80', s1: '20-30', s2: '80-' })).toEqual([
      'key ranges "-80" and "20-30" of shards "s0" and "s1" overlap',
    ]);
  });

  test('a range up to the end overlaps whatever starts later', () => {
    expect(messages({ s0: '-', s1: '80-' })).toEqual([
      'key ranges "-" and "80-" of shards "s0" and "s1" overlap',
    ]);
  });

  test('equal ranges overlap', () => {
    expect(messages({ s0: '-', s1: '-' })).toHaveLength(1);
  });

  test('a shard without a range among shards with one', () => {
    expect(messages({ s0: '-', s1: '' })).toEqual([
      'shard "s1" has no key range, though its keyspace is sharded',
    ]);
  });

  test('several shards, none with a range', () => {
    expect(messages({ s0: '', s1: '' })).toHaveLength(2);
  });
});

test('property: tiling holds exactly when every probed id has one owner', () => {
  // Bounds on a coarse grid, so that random ranges meet, gape and overlap about equally often.
  const bound = fc.integer({ min: 0, max: 8 });
  const ranges = fc.array(fc.tuple(bound, bound), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(ranges, (pairs) => {
      const shards = pairs
        .filter(([from, to]) => from < to)
        .map(([from, to], index) => ({
          name: `s${index}`,
          ranges: [
            {
              from: { hi: from * 2 ** 29, lo: 0 },
              to: to === 8 ? null : { hi: to * 2 ** 29, lo: 0 },
            },
          ],
        }));
      fc.pre(shards.length > 0);
      const once = Array.from({ length: 8 }, (_unused, cell) => cell * 2 ** 29 + 5).every(
        (hi) =>
          shards.filter(
            ({ ranges: [only] }) => only!.from.hi <= hi && (only!.to === null || only!.to.hi > hi),
          ).length === 1,
      );
      expect(tilingProblems(shards).length === 0).toBe(once);
    }),
    { numRuns: 2000 },
  );
});
