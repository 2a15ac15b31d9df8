import type { BackendConnection } from '../backend/postgres/connection.js';
import { Frontend } from '../protocol/codes.js';
import type { CopyTarget } from './client-input.js';
import type { Session } from './session.js';

/** COPY FROM STDIN on one shard has begun: messages go there as they are. */
export function startPassThroughCopy(session: Session, backend: BackendConnection): void {
  session.copyTarget = passThroughCopy(backend, () => {
    // The COPY's own answers are still to come; a simple query waits for them, a pipeline goes on.
    if (!session.extended.inBatch) session.busy = true;
  });
  session.busy = false;
  // What the client has sent already may end the session: the chunk that is being walked goes before that.
  queueMicrotask(() => {
    if (!session.busy) session.pump();
  });
}

/** `onEnd`: the data is complete or has failed. */
function passThroughCopy(backend: BackendConnection, onEnd: () => void): CopyTarget {
  return {
    raw: true,
    data: (buffer, start, end) => {
      backend.writeThrough(buffer.subarray(start, end));
    },
    done: () => {
      backend.out.begin(Frontend.copyDone).end();
      backend.copyingIn = false;
      onEnd();
    },
    fail: (buffer, start, end) => {
      passCopyFail(backend, buffer, start, end);
      onEnd();
    },
    abort: () => {
      backend.failCopy('protocol violation');
      backend.flush();
    },
    // Only the shard counts its lines.
    where: () => undefined,
    cutOff: (missing) => {
      // Else the server would take the next statements for the rest of the message.
      for (let left = missing; left > 0; left -= FILLER.length) {
        backend.writeThrough(left < FILLER.length ? FILLER.subarray(0, left) : FILLER);
      }
    },
  };
}

/** The client's CopyFail, for the shard to judge. */
export function passCopyFail(
  backend: BackendConnection,
  message: Buffer,
  start: number,
  end: number,
): void {
  backend.out.bytes(message, start, end);
  backend.copyingIn = false;
}

const FILLER = new Uint8Array(64 * 1024);
