import { assert } from '../util/assert.js';
import { compareKeyspaceIds, type KeyspaceId } from './keyspace-id.js';
import type { Shard } from './topology.js';

export type ShardLookup = (hi: number, lo: number) => Shard;

/**
 * The function behind `Keyspace.shardOf`: the owner of a keyspace id given as unsigned 32-bit
 * halves. The ranges must tile the space (see `tilingProblems`). Allocates nothing per call: 32-bit
 * boundaries in typed arrays, binary search.
 */
export function makeShardLookup(shards: readonly Shard[]): ShardLookup {
  const ranges: { readonly from: KeyspaceId; readonly shard: Shard }[] = [];
  for (const shard of shards) {
    for (const range of shard.ranges) ranges.push({ from: range.from, shard });
  }
  const first = shards[0];
  assert(first !== undefined, 'a keyspace has at least one shard');
  if (shards.length === 1) return () => first;
  ranges.sort((a, b) => compareKeyspaceIds(a.from, b.from));
  const owners = ranges.map((range) => range.shard);
  const fromHi = Uint32Array.from(ranges, (range) => range.from.hi);
  // Bounds are nearly always short (`40-80`): then the upper half alone decides.
  if (ranges.every((range) => range.from.lo === 0)) {
    return (hi) => owners[lastAtOrBelow(fromHi, hi)]!;
  }
  const fromLo = Uint32Array.from(ranges, (range) => range.from.lo);
  return (hi, lo) => owners[lastPairAtOrBelow(fromHi, fromLo, hi, lo)]!;
}

/**
 * Below this many ranges a straight scan from the top beats the mispredicted branches of a binary
 * search.
 */
const SCAN_RANGES_MAX = 8;

/** The last index whose bound is <= hi; bound 0 is 0, so there always is one. */
function lastAtOrBelow(bounds: Uint32Array, hi: number): number {
  if (bounds.length <= SCAN_RANGES_MAX) {
    let index = bounds.length - 1;
    while (index > 0 && bounds[index]! > hi) index--;
    return index;
  }
  let low = 0;
  let high = bounds.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (bounds[middle]! <= hi) low = middle;
    else high = middle - 1;
  }
  return low;
}

function lastPairAtOrBelow(his: Uint32Array, los: Uint32Array, hi: number, lo: number): number {
  let low = 0;
  let high = his.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    const bound = his[middle]!;
    if (bound < hi || (bound === hi && los[middle]! <= lo)) low = middle;
    else high = middle - 1;
  }
  return low;
}
