import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { INVALID, MAPPED, NO_MATCH, type KeyMapper, type MapOutcome } from '../keyspace/vindex.js';
import { hashBytes, hashInt64, hashUint32 } from './lookup3.js';
import { readBoolBinary, readBoolText } from './values/bool.js';
import { readByteaText } from './values/bytea.js';
import {
  DecimalCell,
  decimalToInt64,
  fitsScale,
  hashDecimal,
  int64ToDecimal,
} from './values/decimal.js';
import { readIntBinary, readIntText, type IntSize } from './values/int.js';
import {
  fitsPrecision,
  readDateText,
  readTimestampText,
  readTimestamptzText,
} from './values/iso-time.js';
import { readNumericBinary, readNumericText } from './values/numeric.js';
import { readUuidText, UUID_BYTES } from './values/uuid.js';
import { utf8Length } from './values/utf8.js';

/**
 * One factory per value type. A mapper reads the value, then hashes it as the hash operator class
 * of the *column's* type does. Mapping is synchronous and single-threaded, so that all mappers
 * share the buffers below.
 */

const decimal = new DecimalCell();
const integer = new KeyspaceIdCell();
const uuidBytes = new Uint8Array(UUID_BYTES);
/** Decoded bytea values up to this size share one buffer; a shard key is hardly ever longer. */
const SHARED_BYTES = 64 * 1024;
const byteaBytes = new Uint8Array(SHARED_BYTES);

/** Values of int2, int4 or int8 against an int column: all of them hash alike. */
export function intMapper(size: IntSize): KeyMapper {
  return {
    text(bytes, start, end, out) {
      if (!readIntText(bytes, start, end, size, out)) return INVALID;
      hashInt64(out.hi, out.lo, out);
      return MAPPED;
    },
    binary(bytes, start, end, out) {
      if (!readIntBinary(bytes, start, end, size, out)) return INVALID;
      hashInt64(out.hi, out.lo, out);
      return MAPPED;
    },
  };
}

/** Numeric values against an int column: whole numbers hash as ints, others equal no int. */
export function numericToIntMapper(): KeyMapper {
  return numericReader((out) => {
    if (!decimalToInt64(decimal, out)) return NO_MATCH;
    hashInt64(out.hi, out.lo, out);
    return MAPPED;
  });
}

/** Numeric values against a numeric column; `typmod` is that of numeric(p,s), -1 without. */
export function numericMapper(typmod: number): KeyMapper {
  const scale = numericScale(typmod);
  return numericReader((out) => {
    if (scale !== null && !fitsScale(decimal, scale)) return NO_MATCH;
    hashDecimal(decimal, out);
    return MAPPED;
  });
}

/** Values of int2, int4 or int8 against a numeric column. */
export function intToNumericMapper(size: IntSize, typmod: number): KeyMapper {
  const scale = numericScale(typmod);
  const hash = (out: KeyspaceIdCell): MapOutcome => {
    int64ToDecimal(integer, decimal);
    if (scale !== null && !fitsScale(decimal, scale)) return NO_MATCH;
    hashDecimal(decimal, out);
    return MAPPED;
  };
  return {
    text: (bytes, start, end, out) =>
      readIntText(bytes, start, end, size, integer) ? hash(out) : INVALID,
    binary: (bytes, start, end, out) =>
      readIntBinary(bytes, start, end, size, integer) ? hash(out) : INVALID,
  };
}

/**
 * text and varchar; `typmod` is that of varchar(n), -1 without. Text and binary format are the same
 * bytes.
 */
export function textMapper(typmod: number): KeyMapper {
  // VARHDRSZ: varchar(n) has typmod n + 4.
  const charactersMax = typmod < 4 ? Infinity : typmod - 4;
  const map: KeyMapper['text'] = (bytes, start, end, out) => {
    const characters = utf8Length(bytes, start, end);
    if (characters < 0) return INVALID;
    if (characters > charactersMax) return NO_MATCH;
    hashBytes(bytes, start, end, out);
    return MAPPED;
  };
  return { text: map, binary: map };
}

export function byteaMapper(): KeyMapper {
  return {
    text(bytes, start, end, out) {
      if (utf8Length(bytes, start, end) < 0) return INVALID;
      const size = end - start;
      const into = size <= SHARED_BYTES ? byteaBytes : new Uint8Array(size);
      const length = readByteaText(bytes, start, end, into);
      if (length < 0) return INVALID;
      hashBytes(into, 0, length, out);
      return MAPPED;
    },
    binary(bytes, start, end, out) {
      hashBytes(bytes, start, end, out);
      return MAPPED;
    },
  };
}

export function uuidMapper(): KeyMapper {
  return {
    text(bytes, start, end, out) {
      if (!readUuidText(bytes, start, end, uuidBytes)) return INVALID;
      hashBytes(uuidBytes, 0, UUID_BYTES, out);
      return MAPPED;
    },
    binary(bytes, start, end, out) {
      if (end - start !== UUID_BYTES) return INVALID;
      hashBytes(bytes, start, end, out);
      return MAPPED;
    },
  };
}

/** Days hash as int4 does. */
export function dateMapper(): KeyMapper {
  return {
    text(bytes, start, end, out) {
      const outcome = readDateText(bytes, start, end, out);
      if (outcome === MAPPED) hashUint32(out.lo, out);
      return outcome;
    },
    binary(bytes, start, end, out) {
      if (!readIntBinary(bytes, start, end, 4, out)) return INVALID;
      hashUint32(out.lo, out);
      return MAPPED;
    },
  };
}

/**
 * timestamp, or timestamptz with `zoned`: microseconds hash as int8 does. `typmod` is the
 * precision, -1 without.
 */
export function timestampMapper(zoned: boolean, typmod: number): KeyMapper {
  const read = zoned ? readTimestamptzText : readTimestampText;
  const precision = typmod < 0 || typmod > 5 ? null : typmod;
  const hash = (out: KeyspaceIdCell): MapOutcome => {
    if (precision !== null && !fitsPrecision(out, precision)) return NO_MATCH;
    hashInt64(out.hi, out.lo, out);
    return MAPPED;
  };
  return {
    text(bytes, start, end, out) {
      const outcome = read(bytes, start, end, out);
      return outcome === MAPPED ? hash(out) : outcome;
    },
    binary: (bytes, start, end, out) =>
      readIntBinary(bytes, start, end, 8, out) ? hash(out) : INVALID,
  };
}

/** A bool hashes as the number 0 or 1. */
export function boolMapper(): KeyMapper {
  const hash = (value: boolean | null, out: KeyspaceIdCell): MapOutcome => {
    if (value === null) return INVALID;
    hashUint32(value ? 1 : 0, out);
    return MAPPED;
  };
  return {
    text: (bytes, start, end, out) => hash(readBoolText(bytes, start, end), out),
    binary: (bytes, start, end, out) => hash(readBoolBinary(bytes, start, end), out),
  };
}

function numericReader(hash: (out: KeyspaceIdCell) => MapOutcome): KeyMapper {
  return {
    text(bytes, start, end, out) {
      const outcome = readNumericText(bytes, start, end, decimal);
      return outcome === MAPPED ? hash(out) : outcome;
    },
    binary: (bytes, start, end, out) =>
      readNumericBinary(bytes, start, end, decimal) ? hash(out) : INVALID,
  };
}

/**
 * The s of numeric(p,s): the lower 11 bits of the typmod less VARHDRSZ, signed since PostgreSQL 15.
 */
function numericScale(typmod: number): number | null {
  return typmod < 4 ? null : (((typmod - 4) & 0x7ff) ^ 0x400) - 0x400;
}
