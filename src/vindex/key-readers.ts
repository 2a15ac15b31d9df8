import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { INVALID, MAPPED, NO_MATCH, type KeyMapper, type MapOutcome } from '../keyspace/vindex.js';
import type { BytesSink, DecimalSink, Int64Sink } from './key-sinks.js';
import { readBoolBinary, readBoolText } from './values/bool.js';
import { readByteaText } from './values/bytea.js';
import {
  DecimalCell,
  decimalToInt64,
  fitsScale,
  floorToInt64,
  int64ToDecimal,
} from './values/decimal.js';
import { readIntBinary, readIntText, type IntSize } from './values/int.js';
import {
  daysToMicroseconds,
  fitsPrecision,
  readDateText,
  readTimestampText,
  readTimestamptzText,
} from './values/iso-time.js';
import { readNumericBinary, readNumericText } from './values/numeric.js';
import { readUuidText, UUID_BYTES } from './values/uuid.js';
import { utf8Length } from './values/utf8.js';

/**
 * One factory per type of value. A reader reads the value as that type's input function does and hands it to a sink of
 * the *column's* type. Reading is synchronous and single-threaded, so that all readers share the buffers below.
 */

const decimal = new DecimalCell();
const integer = new KeyspaceIdCell();
const uuidBytes = new Uint8Array(UUID_BYTES);
/** Decoded bytea values up to this size share one buffer; a shard key is hardly ever longer. */
const SHARED_BYTES = 64 * 1024;
const byteaBytes = new Uint8Array(SHARED_BYTES);
const BLANK = 0x20;

/** Values of int2, int4 or int8 for an int column of any size. */
export function intReader(size: IntSize, sink: Int64Sink): KeyMapper {
  return {
    text: (bytes, start, end, out) =>
      readIntText(bytes, start, end, size, out) ? sink(out.hi, out.lo, out) : INVALID,
    binary: (bytes, start, end, out) =>
      readIntBinary(bytes, start, end, size, out) ? sink(out.hi, out.lo, out) : INVALID,
  };
}

/** Numeric values for an int column: whole numbers are ints, others equal no int. */
export function numericToIntReader(sink: Int64Sink): KeyMapper {
  return decimalReader((value, out) =>
    decimalToInt64(value, out) ? sink(out.hi, out.lo, out) : NO_MATCH,
  );
}

/** Numeric values that an int column is compared with by order: the greatest int below has their place. */
export function numericToIntPlaces(sink: Int64Sink): KeyMapper {
  return decimalReader((value, out) => {
    const whole = floorToInt64(value, out);
    const outcome = sink(out.hi, out.lo, out);
    return whole || outcome !== MAPPED ? outcome : NO_MATCH;
  });
}

/** Numeric values for a numeric column; `typmod` is that of numeric(p,s), -1 without. */
export function numericReader(typmod: number, sink: DecimalSink): KeyMapper {
  const scale = numericScale(typmod);
  return decimalReader((value, out) =>
    scale !== null && !fitsScale(value, scale) ? NO_MATCH : sink(value, out),
  );
}

/** Values of int2, int4 or int8 for a numeric column. */
export function intToNumericReader(size: IntSize, typmod: number, sink: DecimalSink): KeyMapper {
  const scale = numericScale(typmod);
  const give = (out: KeyspaceIdCell): MapOutcome => {
    int64ToDecimal(integer, decimal);
    return scale !== null && !fitsScale(decimal, scale) ? NO_MATCH : sink(decimal, out);
  };
  return {
    text: (bytes, start, end, out) =>
      readIntText(bytes, start, end, size, integer) ? give(out) : INVALID,
    binary: (bytes, start, end, out) =>
      readIntBinary(bytes, start, end, size, integer) ? give(out) : INVALID,
  };
}

/**
 * For columns of type text, varchar(n) or character(n); `typmod` is the column's, -1 without. Text and binary format
 * are the same bytes. Blanks behind the n-th character are not stored.
 */
export function textReader(columnType: number, typmod: number, sink: BytesSink): KeyMapper {
  // VARHDRSZ: varchar(n) has typmod n + 4.
  const charactersMax = typmod < 4 ? Infinity : typmod - 4;
  const read: KeyMapper['text'] = (bytes, start, end, out) => {
    const characters = utf8Length(bytes, start, end);
    if (characters < 0) return INVALID;
    if (characters <= charactersMax) return sink(bytes, start, end, out);
    const kept = end - (characters - charactersMax);
    return trimBlanks(bytes, kept, end) > kept ? NO_MATCH : sink(bytes, start, kept, out);
  };
  const padded = columnType === TypeOid.bpchar ? 'character' : 'character varying';
  const limited = charactersMax === Infinity ? {} : { limitedType: `${padded}(${charactersMax})` };
  return { text: read, binary: read, ...limited };
}

