import type { BackendConnection } from '../backend/postgres/connection.js';
import { Frontend } from '../protocol/codes.js';
import type { CopyTarget } from './client-input.js';

/** COPY FROM STDIN on one shard: messages go there as they are. `onEnd`: the data is complete or has failed. */
export function passThroughCopy(backend: BackendConnection, onEnd: () => void): CopyTarget {
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
