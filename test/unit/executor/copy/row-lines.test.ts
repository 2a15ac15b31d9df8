import { expect, test } from 'vitest';
import { RowLines } from '../../../../src/executor/copy/row-lines.js';
import { plan, textFormat } from './splitting.js';

const [one, other] = plan(textFormat(), 2).keyspace.shards;

test('each shard counts its own rows, and a header', () => {
  const lines = new RowLines();
  lines.endHeader();
  for (const shard of [one!, one!, other!, one!, other!]) lines.endRow(shard);
  expect(lines.current).toBe(7);
  expect([2, 3, 4].map((line) => lines.lineOf(one!, line))).toEqual([2, 3, 5]);
  expect([2, 3].map((line) => lines.lineOf(other!, line))).toEqual([4, 6]);
  expect([1, 5].map((line) => lines.lineOf(one!, line))).toEqual([null, null]);
});

test('lines within quotes count, but not line feeds of the first row that somebody reads', () => {
  const lines = new RowLines();
  lines.innerLineFeed();
  lines.endsWithLineFeed = true;
  lines.endRow(one!);
  for (const shard of [one!, other!, other!]) {
    lines.innerLineFeed();
    lines.innerLineFeed();
    lines.endRow(shard);
  }
  expect(lines.current).toBe(11);
  expect([1, 4].map((line) => lines.lineOf(one!, line))).toEqual([1, 4]);
  expect([1, 4].map((line) => lines.lineOf(other!, line))).toEqual([7, 10]);
});

test('of very many rows the last ones are known', () => {
  const lines = new RowLines();
  for (let row = 1; row <= 100_000; row++) lines.endRow(row % 2 === 0 ? one! : other!);
  expect(lines.lineOf(one!, 50_000)).toBe(100_000);
  expect(lines.lineOf(one!, 30_000)).toBe(60_000);
  expect(lines.lineOf(one!, 1000)).toBeNull();
});
