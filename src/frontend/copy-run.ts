import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { CopySplitter, type CopySink } from '../executor/copy/copy-splitter.js';
import type { RowLines } from '../executor/copy/row-lines.js';
import type { FanOut } from '../executor/fan-out.js';
import type { CopyFromPlan } from '../planner/plan.js';
import { Frontend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { readCopyFail } from '../protocol/frontend-messages.js';
import { utf8Error } from '../vindex/values/utf8.js';
import type { CopyTarget } from './client-input.js';
import type { CopyDataTarget } from './copy-batches.js';
import { CopyFill } from './copy-fill.js';
import { CopyKeys } from './copy-keys.js';
import { passCopyFail } from './pass-through-copy.js';
import type { Session } from './session.js';

/** Copy data is collected per shard up to this before it is written: one system call for many rows. */
const COPY_WRITE_BYTES = 32 * 1024;

function serverMajor(session: Session): number {
  return Number.parseInt(session.context.serverParameters().get('server_version') ?? '', 10);
}

/** Every shard waits for data: the client's rows go to where they belong. `lines` learns which these are. */
export function receiveCopy(
  session: Session,
  plan: CopyFromPlan,
  fanOut: FanOut,
  backends: readonly BackendConnection[],
  lines: RowLines,
): void {
  const csvEndMarker = serverMajor(session) < 18;
  const splitter = new CopySplitter(plan, csvEndMarker, lines);
  const sink = sinkOf(plan, backends);
  let failed = false;
  const fail = (error: SqlError): void => {
    failed = session.busy = true;
    session.copyTarget = null;
    fanOut.abort(errorBytes(inCopy(error, plan, lines)));
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
  const ahead = workAhead(session, plan, csvEndMarker, {
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
      if (ahead === null) push(buffer, start, end);
      else ahead.data(buffer, start, end);
    },
    done: () => {
      session.busy = true;
      if (ahead === null) end();
      else guarded(() => ahead.done());
    },
    fail: (buffer, start, end) => {
      session.busy = true;
      if (plan.key !== null) fail(givenUp(buffer, start, end));
      // All have got the same lines, so each says what one Postgres would.
      else for (const backend of backends) giveUp(backend, buffer, start, end);
    },
    abort: () => {
      failed = true;
      fanOut.abort(errorBytes(sqlError('query_canceled', 'COPY was broken off')));
    },
    where: () => (plan.key === null ? undefined : contextOf(plan, lines)),
    cutOff: () => {
      // Shards get whole messages only.
    },
  };
  session.copyTarget = target;
  session.busy = false;
  session.pump();
}

/** What is done with data before it is split; null: nothing. */
function workAhead(
  session: Session,
  plan: CopyFromPlan,
  csvEndMarker: boolean,
  target: CopyDataTarget,
): CopyFill | CopyKeys | null {
  const { fill, key } = plan;
  if (fill !== undefined) return new CopyFill(session, fill, plan, csvEndMarker, target);
  const directory = key?.directory;
  if (directory === undefined) return null;
  return new CopyKeys(session, plan, directory, csvEndMarker, target);
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
    fail: (buffer, from, to) => {
      giveUp(backend, buffer, from, to);
      session.busy = true;
    },
    abort: () => {
      backend.failCopy('protocol violation');
      backend.flush();
    },
    where: () => undefined,
    cutOff: () => {
      // The shard gets whole messages only.
    },
  };
  session.busy = false;
  session.pump();
}

/** The client's CopyFail, for a shard to judge. */
function giveUp(backend: BackendConnection, message: Buffer, start: number, end: number): void {
  passCopyFail(backend, message, start, end);
  backend.requestFlush();
  backend.flush();
}

/** What a server says to a CopyFail. */
function givenUp(message: Buffer, start: number, end: number): SqlError {
  let reason: Buffer;
  try {
    reason = readCopyFail(message, start, end);
  } catch (error) {
    if (error instanceof SqlError) return error;
    throw error;
  }
  const refused = utf8Error(reason, 0, reason.length);
  if (refused === null)
    return sqlError('query_canceled', `COPY from stdin failed: ${reason.toString()}`);
  const what = `invalid byte sequence for encoding "UTF8": ${refused}`;
  return sqlError('character_not_in_repertoire', what);
}

function inCopy(error: SqlError, plan: CopyFromPlan, lines: RowLines): SqlError {
  const { state, message, detail, hint } = error;
  const line = contextOf(plan, lines);
  const where = error.where === undefined ? line : `${line}, ${error.where}`;
  return sqlError(state, message, { detail, hint, where });
}

/** Where the data is, as PostgreSQL says it (CopyFromErrorCallback). */
function contextOf({ table }: CopyFromPlan, lines: RowLines): string {
  return `COPY ${table}, line ${lines.current}`;
}

function writeData(backend: BackendConnection, bytes: Uint8Array, from: number, to: number): void {
  backend.out.begin(Frontend.copyData).bytes(bytes, from, to).end();
  if (backend.out.size >= COPY_WRITE_BYTES) backend.flush();
}
