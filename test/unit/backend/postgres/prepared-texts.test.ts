import { expect, test } from 'vitest';
import { PreparedTexts } from '../../../../src/backend/postgres/prepared-text.js';

function text(bytes: number, name: string): Buffer {
  return Buffer.from(`${name}${' '.repeat(bytes)}\0\0\0`);
}

test('clients with one text share it, unless it is large', () => {
  const texts = new PreparedTexts();
  expect(texts.intern(text(60_000, 'a'), '')).toBe(texts.intern(text(60_000, 'a'), ''));
  expect(texts.intern(text(70_000, 'a'), '')).not.toBe(texts.intern(text(70_000, 'a'), ''));
});

test('the oldest texts are forgotten when all of them take too much memory', () => {
  const texts = new PreparedTexts();
  const [first, second] = ['first', 'second'].map((name) => texts.intern(text(10, name), ''));
  for (let i = 0; i < 600; i++) texts.intern(text(60_000, `text ${i}`), '');
  const last = texts.intern(text(60_000, 'text 599'), '');
  expect(texts.intern(text(60_000, 'text 599'), '')).toBe(last);
  expect(texts.intern(text(10, 'first'), '')).not.toBe(first);
  expect(texts.intern(text(10, 'second'), '')).not.toBe(second);
});
