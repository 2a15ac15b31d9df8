import { UNREADABLE, type KeyMapper } from '../keyspace/vindex.js';

/**
 * Values that match a LIKE pattern begin with what stands in front of its first wildcard. These mappers take the
 * pattern and give that beginning, or the first text behind all that begin so, to a mapper of text. UNREADABLE: the
 * pattern escapes characters, or nothing lies behind.
 */

const PERCENT = 0x25;
const UNDERSCORE = 0x5f;
const BACKSLASH = 0x5c;
const LAST_CHARACTER = 0x10ffff;
const FIRST_SURROGATE = 0xd800;
const BEHIND_SURROGATES = 0xe000;
/** Keeps a byte order mark. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The first text that may match. */
export function prefixStart(mapper: KeyMapper): KeyMapper {
  const read: KeyMapper['text'] = (bytes, start, end, out) => {
    const stop = wildcardAt(bytes, start, end);
    return stop < 0 ? UNREADABLE : mapper.text(bytes, start, stop, out);
  };
  return { text: read, binary: read };
}

/** The first text behind all that may match. */
export function prefixEnd(mapper: KeyMapper): KeyMapper {
  const read: KeyMapper['text'] = (bytes, start, end, out) => {
    const stop = wildcardAt(bytes, start, end);
    const next = stop < 0 ? null : behind(decoded(bytes.subarray(start, stop)));
    return next === null ? UNREADABLE : mapper.text(next, 0, next.length, out);
  };
  return { text: read, binary: read };
}

/** Where the beginning ends; -1: it holds escapes. */
function wildcardAt(bytes: Uint8Array, start: number, end: number): number {
  if (bytes.subarray(start, end).includes(BACKSLASH)) return -1;
  let at = start;
  while (at < end && bytes[at] !== PERCENT && bytes[at] !== UNDERSCORE) at++;
  return at;
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    // TypeError: no UTF-8. The server says so.
    return null;
  }
}

/** The last character made the next one: UTF-8 sorts as code points do. */
function behind(text: string | null): Buffer | null {
  const characters = [...(text ?? '')];
  for (let last = characters.pop(); last !== undefined; last = characters.pop()) {
    const code = last.codePointAt(0)!;
    if (code === LAST_CHARACTER) continue;
    const next = code + 1 === FIRST_SURROGATE ? BEHIND_SURROGATES : code + 1;
    return Buffer.from(characters.join('') + String.fromCodePoint(next));
  }
  return null;
}
