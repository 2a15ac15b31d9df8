import type { BackendConnection } from '../backend/postgres/connection.js';
import { Frontend } from '../protocol/codes.js';
import type { CopyTarget } from './client-input.js';

/** COPY FROM STDIN on one shard: messages go there as they are. `onEnd`: the data is complete or has failed. */
export function passThroughCopy(backend: BackendConnection, onEnd: () => void): CopyTarget {
  return {
    raw: true,
    data: (buffer, start, end) => backend.writeThrough(buffer.subarray(start, end)),
    done: () => {
      backend.out.begin(Frontend.copyDone).end();
      backend.copyingIn = false;
      onEnd();
    },
    fail: (reason) => {
      backend.failCopy(reason);
      onEnd();
    },
    abort: () => {
      backend.failCopy('protocol violation');
      backend.flush();
    },
  };
}
