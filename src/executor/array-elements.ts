import { readInt32 } from '../protocol/framing.js';

const OPEN = 0x7b;
const CLOSE = 0x7d;
const BOUNDS = 0x5b;
const EQUALS = 0x3d;
const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

type Visit = (bytes: Uint8Array, start: number, end: number) => void;

/** MAXDIM of PostgreSQL. */
const DIMENSIONS_MAX = 6;

/**
 * Visits every element of an array in Postgres's text (`{1,NULL,"a b"}`, `[0:1]={1,2}`, `{{1},{2}}`) or binary format,
 * dimensions flattened, as ANY takes them; NULLs are left out, since nothing equals them. False: no array, which
 * Postgres refuses too; what it accepts is never false (PostgreSQL 18, 8.15.6 and array_in). Brackets that do not
 * match are its business: an element more or less makes no difference to an error.
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
  if (dimensions < 0 || dimensions > DIMENSIONS_MAX) return false;
  let at = start + 12 + 8 * dimensions;
  if (at > end) return false;
  let count = dimensions === 0 ? 0 : 1;
  for (let i = 0; i < dimensions; i++) {
    const length = readInt32(bytes, start + 12 + 8 * i);
    if (length < 0) return false;
    count *= length;
  }
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) return false;
    const length = readInt32(bytes, at);
    at += 4;
    if (length === -1) continue;
    if (length < 0 || at + length > end) return false;
    visit(bytes, at, at + length);
    at += length;
  }
  return at === end;
}

function visitText(bytes: Uint8Array, start: number, end: number, visit: Visit): boolean {
  let at = skipSpaces(bytes, start, end);
  if (bytes[at] === BOUNDS && at < end) {
    // `[1:2][0:0]=` only numbers the elements.
    const equals = bytes.indexOf(EQUALS, at);
    if (equals < 0) return false;
    at = skipSpaces(bytes, equals + 1, end);
  }
  if (at >= end || bytes[at] !== OPEN) return false;
  let depth = 0;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte === OPEN) depth++;
    else if (byte === CLOSE) {
      depth--;
      if (depth === 0) return skipSpaces(bytes, at + 1, end) === end;
    } else if (byte !== COMMA && !isSpace(byte)) {
      at = byte === QUOTE ? quoted(bytes, at + 1, end, visit) : bare(bytes, at, end, visit);
      if (at < 0) return false;
      continue;
    }
    at++;
  }
  return false;
}

/** Visits the element whose opening quote is in front of `start`; answers the index behind its closing quote, or -1. */
function quoted(bytes: Uint8Array, start: number, end: number, visit: Visit): number {
  let at = start;
  let escaped = false;
  for (; at < end && bytes[at] !== QUOTE; at++) {
    if (bytes[at] !== BACKSLASH) continue;
    escaped = true;
    at++;
  }
  if (at >= end) return -1;
  visitUnescaped(bytes, start, at, escaped, visit);
  return at + 1;
}

/** Visits the element without quotes at `start`; answers the index behind it, or -1. */
function bare(bytes: Uint8Array, start: number, end: number, visit: Visit): number {
  let at = start;
  let last = start;
  let escaped = false;
  for (; at < end && bytes[at] !== COMMA && bytes[at] !== CLOSE; at++) {
    const byte = bytes[at]!;
    if (byte === OPEN || byte === QUOTE) return -1;
    if (byte === BACKSLASH) {
      escaped = true;
      at++;
      last = at + 1;
    } else if (!isSpace(byte)) last = at + 1;
  }
  if (at >= end) return -1;
  if (escaped || !isNull(bytes, start, last)) visitUnescaped(bytes, start, last, escaped, visit);
  return at;
}

function visitUnescaped(
  bytes: Uint8Array,
  start: number,
  end: number,
  escaped: boolean,
  visit: Visit,
): void {
  if (!escaped) {
    visit(bytes, start, end);
    return;
  }
  const value = new Uint8Array(end - start);
  let length = 0;
  for (let at = start; at < end; at++) {
    if (bytes[at] === BACKSLASH) at++;
    value[length++] = bytes[at]!;
  }
  visit(value, 0, length);
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
