import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { isLike } from '../../../src/console/like.js';

test.each<[string, string, boolean]>([
  ['', '', true],
  ['', '%', true],
  ['a', '', false],
  ['abc', 'abc', true],
  ['abc', 'a%c', true],
  ['abc', '%b%', true],
  ['abc', 'a_c_', false],
  ['aab', '%ab', true],
  ['abab', '%ab_', false],
  ['a%', 'a\\%', true],
  ['ab', 'a\\%', false],
  ['a\\', 'a\\\\', true],
  ['x\ny', 'x%y', true],
  ['\u{1f600}', '_', true],
])('%j LIKE %j is %j', (text, pattern, wanted) => {
  expect(isLike(text, pattern)).toBe(wanted);
});

test('a pattern made to be slow is not', () => {
  const startedAt = performance.now();
  expect(isLike('a'.repeat(5000), `${'%a'.repeat(500)}b`)).toBe(false);
  expect(performance.now() - startedAt).toBeLessThan(2000);
});
