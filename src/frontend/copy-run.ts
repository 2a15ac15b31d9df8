import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { CopySplitter, type CopySink } from '../executor/copy/copy-splitter.js';
import type { FanOut } from '../executor/fan-out.js';
import type { CopyFromPlan } from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Session } from './session.js';

/** Copy data is collected per shard up to this before it is written: one system call for many rows. */
const COPY_WRITE_BYTES = 32 * 1024;

function serverMajor(session: Session): number {
  return Number.parseInt(session.context.serverParameters().get('server_version') ?? '', 10);
}

/** Every shard waits for data: the client's rows go to where they belong. */
export function receiveCopy(
  session: Session,
  plan: CopyFromPlan,
  fanOut: FanOut,
  backends: readonly BackendConnection[],
): void {
  const splitter = new CopySplitter(plan, serverMajor(session) < 18);
  const byShard = new Map(plan.keyspace.shards.map((shard, i) => [shard, backends[i]!]));
  const write = (backend: BackendConnection, bytes: Uint8Array, from: number, to: number): void => {
    backend.out.begin(Frontend.copyData).bytes(bytes, from, to).end();
    if (backend.out.size >= COPY_WRITE_BYTES) backend.flush();
  };
  const sink: CopySink = {
    toShard: (shard, bytes, from, to) => {
      write(byShard.get(shard)!, bytes, from, to);
    },
    toAll: (bytes, from, to) => {
      for (const backend of backends) write(backend, bytes, from, to);
    },
  };
  const guarded = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      session.copyTarget = null;
      session.busy = true;
      fanOut.abort(errorBytes(error));
    }
  };
  session.copyTarget = {
    raw: false,
    data: (buffer, start, end) => {
      guarded(() => splitter.push(buffer, start, end, sink));
    },
    done: () => {
      session.busy = true;
      guarded(() => {
        splitter.finish(sink);
        for (const backend of backends) {
          backend.out.begin(Frontend.copyDone).end();
          backend.copyingIn = false;
          backend.requestFlush();
          backend.flush();
        }
      });
    },
    fail: (reason) => {
      session.busy = true;
      const message = `COPY from stdin failed: ${reason}`;
      fanOut.abort(errorBytes(sqlError('query_canceled', message)));
    },
    abort: () => {
      fanOut.abort(errorBytes(sqlError('query_canceled', 'COPY was broken off')));
    },
    cutOff: () => {
      // Shards get whole messages only.
    },
  };
  session.busy = false;
  session.pump();
}
