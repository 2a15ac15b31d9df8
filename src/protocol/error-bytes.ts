import type { SqlError } from '../errors/sql-error.js';
import { writeError } from './backend-messages.js';
import { Writer } from './writer.js';

/** The ErrorResponse message of an error, ready to send or keep. */
export function errorBytes(error: SqlError): Buffer {
  const writer = new Writer(512);
  writeError(writer, error);
  return writer.take();
}
