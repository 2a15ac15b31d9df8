import { isUtf8 } from 'node:buffer';
import {
  BACKSLASH,
  DOLLAR,
  MINUS,
  QUOTE,
  continuationAfter,
  skipBlanks,
  skipDoubling,
  skipEscapes,
} from './lexer.js';
import { LiteralKind, type Literals } from './literals.js';
import { decodeEscapes } from './escape-string.js';
import { decodeUnicodeEscapes } from './unicode-string.js';

/** Where a literal's value stands, as PostgreSQL's text input of its type takes it (UTF-8). */
export interface LiteralText {
  bytes: Uint8Array;
  start: number;
  end: number;
}

const PARENTHESIS = 0x28;
const LOWER_N = 0x6e;
const SCRATCH_BYTES = 4096;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/**
 * Finds the value of literal `index` of the text that begins at `textStart`: digits, or a string's content. Points
 * into the text itself where that is possible, else into a scratch that the next call overwrites. `negative`: a
 * number that stands behind a minus sign. False: no value, which means a bit string, a comment, or escapes that
 * PostgreSQL refuses as well.
 */
export function literalValue(
  bytes: Uint8Array,
  textStart: number,
  literals: Literals,
  index: number,
  negative: boolean,
  out: LiteralText,
): boolean {
  const start = textStart + literals.starts[index]!;
  const end = textStart + literals.ends[index]!;
  switch (literals.kinds[index]) {
    case LiteralKind.string:
      return stringValue(bytes, start, end, out);
    case LiteralKind.escapeString:
      return escapeStringValue(bytes, start, end, out);
    case LiteralKind.unicodeString:
      return unicodeStringValue(bytes, start, end, out);
    case LiteralKind.dollarString:
      return dollarStringValue(bytes, start, end, out);
    case LiteralKind.bitString:
    case LiteralKind.hexString:
    case LiteralKind.comment:
      return false;
    default:
      return numberValue(bytes, start, end, negative, out);
  }
}

/** A constant of the parse tree in the text. */
export interface ConstantLiteral {
  readonly index: number;
  /** An odd number of minus signs stands before it. */
  readonly negative: boolean;
}

/**
 * The literal of a constant (A_Const) by its `location` in the parse tree, which for a negated one is that of the
 * minus sign. Null where the grammar made the constant from something else, such as a keyword.
 */
export function constantLiteral(
  bytes: Uint8Array,
  textStart: number,
  textEnd: number,
  literals: Literals,
  location: number,
): ConstantLiteral | null {
  let negative = false;
  let at = textStart + location;
  // The grammar folds signs into numbers through blanks, comments and parentheses: -(5) is one constant.
  while (at >= 0 && at < textEnd && (bytes[at] === MINUS || bytes[at] === PARENTHESIS)) {
    if (bytes[at] === MINUS) negative = !negative;
    at = skipBlanks(bytes, at + 1, textEnd);
  }
  // N'x' is a keyword and a string.
  if (at >= 0 && at < textEnd && (bytes[at]! | 0x20) === LOWER_N) at++;
  const index = literals.firstAtOrAfter(at - textStart);
  const found =
    index < literals.count &&
    literals.starts[index] === at - textStart &&
    literals.kinds[index] !== LiteralKind.comment;
  return found ? { index, negative } : null;
}

function span(out: LiteralText, bytes: Uint8Array, start: number, end: number): true {
  out.bytes = bytes;
  out.start = start;
  out.end = end;
  return true;
}

function roomFor(length: number): Uint8Array {
  return length <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafeSlow(length);
}

function numberValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  negative: boolean,
  out: LiteralText,
): boolean {
  if (!negative) return span(out, bytes, start, end);
  const target = roomFor(end - start + 1);
  target[0] = MINUS;
  for (let i = start; i < end; i++) target[i - start + 1] = bytes[i]!;
  return span(out, target, 0, end - start + 1);
}

function stringValue(bytes: Uint8Array, start: number, end: number, out: LiteralText): boolean {
  for (let i = start + 1; i < end - 1; i++) {
    // Doubled quotes or further pieces.
    if (bytes[i] === QUOTE) {
      const target = roomFor(end - start);
      return span(out, target, 0, undoubled(bytes, start + 1, end, target));
    }
  }
  return span(out, bytes, start + 1, end - 1);
}

function escapeStringValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: LiteralText,
): boolean {
  let plain = true;
  for (let i = start + 2; i < end - 1; i++) {
    if (bytes[i] === QUOTE || bytes[i] === BACKSLASH) plain = false;
  }
  if (plain) return span(out, bytes, start + 2, end - 1);
  const target = roomFor(end - start);
  let length = 0;
  let piece = start + 2;
  do {
    const behind = skipEscapes(bytes, piece, end);
    if (behind < 0) return false;
    length = decodeEscapes(bytes, piece, behind - 1, target, length);
    if (length < 0) return false;
    piece = continuationAfter(bytes, behind, end);
  } while (piece >= 0);
  if (!isUtf8(target.subarray(0, length)) || target.subarray(0, length).includes(0)) return false;
  return span(out, target, 0, length);
}

function unicodeStringValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: LiteralText,
): boolean {
  // The string proper ends where its pieces do; a UESCAPE clause may follow within the span.
  let behind = skipDoubling(bytes, start + 3, end, QUOTE);
  for (let piece = 0; ;) {
    piece = continuationAfter(bytes, behind, end);
    if (piece < 0) break;
    behind = skipDoubling(bytes, piece, end, QUOTE);
  }
  const target = roomFor(end - start);
  let escape = BACKSLASH;
  if (behind < end) {
    const last = uescapeCharacter(bytes, behind, end, target);
    if (last < 0) return false;
    escape = last;
  }
  const raw = undoubled(bytes, start + 3, behind, target);
  const length = decodeUnicodeEscapes(target, raw, escape);
  return length >= 0 && span(out, target, 0, length);
}

/** The one character of the UESCAPE string that ends at `end`; -1 where PostgreSQL refuses it. */
function uescapeCharacter(
  bytes: Uint8Array,
  from: number,
  end: number,
  target: Uint8Array,
): number {
  const word = skipBlanks(bytes, from, end);
  const quote = skipBlanks(bytes, word + 'uescape'.length, end);
  if (undoubled(bytes, quote + 1, end, target) !== 1) return -1;
  const character = target[0]!;
  return /[0-9A-Fa-f+'"\s]/.test(String.fromCharCode(character)) ? -1 : character;
}

/** Copies a string's pieces with doubled quotes made single; `from` is behind the first quote. Returns the length. */
function undoubled(bytes: Uint8Array, from: number, end: number, target: Uint8Array): number {
  let length = 0;
  let piece = from;
  do {
    const behind = skipDoubling(bytes, piece, end, QUOTE);
    for (let i = piece; i < behind - 1; i++) {
      target[length++] = bytes[i]!;
      if (bytes[i] === QUOTE) i++;
    }
    piece = continuationAfter(bytes, behind, end);
  } while (piece >= 0);
  return length;
}

function dollarStringValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: LiteralText,
): boolean {
  const delimiter = bytes.indexOf(DOLLAR, start + 1) + 1 - start;
  return span(out, bytes, start + delimiter, end - delimiter);
}
