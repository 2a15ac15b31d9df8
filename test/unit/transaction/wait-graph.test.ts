import { describe, expect, test } from 'vitest';
import type { Shard } from '../../../src/keyspace/topology.js';
import { lastingWaits, WaitGraph, type LockWait } from '../../../src/transaction/wait-graph.js';
import { shardNamed } from './scripted-participants.js';

const s0 = shardNamed('s0', 0);
const s1 = shardNamed('s1', 1);
const s2 = shardNamed('s2', 2);

/** Processes are numbered by transaction and shard: 21 is what transaction 2 has on shard 1. */
function waitsOf(...steps: readonly (readonly [Shard, number, number])[]): LockWait[] {
  return steps.map(([shard, from, to]) => ({
    shard,
    pid: from * 10 + shard.index,
    blocker: to * 10 + shard.index,
  }));
}

function graphOf(waits: readonly LockWait[]): WaitGraph<number> {
  return new WaitGraph(waits, (_shard, pid) => Math.floor(pid / 10));
}

describe('a cycle over several shards', () => {
  test('is found from each of its members, in order', () => {
    const waits = waitsOf([s0, 1, 2], [s1, 2, 3], [s2, 3, 1], [s0, 4, 1]);
    expect(graphOf(waits).cycleThrough(1)).toEqual(waits.slice(0, 3));
    expect(graphOf(waits).cycleThrough(3)).toEqual([waits[2], waits[0], waits[1]]);
  });

  test('is not found from whoever only waits for its members, or for nobody', () => {
    const waits = waitsOf([s0, 1, 2], [s1, 2, 1], [s0, 4, 1]);
    expect(graphOf(waits).cycleThrough(4)).toBeNull();
    expect(graphOf(waits).cycleThrough(5)).toBeNull();
    expect(graphOf(waitsOf([s0, 1, 2], [s1, 2, 3])).cycleThrough(1)).toBeNull();
  });

  test('goes through transactions of one shard too', () => {
    const waits = waitsOf([s0, 1, 5], [s0, 5, 2], [s1, 2, 1]);
    expect(graphOf(waits).cycleThrough(2)).toHaveLength(3);
  });

  test('of one shard is left to that shard', () => {
    expect(graphOf(waitsOf([s0, 1, 2], [s0, 2, 1])).cycleThrough(1)).toBeNull();
  });
});

test('a wait that is gone in the second look is none', () => {
  const before = waitsOf([s0, 1, 2], [s1, 2, 1]);
  const after = waitsOf([s0, 1, 2], [s1, 2, 3]);
  expect(lastingWaits(before, after)).toEqual(waitsOf([s0, 1, 2]));
});
