import { INVALID, MAPPED, UNREADABLE, type MapOutcome } from '../../keyspace/vindex.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import {
  DOT,
  isDigit,
  isSpace,
  MINUS,
  PLUS,
  prefixBase,
  skipSpaces,
  trimSpaces,
  UNDERSCORE,
  ZERO,
} from './ascii.js';
import {
  GROUP_BASE,
  GROUP_DIGITS,
  INTEGER_DIGITS_MAX,
  magnitudeToDecimal,
  SCALE_MAX,
  type DecimalCell,
} from './decimal.js';
import { readMagnitude } from './int.js';

/** An exponent beyond this is refused by numeric_in before anything else (PG_INT32_MAX / 2). */
const EXPONENT_MAX = 0x3fffffff;
/** numeric_send: ndigits, weight, sign, dscale, 16 bits each. */
const BINARY_HEADER_BYTES = 8;
const LETTER_E = 0x65;
export const SIGN_NEGATIVE = 0x4000;
const SIGN_NAN = 0xc000;
const SIGN_INFINITY = 0xd000;
const SIGN_MINUS_INFINITY = 0xf000;
const POWERS = [1, 10, 100, 1000] as const;

const magnitude = new KeyspaceIdCell();

/** Where the digits of a decimal text stand and what they count; filled by `scanDecimal`. */
const scan = { integerDigits: 0, fractionDigits: 0, digitsEnd: 0, firstNonzero: -1, exponent: 0 };

/**
 * Reads a numeric as numeric_in of PostgreSQL 16 and later does: blanks around, sign, point,
 * exponent, underscores, NaN, infinities, and 0x 0o 0b integers, of which those beyond 64 bits are
 * UNREADABLE. MAPPED: the cell is filled.
 */
export function readNumericText(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: DecimalCell,
): MapOutcome {
  const first = skipSpaces(bytes, start, end);
  const stop = trimSpaces(bytes, first, end);
  if (first === stop) return INVALID;
  const negative = bytes[first] === MINUS;
  const at = negative || bytes[first] === PLUS ? first + 1 : first;
  if (at === stop) return INVALID;
  if (!isDigit(bytes[at]) && bytes[at] !== DOT) return readSpecial(bytes, first, at, stop, into);
  const base = bytes[at] === ZERO && at + 1 < stop ? prefixBase(bytes[at + 1]) : 10;
  if (base !== 10) return readPrefixed(bytes, at + 2, stop, base, negative, into);
  const outcome = scanDecimal(bytes, at, stop);
  if (outcome !== MAPPED) return outcome;
  const { integerDigits, fractionDigits, firstNonzero, exponent } = scan;
  if (fractionDigits - exponent > SCALE_MAX) return INVALID;
  if (firstNonzero < 0) {
    into.begin(false, 0);
    return MAPPED;
  }
  // The power of ten that the first nonzero digit counts.
  const power = integerDigits - 1 - firstNonzero + exponent;
  if (power >= INTEGER_DIGITS_MAX) return INVALID;
  fillGroups(bytes, at, scan.digitsEnd, firstNonzero, power, negative, into);
  return MAPPED;
}

function readSpecial(
  bytes: Uint8Array,
  start: number,
  unsigned: number,
  stop: number,
  into: DecimalCell,
): MapOutcome {
  const negative = bytes[start] === MINUS;
  if (equalsWord(bytes, start, stop, 'nan')) into.setSpecial('nan');
  else if (equalsWord(bytes, unsigned, stop, 'infinity')) into.setSpecial('infinity', negative);
  else if (equalsWord(bytes, unsigned, stop, 'inf')) into.setSpecial('infinity', negative);
  else return INVALID;
  return MAPPED;
}

/**
 * Compares without regard to the case of ASCII letters; `word` is in lower case and has letters
 * only.
 */
function equalsWord(bytes: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false;
  for (let index = 0; index < word.length; index++) {
    if ((bytes[start + index]! | 0x20) !== word.charCodeAt(index)) return false;
  }
  return true;
}

function readPrefixed(
  bytes: Uint8Array,
  start: number,
  end: number,
  base: number,
  negative: boolean,
  into: DecimalCell,
): MapOutcome {
  if (readMagnitude(bytes, start, end, base, magnitude)) {
    magnitudeToDecimal(negative, magnitude.hi, magnitude.lo, into);
    return MAPPED;
  }
  // Too large or malformed: the two are not told apart, and Postgres may take the former.
  return UNREADABLE;
}

