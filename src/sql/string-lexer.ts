import {
  AMPERSAND,
  DOUBLE_QUOTE,
  QUOTE,
  continuationAfter,
  identifierBytes,
  skipBits,
  skipBlanks,
  skipDoubling,
  skipEscapes,
} from './lexer.js';
import { LiteralKind, type LiteralKindCode } from './literals.js';

/** The kind of the string that the letter at `i` introduces; 0 where it begins an identifier or keyword. */
export function prefixedKind(bytes: Uint8Array, i: number, end: number): LiteralKindCode | 0 {
  const next = i + 1 < end ? bytes[i + 1] : 0;
  const lower = bytes[i]! | 0x20;
  if (next === QUOTE) {
    if (lower === 0x65) return LiteralKind.escapeString;
    if (lower === 0x62) return LiteralKind.bitString;
    return lower === 0x78 ? LiteralKind.hexString : 0;
  }
  if (lower === 0x75 && next === AMPERSAND && i + 2 < end && bytes[i + 2] === QUOTE) {
    return LiteralKind.unicodeString;
  }
  return 0;
}

export function isUnicodeIdentifier(bytes: Uint8Array, i: number, end: number): boolean {
  return (
    (bytes[i]! | 0x20) === 0x75 &&
    i + 2 < end &&
    bytes[i + 1] === AMPERSAND &&
    bytes[i + 2] === DOUBLE_QUOTE
  );
}

export function skipPrefixed(
  bytes: Uint8Array,
  i: number,
  end: number,
  kind: LiteralKindCode,
): number {
  if (kind !== LiteralKind.unicodeString) return skipContinued(bytes, i + 2, end, kind);
  const behind = skipContinued(bytes, i + 3, end, kind);
  return behind < 0 ? -1 : skipUescape(bytes, behind, end);
}

/** Behind the string's last continuation; `from` is behind its first quote. */
export function skipContinued(bytes: Uint8Array, from: number, end: number, kind: number): number {
  let next = from;
  let behind: number;
  do {
    if (kind === LiteralKind.escapeString) behind = skipEscapes(bytes, next, end);
    else if (kind === LiteralKind.bitString || kind === LiteralKind.hexString) {
      behind = skipBits(bytes, next, end);
    } else behind = skipDoubling(bytes, next, end, QUOTE);
    if (behind < 0) return -1;
    next = continuationAfter(bytes, behind, end);
  } while (next >= 0);
  return behind;
}

const uescapeWord = Buffer.from('uescape');

/** Behind `UESCAPE 'c'` where that follows, since it changes the value; else `from`. */
function skipUescape(bytes: Uint8Array, from: number, end: number): number {
  const word = skipBlanks(bytes, from, end);
  if (word < 0 || word + uescapeWord.length > end) return from;
  for (let k = 0; k < uescapeWord.length; k++) {
    if ((bytes[word + k]! | 0x20) !== uescapeWord[k]) return from;
  }
  const behindWord = word + uescapeWord.length;
  if (behindWord < end && identifierBytes[bytes[behindWord]!] === 1) return from;
  const quote = skipBlanks(bytes, behindWord, end);
  if (quote < 0 || quote >= end || bytes[quote] !== QUOTE) return from;
  return skipContinued(bytes, quote + 1, end, LiteralKind.string);
}
