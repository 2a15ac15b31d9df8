import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { CopySplitter, type CopySink } from '../executor/copy/copy-splitter.js';
import type { FanOut } from '../executor/fan-out.js';
import type { CopyFromPlan } from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { CopyTarget } from './client-input.js';
import { CopyFill } from './copy-fill.js';
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
  const csvEndMarker = serverMajor(session) < 18;
  const splitter = new CopySplitter(plan, csvEndMarker);
  const sink = sinkOf(plan, backends);
  let failed = false;
  const fail = (error: SqlError): void => {
    failed = true;
    session.copyTarget = null;
    session.busy = true;
    fanOut.abort(errorBytes(error));
  };
  const guarded = (step: () => void): void => {
    if (failed) return;
    try {
      step();
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      fail(error);
    }
  };
  const push = (buffer: Buffer, start: number, end: number): void => {
    guarded(() => splitter.push(buffer, start, end, sink));
  };
  const end = (): void => {
    guarded(() => {
      splitter.finish(sink);
      for (const backend of backends) {
        backend.out.begin(Frontend.copyDone).end();
        backend.copyingIn = false;
        backend.requestFlush();
        backend.flush();
      }
    });
  };
  const fill =
    plan.fill === undefined
      ? null
      : new CopyFill(session, plan.fill, plan.format, csvEndMarker, {
          take: (bytes) => {
            if (bytes instanceof SqlError) fail(bytes);
            else push(bytes, 0, bytes.length);
          },
          end,
          isOver: () => session.operation !== fanOut || failed,
        });
  const target: CopyTarget = {
    raw: false,
    data: (buffer, start, end) => {
      if (fill === null) push(buffer, start, end);
      else fill.data(buffer, start, end);
    },
    done: () => {
      session.busy = true;
      if (fill === null) end();
      else guarded(() => fill.done());
    },
    fail: (reason) => {
      failed = true;
      session.busy = true;
      const message = `COPY from stdin failed: ${reason}`;
      fanOut.abort(errorBytes(sqlError('query_canceled', message)));
    },
    abort: () => {
      failed = true;
      fanOut.abort(errorBytes(sqlError('query_canceled', 'COPY was broken off')));
    },
    cutOff: () => {
      // Shards get whole messages only.
    },
  };
  session.copyTarget = target;
  session.busy = false;
  session.pump();
}

function sinkOf({ keyspace }: CopyFromPlan, backends: readonly BackendConnection[]): CopySink {
  const byShard = new Map(keyspace.shards.map((shard, i) => [shard, backends[i]!]));
  return {
    toShard: (shard, bytes, from, to) => {
      writeData(byShard.get(shard)!, bytes, from, to);
    },
    toAll: (bytes, from, to) => {
      for (const backend of backends) writeData(backend, bytes, from, to);
    },
  };
}

/** One shard waits for data, among other statements of a Query: every row is its own. */
export function receiveWholeCopy(session: Session, backend: BackendConnection): void {
  const end = (): void => {
    session.busy = true;
    backend.requestFlush();
    backend.flush();
  };
  session.copyTarget = {
    raw: false,
    data: (buffer, from, to) => {
      writeData(backend, buffer, from, to);
    },
    done: () => {
      backend.out.begin(Frontend.copyDone).end();
      backend.copyingIn = false;
      end();
    },
    fail: (reason) => {
      backend.failCopy(reason);
      end();
    },
    abort: () => {
      backend.failCopy('protocol violation');
      backend.flush();
    },
    cutOff: () => {
      // The shard gets whole messages only.
    },
  };
  session.busy = false;
  session.pump();
}

function writeData(backend: BackendConnection, bytes: Uint8Array, from: number, to: number): void {
  backend.out.begin(Frontend.copyData).bytes(bytes, from, to).end();
  if (backend.out.size >= COPY_WRITE_BYTES) backend.flush();
}
