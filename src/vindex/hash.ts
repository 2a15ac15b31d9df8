import { FIRST_USER_OID, TypeOid } from '../keyspace/type-oids.js';
import type { KeyMapper, Vindex } from '../keyspace/vindex.js';
import {
  boolMapper,
  byteaMapper,
  dateMapper,
  intMapper,
  intToNumericMapper,
  numericMapper,
  numericToIntMapper,
  textMapper,
  timestampMapper,
  uuidMapper,
} from './hash-mappers.js';
import type { IntSize } from './values/int.js';

/**
 * What one column type needs: which value types `=` takes against it and how a shard computes the
 * hash.
 */
interface KeyType {
  /** By type OID of the value; `unknown` reads as the column's type. `typmod` is the column's. */
  readonly inputs: ReadonlyMap<number, (typmod: number) => KeyMapper>;
  /**
   * The hash with seed 0 of a column, as SQL that PostgreSQL 14 to 18 all take, in row filters too.
   */
  readonly sql: (quotedColumn: string) => string;
}

/**
 * `(type)`: a SQL call of one of PostgreSQL's own hash functions after a cast that changes nothing
 * but domains.
 */
function call(hashFunction: string, type: string): KeyType['sql'] {
  return (column) => `pg_catalog.${hashFunction}(${column}::pg_catalog.${type}, 0)`;
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

/** timestamptz_hash_extended is new in 18. In UTC both types count the same microseconds. */
function timestamptzHash(column: string): string {
  const inUtc = `pg_catalog.timezone('UTC', ${column}::pg_catalog.timestamptz)`;
  return `pg_catalog.timestamp_hash_extended(${inUtc}, 0)`;
}

function intKey(size: IntSize): KeyType {
  return {
    inputs: new Map([
      [TypeOid.int2, () => intMapper(2)],
      [TypeOid.int4, () => intMapper(4)],
      [TypeOid.int8, () => intMapper(8)],
      [TypeOid.numeric, numericToIntMapper],
      [TypeOid.unknown, () => intMapper(size)],
    ]),
    sql: call('hashint8extended', 'int8'),
  };
}

const textKey: KeyType = {
  inputs: new Map([
    [TypeOid.text, textMapper],
    [TypeOid.varchar, textMapper],
    [TypeOid.unknown, textMapper],
  ]),
  sql: call('hashtextextended', 'text'),
};

const numericKey: KeyType = {
  inputs: new Map([
    [TypeOid.numeric, numericMapper],
    [TypeOid.int2, (typmod) => intToNumericMapper(2, typmod)],
    [TypeOid.int4, (typmod) => intToNumericMapper(4, typmod)],
    [TypeOid.int8, (typmod) => intToNumericMapper(8, typmod)],
    [TypeOid.unknown, numericMapper],
  ]),
  sql: call('hash_numeric_extended', 'numeric'),
};

/** A type that only values of its own type are compared with. */
function ownType(
  type: number,
  mapper: (typmod: number) => KeyMapper,
  sql: KeyType['sql'],
): KeyType {
  return {
    inputs: new Map([
      [type, mapper],
      [TypeOid.unknown, mapper],
    ]),
    sql,
  };
}

const keyTypes: ReadonlyMap<number, KeyType> = new Map([
  [TypeOid.int2, intKey(2)],
  [TypeOid.int4, intKey(4)],
  [TypeOid.int8, intKey(8)],
  [TypeOid.text, textKey],
  [TypeOid.varchar, textKey],
  [TypeOid.numeric, numericKey],
  [TypeOid.uuid, ownType(TypeOid.uuid, uuidMapper, call('uuid_hash_extended', 'uuid'))],
  [TypeOid.bytea, ownType(TypeOid.bytea, byteaMapper, rowHash)],
  [TypeOid.date, ownType(TypeOid.date, dateMapper, rowHash)],
  [
    TypeOid.timestamp,
    ownType(
      TypeOid.timestamp,
      (typmod) => timestampMapper(false, typmod),
      call('timestamp_hash_extended', 'timestamp'),
    ),
  ],
  [
    TypeOid.timestamptz,
    ownType(TypeOid.timestamptz, (typmod) => timestampMapper(true, typmod), timestamptzHash),
  ],
  [TypeOid.bool, ownType(TypeOid.bool, boolMapper, rowHash)],
]);

/** Why types that somebody might well try cannot be keys. */
const refusals: ReadonlyMap<number, string> = new Map([
  [
    TypeOid.bpchar,
    'trailing blanks of character(n) do not count in comparisons, so that equal values may ' +
      'differ in their bytes; use text or varchar',
  ],
  [
    TypeOid.float4,
    'equality of floating point numbers depends on rounding; use an integer or numeric',
  ],
  [
    TypeOid.float8,
    'equality of floating point numbers depends on rounding; use an integer or numeric',
  ],
  [TypeOid.json, 'json has no equality; use a column of its own for the key'],
  [TypeOid.jsonb, 'documents make poor keys; use a column of its own for the key'],
  [
    TypeOid.interval,
    'equal intervals have several spellings ("1 day", "24 hours"); use an integer or numeric',
  ],
  [TypeOid.name, 'name is for system catalogs; use text or varchar'],
  [TypeOid.char, '"char" is for system catalogs; use text or varchar'],
  [TypeOid.oid, 'OIDs differ from shard to shard; use bigint'],
  [TypeOid.time, 'a time of day is no supported key type; use timestamp, an integer or text'],
]);

const SUPPORTED =
  'smallint, integer, bigint, numeric, text, varchar, uuid, bytea, date, timestamp, ' +
  'timestamptz and boolean';

/**
 * PostgreSQL's own extended hash with seed 0 (hashint8extended, hashtextextended...): the keyspace
 * id is its 64 bits, unsigned. Shards compute the same id in SQL. Text needs a deterministic
 * collation and UTF-8.
 */
export function makeHashVindex(name: string): Vindex {
  // Plans ask for the same few mappers over and over.
  const mappers = new Map<string, KeyMapper>();
  return Object.freeze({
    name,
    type: 'hash',
    refusal(columnType: number): string | null {
      if (keyTypes.has(columnType)) return null;
      const reason = refusals.get(columnType);
      if (reason !== undefined) return reason;
      const whose = columnType >= FIRST_USER_OID ? 'types made in the database' : 'this type';
      return `${whose} cannot be hashed outside the server; the key types are ${SUPPORTED}`;
    },
    mapper(columnType: number, inputType: number, columnTypmod = -1): KeyMapper | null {
      const make = keyTypes.get(columnType)?.inputs.get(inputType);
      if (make === undefined) return null;
      const key = `${columnType} ${inputType} ${columnTypmod}`;
      const mapper = mappers.get(key) ?? make(columnTypmod);
      mappers.set(key, mapper);
      return mapper;
    },
    sqlExpression(quotedColumn: string, columnType: number): string | null {
      return keyTypes.get(columnType)?.sql(quotedColumn) ?? null;
    },
  });
}
