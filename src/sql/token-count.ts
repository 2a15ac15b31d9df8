import { OPERATOR_BYTES_MAX } from './parse-limits.js';
import { LiteralKind } from './literals.js';
import { skipContinued } from './string-lexer.js';
import {
  ByteClass,
  DOUBLE_QUOTE,
  MINUS,
  QUOTE,
  STAR,
  byteClasses,
  dollarDelimiter,
  isDigit,
  isSpace,
  skipBlockComment,
  skipDollarString,
  skipDoubling,
  skipIdentifier,
  skipLineComment,
} from './lexer.js';

const LOWER_E = 0x65;

/** 1 for the characters that operators are made of (scan.l, op_chars). */
const operatorBytes = new Uint8Array(256);
for (const character of '~!@#^&|`?+-*/%<>=') operatorBytes[character.charCodeAt(0)] = 1;

/**
 * Counts the tokens of a text, never too low: every operator character counts as one. Stops behind `max`, and where the
 * lexer would stop with an error; -1 for an operator beyond OPERATOR_BYTES_MAX. Parse time and the depth of the tree
 * are bounded by these.
 */
export function countTokens(bytes: Uint8Array, start: number, end: number, max: number): number {
  let count = 0;
  let operatorStart = start;
  let i = start;
  while (i < end && count <= max) {
    const byte = bytes[i]!;
    const next = i + 1 < end ? bytes[i + 1]! : 0;
    if (isSpace(byte)) {
      i++;
      continue;
    }
    const kind = byteClasses[byte];
    if (kind === ByteClass.minus && next === MINUS) {
      i = skipLineComment(bytes, i + 2, end);
      continue;
    }
    if (kind === ByteClass.slash && next === STAR) {
      i = skipBlockComment(bytes, i + 2, end);
      if (i < 0) return count;
      continue;
    }
    count++;
    if (operatorBytes[byte] === 1) {
      if (i === start || operatorBytes[bytes[i - 1]!] === 0) operatorStart = i;
      if (i - operatorStart >= OPERATOR_BYTES_MAX) return -1;
      i++;
      continue;
    }
    i = tokenEnd(bytes, i, end);
    if (i < 0) return count;
  }
  return count;
}

/** Behind the token at `from`. A number may count as several. */
export function tokenEnd(bytes: Uint8Array, from: number, end: number): number {
  const byte = bytes[from]!;
  switch (byteClasses[byte]) {
    case ByteClass.quote:
      return skipDoubling(bytes, from + 1, end, QUOTE);
    case ByteClass.doubleQuote:
      return skipDoubling(bytes, from + 1, end, DOUBLE_QUOTE);
    case ByteClass.dollar: {
      const delimiter = dollarDelimiter(bytes, from, end);
      return delimiter > 0 ? skipDollarString(bytes, from, end, delimiter) : from + 1;
    }
    case ByteClass.stringPrefix:
      if ((byte | 0x20) === LOWER_E && from + 1 < end && bytes[from + 1] === QUOTE) {
        // A continued piece knows escapes too: taking its quotes for plain ones would hide what follows.
        return skipContinued(bytes, from + 2, end, LiteralKind.escapeString);
      }
      return skipIdentifier(bytes, from, end);
    case ByteClass.identifier:
      return skipIdentifier(bytes, from, end);
    case ByteClass.digit:
      return skipDigits(bytes, from, end);
    default:
      return from + 1;
  }
}

/** Digits only: `1$$` is a number and the begin of a string. */
function skipDigits(bytes: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end && isDigit(bytes[i]!)) i++;
  return i;
}
