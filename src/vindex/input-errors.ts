import { sqlError, type SqlError } from '../errors/sql-error.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { binaryError } from './binary-input-errors.js';
import { keyFamily } from './key-types.js';
import { utf8Error } from './values/utf8.js';

/** A value that a key mapper found INVALID. */
export interface RefusedInput {
  /** Type OID of the value. */
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly binary: boolean;
  /** 1-based number of the parameter that it came in; 0: a literal or copied field. */
  readonly parameter: number;
  /** 1-based character position of a literal in its text, where it is known. */
  readonly position: number | undefined;
}

/** Names of the integer types, with the number of their bits. */
const integers: ReadonlyMap<number, readonly [name: string, bits: number]> = new Map([
  [TypeOid.int2, ['smallint', 16]],
  [TypeOid.int4, ['integer', 32]],
  [TypeOid.int8, ['bigint', 64]],
]);

const dateTypes: ReadonlyMap<number, string> = new Map([
  [TypeOid.date, 'date'],
  [TypeOid.timestamp, 'timestamp'],
  [TypeOid.timestamptz, 'timestamp with time zone'],
]);

/** The error that PostgreSQL's input function of this type raises for the value. */
export function inputError(input: RefusedInput): SqlError {
  const { type, bytes, start, end } = input;
  const content = utf8Error(bytes, start, end);
  if (keyFamily(type) === 'text' || (!input.binary && content !== null)) {
    return sqlError(
      'character_not_in_repertoire',
      `invalid byte sequence for encoding "UTF8": ${content ?? '0x00'}`,
    );
  }
  if (input.binary) return binaryError(input);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
  const { position } = input;
  const integer = integers.get(type);
  if (integer !== undefined) return integerError(text, integer[0], integer[1], position);
  const dateType = dateTypes.get(type);
  if (dateType !== undefined) return dateError(text, dateType, position);
  switch (type) {
    case TypeOid.numeric:
      return numericError(text, position);
    case TypeOid.bytea:
      return byteaError(text, position);
    case TypeOid.bool:
      return syntaxError('boolean', text, position);
    default:
      return syntaxError('uuid', text, position);
  }
}

function syntaxError(type: string, text: string, position: number | undefined): SqlError {
  const message = `invalid input syntax for type ${type}: "${text}"`;
  return sqlError('invalid_text_representation', message, { position });
}

/**
 * A number is out of range as soon as its digits are, whatever follows them (PostgreSQL 18,
 * numutils.c, pg_strtoint32_safe).
 */
function integerError(
  text: string,
  type: string,
  bits: number,
  position: number | undefined,
): SqlError {
  const match = /^[ \t\n\v\f\r]*([-+]?)(0[xX]|0[oO]|0[bB])?([\da-fA-F_]*)/.exec(text)!;
  const [all, sign, prefix = '', tail] = match as unknown as [string, string, string, string];
  const base = { '': 10, '0x': 16, '0o': 8, '0b': 2 }[prefix.toLowerCase()]!;
  const limit = 1n << BigInt(bits - 1);
  let value = 0n;
  let read = 0;
  for (const [index, digit] of [...tail].entries()) {
    if (digit === '_' && index + 1 < tail.length && (index > 0 || base !== 10)) {
      read++;
      continue;
    }
    const worth = Number.parseInt(digit, base);
    if (Number.isNaN(worth)) break;
    if (value > limit / BigInt(base)) return outOfRange(text, type, position);
    value = value * BigInt(base) + BigInt(worth);
    read++;
  }
  const behind = text.slice(all.length - tail.length + read);
  const whole = read > 0 && /^[ \t\n\v\f\r]*$/.test(behind);
  const fits = sign === '-' ? value <= limit : value < limit;
  return whole && !fits ? outOfRange(text, type, position) : syntaxError(type, text, position);
}

function outOfRange(text: string, type: string, position: number | undefined): SqlError {
  const message = `value "${text}" is out of range for type ${type}`;
  return sqlError('numeric_value_out_of_range', message, { position });
}

const DIGITS = String.raw`\d+(?:_\d+)*`;
const numericSyntax = new RegExp(
  String.raw`^\s*[-+]?(?:${DIGITS}(?:\.(?:${DIGITS})?)?|\.${DIGITS})(?:e[-+]?${DIGITS})?\s*$` +
    String.raw`|^\s*[-+]?0x_?[\da-f]+(?:_[\da-f]+)*\s*$`,
  'i',
);

/** What is written well is too large, or too fine. */
function numericError(text: string, position: number | undefined): SqlError {
  if (!numericSyntax.test(text)) return syntaxError('numeric', text, position);
  return sqlError('numeric_value_out_of_range', 'value overflows numeric format', { position });
}

/** The hex form has errors of its own (PostgreSQL 18, encode.c, hex_decode_safe). */
function byteaError(text: string, position: number | undefined): SqlError {
  if (!text.startsWith('\\x')) {
    const message = 'invalid input syntax for type bytea';
    return sqlError('invalid_text_representation', message, { position });
  }
  const characters = [...text.slice(2)];
  let open = false;
  for (const character of characters) {
    if (!open && /[ \n\t\r]/.test(character)) continue;
    if (!/[\da-f]/i.test(character)) {
      const message = `invalid hexadecimal digit: "${character}"`;
      return sqlError('invalid_parameter_value', message, { position });
    }
    open = !open;
  }
  const message = 'invalid hexadecimal data: odd number of digits';
  return sqlError('invalid_parameter_value', message, { position });
}

const ISO =
  /^\s*\d{4,7}-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?(?:\.\d+)? ?(?:Z|[-+](\d\d):?(\d\d)?)?\s*$/i;
const YEAR_DIGITS = /^\s*(\d+)/;

/** What the proxy knows to be no date: fields out of range, or text that holds none. */
function dateError(text: string, type: string, position: number | undefined): SqlError {
  const match = ISO.exec(text);
  if (match === null) {
    const message = `invalid input syntax for type ${type}: "${text}"`;
    return sqlError('invalid_datetime_format', message, { position });
  }
  const field = (index: number): number => Number(match[index] ?? 0);
  if (field(6) > 15 || field(7) > 59) {
    const message = `time zone displacement out of range: "${text}"`;
    return sqlError('invalid_time_zone_displacement_value', message, { position });
  }
  const [month, day] = [field(1), field(2)];
  const year = Number(YEAR_DIGITS.exec(text)![1]);
  const wrongOrder = month < 1 || month > 12 || day < 1 || day > 31;
  const exists =
    !wrongOrder &&
    year > 0 &&
    day <= new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
  const inTime = field(3) <= 24 && field(4) <= 59 && field(5) <= 60;
  const what = exists && inTime ? type.replace(/ .*/, '') : 'date/time field value';
  return sqlError('datetime_field_overflow', `${what} out of range: "${text}"`, {
    position,
    hint: inTime && wrongOrder ? 'Perhaps you need a different "DateStyle" setting.' : undefined,
  });
}
