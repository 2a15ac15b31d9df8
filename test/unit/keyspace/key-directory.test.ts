import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  collectedKeys,
  KeyDirectory,
  keyOf,
  TRUST_MS,
  withAnswers,
} from '../../../src/keyspace/key-directory.js';
import { KeyspaceIdCell, type KeyspaceId } from '../../../src/keyspace/keyspace-id.js';
import { ASK, MAPPED, NO_SHARD } from '../../../src/keyspace/vindex.js';

/** What a directory keeps of its table, and for how long it is believed. */

const key: KeyspaceId = { hi: 7, lo: 9 };
const other: KeyspaceId = { hi: 8, lo: 9 };
let directory: KeyDirectory;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  directory = new KeyDirectory(
    { schema: 'public', name: 'keys' },
    true,
    new Map(
      ['s0', 's1'].map((name, hi) => [
        name,
        { settle: (cell) => void (cell.hi = hi), eachSpan: (visit) => visit(idOf(hi), idOf(hi)) },
      ]),
    ),
    () => null,
  );
});
afterEach(() => {
  vi.useRealTimers();
});

function idOf(hi: number): KeyspaceId {
  return { hi, lo: 0 };
}

/** The outcome, and the shard's number where there is one. */
function place({ hi, lo }: KeyspaceId): [outcome: number, shard: number | null] {
  const cell = new KeyspaceIdCell();
  Object.assign(cell, { hi, lo });
  const outcome = directory.place(cell);
  return [outcome, outcome === MAPPED ? cell.hi : null];
}

function learn(id: KeyspaceId, shard: string): void {
  directory.learn(id, shard, performance.now());
}

describe('a kept entry', () => {
  test('is believed while the marks were looked at not long ago', () => {
    directory.looked(performance.now(), []);
    learn(key, 's1');
    expect(place(key)).toEqual([MAPPED, 1]);
    expect(place(other)).toEqual([ASK, null]);
    vi.advanceTimersByTime(TRUST_MS - 1);
    expect(place(key)).toEqual([MAPPED, 1]);
    vi.advanceTimersByTime(1);
    expect(place(key)).toEqual([ASK, null]);
  });

  test('is gone once the key was seen moving', () => {
    directory.looked(performance.now(), []);
    learn(key, 's1');
    learn(other, 's0');
    directory.looked(performance.now(), [key]);
    expect(place(key)).toEqual([ASK, null]);
    expect(place(other)).toEqual([MAPPED, 0]);
  });

  test('is gone after a time without looks, in which the key may have moved', () => {
    directory.looked(performance.now(), []);
    learn(key, 's1');
    vi.advanceTimersByTime(TRUST_MS);
    directory.looked(performance.now(), []);
    expect(place(key)).toEqual([ASK, null]);
  });

  test('is not made of an answer that is older than the last look', () => {
    const askedAt = performance.now();
    vi.advanceTimersByTime(1);
    directory.looked(performance.now(), [key]);
    directory.learn(key, 's0', askedAt);
    expect(place(key)).toEqual([ASK, null]);
  });
});

test('answers count for what runs with them only; a key that the table lacks has no shard', () => {
  const answers = new Map([
    [keyOf(key), 's1'],
    [keyOf(other), null],
  ]);
  const places = withAnswers(new Map([[directory, answers]]), () => [place(key), place(other)]);
  expect(places).toEqual([
    [MAPPED, 1],
    [NO_SHARD, null],
  ]);
  expect(place(key)).toEqual([ASK, null]);
});

test('keys are collected, known or not', () => {
  directory.looked(performance.now(), []);
  learn(key, 's1');
  const found = collectedKeys([directory], () => [place(key), place(other)]);
  expect(found.get(directory)).toEqual([key, other]);
});

describe('keys from one to another', () => {
  const span = { ...key, last: other };
  const shards = (): number[] => {
    const found: number[] = [];
    directory.eachSpan(key, other, ({ hi }) => void found.push(hi));
    return found;
  };

  test('may be on any shard until the table was asked for this statement', () => {
    directory.looked(performance.now(), []);
    learn(key, 's1');
    learn(other, 's1');
    expect(shards()).toEqual([0, 1]);
    expect(directory.unasked).toBe(true);
    expect(collectedKeys([directory], shards)).toEqual(new Map([[directory, [span]]]));
  });

  test('are on the shards that it tells, or on any where it does not', () => {
    const told = (answer: readonly string[] | null): number[] => {
      directory.unasked = false;
      return withAnswers(new Map([[directory, new Map([[keyOf(span), answer]])]]), shards);
    };
    expect(told(['s1'])).toEqual([1]);
    expect(told([])).toEqual([]);
    expect(told(null)).toEqual([0, 1]);
    expect(directory.unasked).toBe(false);
    expect(shards()).toEqual([0, 1]);
  });
});
