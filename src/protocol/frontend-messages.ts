import { sqlError, type SqlError } from '../errors/sql-error.js';
import { Frontend } from './codes.js';
import { afterCString, readInt32, readUint16 } from './framing.js';
import { portalContext } from './portal-context.js';

/**
 * Messages that clients send, read in place: offsets into the buffer that holds the message, no copies. `start` is at
 * the type byte, `end` behind the message. All throw SqlError 08P01 where the message does not hold what it should.
 */

export interface ParseMessage {
  readonly name: string;
  readonly textStart: number;
  /** At the terminating zero byte. */
  readonly textEnd: number;
  readonly paramTypes: readonly number[];
}

export function readParse(buffer: Buffer, start: number, end: number): ParseMessage {
  const nameEnd = stringEnd(buffer, start + 5, end);
  const textEnd = stringEnd(buffer, nameEnd, end);
  need(textEnd, 2, end);
  const count = readUint16(buffer, textEnd);
  exactly(textEnd + 2 + 4 * count, end);
  const paramTypes: number[] = [];
  for (let i = 0; i < count; i++) paramTypes.push(readInt32(buffer, textEnd + 2 + 4 * i) >>> 0);
  return {
    name: buffer.toString('utf8', start + 5, nameEnd - 1),
    textStart: nameEnd,
    textEnd: textEnd - 1,
    paramTypes,
  };
}

/**
 * A Bind message's layout, written into a reusable object: the hot path allocates nothing. Values stay in the buffer;
 * `valueStart[i]` is -1 for NULL.
 */
export class BindLayout {
  portalStart = 0;
  portalEnd = 0;
  statementStart = 0;
  statementEnd = 0;
  /** Behind the statement's name: formats, values, result formats, which pass unchanged. */
  restStart = 0;
  valueCount = 0;
  formatCount = 0;
  formatsStart = 0;
  valueStart = new Int32Array(16);
  valueEnd = new Int32Array(16);
  /** What is wrong with the values or behind them: servers look at that when they know the statement; null: nothing. */
  fault: SqlError | null = null;

  read(buffer: Buffer, start: number, end: number): void {
    this.portalStart = start + 5;
    this.portalEnd = stringEnd(buffer, this.portalStart, end) - 1;
    this.statementStart = this.portalEnd + 1;
    this.statementEnd = stringEnd(buffer, this.statementStart, end) - 1;
    let at = this.statementEnd + 1;
    this.restStart = at;
    need(at, 2, end);
    this.formatCount = readUint16(buffer, at);
    this.formatsStart = at + 2;
    at += 2 + 2 * this.formatCount;
    need(at, 2, end);
    const count = readUint16(buffer, at);
    at += 2;
    this.valueCount = count;
    if (this.formatCount > 1 && this.formatCount !== count) {
      throw sqlError(
        'protocol_violation',
        `bind message has ${this.formatCount} parameter formats but ${count} parameters`,
      );
    }
    if (count > this.valueStart.length) {
      this.valueStart = new Int32Array(count);
      this.valueEnd = new Int32Array(count);
    }
    this.fault = this.readValues(buffer, at, end);
  }

  /** Where result formats stand in a message without values: behind the formats of none, and their count. */
  get afterNoValues(): number {
    return this.restStart + 4 + 2 * this.formatCount;
  }

  private readValues(buffer: Buffer, from: number, end: number): SqlError | null {
    let at = from;
    for (let i = 0; i < this.valueCount; i++) {
      const length = at + 4 > end ? -2 : readInt32(buffer, at);
      at += 4;
      if (length < -1 || at + length > end) {
        return this.valueError(buffer, i, 'protocol_violation', INSUFFICIENT);
      }
      this.valueStart[i] = length === -1 ? -1 : at;
      if (length > 0) at += length;
      this.valueEnd[i] = length === -1 ? -1 : at;
      if (this.formatCount === 0) continue;
      const format = readUint16(buffer, this.formatAt(i));
      if (format <= 1) continue;
      // Servers take it for a number with a sign.
      const message = `unsupported format code: ${(format << 16) >> 16}`;
      return this.valueError(buffer, i, 'invalid_parameter_value', message);
    }
    return at + 2 > end
      ? sizeError(at + 2, end)
      : sizeError(at + 2 + 2 * readUint16(buffer, at), end);
  }

  private formatAt(index: number): number {
    return this.formatsStart + (this.formatCount === 1 ? 0 : 2 * index);
  }

