import { expect, test } from 'vitest';
import { cutNames } from '../../../src/sql/cut-names.js';

function cut(text: string): [string, string][] {
  const bytes = Buffer.from(text);
  return cutNames(bytes, 0, bytes.length).map(({ given, kept }) => [given, kept]);
}

const long = 'n'.repeat(64);
const kept = 'n'.repeat(63);

test('names of 64 bytes and more are cut, in lower case where nothing quotes them', () => {
  expect(cut(`SELECT ${long}, ${kept}, ${long.toUpperCase()} FROM t.${long}x`)).toEqual([
    [long, kept],
    [long, kept],
    [`${long}x`, kept],
  ]);
  expect(cut(`SELECT "${long.toUpperCase()}"`)).toEqual([[long.toUpperCase(), kept.toUpperCase()]]);
});

test('doubled quotes count once, and characters stay whole', () => {
  expect(cut(`SELECT "${'n'.repeat(62)}""o"`)).toEqual([
    [`${'n'.repeat(62)}"o`, `${'n'.repeat(62)}"`],
  ]);
  expect(cut(`SELECT "${'n'.repeat(62)}"""`)).toEqual([]);
  expect(cut(`SELECT ${'é'.repeat(32)}`)).toEqual([['é'.repeat(32), 'é'.repeat(31)]]);
});

test('what is no name is not cut', () => {
  for (const text of [
    `SELECT '${long}', E'${long}', $$${long}$$, $x$${long}$x$, n'${long}' -- ${long}`,
    `/* ${long} */ SELECT ${'1'.repeat(70)}`,
    `SELECT U&"${long}"`,
    `SELECT "${long}`,
    'SELECT 1',
  ]) {
    expect(cut(text)).toEqual([]);
  }
});
