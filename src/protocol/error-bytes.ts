import type { SqlError } from '../errors/sql-error.js';
import { readErrorFields, writeError } from './backend-messages.js';
import { Backend } from './codes.js';
import { Writer } from './writer.js';

/** The ErrorResponse message of an error, ready to send or keep. */
export function errorBytes(error: SqlError): Buffer {
  const writer = new Writer(512);
  writeError(writer, error);
  return writer.take();
}

/** A copy of an ErrorResponse as one that ends the session. */
export function fatalError(buffer: Buffer, start: number, end: number): Buffer {
  const writer = new Writer(512).begin(Backend.errorResponse);
  for (const [letter, value] of readErrorFields(buffer, start, end)) {
    const isSeverity = letter === 'S' || letter === 'V';
    writer.byte(letter.charCodeAt(0)).cstring(isSeverity ? 'FATAL' : value);
  }
  return writer.byte(0).end().take();
}
