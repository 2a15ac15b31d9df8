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
