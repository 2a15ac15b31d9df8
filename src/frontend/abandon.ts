import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError, sqlError } from '../errors/sql-error.js';
import type { Session } from './session.js';

/**
 * Gives back the backends of a session that ends, in whatever state they are: what runs is cancelled, what is open is
 * rolled back.
 * @param cutOff a message of copy data has been sent in part, so that nothing else can follow it
 */
export function abandonAll(session: Session, cutOff: boolean): void {
  const { participants } = session.work;
  for (const backend of participants) {
    // A commit that has begun goes on without its client, and gives its backends back itself.
    if (backend.sink !== session) continue;
    if (cutOff && backend.copyingIn) backend.owner.discard(backend);
    else if (backend.free && backend.out.size === 0) backend.owner.release(backend);
    else backend.owner.abandon(backend);
  }
  participants.length = 0;
}

/** Ends a session whose answer could not be handled, by a fault of ours, or since a shard differs. */
export function endAtFault(session: Session, backend: BackendConnection, error: unknown): void {
  session.dropParticipant(backend);
  backend.owner.lost(backend);
  if (!(error instanceof SqlError)) {
    endByFault(session, error);
    return;
  }
  const { state, message, detail, hint } = error;
  session.sendFatal(sqlError(state, message, { detail, hint, severity: 'FATAL' }));
}

/** Ends a session, and nobody else's, for a fault of ours. */
export function endByFault(session: Session, error: unknown): void {
  session.logger.error({ err: error }, 'session failed');
  session.fatal('internal_error', 'internal error; the session ends');
}
