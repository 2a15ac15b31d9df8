import { sqlError, type SqlError } from '../errors/sql-error.js';
import { Backend } from '../protocol/codes.js';
import { afterCString, readUint16 } from '../protocol/framing.js';

/** Behind a column's name: table OID (4), attribute number (2), type (4), size (2), modifier (4), format (2). */
const COLUMN_BYTES = 18;

/**
 * A RowDescription message without its hidden columns at the end, with the formats that the client
 * asked for. Null: it has not `hidden` columns more than `visible` ones.
 * @param formats as in Bind: none (text), one for all columns, or one for each
 */
export function trimRowDescription(
  message: Buffer,
  visible: number,
  hidden: number,
  formats: readonly number[],
): Buffer | null {
  if (readUint16(message, 5) !== visible + hidden) return null;
  const trimmed = Buffer.from(message);
  let at = 7;
  for (let i = 0; i < visible; i++) {
    const afterName = afterCString(trimmed, at, trimmed.length);
    at = afterName + COLUMN_BYTES;
    const format = formats.length > 1 ? formats[i] : formats[0];
    trimmed.writeInt16BE(format ?? 0, at - 2);
  }
  trimmed[0] = Backend.rowDescription;
  trimmed.writeInt32BE(at - 1, 1);
  trimmed.writeInt16BE(visible, 5);
  return trimmed.subarray(0, at);
}

/** A shard's rows have other columns than were planned, or values that nobody knew of. */
export function changedShapeError(): SqlError {
  return sqlError(
    'feature_not_supported',
    'a shard gives other columns or values than the catalog has for this statement',
    { hint: 'A table or type was changed meanwhile, or is not the same on all shards. Try again.' },
  );
}

/** The same columns in the formats that Bind asks for, as above. */
export function reformatRowDescription(message: Buffer, formats: readonly number[]): Buffer {
  return trimRowDescription(message, readUint16(message, 5), 0, formats)!;
}

/** The same of one shard among several. */
export function otherColumnsError(shard: string): SqlError {
  return sqlError(
    'feature_not_supported',
    `shard "${shard}" gives other columns than others for this statement`,
    { hint: 'A table is not the same on all shards: the log names the differences.' },
  );
}

/** Names and types of a RowDescription's columns, equal for equal ones; '' for every other message. */
export function columnsOf(buffer: Buffer, start: number, end: number): string {
  if (buffer[start] !== Backend.rowDescription) return '';
  const columns: string[] = [];
  let at = start + 7;
  while (at < end) {
    const behind = afterCString(buffer, at, end);
    const name = buffer.toString('latin1', at, behind);
    // Behind its table and attribute: the type, its size and modifier.
    columns.push(name, buffer.toString('latin1', behind + 6, behind + 16));
    at = behind + COLUMN_BYTES;
  }
  return columns.join('\0');
}
