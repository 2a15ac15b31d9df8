import { expect, test } from 'vitest';
import { storedName } from '../../../src/protocol/stored-name.js';

test('names are known by their first 63 bytes', () => {
  const name = 'n'.repeat(63);
  expect(storedName('short')).toBe('short');
  expect(storedName(name)).toBe(name);
  expect(storedName(`${name}x`)).toBe(name);
  expect(storedName('n'.repeat(62))).not.toBe(name);
});

test('a character may be cut, and what is left is the same for all that begin so', () => {
  const name = 'é'.repeat(31);
  expect(storedName(`${name}é`)).toBe(storedName(`${name}éé`));
  expect(storedName(`${name}è`)).toBe(storedName(`${name}é`));
  expect(storedName(`${name}x`)).not.toBe(storedName(`${name}é`));
  expect(storedName(`${name}x`)).toBe(storedName(`${name}xy`));
});
