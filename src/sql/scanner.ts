import {
  ByteClass,
  DOT,
  DOUBLE_QUOTE,
  MINUS,
  STAR,
  byteClasses,
  dollarDelimiter,
  identifierBytes,
  isDigit,
  isIdentifierStart,
  skipBlockComment,
  skipDollarString,
  skipDoubling,
  skipIdentifier,
  skipLineComment,
} from './lexer.js';
import { LiteralKind, type LiteralKindCode, type Literals } from './literals.js';
import { scanNumber, type NumberToken } from './number-lexer.js';
import { isUnicodeIdentifier, prefixedKind, skipContinued, skipPrefixed } from './string-lexer.js';

/**
 * Longest text that gets a shape, in bytes. A multi-row INSERT of a driver's batch (100 rows of 150 bytes) still does;
 * beyond that a statement costs far more than its planning, and its key would crowd many small ones out.
 */
export const SHAPE_TEXT_MAX = 16_384;

const shape = Buffer.allocUnsafeSlow(SHAPE_TEXT_MAX);
const number: NumberToken = { end: 0, kind: LiteralKind.int4 };

/**
 * Finds the literals of one text in one pass and returns its shape: the text with every literal replaced by the marker
 * byte of its kind, as a latin1 string. Two texts of equal shape parse to the same tree but for the literals' values.
 *
 * Null: no shape. The literals are still complete where the text is only too long or holds something rare (control
 * bytes, `U&"..."`); `literals.complete` is false where PostgreSQL's lexer would refuse the text.
 * Source of the rules: PostgreSQL 18, src/backend/parser/scan.l, standard_conforming_strings on.
 */
export function scanShape(
  bytes: Uint8Array,
  start: number,
  end: number,
  literals: Literals,
): string | null {
  literals.reset();
  let cacheable = end - start <= SHAPE_TEXT_MAX;
  let length = 0;
  /** Start of the verbatim run that is not yet in the shape. */
  let verbatim = start;
  let i = start;
  while (i < end) {
    const first = i;
    let kind: LiteralKindCode | 0 = 0;
    switch (byteClasses[bytes[i]!]) {
      case ByteClass.plain:
        i++;
        continue;
      case ByteClass.stringPrefix:
        kind = prefixedKind(bytes, i, end);
        if (kind === 0) {
          if (isUnicodeIdentifier(bytes, i, end)) {
            // Its UESCAPE string, if any, decides over the name, so that the name is no part of the shape.
            cacheable = false;
            i += 2;
          } else i = skipIdentifier(bytes, i + 1, end);
          continue;
        }
        i = skipPrefixed(bytes, i, end, kind);
        break;
      case ByteClass.identifier:
        do i++;
        while (i < end && identifierBytes[bytes[i]!] === 1);
        continue;
      case ByteClass.digit:
        scanNumber(bytes, i, end, number);
        i = number.end;
        kind = number.kind;
        break;
      case ByteClass.quote:
        kind = LiteralKind.string;
        i = skipContinued(bytes, i + 1, end, kind);
        break;
      case ByteClass.doubleQuote:
        i = skipDoubling(bytes, i + 1, end, DOUBLE_QUOTE);
        if (i < 0) return refused(literals);
        if (cacheable && hasMarker(bytes, first, i)) cacheable = false;
        continue;
      case ByteClass.dollar: {
        if (i + 1 < end && isDigit(bytes[i + 1]!)) {
          i = skipParameter(bytes, i + 2, end);
          if (i < 0) return refused(literals);
          continue;
        }
        const delimiter = dollarDelimiter(bytes, i, end);
        if (delimiter === 0) return refused(literals);
        kind = LiteralKind.dollarString;
        i = skipDollarString(bytes, i, end, delimiter);
        break;
      }
      case ByteClass.minus:
        if (i + 1 >= end || bytes[i + 1] !== MINUS) {
          i++;
          continue;
        }
        kind = LiteralKind.comment;
        i = skipLineComment(bytes, i + 2, end);
        break;
      case ByteClass.slash:
        if (i + 1 >= end || bytes[i + 1] !== STAR) {
          i++;
          continue;
        }
        kind = LiteralKind.comment;
        i = skipBlockComment(bytes, i + 2, end);
        break;
      case ByteClass.dot:
        if (i + 1 < end && isDigit(bytes[i + 1]!)) {
          scanNumber(bytes, i, end, number);
          i = number.end;
          kind = number.kind;
          break;
        }
        // Two dots are one token: the second one never begins a number.
        i += i + 1 < end && bytes[i + 1] === DOT ? 2 : 1;
        continue;
      default:
        return refused(literals);
    }
    if (i < 0) return refused(literals);
    literals.push(kind, first - start, i - start);
    if (cacheable) {
      while (verbatim < first) shape[length++] = bytes[verbatim++]!;
      shape[length++] = kind;
      verbatim = i;
    }
  }
  if (!cacheable) return null;
  while (verbatim < end) shape[length++] = bytes[verbatim++]!;
  return latin1(shape, 0, length);
}

/** Whether scanShape gives a text of this many bytes a shape, if nothing else speaks against it. */
export function shapeCacheable(byteLength: number): boolean {
  return byteLength <= SHAPE_TEXT_MAX;
}

/** The text itself as a key: one latin1 character a byte. */
export function fingerprintText(bytes: Uint8Array, start: number, end: number): string {
  return latin1(bytes, start, end);
}

const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** Half the cost of `toString('latin1')` on short texts. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
}

function refused(literals: Literals): null {
  literals.complete = false;
  return null;
}

/** Behind `$n`; a letter right behind it is an error. */
function skipParameter(bytes: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end && isDigit(bytes[i]!)) i++;
  return i < end && isIdentifierStart(bytes[i]!) ? -1 : i;
}

/** Whether a quoted identifier holds a byte that could be taken for a marker. */
function hasMarker(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i]! < 0x20) return true;
  return false;
}
