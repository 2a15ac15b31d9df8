import { Backend } from '../protocol/codes.js';
import type { Writer } from '../protocol/writer.js';
import { columnTypes, type Column, type ColumnType, type Row, type Value } from './column.js';

/** Which result columns a client wants in binary. */
export type Formats = (column: number) => boolean;

export function writeRowDescription(
  writer: Writer,
  columns: readonly Column[],
  isBinary: Formats,
): void {
  writer.begin(Backend.rowDescription).int16(columns.length);
  for (const [index, { name, type }] of columns.entries()) {
    const { oid, length } = columnTypes[type];
    writer.cstring(name).int32(0).int16(0).int32(oid).int16(length).int32(-1);
    writer.int16(isBinary(index) ? 1 : 0);
  }
  writer.end();
}

export function writeDataRow(
  writer: Writer,
  columns: readonly Column[],
  row: Row,
  isBinary: Formats,
): void {
  writer.begin(Backend.dataRow).int16(columns.length);
  for (const [index, { type }] of columns.entries()) {
    const value = row[index] ?? null;
    if (value === null) {
      writer.int32(-1);
      continue;
    }
    const bytes = isBinary(index) ? binary(type, value) : Buffer.from(text(value), 'utf8');
    writer.int32(bytes.length).bytes(bytes);
  }
  writer.end();
}

function text(value: Exclude<Value, null>): string {
  if (typeof value === 'boolean') return value ? 't' : 'f';
  // A NUL would end the value for most clients.
  return String(value).replaceAll('\0', '');
}

/** PostgreSQL's binary formats (the send functions of its types). */
function binary(type: ColumnType, value: Exclude<Value, null>): Buffer {
  switch (type) {
    case 'text':
      return Buffer.from(text(value), 'utf8');
    case 'bool':
      return Buffer.from([value === true ? 1 : 0]);
    case 'int4': {
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeInt32BE(Number(value));
      return bytes;
    }
    case 'int8': {
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeBigInt64BE(BigInt(value));
      return bytes;
    }
    case 'float8': {
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeDoubleBE(Number(value));
      return bytes;
    }
    case 'numeric':
      return wholeNumeric(BigInt(value));
  }
}

/** numeric_send of a whole number: digits to the base of 10,000, the first one's weight, sign, no fraction. */
function wholeNumeric(value: bigint): Buffer {
  const digits: number[] = [];
  for (let rest = value < 0n ? -value : value; rest > 0n; rest /= 10_000n) {
    digits.unshift(Number(rest % 10_000n));
  }
  const bytes = Buffer.alloc(8 + 2 * digits.length);
  bytes.writeInt16BE(digits.length, 0);
  bytes.writeInt16BE(Math.max(0, digits.length - 1), 2);
  bytes.writeUInt16BE(value < 0n ? 0x4000 : 0, 4);
  for (const [index, digit] of digits.entries()) bytes.writeInt16BE(digit, 8 + 2 * index);
  return bytes;
}
