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

/** The token last found by `scanToken`; one for all, so that tokens cost no object. */
interface Token {
  /** Behind the token; -1: the lexer refuses it. */
  end: number;
  /** 0: no literal, the token stands in the shape as it is. */
  kind: LiteralKindCode | 0;
  /** The text can have no shape. */
  shapeless: boolean;
}

const token: Token = { end: 0, kind: 0, shapeless: false };
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
  let cacheable = shapeCacheable(end - start);
  let length = 0;
  /** Start of the verbatim run that is not yet in the shape. */
  let verbatim = start;
  let i = start;
  while (i < end) {
    const byteClass = byteClasses[bytes[i]!];
    if (byteClass === ByteClass.plain) {
      i++;
      continue;
    }
    if (byteClass === ByteClass.identifier) {
      do i++;
      while (i < end && identifierBytes[bytes[i]!] === 1);
      continue;
    }
    scanToken(bytes, i, end);
    const behind = token.end;
    if (behind < 0) {
      literals.complete = false;
      return null;
    }
    if (token.shapeless) cacheable = false;
    if (token.kind !== 0) {
      literals.push(token.kind, i - start, behind - start);
      if (cacheable) {
        while (verbatim < i) shape[length++] = bytes[verbatim++]!;
        shape[length++] = token.kind;
        verbatim = behind;
      }
    }
    i = behind;
  }
  if (!cacheable) return null;
  while (verbatim < end) shape[length++] = bytes[verbatim++]!;
  return latin1(shape, 0, length);
}

/** Finds the token at `i`, which begins with neither white space, punctuation nor a plain letter. */
function scanToken(bytes: Uint8Array, i: number, end: number): void {
  const next = i + 1 < end ? bytes[i + 1]! : 0;
  token.kind = 0;
  token.shapeless = false;
  switch (byteClasses[bytes[i]!]) {
    case ByteClass.stringPrefix:
      scanPrefixed(bytes, i, end);
      return;
    case ByteClass.digit:
      scanNumberToken(bytes, i, end);
      return;
    case ByteClass.quote:
      token.kind = LiteralKind.string;
      token.end = skipContinued(bytes, i + 1, end, LiteralKind.string);
      return;
    case ByteClass.doubleQuote:
      token.end = skipDoubling(bytes, i + 1, end, DOUBLE_QUOTE);
      token.shapeless = hasMarker(bytes, i, token.end);
      return;
    case ByteClass.dollar:
      scanDollar(bytes, i, end);
      return;
    case ByteClass.minus:
      token.kind = next === MINUS ? LiteralKind.comment : 0;
      token.end = next === MINUS ? skipLineComment(bytes, i + 2, end) : i + 1;
      return;
    case ByteClass.slash:
      token.kind = next === STAR ? LiteralKind.comment : 0;
      token.end = next === STAR ? skipBlockComment(bytes, i + 2, end) : i + 1;
      return;
    case ByteClass.dot:
      // Two dots are one token: the second one never begins a number.
      if (isDigit(next)) scanNumberToken(bytes, i, end);
      else token.end = next === DOT ? i + 2 : i + 1;
      return;
    default:
      token.end = -1;
  }
}

function scanNumberToken(bytes: Uint8Array, i: number, end: number): void {
  scanNumber(bytes, i, end, number);
  token.end = number.end;
  token.kind = number.kind;
}

/** An identifier, or the string whose prefix the letter at `i` is. */
function scanPrefixed(bytes: Uint8Array, i: number, end: number): void {
  const kind = prefixedKind(bytes, i, end);
  token.kind = kind;
  if (kind !== 0) token.end = skipPrefixed(bytes, i, end, kind);
  else if (isUnicodeIdentifier(bytes, i, end)) {
    // Its UESCAPE string, if any, decides over the name, so that the name is no part of the shape.
    token.shapeless = true;
    token.end = i + 2;
  } else token.end = skipIdentifier(bytes, i + 1, end);
}

/** A parameter `$n`, which is no literal, or a dollar-quoted string. */
function scanDollar(bytes: Uint8Array, i: number, end: number): void {
  if (i + 1 < end && isDigit(bytes[i + 1]!)) {
    token.end = skipParameter(bytes, i + 2, end);
    return;
  }
  const delimiter = dollarDelimiter(bytes, i, end);
  token.kind = LiteralKind.dollarString;
  token.end = delimiter === 0 ? -1 : skipDollarString(bytes, i, end, delimiter);
}

/** Whether scanShape gives a text of this many bytes a shape, if nothing else speaks against it. */
export function shapeCacheable(byteLength: number): boolean {
  return byteLength <= SHAPE_TEXT_MAX;
}

/** The text itself as a key: one latin1 character a byte. */
export function fingerprintText(bytes: Uint8Array, start: number, end: number): string {
  return latin1(bytes, start, end);
}

interface Latin1Sliced {
  readonly latin1Slice: (this: Uint8Array, start: number, end: number) => string;
}

const { latin1Slice } = Buffer.prototype as unknown as Latin1Sliced;

/** Half the cost of `toString('latin1')` on short texts. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
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
