import { TypeOid } from '../keyspace/type-oids.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';
import { travelsInBinary, type ResultColumn } from './described-columns.js';
import { changedShapeError } from './merge-description.js';

/**
 * Types whose arrays take the elements' binary form as it is, by OID: the array type's OID
 * (PostgreSQL 18, pg_type.dat).
 */
const ARRAY_OIDS: ReadonlyMap<number, number> = new Map([
  [TypeOid.bool, 1000],
  [TypeOid.bytea, 1001],
  [TypeOid.char, 1002],
  [TypeOid.name, 1003],
  [TypeOid.int8, 1016],
  [TypeOid.int2, 1005],
  [TypeOid.int4, 1007],
  [TypeOid.text, 1009],
  [TypeOid.oid, 1028],
  [TypeOid.json, 199],
  [TypeOid.float4, 1021],
  [TypeOid.float8, 1022],
  [TypeOid.bpchar, 1014],
  [TypeOid.varchar, 1015],
  [TypeOid.date, 1182],
  [TypeOid.time, 1183],
  [TypeOid.timestamp, 1115],
  [TypeOid.timestamptz, 1185],
  [TypeOid.interval, 1187],
  [TypeOid.numeric, 1231],
  [TypeOid.uuid, 2951],
  [TypeOid.jsonb, 3807],
  // tid, timetz, bit, varbit, money, inet, cidr, macaddr, point, box
  [27, 1010],
  [1266, 1270],
  [1560, 1561],
  [1562, 1563],
  [790, 791],
  [869, 1041],
  [650, 651],
  [829, 1040],
  [600, 1017],
  // int4range, int8range, numrange, tsrange, tstzrange, daterange, tsvector
  [3904, 3905],
  [3926, 3927],
  [3906, 3907],
  [3908, 3909],
  [3910, 3911],
  [3912, 3913],
  [3614, 3643],
]);

/** A column's way through an array parameter. */
export interface ArrayColumn {
  readonly elementOid: number;
  readonly arrayOid: number;
  /** What gives the elements their type modifier back (`varchar(10)`); null: they have none. */
  readonly cast: string | null;
}

/** How a column can travel as an array; null: its type has no array here, or a modifier that is lost. */
export function arrayColumn({ type, typmod }: ResultColumn): ArrayColumn | null {
  const arrayOid = ARRAY_OIDS.get(type);
  if (arrayOid === undefined) return null;
  if (typmod < 0) return { elementOid: type, arrayOid, cast: null };
  const cast = typeWithModifier(type, typmod);
  return cast === null ? null : { elementOid: type, arrayOid, cast };
}

/** The same of a column that is read on one server and used on another; null too where its binary form differs. */
export function travellingColumn(
  column: ResultColumn,
  textOnly: ReadonlySet<number> | undefined,
): ArrayColumn | null {
  return travelsInBinary(column, textOnly) ? arrayColumn(column) : null;
}

/** The way of a column whose type has none of its own: its text form, for the reader to cast. */
export const TEXT_ARRAY: ArrayColumn = { elementOid: TypeOid.text, arrayOid: 1009, cast: null };

/**
 * The type as SQL writes it with its modifier, in words of the grammar, which no search path can
 * mean otherwise. Null: not known (pg_attribute.atttypmod is each type's own).
 */
function typeWithModifier(type: number, typmod: number): string | null {
  // The length of a varlena header is part of the modifiers of older types (VARHDRSZ).
  const length = typmod - 4;
  switch (type) {
    case TypeOid.varchar:
      return `varchar(${length})`;
    case TypeOid.bpchar:
      return `character(${length})`;
    case TypeOid.numeric: {
      // Scales are signed, 11 bits wide.
      const scale = ((length & 0x7ff) ^ 0x400) - 0x400;
      return `numeric(${(length >> 16) & 0xffff}, ${scale})`;
    }
    case TypeOid.timestamp:
      return `timestamp(${typmod})`;
    case TypeOid.timestamptz:
      return `timestamp(${typmod}) with time zone`;
    case TypeOid.time:
      return `time(${typmod})`;
    case 1266:
      return `time(${typmod}) with time zone`;
    case 1560:
      return `bit(${typmod})`;
    case 1562:
      return `bit varying(${typmod})`;
    default:
      return null;
  }
}

/**
 * Binary arrays of the rows' columns, one a column. `rows` holds messages of one row each, DataRow or
 * CopyData with the same content, `rowCount` of them in all. Throws SqlError 0A000 for rows of other columns.
 */
export function arrayParameters(
  rows: readonly Buffer[],
  rowCount: number,
  columns: readonly ArrayColumn[],
): Buffer[] {
  const arrays = columns.map(({ elementOid }) => arrayHead(rowCount, elementOid));
  const hasNull = columns.map(() => false);
  for (const bytes of rows) {
    let at = 0;
    while (at < bytes.length) {
      const next = at + 1 + readInt32(bytes, at + 1);
      // A table may have been changed, or is another one on this shard.
      if (readUint16(bytes, at + 5) !== columns.length) throw changedShapeError();
      at += 7;
      for (let column = 0; column < columns.length; column++) {
        const length = readInt32(bytes, at);
        if (length < 0) hasNull[column] = true;
        const end = at + 4 + Math.max(0, length);
        arrays[column]!.bytes(bytes, at, end);
        at = end;
      }
      at = next;
    }
  }
  return arrays.map((writer, column) => {
    const array = writer.take();
    if (hasNull[column]!) array.writeInt32BE(1, 4);
    return array;
  });
}

/** A binary array of these values, none of which is NULL. */
export function binaryArray(values: readonly Buffer[], elementOid: number): Buffer {
  const writer = arrayHead(values.length, elementOid);
  for (const value of values) writer.int32(value.length).bytes(value);
  return writer.take();
}

/** The different values of one column; NULL is none. `rows` as above. */
export function distinctValues(rows: readonly Buffer[], column: number): Buffer[] {
  const found = new Map<string, Buffer>();
  for (const bytes of rows) {
    let at = 0;
    while (at < bytes.length) {
      const next = at + 1 + readInt32(bytes, at + 1);
      at += 7;
      for (let i = 0; i < column; i++) at += 4 + Math.max(0, readInt32(bytes, at));
      const length = readInt32(bytes, at);
      if (length >= 0) {
        const value = bytes.subarray(at + 4, at + 4 + length);
        found.set(value.toString('latin1'), value);
      }
      at = next;
    }
  }
  return [...found.values()];
}

/** The beginning of an array of one dimension, of `count` elements, from 1. */
function arrayHead(count: number, elementOid: number): Writer {
  const writer = new Writer(ARRAY_INITIAL_BYTES);
  writer
    .int32(count === 0 ? 0 : 1)
    .int32(0)
    .int32(elementOid);
  return count === 0 ? writer : writer.int32(count).int32(1);
}

/**
 * The pieces of a binary array of `count` elements, which are there already: each with its length in
 * front of it. PostgreSQL looks for NULLs among them by itself.
 */
export function arrayPieces(
  elements: readonly Buffer[],
  count: number,
  elementOid: number,
): Buffer[] {
  return [arrayHead(count, elementOid).take(), ...elements];
}

/** How a column of int4 travels. */
export const INT4_ARRAY: ArrayColumn = { elementOid: TypeOid.int4, arrayOid: 1007, cast: null };

/** A binary array of int4. */
export function int4Array(numbers: readonly number[]): Buffer {
  const writer = arrayHead(numbers.length, TypeOid.int4);
  for (const number of numbers) writer.int32(4).int32(number);
  return writer.take();
}

const ARRAY_INITIAL_BYTES = 512;