/** Checks digits, point, underscores and exponent as set_var_from_str does; fills `scan`. */
function scanDecimal(bytes: Uint8Array, start: number, end: number): MapOutcome {
  scan.integerDigits = 0;
  scan.fractionDigits = 0;
  scan.firstNonzero = -1;
  scan.exponent = 0;
  let point = false;
  let at = start;
  if (bytes[at] === DOT) {
    point = true;
    at++;
  }
  if (at >= end || !isDigit(bytes[at])) return INVALID;
  for (; at < end; at++) {
    const byte = bytes[at]!;
    if (isDigit(byte)) {
      if (byte !== ZERO && scan.firstNonzero < 0) {
        scan.firstNonzero = scan.integerDigits + scan.fractionDigits;
      }
      if (point) scan.fractionDigits++;
      else scan.integerDigits++;
    } else if (byte === DOT) {
      if (point || (at + 1 < end && bytes[at + 1] === UNDERSCORE)) return INVALID;
      point = true;
    } else if (byte === UNDERSCORE) {
      if (at + 1 >= end || !isDigit(bytes[at + 1])) return INVALID;
    } else {
      break;
    }
  }
  scan.digitsEnd = at;
  if (at === end) return MAPPED;
  return (bytes[at]! | 0x20) === LETTER_E ? scanExponent(bytes, at + 1, end) : INVALID;
}

function scanExponent(bytes: Uint8Array, start: number, end: number): MapOutcome {
  // Up to PostgreSQL 15 strtol read the exponent, which passes over blanks; 16 refuses them.
  if (start < end && isSpace(bytes[start]!)) return UNREADABLE;
  let at = start;
  const negative = at < end && bytes[at] === MINUS;
  if (at < end && (negative || bytes[at] === PLUS)) at++;
  if (at >= end || !isDigit(bytes[at])) return INVALID;
  let exponent = 0;
  for (; at < end; at++) {
    if (bytes[at] === UNDERSCORE && ++at === end) return INVALID;
    if (!isDigit(bytes[at])) return INVALID;
    exponent = exponent * 10 + bytes[at]! - ZERO;
    if (exponent > EXPONENT_MAX) return INVALID;
  }
  scan.exponent = negative ? -exponent : exponent;
  return MAPPED;
}

/** Cuts the digits from the first nonzero one on into groups of four, aligned at the point. */
function fillGroups(
  bytes: Uint8Array,
  start: number,
  end: number,
  firstNonzero: number,
  firstPower: number,
  negative: boolean,
  into: DecimalCell,
): void {
  into.begin(negative, Math.floor(firstPower / GROUP_DIGITS));
  let digits = 0;
  let power = firstPower;
  let group = 0;
  for (let at = start; at < end; at++) {
    if (!isDigit(bytes[at]) || digits++ < firstNonzero) continue;
    const place = power & (GROUP_DIGITS - 1);
    group += (bytes[at]! - ZERO) * POWERS[place]!;
    if (place === 0) {
      into.push(group);
      group = 0;
    }
    power--;
  }
  if (group !== 0) into.push(group);
  into.finish();
}

/**
 * Reads numeric_send bytes as numeric_recv does, cutting what dscale hides. False: it would refuse
 * them.
 */
export function readNumericBinary(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: DecimalCell,
): boolean {
  if (end - start < BINARY_HEADER_BYTES) return false;
  const count = uint16(bytes, start);
  if (end - start !== BINARY_HEADER_BYTES + count * 2) return false;
  const weight = (uint16(bytes, start + 2) << 16) >> 16;
  const sign = uint16(bytes, start + 4);
  const scale = uint16(bytes, start + 6);
  if (scale > SCALE_MAX) return false;
  const special =
    sign === SIGN_NAN
      ? 'nan'
      : sign === SIGN_INFINITY || sign === SIGN_MINUS_INFINITY
        ? 'infinity'
        : null;
  if (special === null && sign !== 0 && sign !== SIGN_NEGATIVE) return false;
  into.begin(sign === SIGN_NEGATIVE, weight);
  // Decimal digits that count, from the first group on: those before the point and `scale` behind
  // it.
  let kept = (weight + 1) * GROUP_DIGITS + scale;
  for (let index = 0; index < count; index++) {
    const group = uint16(bytes, start + BINARY_HEADER_BYTES + index * 2);
    if (group >= GROUP_BASE) return false;
    into.push(kept >= GROUP_DIGITS ? group : kept <= 0 ? 0 : cutGroup(group, kept));
    kept -= GROUP_DIGITS;
  }
  into.finish();
  if (special !== null) into.setSpecial(special, sign === SIGN_MINUS_INFINITY);
  return true;
}

function cutGroup(group: number, digits: number): number {
  return group - (group % POWERS[GROUP_DIGITS - digits]!);
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
