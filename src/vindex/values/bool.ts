import { skipSpaces, trimSpaces } from './ascii.js';

/**
 * Every spelling parse_bool takes: unique beginnings of the words, `on` and `off`, and the digits.
 */
const spellings: ReadonlyMap<string, boolean> = new Map([
  ...beginnings('true', 1, true),
  ...beginnings('yes', 1, true),
  ...beginnings('on', 2, true),
  ['1', true],
  ...beginnings('false', 1, false),
  ...beginnings('no', 1, false),
  ...beginnings('off', 2, false),
  ['0', false],
]);
const SPELLING_BYTES_MAX = 5;

function beginnings(word: string, shortest: number, value: boolean): [string, boolean][] {
  const lengths = Array.from({ length: word.length - shortest + 1 }, (_u, more) => shortest + more);
  return lengths.map((length) => [word.slice(0, length), value]);
}

/** Reads a bool as boolin does; null where it would refuse the text. */
export function readBoolText(bytes: Uint8Array, start: number, end: number): boolean | null {
  const first = skipSpaces(bytes, start, end);
  const stop = trimSpaces(bytes, first, end);
  if (stop - first > SPELLING_BYTES_MAX) return null;
  const text = String.fromCharCode(...bytes.subarray(first, stop));
  return spellings.get(text.toLowerCase()) ?? null;
}

/** boolrecv: one byte, true unless zero. */
export function readBoolBinary(bytes: Uint8Array, start: number, end: number): boolean | null {
  return end - start === 1 ? bytes[start] !== 0 : null;
}
