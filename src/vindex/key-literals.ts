import { TypeOid } from '../keyspace/type-oids.js';
import { MAPPED, UNREADABLE } from '../keyspace/vindex.js';
import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import type { KeyFamily, KeySinks } from './key-sinks.js';
import { equalityMapper } from './key-types.js';
import type { OptionField, VindexProblem } from './options.js';
import { compareDecimals, DecimalCell } from './values/decimal.js';

/** A value of a family that the configuration spells out. */
export type KeyLiteral =
  | { readonly kind: 'int64'; readonly hi: number; readonly lo: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'decimal'; readonly value: DecimalCell };

/** Types that a vindex is told to be for, and the type by which values of the family are read. */
const columnTypes: Readonly<Record<string, readonly [family: KeyFamily, type: number]>> = {
  smallint: ['int', TypeOid.int8],
  integer: ['int', TypeOid.int8],
  bigint: ['int', TypeOid.int8],
  numeric: ['numeric', TypeOid.numeric],
  text: ['text', TypeOid.text],
  varchar: ['text', TypeOid.text],
  uuid: ['uuid', TypeOid.uuid],
  bytea: ['bytea', TypeOid.bytea],
  date: ['date', TypeOid.date],
  timestamp: ['timestamp', TypeOid.timestamp],
  timestamptz: ['timestamptz', TypeOid.timestamptz],
};

export const columnTypeField = {
  form: { kind: 'choice', choices: Object.keys(columnTypes) },
  description:
    'Type of the columns; left out: bigint where all values are whole numbers, else text',
} as const satisfies OptionField;

/** How the values of a vindex are read. */
export interface LiteralType {
  /** In SQL. */
  readonly name: string;
  readonly family: KeyFamily;
  readonly type: number;
}

export function literalType(given: string | undefined, values: readonly string[]): LiteralType {
  const whole = values.every((value) => /^[-+]?\d+$/.test(value));
  const name = given ?? (whole ? 'bigint' : 'text');
  const [family, type] = columnTypes[name]!;
  return { name: family === 'int' ? 'bigint' : name, family, type };
}

/** Reads a value as the type's input function does; null where it is none (a problem). */
export function readLiteral(
  text: string,
  { name, type }: LiteralType,
  path: VindexProblem['path'],
  problems: VindexProblem[],
): KeyLiteral | null {
  const bytes = Buffer.from(text);
  let read: KeyLiteral | null = null;
  const sinks = captureSinks((literal) => (read = literal));
  const mapper = equalityMapper(sinks, type, TypeOid.unknown, -1)!;
  const outcome = mapper.text(bytes, 0, bytes.length, new KeyspaceIdCell());
  if (outcome === MAPPED) return read;
  const isTime = name === 'date' || name.startsWith('timestamp');
  problems.push({
    message:
      outcome === UNREADABLE
        ? `${JSON.stringify(text)} depends on settings as a value of type ${name}`
        : `${JSON.stringify(text)} is no value of type ${name}`,
    hint: isTime
      ? 'write it in ISO form, such as 2024-01-31, 2024-01-31 12:00:00, or with +00 for timestamptz'
      : `write a ${name}, or the column_type that the columns have`,
    path,
  });
  return null;
}

function captureSinks(take: (literal: KeyLiteral) => void): Required<KeySinks> {
  const int64: Required<KeySinks>['int'] = (hi, lo) => {
    take({ kind: 'int64', hi: hi | 0, lo: lo >>> 0 });
    return MAPPED;
  };
  const bytes: Required<KeySinks>['text'] = (all, start, end) => {
    take({ kind: 'bytes', bytes: Uint8Array.from(all.subarray(start, end)) });
    return MAPPED;
  };
  return {
    int: int64,
    numeric(value) {
      take({ kind: 'decimal', value: copyOf(value) });
      return MAPPED;
    },
    text: bytes,
    bytea: bytes,
    uuid: bytes,
    date: int64,
    timestamp: int64,
    timestamptz: int64,
    bool: int64,
  };
}

function copyOf(value: DecimalCell): DecimalCell {
  const copy = new DecimalCell();
  return Object.assign(copy, value, { bytes: value.bytes.slice() });
}

/** By PostgreSQL's order (text by its bytes); both are of one family. Negative: `a` comes first. */
export function compareLiterals(a: KeyLiteral, b: KeyLiteral): number {
  if (a.kind === 'int64' && b.kind === 'int64') return compareInt64(a.hi, a.lo, b);
  if (a.kind === 'bytes' && b.kind === 'bytes') {
    return compareBytes(a.bytes, 0, a.bytes.length, b.bytes);
  }
  if (a.kind === 'decimal' && b.kind === 'decimal') return compareDecimals(a.value, b.value);
  throw new TypeError(`${a.kind} and ${b.kind} have no order`);
}

/** `hi` signed or unsigned. */
export function compareInt64(
  hi: number,
  lo: number,
  other: { readonly hi: number; readonly lo: number },
): number {
  const upper = (hi | 0) - other.hi;
  return upper !== 0 ? upper : (lo >>> 0) - other.lo;
}

/** Byte by byte, as memcmp; what is a beginning of the other comes first. */
export function compareBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  other: Uint8Array,
): number {
  const length = Math.min(end - start, other.length);
  for (let index = 0; index < length; index++) {
    const difference = bytes[start + index]! - other[index]!;
    if (difference !== 0) return difference;
  }
  return end - start - other.length;
}
