import { SqlError } from '../errors/sql-error.js';
import { readSqlState, writeError } from '../protocol/backend-messages.js';
import type { Session } from './session.js';

/** Writes an error for the client and counts it; a buffer holds the ErrorResponse of a shard. */
export function writeClientError({ context, local }: Session, error: SqlError | Buffer): void {
  const { errors } = context.metrics;
  if (error instanceof SqlError) {
    errors.add(error.code, 'shardgate');
    writeError(local, error);
  } else {
    errors.add(readSqlState(error, 0, error.length), 'shard');
    local.bytes(error);
  }
}