/**
 * character(n), which is padded with blanks, while values are compared without them: also as text, to which it is cast
 * without them.
 */
export function blankTrimmedReader(reader: KeyMapper): KeyMapper {
  const read: KeyMapper['text'] = (bytes, start, end, out) =>
    reader.text(bytes, start, trimBlanks(bytes, start, end), out);
  return { ...reader, text: read, binary: read };
}

function trimBlanks(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  while (at > start && bytes[at - 1] === BLANK) at--;
  return at;
}

export function byteaReader(sink: BytesSink): KeyMapper {
  return {
    text(bytes, start, end, out) {
      if (utf8Length(bytes, start, end) < 0) return INVALID;
      const size = end - start;
      const into = size <= SHARED_BYTES ? byteaBytes : new Uint8Array(size);
      const length = readByteaText(bytes, start, end, into);
      return length < 0 ? INVALID : sink(into, 0, length, out);
    },
    binary: sink,
  };
}

export function uuidReader(sink: BytesSink): KeyMapper {
  return {
    text: (bytes, start, end, out) =>
      readUuidText(bytes, start, end, uuidBytes) ? sink(uuidBytes, 0, UUID_BYTES, out) : INVALID,
    binary: (bytes, start, end, out) =>
      end - start === UUID_BYTES ? sink(bytes, start, end, out) : INVALID,
  };
}

/** Dates, as days since 2000-01-01. */
export function dateReader(sink: Int64Sink): KeyMapper {
  return {
    text(bytes, start, end, out) {
      const outcome = readDateText(bytes, start, end, out);
      return outcome === MAPPED ? sink(out.hi, out.lo, out) : outcome;
    },
    binary: (bytes, start, end, out) =>
      readIntBinary(bytes, start, end, 4, out) ? sink(out.hi, out.lo, out) : INVALID,
  };
}

/** Dates for a timestamp column: their first microsecond. Those that no timestamp holds are not read. */
export function dateToTimestampReader(sink: Int64Sink): KeyMapper {
  return dateReader((_hi, lo, out) => {
    const outcome = daysToMicroseconds(lo | 0, out);
    return outcome === MAPPED ? sink(out.hi, out.lo, out) : outcome;
  });
}

/**
 * timestamp, or timestamptz with `zoned`, as microseconds since 2000-01-01 (UTC). `typmod` is the precision, -1
 * without.
 */
export function timestampReader(zoned: boolean, typmod: number, sink: Int64Sink): KeyMapper {
  const read = zoned ? readTimestamptzText : readTimestampText;
  const precision = typmod < 0 || typmod > 5 ? null : typmod;
  const give = (out: KeyspaceIdCell): MapOutcome =>
    precision !== null && !fitsPrecision(out, precision) ? NO_MATCH : sink(out.hi, out.lo, out);
  return {
    text(bytes, start, end, out) {
      const outcome = read(bytes, start, end, out);
      return outcome === MAPPED ? give(out) : outcome;
    },
    binary: (bytes, start, end, out) =>
      readIntBinary(bytes, start, end, 8, out) ? give(out) : INVALID,
  };
}

/** A bool is the number 0 or 1. */
export function boolReader(sink: Int64Sink): KeyMapper {
  const give = (value: boolean | null, out: KeyspaceIdCell): MapOutcome =>
    value === null ? INVALID : sink(0, value ? 1 : 0, out);
  return {
    text: (bytes, start, end, out) => give(readBoolText(bytes, start, end), out),
    binary: (bytes, start, end, out) => give(readBoolBinary(bytes, start, end), out),
  };
}

function decimalReader(sink: DecimalSink): KeyMapper {
  return {
    text(bytes, start, end, out) {
      const outcome = readNumericText(bytes, start, end, decimal);
      return outcome === MAPPED ? sink(decimal, out) : outcome;
    },
    binary: (bytes, start, end, out) =>
      readNumericBinary(bytes, start, end, decimal) ? sink(decimal, out) : INVALID,
  };
}

/**
 * The s of numeric(p,s): the lower 11 bits of the typmod less VARHDRSZ, signed since PostgreSQL 15.
 */
function numericScale(typmod: number): number | null {
  return typmod < 4 ? null : (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400;
}