  /** An error of the value of parameter `index`, with the context that Postgres gives it. */
  private valueError(
    buffer: Buffer,
    index: number,
    state: SqlError['state'],
    message: string,
  ): SqlError {
    const name = buffer.toString('utf8', this.portalStart, this.portalEnd);
    return sqlError(state, message, { where: `${portalContext(name)} parameter $${index + 1}` });
  }

  /** Whether parameter `index` is in binary format. */
  isBinary(buffer: Buffer, index: number): boolean {
    if (this.formatCount === 0) return false;
    return readUint16(buffer, this.formatAt(index)) === 1;
  }
}

/**
 * Which result columns a Bind message asks for in binary; `rest` is the message from behind the statement's name, as
 * `BindLayout` has found it sound.
 */
export function resultFormats(rest: Buffer): (column: number) => boolean {
  let at = 2 + 2 * readUint16(rest, 0);
  const values = readUint16(rest, at);
  at += 2;
  for (let i = 0; i < values; i++) at += 4 + Math.max(0, readInt32(rest, at));
  const count = readUint16(rest, at);
  const formats = Array.from({ length: count }, (_, i) => readUint16(rest, at + 2 + 2 * i) === 1);
  if (count === 1) return () => formats[0]!;
  return (column) => formats[column] ?? false;
}

/** Describe and Close: `S` statement or `P` portal, and its name. */
export function readTarget(
  buffer: Buffer,
  start: number,
  end: number,
): { readonly kind: 'statement' | 'portal'; readonly name: string } {
  if (start + 5 >= end) throw sqlError('protocol_violation', 'no data left in message');
  const kind = buffer[start + 5];
  const nameEnd = stringEnd(buffer, start + 6, end);
  exactly(nameEnd, end);
  if (kind !== 0x53 && kind !== 0x50) {
    const what = buffer[start] === Frontend.close ? 'CLOSE' : 'DESCRIBE';
    throw sqlError('protocol_violation', `invalid ${what} message subtype ${kind ?? 0}`);
  }
  return {
    kind: kind === 0x53 ? 'statement' : 'portal',
    name: buffer.toString('utf8', start + 6, nameEnd - 1),
  };
}

/** Execute: portal name and row limit (0: none). */
export function readExecute(
  buffer: Buffer,
  start: number,
  end: number,
): { readonly portal: string; readonly rowsMax: number } {
  const nameEnd = stringEnd(buffer, start + 5, end);
  exactly(nameEnd + 4, end);
  const rowsMax = readInt32(buffer, nameEnd);
  const portal = nameEnd === start + 6 ? '' : buffer.toString('utf8', start + 5, nameEnd - 1);
  return { portal, rowsMax: rowsMax < 0 ? 0 : rowsMax };
}

/** FunctionCall: the function's OID; the arguments are the server's to read. */
export function functionOid(buffer: Buffer, start: number, end: number): number {
  need(start + 5, 4, end);
  return readInt32(buffer, start + 5) >>> 0;
}

/** Sync and Flush hold nothing. */
export function readNothing(start: number, end: number): void {
  exactly(start + 5, end);
}

/** Why a client gives its COPY up: bytes of the message. */
export function readCopyFail(buffer: Buffer, start: number, end: number): Buffer {
  return buffer.subarray(start + 5, stringEnd(buffer, start + 5, end) - 1);
}

/** End of a Query's text: at its terminating zero byte. */
export function queryTextEnd(buffer: Buffer, start: number, end: number): number {
  if (end - start < 6) throw sqlError('protocol_violation', 'invalid string in message');
  if (buffer[end - 1] === 0 && buffer.indexOf(0, start + 5) === end - 1) return end - 1;
  const textEnd = stringEnd(buffer, start + 5, end);
  exactly(textEnd, end);
  return textEnd - 1;
}

function stringEnd(buffer: Buffer, start: number, end: number): number {
  const after = afterCString(buffer, start, end);
  if (after < 0) throw sqlError('protocol_violation', 'invalid string in message');
  return after;
}

function need(at: number, count: number, end: number): void {
  if (at + count > end) throw sqlError('protocol_violation', INSUFFICIENT);
}

const INSUFFICIENT = 'insufficient data left in message';

function exactly(at: number, end: number): void {
  const fault = sizeError(at, end);
  if (fault !== null) throw fault;
}

/** Null: what ends at `at` ends where the message does. */
function sizeError(at: number, end: number): SqlError | null {
  if (at === end) return null;
  return sqlError('protocol_violation', at > end ? INSUFFICIENT : 'invalid message format');
}
