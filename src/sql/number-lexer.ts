import { DOLLAR, DOT, UNDERSCORE, identifierBytes, isDigit, isIdentifierStart } from './lexer.js';
import { LiteralKind, type LiteralKindCode } from './literals.js';

/** A number's end (-1: refused by the lexer) and kind. One per scanner, so that numbers cost no object. */
export interface NumberToken {
  end: number;
  kind: LiteralKindCode;
}

const INT4_EDGE = '2147483648';
const INT8_EDGE = '9223372036854775808';
const UPPER_E = 0x45;
const LOWER_E = 0x65;
const ZERO = 0x30;

/** Reads the number at `from`, which is a digit, or a dot before a digit (PostgreSQL 18, scan.l, "numeric"). */
export function scanNumber(bytes: Uint8Array, from: number, end: number, token: NumberToken): void {
  if (bytes[from] === ZERO && from + 1 < end && radixOf(bytes[from + 1]!) !== 0) {
    return scanRadixInteger(bytes, from, end, token);
  }
  let underscores = false;
  let decimal = false;
  let i = from;
  if (bytes[i] !== DOT) {
    i = skipDigits(bytes, i, end);
    underscores = i < 0;
    i = Math.abs(i);
  }
  // `1..10` is an integer and two dots (PL/pgSQL's FOR), never the number `1.`.
  if (i < end && bytes[i] === DOT && !(i + 1 < end && bytes[i + 1] === DOT)) {
    decimal = true;
    i++;
    if (i < end && isDigit(bytes[i]!)) i = Math.abs(skipDigits(bytes, i, end));
  }
  if (i < end && (bytes[i] === LOWER_E || bytes[i] === UPPER_E)) {
    decimal = true;
    i = skipExponent(bytes, i + 1, end);
    if (i < 0) return refuse(token);
  }
  if (i < end && isIdentifierStart(bytes[i]!)) return refuse(token);
  if (i < end && bytes[i] === DOLLAR && endsInWord(bytes, from, i)) return refuse(token);
  token.end = i;
  if (decimal) token.kind = LiteralKind.decimal;
  else if (underscores) token.kind = kindOfValue(radixValue(bytes, from, i, ''));
  else token.kind = kindOfDigits(bytes, from, i);
}

function refuse(token: NumberToken): void {
  token.end = -1;
}

/**
 * Whether a dollar sign at `to` would belong to an identifier that begins inside the number: in `1e5$` and `1_0$` the
 * lexer's longest match is the digit 1 with the word e5$ or _0$ behind it, which is an error.
 */
function endsInWord(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = to - 1; i >= from && identifierBytes[bytes[i]!] === 1; i--) {
    if (isIdentifierStart(bytes[i]!)) return true;
  }
  return false;
}

/** Behind digits with single underscores between them; negated where there were underscores. */
function skipDigits(bytes: Uint8Array, from: number, end: number): number {
  let underscores = false;
  let i = from;
  while (i < end) {
    if (isDigit(bytes[i]!)) i++;
    else if (bytes[i] === UNDERSCORE && i + 1 < end && isDigit(bytes[i + 1]!)) {
      underscores = true;
      i += 2;
    } else break;
  }
  return underscores ? -i : i;
}

function skipExponent(bytes: Uint8Array, from: number, end: number): number {
  const signed = from < end && (bytes[from] === 0x2b || bytes[from] === 0x2d);
  const digits = signed ? from + 1 : from;
  if (digits >= end || !isDigit(bytes[digits]!)) return -1;
  return Math.abs(skipDigits(bytes, digits, end));
}

/** 16, 8 or 2 for the letter of 0x, 0o, 0b; else 0. */
function radixOf(byte: number): number {
  const lower = byte | 0x20;
  if (lower === 0x78) return 16;
  if (lower === 0x6f) return 8;
  return lower === 0x62 ? 2 : 0;
}

function scanRadixInteger(bytes: Uint8Array, from: number, end: number, token: NumberToken): void {
  const radix = radixOf(bytes[from + 1]!);
  let i = from + 2;
  while (i < end) {
    if (digitValue(bytes[i]!) < radix) i++;
    else if (bytes[i] === UNDERSCORE && i + 1 < end && digitValue(bytes[i + 1]!) < radix) {
      i += 2;
    } else break;
  }
  if (i === from + 2 || (i < end && identifierBytes[bytes[i]!] === 1)) return refuse(token);
  token.end = i;
  const prefix = radix === 16 ? '0x' : radix === 8 ? '0o' : '0b';
  token.kind = kindOfValue(radixValue(bytes, from + 2, i, prefix));
}

function digitValue(byte: number): number {
  if (isDigit(byte)) return byte - ZERO;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : 99;
}

/** Slow path for forms that hardly anyone writes. Digits far beyond int8 need no exact value. */
function radixValue(bytes: Uint8Array, from: number, to: number, prefix: string): bigint {
  let digits = '';
  for (let i = from; i < to; i++) {
    if (bytes[i] === UNDERSCORE || (digits === '' && bytes[i] === ZERO)) continue;
    digits += String.fromCharCode(bytes[i]!);
    if (digits.length > 64) return 1n << 64n;
  }
  return BigInt(prefix + (digits === '' ? '0' : digits));
}

function kindOfValue(value: bigint): LiteralKindCode {
  if (value < 0x8000_0000n) return LiteralKind.int4;
  if (value === 0x8000_0000n) return LiteralKind.int4Edge;
  if (value < 0x8000_0000_0000_0000n) return LiteralKind.int8;
  if (value === 0x8000_0000_0000_0000n) return LiteralKind.int8Edge;
  return LiteralKind.bigInteger;
}

function kindOfDigits(bytes: Uint8Array, from: number, to: number): LiteralKindCode {
  let first = from;
  while (first < to - 1 && bytes[first] === ZERO) first++;
  const length = to - first;
  if (length < INT4_EDGE.length) return LiteralKind.int4;
  if (length === INT4_EDGE.length) {
    const order = compareDigits(bytes, first, INT4_EDGE);
    if (order < 0) return LiteralKind.int4;
    return order === 0 ? LiteralKind.int4Edge : LiteralKind.int8;
  }
  if (length < INT8_EDGE.length) return LiteralKind.int8;
  if (length > INT8_EDGE.length) return LiteralKind.bigInteger;
  const order = compareDigits(bytes, first, INT8_EDGE);
  if (order < 0) return LiteralKind.int8;
  return order === 0 ? LiteralKind.int8Edge : LiteralKind.bigInteger;
}

function compareDigits(bytes: Uint8Array, from: number, edge: string): number {
  for (let i = 0; i < edge.length; i++) {
    const order = bytes[from + i]! - edge.charCodeAt(i);
    if (order !== 0) return order;
  }
  return 0;
}
