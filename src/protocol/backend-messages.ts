import type { SqlError, SqlErrorFields } from '../errors/sql-error.js';
import { Backend, type TxStatusByte } from './codes.js';
import { afterCString } from './framing.js';
import { Writer } from './writer.js';

/** Messages that Shardgate itself sends to clients. Each writes one whole message. */

export function writeError(writer: Writer, error: SqlError): void {
  writer.begin(Backend.errorResponse);
  writeFields(writer, error.severity, error.code, error.message, error);
  writer.end();
}

export function writeNotice(
  writer: Writer,
  severity: 'WARNING' | 'NOTICE',
  code: string,
  message: string,
  fields: { detail?: string | undefined; hint?: string | undefined } = {},
): void {
  writer.begin(Backend.noticeResponse);
  writeFields(writer, severity, code, message, fields);
  writer.end();
}

function writeFields(
  writer: Writer,
  severity: string,
  code: string,
  message: string,
  fields: Pick<SqlErrorFields, 'detail' | 'hint' | 'position' | 'where' | 'routine'>,
): void {
  field(writer, 'S', severity);
  field(writer, 'V', severity);
  field(writer, 'C', code);
  field(writer, 'M', message);
  if (fields.detail !== undefined) field(writer, 'D', fields.detail);
  if (fields.hint !== undefined) field(writer, 'H', fields.hint);
  if (fields.position !== undefined) field(writer, 'P', String(fields.position));
  if (fields.where !== undefined) field(writer, 'W', fields.where);
  if (fields.routine !== undefined) field(writer, 'R', fields.routine);
  writer.byte(0);
}

function field(writer: Writer, key: string, value: string): void {
  writer.byte(key.charCodeAt(0)).cstring(value);
}

export function writeReadyForQuery(writer: Writer, status: TxStatusByte): void {
  writer.begin(Backend.readyForQuery).byte(status).end();
}

export function writeCommandComplete(writer: Writer, tag: string): void {
  writer.begin(Backend.commandComplete).cstring(tag).end();
}

export function writeParameterStatus(writer: Writer, name: string, value: string): void {
  writer.begin(Backend.parameterStatus).cstring(name).cstring(value).end();
}

/** Fields of an ErrorResponse or NoticeResponse by their letter; tolerant of anything a server may send. */
export function readErrorFields(
  buffer: Buffer,
  start: number,
  end: number,
): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  let at = start + 5;
  while (at < end && buffer[at] !== 0) {
    const next = afterCString(buffer, at + 1, end);
    if (next < 0) break;
    fields.set(String.fromCharCode(buffer[at]!), buffer.toString('utf8', at + 1, next - 1));
    at = next;
  }
  return fields;
}

/** The SQLSTATE of an ErrorResponse; empty where a server left it out. */
export function readSqlState(buffer: Buffer, start: number, end: number): string {
  let at = start + 5;
  while (at < end && buffer[at] !== 0) {
    const next = afterCString(buffer, at + 1, end);
    if (next < 0) break;
    if (buffer[at] === 0x43) return buffer.toString('latin1', at + 1, next - 1);
    at = next;
  }
  return '';
}

/** Name and value of a ParameterStatus; null where it is malformed. */
export function readParameterStatus(
  buffer: Buffer,
  start: number,
  end: number,
): { name: string; value: string } | null {
  const afterName = afterCString(buffer, start + 5, end);
  if (afterName < 0) return null;
  const afterValue = afterCString(buffer, afterName, end);
  if (afterValue < 0) return null;
  return {
    name: buffer.toString('utf8', start + 5, afterName - 1),
    value: buffer.toString('utf8', afterName, afterValue - 1),
  };
}

/** A CopyInResponse of the first columns of another one. Source: PostgreSQL 18, "Message Formats" (54.7). */
export function cutCopyInResponse(message: Buffer, start: number, columns: number): Buffer {
  // Type, length, overall format, number of columns; then the format of each.
  const cut = Buffer.from(message.subarray(start, start + 8 + 2 * columns));
  cut.writeInt32BE(cut.length - 1, 1);
  cut.writeInt16BE(columns, 6);
  return cut;
}

/** The tag of a CommandComplete, as in `UPDATE 3`. */
export function readTag(buffer: Buffer, start: number, end: number): string {
  return buffer.toString('utf8', start + 5, Math.max(start + 5, end - 1));
}

/** The columns of a DataRow in text; null is SQL NULL. Throws RangeError where lengths do not add up. */
export function readDataRow(buffer: Buffer, start: number, end: number): (string | null)[] {
  if (end - start < 7) throw new RangeError('data row without a column count');
  const count = buffer.readUInt16BE(start + 5);
  const values: (string | null)[] = [];
  let at = start + 7;
  for (let column = 0; column < count; column++) {
    if (at + 4 > end) throw new RangeError('data row ends within a length');
    const length = buffer.readInt32BE(at);
    at += 4;
    if (length < 0) {
      values.push(null);
      continue;
    }
    if (at + length > end) throw new RangeError('data row ends within a value');
    values.push(buffer.toString('utf8', at, at + length));
    at += length;
  }
  return values;
}

/** Messages without content, ready to send. */
export const ready = {
  bindComplete: fixed(Backend.bindComplete),
  closeComplete: fixed(Backend.closeComplete),
  emptyQueryResponse: fixed(Backend.emptyQueryResponse),
  noData: fixed(Backend.noData),
  parseComplete: fixed(Backend.parseComplete),
  portalSuspended: fixed(Backend.portalSuspended),
} as const;

function fixed(type: number): Buffer {
  return new Writer(8).begin(type).end().take();
}
