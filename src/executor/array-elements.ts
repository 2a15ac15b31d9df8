import { readInt32 } from '../protocol/framing.js';

const OPEN = 0x7b;
const CLOSE = 0x7d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

type Visit = (bytes: Uint8Array, start: number, end: number) => void;

/**
 * Visits every element of a one-dimensional array in Postgres's text (`{1,NULL,"a b"}`) or binary format; NULLs are
 * left out, since nothing equals them. False: malformed, or of more dimensions, for Postgres to judge.
 */
export function forEachArrayElement(
  bytes: Uint8Array,
  start: number,
  end: number,
  binary: boolean,
  visit: Visit,
): boolean {
  return binary ? visitBinary(bytes, start, end, visit) : visitText(bytes, start, end, visit);
}

/** Dimensions, has-null flag, element type; then length and lower bound of each; then the elements. */
function visitBinary(bytes: Uint8Array, start: number, end: number, visit: Visit): boolean {
  if (end - start < 12) return false;
  const dimensions = readInt32(bytes, start);
  if (dimensions === 0) return true;
  if (dimensions !== 1 || end - start < 20) return false;
  const count = readInt32(bytes, start + 12);
  let at = start + 20;
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) return false;
    const length = readInt32(bytes, at);
    at += 4;
    if (length === -1) continue;
    if (length < 0 || at + length > end) return false;
    visit(bytes, at, at + length);
    at += length;
  }
  return count >= 0 && at === end;
}

function visitText(bytes: Uint8Array, start: number, end: number, visit: Visit): boolean {
  let at = skipSpaces(bytes, start, end);
  if (bytes[at] !== OPEN) return false;
  at = skipSpaces(bytes, at + 1, end);
  if (bytes[at] === CLOSE && at < end) return skipSpaces(bytes, at + 1, end) === end;
  while (at < end) {
    at = skipSpaces(bytes, at, end);
    at = bytes[at] === QUOTE ? quoted(bytes, at + 1, end, visit) : bare(bytes, at, end, visit);
    if (at < 0) return false;
    at = skipSpaces(bytes, at, end);
    if (at >= end) return false;
    if (bytes[at] === CLOSE) return skipSpaces(bytes, at + 1, end) === end;
    if (bytes[at] !== COMMA) return false;
    at++;
  }
  return false;
}

function quoted(bytes: Uint8Array, start: number, end: number, visit: Visit): number {
  const value = new Uint8Array(end - start);
  let length = 0;
  for (let at = start; at < end; at++) {
    if (bytes[at] === QUOTE) {
      visit(value, 0, length);
      return at + 1;
    }
    if (bytes[at] === BACKSLASH) at++;
    if (at < end) value[length++] = bytes[at]!;
  }
  return -1;
}

function bare(bytes: Uint8Array, start: number, end: number, visit: Visit): number {
  let at = start;
  for (; at < end && bytes[at] !== COMMA && bytes[at] !== CLOSE; at++) {
    const byte = bytes[at]!;
    // Escapes outside quotes, and nested arrays, are for Postgres to judge.
    if (byte === BACKSLASH || byte === OPEN || byte === QUOTE) return -1;
  }
  let last = at;
  while (last > start && isSpace(bytes[last - 1]!)) last--;
  if (last === start) return -1;
  if (!isNull(bytes, start, last)) visit(bytes, start, last);
  return at;
}

function isNull(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== 4) return false;
  const word = String.fromCharCode(...bytes.subarray(start, end));
  return word.toUpperCase() === 'NULL';
}

function skipSpaces(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isSpace(bytes[at]!)) at++;
  return at;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
