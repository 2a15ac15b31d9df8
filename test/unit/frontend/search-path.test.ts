import { expect, test } from 'vitest';
import { parseSearchPath } from '../../../src/frontend/search-path.js';

test.each([
  [undefined, ['ann', 'public']],
  ['public', ['public']],
  ['"$user", public', ['ann', 'public']],
  ['$user,public', ['ann', 'public']],
  ['$USER', ['ann']],
  ['"$USER"', ['$USER']],
  [' a ,\tb\n,c ', ['a', 'b', 'c']],
  ['Shop, "Shop"', ['shop', 'Shop']],
  ['"a,b", "c""d", "e f"', ['a,b', 'c"d', 'e f']],
  // Only ASCII is folded, and only ASCII spaces separate.
  ['ÉA', ['Éa']],
  ['a\u00a0b', ['a\u00a0b']],
  ['a"b', ['a"b']],
  ['', []],
  ['""', []],
  ['"", a', ['a']],
])('%j', (value, path) => {
  expect(parseSearchPath(value, 'ann')).toEqual(path);
});

test.each(['a b', 'a,,b', 'a,', '"a', 'a, "b', 'a, "b"c'])(
  '%j, which Postgres refuses, ends at the fault',
  (value) => {
    const path = parseSearchPath(value, 'ann');
    expect(path[0] ?? 'a').toBe('a');
    expect(path.length).toBeLessThanOrEqual(2);
  },
);

test.each([
  ['spaces', ' '],
  ['quotes', '"'],
  ['names and spaces', 'a '],
])('a megabyte of %s takes time in proportion', (_name, unit) => {
  const start = process.cpuUsage();
  parseSearchPath(unit.repeat(1_000_000 / unit.length), 'ann');
  expect(process.cpuUsage(start).user / 1000).toBeLessThan(1000);
});
