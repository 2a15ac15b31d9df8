import type { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import {
  hexDigit,
  MINUS,
  PLUS,
  prefixBase,
  skipSpaces,
  trimSpaces,
  UNDERSCORE,
  ZERO,
} from './ascii.js';

/** Bytes of int2, int4 and int8. */
export type IntSize = 2 | 4 | 8;

/**
 * Longest run of decimal digits whose value surely fits into a 31-bit integer: 999,999,999 < 2^31.
 */
const SMALL_DIGITS_MAX = 9;

/**
 * Reads an integer as int2in, int4in and int8in of PostgreSQL 16 and later do (blanks around, a
 * sign, 0x 0o 0b, underscores between digits) into the cell as two's complement halves. False:
 * malformed or out of the type's range.
 */
export function readIntText(
  bytes: Uint8Array,
  start: number,
  end: number,
  size: IntSize,
  out: KeyspaceIdCell,
): boolean {
  const negative = start < end && bytes[start] === MINUS;
  const first = negative ? start + 1 : start;
  const length = end - first;
  if (length === 0 || length > SMALL_DIGITS_MAX) return readAnyInt(bytes, start, end, size, out);
  let value = 0;
  for (let at = first; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return readAnyInt(bytes, start, end, size, out);
    value = value * 10 + digit;
  }
  if (negative) value = -value;
  if (size === 2 && (value < -0x8000 || value > 0x7fff)) return false;
  out.hi = value < 0 ? 0xffffffff : 0;
  out.lo = value >>> 0;
  return true;
}

function readAnyInt(
  bytes: Uint8Array,
  start: number,
  end: number,
  size: IntSize,
  out: KeyspaceIdCell,
): boolean {
  let at = skipSpaces(bytes, start, end);
  const stop = trimSpaces(bytes, at, end);
  const negative = at < stop && bytes[at] === MINUS;
  if (at < stop && (negative || bytes[at] === PLUS)) at++;
  const base = at + 1 < stop && bytes[at] === ZERO ? prefixBase(bytes[at + 1]) : 10;
  if (base !== 10) at += 2;
  return (
    readMagnitude(bytes, at, stop, base, out) && applySign(negative, out) && fitsInt(out, size)
  );
}

/**
 * Reads digits of a base, with single underscores before digits (in base 10 not before the first),
 * into unsigned 64-bit halves. False: no digit, another character, or 2^64 and more.
 */
export function readMagnitude(
  bytes: Uint8Array,
  start: number,
  end: number,
  base: number,
  out: KeyspaceIdCell,
): boolean {
  if (start >= end || (base === 10 && bytes[start] === UNDERSCORE)) return false;
  let hi = 0;
  let lo = 0;
  for (let at = start; at < end; at++) {
    if (bytes[at] === UNDERSCORE && ++at === end) return false;
    const digit = hexDigit(bytes[at]);
    if (digit < 0 || digit >= base) return false;
    // Both products stay below 2^37, so doubles hold them exactly.
    const low = lo * base + digit;
    hi = hi * base + Math.floor(low / 0x100000000);
    lo = low >>> 0;
    if (hi > 0xffffffff) return false;
  }
  out.hi = hi;
  out.lo = lo;
  return true;
}

/** Makes a magnitude a two's complement int8. False: out of range. */
export function applySign(negative: boolean, cell: KeyspaceIdCell): boolean {
  if (!negative) return cell.hi <= 0x7fffffff;
  if (cell.hi > 0x80000000 || (cell.hi === 0x80000000 && cell.lo !== 0)) return false;
  const lo = -cell.lo >>> 0;
  cell.hi = (~cell.hi + (lo === 0 ? 1 : 0)) >>> 0;
  cell.lo = lo;
  return true;
}

function fitsInt(cell: KeyspaceIdCell, size: IntSize): boolean {
  if (size === 8) return true;
  const value = cell.lo | 0;
  if (cell.hi !== (value < 0 ? 0xffffffff : 0)) return false;
  return size === 4 || (value >= -0x8000 && value <= 0x7fff);
}

/**
 * Reads int2send, int4send or int8send bytes (big-endian) into two's complement halves. False:
 * wrong length.
 */
export function readIntBinary(
  bytes: Uint8Array,
  start: number,
  end: number,
  size: IntSize,
  out: KeyspaceIdCell,
): boolean {
  if (end - start !== size) return false;
  if (size === 8) {
    out.hi = word(bytes, start) >>> 0;
    out.lo = word(bytes, start + 4) >>> 0;
    return true;
  }
  const value = size === 4 ? word(bytes, start) : ((bytes[start]! << 24) >> 16) | bytes[start + 1]!;
  out.hi = value < 0 ? 0xffffffff : 0;
  out.lo = value >>> 0;
  return true;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
