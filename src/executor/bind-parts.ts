import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';

/**
 * A Bind message from behind the statement's name, taken apart, so that its values can go with other
 * statements: formats, values, result formats. `BindLayout` has found it sound.
 */
export class BindParts {
  readonly valueCount: number;
  private readonly rest: Buffer;
  private readonly valuesStart: number;
  private readonly valuesEnd: number;

  constructor(rest: Buffer) {
    this.rest = rest;
    let at = 2 + 2 * readUint16(rest, 0);
    this.valueCount = readUint16(rest, at);
    at += 2;
    this.valuesStart = at;
    for (let i = 0; i < this.valueCount; i++) at += 4 + Math.max(0, readInt32(rest, at));
    this.valuesEnd = at;
  }

  /** The same values, every result column in this format, or each in its own (0 text, 1 binary). */
  withResults(format: 'text' | 'binary' | readonly number[]): Buffer {
    const values = this.rest.subarray(0, this.valuesEnd);
    if (typeof format === 'string') {
      return Buffer.concat([values, format === 'binary' ? ALL_BINARY : ALL_TEXT]);
    }
    const writer = new Writer(values.length + 2 * format.length + 2);
    writer.bytes(values).int16(format.length);
    for (const each of format) writer.int16(each);
    return writer.take();
  }

  /** The same values, each result column in its own format (0 text, 1 binary). */
  withFormats(formats: readonly number[]): Buffer {
    const { rest, valuesEnd } = this;
    const writer = new Writer(valuesEnd + 2 * formats.length + 2);
    writer.bytes(rest, 0, valuesEnd).int16(formats.length);
    for (const format of formats) writer.int16(format);
    return writer.take();
  }

  /** The same values and result formats, behind them further values of this format. */
  withValues(more: readonly Buffer[], format: 'text' | 'binary' = 'binary'): Buffer {
    const { rest, valueCount } = this;
    const bytes = more.reduce((sum, { length }) => sum + 6 + length, 4 + 2 * valueCount);
    const writer = new Writer(rest.length + bytes);
    writer.int16(valueCount + more.length);
    for (let i = 0; i < valueCount; i++) writer.int16(this.format(i));
    for (let i = 0; i < more.length; i++) writer.int16(format === 'binary' ? 1 : 0);
    writer.int16(valueCount + more.length);
    writer.bytes(rest, this.valuesStart, this.valuesEnd);
    for (const value of more) writer.int32(value.length).bytes(value);
    return writer.bytes(rest, this.valuesEnd).take();
  }

  /** The same values and result formats, behind them further values that are NULL, for `withLastValues`. */
  withNulls(count: number): Buffer {
    const { rest, valueCount } = this;
    const writer = new Writer(rest.length + 4 + 2 * valueCount + 6 * count);
    writer.int16(valueCount + count);
    for (let i = 0; i < valueCount; i++) writer.int16(this.format(i));
    for (let i = 0; i < count; i++) writer.int16(0);
    writer.int16(valueCount + count);
    writer.bytes(rest, this.valuesStart, this.valuesEnd);
    for (let i = 0; i < count; i++) writer.int32(-1);
    return writer.bytes(rest, this.valuesEnd).take();
  }

  /** The same with these in the places of the last values, which are NULL: each in pieces, in binary. */
  withLastValues(values: readonly (readonly Buffer[])[]): Buffer {
    const { rest, valueCount } = this;
    const first = valueCount - values.length;
    const lengths = values.map((pieces) => pieces.reduce((sum, { length }) => sum + length, 0));
    const bytes = lengths.reduce((sum, length) => sum + length, 4 + 2 * valueCount);
    const writer = new Writer(rest.length + bytes);
    writer.int16(valueCount);
    for (let i = 0; i < valueCount; i++) writer.int16(i < first ? this.format(i) : 1);
    writer.int16(valueCount).bytes(rest, this.valuesStart, this.valuesEnd - 4 * values.length);
    values.forEach((pieces, i) => {
      writer.int32(lengths[i]!);
      for (const piece of pieces) writer.bytes(piece);
    });
    return writer.bytes(rest, this.valuesEnd).view();
  }

  /**
   * The same values; behind the client's result columns `hidden` further ones in binary. Throws
   * SqlError 08P01 where the client gave formats for another number of columns.
   */
  withHiddenResults(visible: number, hidden: number): Buffer {
    const binary = Array.from({ length: hidden }, () => 1);
    return this.withFormats([...this.resultFormats(visible), ...binary]);
  }

  /** The client's format (0 text, 1 binary) of each of its result columns. Throws as above. */
  resultFormats(columns: number): number[] {
    const { rest, valuesEnd } = this;
    const count = readUint16(rest, valuesEnd);
    if (count > 1 && count !== columns) {
      throw sqlError(
        'protocol_violation',
        `bind message has ${count} result formats but query has ${columns} columns`,
      );
    }
    return Array.from({ length: columns }, (_, column) => {
      if (count === 0) return 0;
      return readUint16(rest, valuesEnd + 2 + (count === 1 ? 0 : 2 * column));
    });
  }

  /** Where value `index` stands in `bytes`; null: it is NULL. */
  value(index: number): { readonly bytes: Buffer; readonly binary: boolean } | null {
    let at = this.valuesStart;
    for (let i = 0; i < index; i++) at += 4 + Math.max(0, readInt32(this.rest, at));
    const length = readInt32(this.rest, at);
    if (length < 0) return null;
    return {
      bytes: this.rest.subarray(at + 4, at + 4 + length),
      binary: this.format(index) === 1,
    };
  }

  private format(index: number): number {
    const count = readUint16(this.rest, 0);
    if (count === 0) return 0;
    return readUint16(this.rest, 2 + (count === 1 ? 0 : 2 * index));
  }
}

/** The pieces of values that a backend has for itself, in binary. */
export type ValuesOf = (backend: BackendConnection) => readonly (readonly Buffer[])[];

/** What of a Bind message a backend gets that has its last values for itself, where any has. */
export function bindFor(
  backend: BackendConnection,
  bind: Buffer,
  valuesOf: ValuesOf | undefined,
): Buffer {
  return valuesOf === undefined ? bind : new BindParts(bind).withLastValues(valuesOf(backend));
}

/** No parameter formats, no parameters, results as text. */
export const NO_VALUES: Buffer = Buffer.alloc(6);
const ALL_TEXT = Buffer.from([0, 0]);
const ALL_BINARY = Buffer.from([0, 1, 0, 1]);
