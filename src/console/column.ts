import { TypeOid } from '../keyspace/type-oids.js';

/** The types that the console's columns have: those that PgBouncer's have, and a few more. */
export type ColumnType = 'text' | 'int4' | 'int8' | 'numeric' | 'float8' | 'bool';

/** A value of a row; `numeric` and `int8` ones are whole numbers, or text of such where they are too large. */
export type Value = string | number | boolean | null;

export type Row = readonly Value[];

/** What a client is told of a column. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

/** A column, and how its value is read from what a row shows. */
export interface ColumnOf<Item> extends Column {
  readonly of: (item: Item) => Value;
}

interface TypeFacts {
  readonly oid: number;
  /** pg_type.typlen. */
  readonly length: number;
}

export const columnTypes: Readonly<Record<ColumnType, TypeFacts>> = {
  text: { oid: TypeOid.text, length: -1 },
  int4: { oid: TypeOid.int4, length: 4 },
  int8: { oid: TypeOid.int8, length: 8 },
  numeric: { oid: TypeOid.numeric, length: -1 },
  float8: { oid: TypeOid.float8, length: 8 },
  bool: { oid: TypeOid.bool, length: 1 },
};

/** Whether values of a type compare as numbers. */
export function isNumber(type: ColumnType): boolean {
  return type !== 'text' && type !== 'bool';
}
