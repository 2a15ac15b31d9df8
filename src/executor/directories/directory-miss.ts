import { sqlError, type SqlError } from '../../errors/sql-error.js';

const misses = new WeakSet<SqlError>();

/**
 * A key whose shard the proxy does not have at hand: its directory must be asked. Who can wait does that; elsewhere it
 * is what the client is told.
 */
export function directoryMiss(column: string): SqlError {
  const error = sqlError(
    'feature_not_supported',
    `the shard of a value of shard key "${column}" is not known yet`,
    {
      detail: 'Its directory cannot be asked in the middle of this statement.',
      hint: 'INSERT a row with this key by VALUES, or SELECT by it, and try again.',
    },
  );
  misses.add(error);
  return error;
}

export function isDirectoryMiss(error: unknown): boolean {
  return misses.has(error as SqlError);
}
