import type { BackendError } from '../backend/backend-error.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';

/** What a client gets whose shard was asked to commit, or for a write that commits by itself, and never answered. */
export function unknownOutcome(error: BackendError): SqlError {
  const message = `shard "${error.shard}" was lost while it committed: ${error.message}`;
  return sqlError('transaction_resolution_unknown', message, {
    hint: 'The transaction may or may not have been committed; look before repeating it.',
  });
}
