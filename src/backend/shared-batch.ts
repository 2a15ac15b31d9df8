import { performance } from 'node:perf_hooks';
import { assert } from '../util/assert.js';
import type { SqlError } from '../errors/sql-error.js';
import type { ShapeUsage } from '../metrics/shape-usage.js';
import type { Pace } from '../util/pace.js';
import type { BackendError } from './backend-error.js';
import { Expect, PASS } from './postgres/expected-replies.js';
import type { BackendSink } from './postgres/backend-sink.js';
import type { BackendConnection } from './postgres/connection.js';
import { endTimer } from './postgres/statement-timer.js';

/** A session whose statement runs in a batch. Everything said of a backend concerns its own statement only. */
export interface BatchMember
  extends Pick<BackendSink, 'pass' | 'failed' | 'closed'>, Required<Pick<BackendSink, 'crashed'>> {
  readonly pace: Pace;
  /** Where its statement's time and rows are counted; null: nowhere. */
  readonly usage: ShapeUsage | null;
  /** ReadyForQuery: the answer is complete, and the backend somebody else's. */
  answered(status: number): void;
  /**
   * Its statement is to run again, alone: nothing of its answer has been passed on. `error`: it is to fail with this
   * instead.
   */
  runAgain(error: SqlError | null): void;
}

/**
 * Reads of several sessions on their way to one backend in one write. Each is a transaction of its own with a
 * ReadyForQuery of its own, which tells where one answer ends and the next member's begins.
 *
 *   members:  | A | B | C |        answers:  | A .. Z | B .. Z | C .. Z |
 *               ^ next: whose answer comes now; nobody behind it has got anything yet
 *
 * Whoever would have to wait for the member in front (it is slow, its client does not read, it is cancelled, it has
 * gone) runs again elsewhere: reads may run twice.
 */
export class SharedBatch implements BackendSink {
  readonly backend: BackendConnection;
  /** Null: its client has gone. */
  private readonly members: (BatchMember | null)[] = [];
  private next = 0;
  private isSent = false;
  /** When the server got to the statement that it answers now, on the clock of `performance`. */
  private since = 0;

  private readonly onShut: (batch: SharedBatch) => void;

  /** @param onShut nobody may join any more, though it has not been sent */
  constructor(backend: BackendConnection, onShut: (batch: SharedBatch) => void) {
    this.backend = backend;
    this.onShut = onShut;
  }

  get size(): number {
    return this.members.length;
  }

  /** Writes a Query message. */
  query(buffer: Buffer, start: number, end: number): void {
    const { backend } = this;
    backend.out.bytes(buffer, start, end);
    backend.expect(Expect.query, PASS);
  }

  /** Its messages have been written to the backend's `out`, the last of them Query or Sync. */
  join(member: BatchMember): void {
    this.members.push(member);
  }

  send(): void {
    this.isSent = true;
    this.since = this.backend.startedAt = performance.now();
    this.backend.timed = this.first?.usage ?? null;
    this.backend.flush();
  }

  /** A member has waited since before `time` for the one in front of it. */
  isLate(time: number): boolean {
    return this.isSent && this.members.length - this.next > 1 && this.since < time;
  }

  /** Those behind the one that is answered now run again. */
  disband(): void {
    if (!this.isSent) {
      this.onShut(this);
      this.send();
    }
    const behind = this.members.splice(this.next + 1);
    if (this.first === null) {
      this.reset();
      this.backend.owner.abandon(this.backend);
    }
    for (const member of behind) member?.runAgain(null);
  }

  /** The one that is answered now; null: nobody, or its client has gone. */
  get first(): BatchMember | null {
    return this.members[this.next] ?? null;
  }

  /** Its client has gone. */
  leave(member: BatchMember): void {
    const at = this.members.indexOf(member, this.next);
    this.members[at] = null;
    if (at === this.next) this.disband();
  }

  /** Its client wants its statement cancelled, and nobody else's. */
  cancel(member: BatchMember, error: SqlError): void {
    const at = this.members.indexOf(member, this.next);
    if (at === this.next) {
      this.disband();
      this.backend.cancel();
      return;
    }
    this.members[at] = null;
    member.runAgain(error);
  }

  // ---------------------------------------------------------------- answers

  pass(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    return this.members[this.next]?.pass(backend, buffer, start, end) ?? true;
  }

  failed(
    backend: BackendConnection,
    action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.members[this.next]?.failed(backend, action, buffer, start, end);
  }

  ready(backend: BackendConnection, status: number): void {
    endTimer(backend);
    const member = this.members[this.next++]!;
    if (this.next < this.members.length) {
      this.since = backend.startedAt = performance.now();
      backend.timed = this.first?.usage ?? null;
    } else {
      this.reset();
      // Where some have run again elsewhere their answers are still to come: then it is cancelled.
      backend.owner.release(backend);
    }
    member?.answered(status);
  }

  closed(backend: BackendConnection, error: BackendError): void {
    this.end(backend, (first) => first.closed(backend, error));
  }

  crashed(backend: BackendConnection, error: unknown): void {
    this.end(backend, (first) => first.crashed(backend, error));
  }

  /** The connection is gone, which is told to the one that it was answering. */
  private end(backend: BackendConnection, tell: (first: BatchMember) => void): void {
    const { first } = this;
    const behind = this.members.splice(this.next + 1);
    if (!this.isSent) this.onShut(this);
    this.reset();
    if (first === null) backend.owner.lost(backend);
    else tell(first);
    for (const member of behind) member?.runAgain(null);
  }

  captured(): void {
    assert(false, 'nothing is captured in a batch');
  }

  capturedData(): boolean {
    return true;
  }

  copyInStarted(): void {
    assert(false, 'no COPY runs in a batch');
  }

  drained(): void {
    // Nobody feeds it.
  }

  settled(): void {
    // Nobody waits for it.
  }

  private reset(): void {
    const { members } = this;
    while (members.length > 0) members.pop();
    this.next = 0;
    this.isSent = false;
  }
}
