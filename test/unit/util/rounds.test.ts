import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Rounds } from '../../../src/util/rounds.js';

/** What ends each round, in their order. */
type End = (error?: Error) => void;

function heldRounds(failed: unknown[]): { readonly rounds: Rounds; readonly ends: End[] } {
  const ends: End[] = [];
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      ends.push((error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  return { rounds: new Rounds(work, (error) => failed.push(error)), ends };
}

test('rounds are never two at once, and one more follows where it was asked for meanwhile', async () => {
  const { rounds, ends } = heldRounds([]);
  for (let i = 0; i < 3; i++) rounds.begin();
  expect(ends.length).toBe(1);
  ends[0]!();
  await turn();
  expect(ends.length).toBe(2);
  ends[1]!();
  await turn();
  expect(ends.length).toBe(2);
  rounds.begin();
  expect(ends.length).toBe(3);
});

test('a round that fails is told, and the next one begins; nothing is behind stop', async () => {
  const failed: unknown[] = [];
  const { rounds, ends } = heldRounds(failed);
  const lost = new Error('lost');
  rounds.begin();
  rounds.begin();
  ends[0]!(lost);
  await turn();
  expect(failed).toEqual([lost]);
  rounds.begin();
  rounds.stop();
  ends[1]!(new Error('closed'));
  await turn();
  expect([failed, ends.length]).toEqual([[lost], 2]);
});
