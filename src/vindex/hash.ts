import type { KeyspaceId, KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { MAPPED, MAX_KEY_COLUMNS, type KeyParts, type Vindex } from '../keyspace/vindex.js';
import { makeComputed, remembered } from './computed.js';
import type { BytesSink, Int64Sink, KeyFamily, KeySinks } from './key-sinks.js';
import { equalityMapper, typeRefusal } from './key-types.js';
import { hashBytes, hashInt64, hashUint32 } from './lookup3.js';
import { hashDecimal } from './values/decimal.js';

const hashOfInt64: Int64Sink = (hi, lo, out) => {
  hashInt64(hi, lo, out);
  return MAPPED;
};
/** Days hash as int4 does, a bool as the number 0 or 1. */
const hashOfInt32: Int64Sink = (_hi, lo, out) => {
  hashUint32(lo, out);
  return MAPPED;
};
const hashOfBytes: BytesSink = (bytes, start, end, out) => {
  hashBytes(bytes, start, end, out);
  return MAPPED;
};

/** As the hash operator class of each type hashes. */
export const hashSinks: Required<KeySinks> = {
  int: hashOfInt64,
  numeric(value, out) {
    hashDecimal(value, out);
    return MAPPED;
  },
  text: hashOfBytes,
  bytea: hashOfBytes,
  uuid: hashOfBytes,
  date: hashOfInt32,
  timestamp: hashOfInt64,
  timestamptz: hashOfInt64,
  bool: hashOfInt32,
};

/**
 * The hash with seed 0 of a column, as SQL that PostgreSQL 14 to 18 all take, in row filters too.
 */
export function hashSql(column: string, family: KeyFamily): string {
  switch (family) {
    case 'int':
      return call('hashint8extended', column, 'int8');
    case 'text':
      return call('hashtextextended', column, 'text');
    case 'numeric':
      return call('hash_numeric_extended', column, 'numeric');
    case 'uuid':
      return call('uuid_hash_extended', column, 'uuid');
    case 'timestamp':
      return call('timestamp_hash_extended', column, 'timestamp');
    case 'timestamptz': {
      // timestamptz_hash_extended is new in 18. In UTC both types count the same microseconds.
      const inUtc = `pg_catalog.timezone('UTC', ${column}::pg_catalog.timestamptz)`;
      return `pg_catalog.timestamp_hash_extended(${inUtc}, 0)`;
    }
    case 'bytea':
    case 'date':
    case 'bool':
      return rowHash(column);
  }
}

/** One of PostgreSQL's own hash functions after a cast that changes nothing but domains. */
function call(hashFunction: string, column: string, type: string): string {
  return `pg_catalog.${hashFunction}(${column}::pg_catalog.${type}, 0)`;
}

/**
 * For types whose hash function has no name that all versions share (hashdateextended and
 * hashbyteaextended are new in 18): a row of one column hashes as the column does. A row hashes
 * NULL to 0, which the CASE keeps NULL.
 */
function rowHash(column: string): string {
  const hash = `pg_catalog.hash_record_extended(ROW(${column}), 0)`;
  return `CASE WHEN ${column} IS NOT NULL THEN ${hash} END`;
}

/**
 * PostgreSQL's own extended hash with seed 0 (hashint8extended, hashtextextended...): the keyspace
 * id is its 64 bits, unsigned. Shards compute the same id in SQL. Text needs a deterministic
 * collation and UTF-8.
 */
export function makeHashVindex(name: string): Vindex {
  return makeComputed({
    name,
    type: 'hash',
    mapping: 'hash',
    sinks: hashSinks,
    sql: hashSql,
    parts: hashParts('hash'),
  });
}

/**
 * The hash of several columns is that of a row of them (hash_record_extended): for each column, 31 times what there is
 * plus the column's own hash.
 */
export function hashParts(type: string): KeyParts {
  const mapper = remembered((columnType, inputType, typmod) =>
    equalityMapper(hashSinks, columnType, inputType, typmod),
  );
  return Object.freeze({
    columnsMin: 1,
    columnsMax: MAX_KEY_COLUMNS,
    refusal: (_place: number, columnType: number) => typeRefusal(hashSinks, type, columnType),
    mapper: (_place: number, columnType: number, inputType: number, typmod = -1) =>
      mapper(columnType, inputType, typmod),
    combine: combineHashes,
    eachSpan: null,
    sqlExpression: (columns: readonly string[]) =>
      `pg_catalog.hash_record_extended(ROW(${columns.join(', ')}), 0)`,
  });
}

function combineHashes(parts: readonly KeyspaceId[], out: KeyspaceIdCell): void {
  let hi = 0;
  let lo = 0;
  for (const part of parts) {
    // (id << 5) - id + part
    const lower = ((lo << 5) >>> 0) - lo;
    const borrow = lower < 0 ? 1 : 0;
    const sum = (lower >>> 0) + part.lo;
    const carry = sum > 0xffffffff ? 1 : 0;
    hi = (((hi << 5) | (lo >>> 27)) - hi - borrow + part.hi + carry) >>> 0;
    lo = sum >>> 0;
  }
  out.hi = hi;
  out.lo = lo;
}
