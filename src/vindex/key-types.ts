import { FIRST_USER_OID, TypeOid } from '../keyspace/type-oids.js';
import type { KeyMapper } from '../keyspace/vindex.js';
import {
  blankTrimmedReader,
  boolReader,
  byteaReader,
  dateReader,
  dateToTimestampReader,
  intReader,
  intToNumericReader,
  numericReader,
  numericToIntPlaces,
  numericToIntReader,
  textReader,
  timestampReader,
  uuidReader,
} from './key-readers.js';
import type { KeyFamily, KeySinks } from './key-sinks.js';
import type { IntSize } from './values/int.js';

const intSizes: ReadonlyMap<number, IntSize> = new Map([
  [TypeOid.int2, 2],
  [TypeOid.int4, 4],
  [TypeOid.int8, 8],
]);

const families: ReadonlyMap<number, KeyFamily> = new Map([
  [TypeOid.int2, 'int'],
  [TypeOid.int4, 'int'],
  [TypeOid.int8, 'int'],
  [TypeOid.text, 'text'],
  [TypeOid.varchar, 'text'],
  [TypeOid.bpchar, 'text'],
  [TypeOid.numeric, 'numeric'],
  [TypeOid.uuid, 'uuid'],
  [TypeOid.bytea, 'bytea'],
  [TypeOid.date, 'date'],
  [TypeOid.timestamp, 'timestamp'],
  [TypeOid.timestamptz, 'timestamptz'],
  [TypeOid.bool, 'bool'],
]);

/** What the types of a family are called in SQL. */
const familyNames: Readonly<Record<KeyFamily, string>> = {
  int: 'smallint, integer, bigint',
  numeric: 'numeric',
  text: 'text, varchar, character(n)',
  uuid: 'uuid',
  bytea: 'bytea',
  date: 'date',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  bool: 'boolean',
};

/** The family of a column's type; null where it is none that keys have. */
export function keyFamily(columnType: number): KeyFamily | null {
  return families.get(columnType) ?? null;
}

/**
 * A mapper for `column = value`, as `Vindex.mapper` says. `unknown` reads as the column's type; other values must be of
 * a type that `=` takes against the column's.
 */
export function equalityMapper(
  sinks: KeySinks,
  columnType: number,
  inputType: number,
  typmod: number,
): KeyMapper | null {
  const family = keyFamily(columnType);
  if (family === null) return null;
  const input = inputType === TypeOid.unknown ? columnType : inputType;
  const size = intSizes.get(input);
  if (family === 'int' && sinks.int !== undefined) {
    if (size !== undefined) return intReader(size, sinks.int);
    return input === TypeOid.numeric ? numericToIntReader(sinks.int) : null;
  }
  if (family === 'numeric' && sinks.numeric !== undefined && size !== undefined) {
    return intToNumericReader(size, typmod, sinks.numeric);
  }
  if (keyFamily(input) !== family) return null;
  const own = ownReader(sinks, family, columnType, typmod);
  const padded = columnType === TypeOid.bpchar || input === TypeOid.bpchar;
  return own === null || !padded ? own : blankTrimmedReader(own);
}

/**
 * A mapper for values that a column is compared with by their order: nothing is stored, so that the column's typmod
 * does not matter. Types that only a session's TimeZone converts are left out.
 */
export function placeMapper(
  sinks: KeySinks,
  columnType: number,
  inputType: number,
): KeyMapper | null {
  if (inputType === TypeOid.numeric && keyFamily(columnType) === 'int') {
    return sinks.int === undefined ? null : numericToIntPlaces(sinks.int);
  }
  if (inputType === TypeOid.date && columnType === TypeOid.timestamp) {
    return sinks.timestamp === undefined ? null : dateToTimestampReader(sinks.timestamp);
  }
  // Compared as text, 'a' comes before 'a ', which stand for one value of character(n).
  const asText = inputType === TypeOid.text || inputType === TypeOid.varchar;
  if (columnType === TypeOid.bpchar && asText) return null;
  return equalityMapper(sinks, columnType, inputType, -1);
}

/** A reader of the family's own values. */
function ownReader(
  sinks: KeySinks,
  family: KeyFamily,
  columnType: number,
  typmod: number,
): KeyMapper | null {
  switch (family) {
    case 'int':
      return null;
    case 'numeric':
      return sinks.numeric === undefined ? null : numericReader(typmod, sinks.numeric);
    case 'text':
      return sinks.text === undefined ? null : textReader(columnType, typmod, sinks.text);
    case 'bytea':
      return sinks.bytea === undefined ? null : byteaReader(sinks.bytea);
    case 'uuid':
      return sinks.uuid === undefined ? null : uuidReader(sinks.uuid);
    case 'date':
      return sinks.date === undefined ? null : dateReader(sinks.date);
    case 'timestamp':
    case 'timestamptz': {
      const sink = sinks[family];
      return sink === undefined ? null : timestampReader(family === 'timestamptz', typmod, sink);
    }
    case 'bool':
      return sinks.bool === undefined ? null : boolReader(sinks.bool);
  }
}

/** Why types that somebody might well try cannot be keys. */
const refusals: ReadonlyMap<number, string> = new Map([
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

/** Why a column of this type cannot be a key of a vindex with these sinks; null where it can. */
export function typeRefusal(sinks: KeySinks, type: string, columnType: number): string | null {
  const family = keyFamily(columnType);
  if (family !== null && sinks[family] !== undefined) return null;
  const names = (Object.keys(familyNames) as KeyFamily[])
    .filter((own) => sinks[own] !== undefined)
    .map((own) => familyNames[own])
    .join(', ');
  if (family !== null) return `vindex type "${type}" here takes keys of type ${names}`;
  const reason = refusals.get(columnType);
  if (reason !== undefined) return reason;
  const whose = columnType >= FIRST_USER_OID ? 'types made in the database' : 'this type';
  return `${whose} cannot be mapped outside the server; the key types are ${names}`;
}
