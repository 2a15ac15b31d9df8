import { sqlError, SqlError } from '../errors/sql-error.js';
import { writeError } from '../protocol/backend-messages.js';
import { Frontend } from '../protocol/codes.js';
import { readNothing } from '../protocol/frontend-messages.js';
import { endByFault } from './abandon.js';
import type { CopyTarget } from './client-input.js';
import type { ExtendedQuery } from './extended-query.js';
import { FunctionCalls } from './function-calls.js';
import type { Session } from './session.js';
import type { SimpleQuery } from './simple-query.js';

/** Hands each message of a client to who handles it, and turns what they throw into an answer. */
export class Dispatcher {
  private readonly session: Session;
  private readonly simple: SimpleQuery;
  private readonly extended: ExtendedQuery;
  private readonly functions: FunctionCalls;

  constructor(session: Session, simple: SimpleQuery, extended: ExtendedQuery) {
    this.session = session;
    this.simple = simple;
    this.extended = extended;
    this.functions = new FunctionCalls(session);
  }

  /** False: the message must wait, and is handed in again. */
  dispatch(type: number, buffer: Buffer, start: number, end: number): boolean {
    const { session } = this;
    try {
      if (session.copyTarget !== null) {
        this.dispatchInCopy(session.copyTarget, type, buffer, start, end);
        return true;
      }
      return this.handle(type, buffer, start, end);
    } catch (error) {
      return this.onThrown(type, error);
    }
  }

  /** The client gets an SqlError; anything else is a fault of ours and ends this session only. */
  onThrown(type: number, error: unknown): boolean {
    const { session } = this;
    if (!(error instanceof SqlError)) {
      endByFault(session, error);
      return true;
    }
    if (error.severity === 'FATAL') {
      session.sendFatal(error);
      return true;
    }
    if (type === Frontend.query || type === Frontend.functionCall) return this.simple.refuse(error);
    return this.extended.refuse(error);
  }

  private handle(type: number, buffer: Buffer, start: number, end: number): boolean {
    const { extended, simple, session } = this;
    switch (type) {
      case Frontend.query:
        if (extended.skipping) return true;
        return extended.endBeforeQuery() && simple.query(buffer, start, end);
      case Frontend.parse:
        return extended.parse(buffer, start, end);
      case Frontend.bind:
        return extended.bind(buffer, start, end);
      case Frontend.describe:
        return extended.describe(buffer, start, end);
      case Frontend.execute:
        return extended.execute(buffer, start, end);
      case Frontend.close:
        return extended.close(buffer, start, end);
      case Frontend.flush:
        if (!extended.skipping) readNothing(start, end);
        return extended.flush();
      case Frontend.sync:
        if (end - start > 5 && !extended.skipping) this.refuseSync(start, end);
        return !session.busy && extended.sync();
      case Frontend.terminate:
        session.hangUp();
        return true;
      case Frontend.copyDone:
      case Frontend.copyFail:
        // Left over from a COPY that has failed.
        return true;
      case Frontend.functionCall:
        if (extended.skipping) return true;
        return extended.endBeforeQuery() && this.functions.call(buffer, start, end);
      default:
        session.fatal('protocol_violation', `invalid frontend message type ${type}`);
        return true;
    }
  }

  /** What should be a Sync is an error of the pipeline, and ends it all the same. */
  private refuseSync(start: number, end: number): void {
    try {
      readNothing(start, end);
    } catch (error) {
      this.onThrown(Frontend.sync, error);
    }
  }

  private dispatchInCopy(
    target: CopyTarget,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const { session } = this;
    // Servers ignore these two while they take copy data.
    if (type === Frontend.flush || type === Frontend.sync) return;
    session.copyTarget = null;
    if (type === Frontend.copyDone) target.done();
    else if (type === Frontend.copyFail) target.fail(buffer, start, end);
    else {
      const what = `unexpected message type 0x${type.toString(16)} during COPY from stdin`;
      this.breakOff(target, sqlError('protocol_violation', what, { where: target.where() }));
    }
  }

  /** A message that cannot be one: where the next begins is not known. */
  outOfSync(): void {
    const { copyTarget } = this.session;
    if (copyTarget === null) this.session.hangUp();
    else {
      const what = 'unexpected EOF on client connection with an open transaction';
      this.breakOff(copyTarget, sqlError('connection_failure', what));
    }
  }

  private breakOff(target: CopyTarget, error: SqlError): void {
    const { session } = this;
    session.copyTarget = null;
    target.abort();
    writeError(session.local, error);
    session.fatal(
      'protocol_violation',
      'terminating connection because protocol synchronization was lost',
    );
  }
}
