import type { BackendConnection } from '../../backend/postgres/connection.js';
import type { BackendError } from '../../backend/backend-error.js';
import { CAPTURE } from '../../backend/postgres/expected-replies.js';
import type { PreparedText } from '../../backend/postgres/prepared-text.js';
import { errorBytes } from '../../protocol/error-bytes.js';
import { Backend } from '../../protocol/codes.js';
import { readInt32 } from '../../protocol/framing.js';
import { QuietOperation } from '../../transaction/operation.js';
import { RepeatedCancel } from '../repeated-cancel.js';
import { withoutPosition } from '../../protocol/error-position.js';

/** A statement that one shard is asked for its plan of. */
export interface Question {
  readonly backend: BackendConnection;
  /** An EXPLAIN statement with the client's parameters. */
  readonly text: PreparedText;
}

export interface ShardPlansOptions {
  /** Bind from behind the statement's name: the client's values, results as text. */
  readonly bind: Buffer;
  readonly endsWithSync: boolean;
  /** The answers in the order of the questions, each as lines of text; or the first error. */
  readonly onDone: (answers: readonly string[][] | Buffer) => void;
}

interface Branch {
  readonly backend: BackendConnection;
  /** Places of its questions; answered in this order. */
  readonly questions: number[];
  next: number;
  done: boolean;
}

/** Asks shards for their own plans, all at once. */
export class ShardPlans extends QuietOperation {
  private readonly branches = new Map<BackendConnection, Branch>();
  private readonly answers: string[][];
  private readonly options: ShardPlansOptions;
  private readonly questions: readonly Question[];
  /** The row that has not come whole, by backend. */
  private readonly cutOff = new Map<BackendConnection, Buffer>();
  private error: Buffer | null = null;
  /** Of what is broken off. */
  private cancels: RepeatedCancel | null = null;

  constructor(questions: readonly Question[], options: ShardPlansOptions) {
    super();
    this.questions = questions;
    this.options = options;
    this.answers = questions.map(() => []);
    questions.forEach(({ backend }, i) => {
      const branch = this.branches.get(backend);
      if (branch !== undefined) branch.questions.push(i);
      else {
        const first = { backend, questions: [i], next: 0, done: false };
        this.branches.set(backend, first);
      }
    });
  }

  /** Sends the questions; this must be the session's operation already. */
  start(): void {
    const { bind, endsWithSync } = this.options;
    if (this.questions.length === 0) queueMicrotask(() => this.options.onDone([]));
    for (const { backend, questions } of this.branches.values()) {
      for (const i of questions) {
        backend.statements.runUnnamed(this.questions[i]!.text, bind, false);
      }
      if (endsWithSync) backend.sync(CAPTURE);
      else backend.requestFlush();
      backend.flush();
    }
  }

  override captured(backend: BackendConnection, type: number): void {
    if (type !== Backend.commandComplete) return;
    const branch = this.branches.get(backend)!;
    branch.next++;
    if (branch.next === branch.questions.length && !this.options.endsWithSync) this.finish(branch);
  }

  override capturedData(
    backend: BackendConnection,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    const before = this.cutOff.get(backend);
    this.cutOff.delete(backend);
    const bytes =
      before === undefined
        ? buffer.subarray(start, end)
        : Buffer.concat([before, buffer.subarray(start, end)]);
    const branch = this.branches.get(backend)!;
    const answer = this.answers[branch.questions[branch.next] ?? -1];
    let at = 0;
    while (bytes.length - at >= 5) {
      const next = at + 1 + readInt32(bytes, at + 1);
      if (next > bytes.length) break;
      // One column of text: D, length, column count, value length, value.
      answer?.push(bytes.toString('utf8', at + 11, next));
      at = next;
    }
    if (at < bytes.length) this.cutOff.set(backend, Buffer.from(bytes.subarray(at)));
    return true;
  }

  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    this.fail(this.branches.get(backend)!, withoutPosition(buffer, start, end));
  }

  lost(backend: BackendConnection, error: BackendError): void {
    const branch = this.branches.get(backend);
    if (branch === undefined) return;
    this.fail(branch, errorBytes(error.toSqlError()));
    this.finish(branch);
  }

  ready(backend: BackendConnection): void {
    const branch = this.branches.get(backend);
    if (branch !== undefined) this.finish(branch);
  }

  private fail(failed: Branch, error: Buffer): void {
    if (this.error === null) {
      this.error = error;
      this.cancels = new RepeatedCancel([...this.branches.keys()]);
      this.cancels.start(() => {
        for (const branch of this.branches.values()) {
          if (branch !== failed && !branch.done) branch.backend.cancel();
        }
      });
    }
    if (!this.options.endsWithSync) this.finish(failed);
  }

  private finish(branch: Branch): void {
    if (branch.done) return;
    branch.done = true;
    if (![...this.branches.values()].every((each) => each.done)) return;
    const report = (): void => this.options.onDone(this.error ?? this.answers);
    if (this.cancels === null) report();
    else this.cancels.settle(report);
  }
}
