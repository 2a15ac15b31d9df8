import { sqlError, type SqlError } from '../errors/sql-error.js';
import { readErrorFields } from '../protocol/backend-messages.js';
import { errorBytes } from '../protocol/error-bytes.js';

/** The client has cancelled it, in the words of PostgreSQL. */
export function cancelError(): SqlError {
  return sqlError('query_canceled', 'canceling statement due to user request');
}

/** More would be brought together than the configuration allows. */
export function memoryError(bytesMax: number): SqlError {
  return sqlError('out_of_memory', 'the rows that this statement brings together are too many', {
    detail: `They exceed limits.gather_memory (${bytesMax} bytes).`,
    hint: 'Add conditions, join on the shard key, or raise limits.gather_memory.',
  });
}

/** More rows than the configuration allows. */
export function rowsError(rowsMax: number): SqlError {
  return sqlError('out_of_memory', 'the rows that this statement brings together are too many', {
    detail: `They exceed limits.gather_rows (${rowsMax}).`,
    hint: 'Add conditions, join on the shard key, or raise limits.gather_rows.',
  });
}

/** It has taken longer than the configuration allows. */
export function timeError(timeMs: number): SqlError {
  return sqlError(
    'program_limit_exceeded',
    'this statement takes too long to bring rows together',
    {
      detail: `It exceeds limits.gather_timeout (${timeMs} ms).`,
      hint: 'Add conditions, join on the shard key, or raise limits.gather_timeout.',
    },
  );
}

/** The final statement would not give what the client was told. */
export function shapeError(): Buffer {
  return errorBytes(
    sqlError(
      'feature_not_supported',
      'this statement cannot be answered over several shards: its columns would change their types',
      { hint: 'Cast the columns of the result to their types.' },
    ),
  );
}

/**
 * What the client gets where a temporary table cannot be made, for reasons that only this way of
 * answering has; null: the server's own error is to the point.
 */
export function tableError(buffer: Buffer, start: number, end: number): Buffer | null {
  const fields = readErrorFields(buffer, start, end);
  const reason = fields.get('M') ?? '';
  const hint = HINTS.get(fields.get('C') ?? '');
  if (hint === undefined) return null;
  const message = 'this statement needs temporary tables to be answered over several shards';
  return errorBytes(sqlError('feature_not_supported', message, { detail: reason, hint }));
}

/** By SQLSTATE. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ['25006', 'Use a transaction that may write, or bind the shard key.'],
  [
    '42501',
    'Grant TEMPORARY on the database, or read less than 1000 rows of each table and shard.',
  ],
  ['42P16', 'Name the columns of the result one by one, and give each a type.'],
]);
