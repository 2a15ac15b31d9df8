import type { BackendError } from '../backend/backend-error.js';
import type { BackendSink } from '../backend/postgres/backend-sink.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE } from '../backend/postgres/expected-replies.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { readTag } from '../protocol/backend-messages.js';
import type { UnitOfWork } from './unit-of-work.js';

/** What committing needs of a session. */
export interface CommitHost extends BackendSink {
  readonly work: UnitOfWork;
  /** How transactions that wrote on several shards are committed. */
  readonly crossShard: CrossShardPolicy;
  /** Participants that only read may fail to commit, and must not be the last to be asked. */
  readonly readersDecide: boolean;
  readonly local: { bytes(source: Uint8Array, start: number, end: number): unknown };
  /** Takes a ParameterStatus message, of which the client hears in front of the next ReadyForQuery. */
  readonly told: { read(buffer: Buffer, start: number, end: number): void };
  dropParticipant(backend: BackendConnection): void;
}

/** What became of the statements that a participant was asked to run. */
export type Answer =
  | { readonly kind: 'done'; readonly tag: string }
  /** `error`: an ErrorResponse message as the shard sent it. */
  | { readonly kind: 'failed'; readonly error: Buffer }
  /** The connection broke off: the statements may or may not have been run. */
  | { readonly kind: 'lost'; readonly error: BackendError };

export type CrossShardPolicy = 'two_phase' | 'best_effort' | 'refuse';

interface Question {
  /** Queries that have not been answered yet. */
  pending: number;
  tag: string;
  error: Buffer | null;
}

type Answers = ReadonlyMap<BackendConnection, Answer>;

/**
 * The backends of a transaction while it is being ended. They answer to this object instead of their session, so that
 * a commit which has begun goes on when its client vanishes: a session that closes leaves backends alone whose sink it
 * is not. `giveBack` returns them, to the session or, where there is none any more, to their pool.
 */
export class Participants implements BackendSink {
  private readonly host: CommitHost;
  private readonly held: Set<BackendConnection>;
  private readonly first: BackendConnection | undefined;
  private readonly open = new Map<BackendConnection, Question>();
  private answers = new Map<BackendConnection, Answer>();
  private onAnswer: (backend: BackendConnection, answer: Answer) => void = ignore;
  private onAll: (answers: Answers) => void = ignore;
  private readonly losses = new Map<BackendConnection, BackendError>();
  /** In an implicit transaction, which only BEGIN makes one that can be prepared. */
  private readonly implicit: Set<BackendConnection>;

  constructor(host: CommitHost) {
    this.host = host;
    this.held = new Set(host.work.participants);
    this.implicit = new Set(host.work.explicit ? [] : this.held);
    this.first = host.work.participants[0];
    for (const backend of this.held) backend.sink = this;
  }

  /** All that are still there, in the order they joined. */
  get all(): readonly BackendConnection[] {
    return [...this.held];
  }

  has(backend: BackendConnection): boolean {
    return this.held.has(backend);
  }

  /**
   * Sends each backend its statements, each a Query of its own, all in one write. `onAll` gets the answers in the order
   * they came; a backend that has been lost before is among them. One `ask` at a time.
   */
  ask(
    questions: ReadonlyMap<BackendConnection, readonly string[]>,
    onAll: (answers: Answers) => void,
    onAnswer: (backend: BackendConnection, answer: Answer) => void = ignore,
  ): void {
    this.onAll = onAll;
    this.onAnswer = onAnswer;
    const answers = new Map<BackendConnection, Answer>();
    this.answers = answers;
    for (const [backend, statements] of questions) {
      const lost = this.losses.get(backend);
      if (lost !== undefined) answers.set(backend, { kind: 'lost', error: lost });
      else this.open.set(backend, { pending: statements.length, tag: '', error: null });
    }
    const asked = [...this.open.keys()];
    for (const backend of asked) {
      for (const sql of questions.get(backend)!) {
        backend.query(this.implicit.delete(backend) ? `BEGIN;${sql}` : sql, CAPTURE);
      }
      backend.flush();
    }
    if (asked.length === 0) onAll(answers);
  }

  /** The end for these, or for all: nothing is asked any more. */
  giveBack(backends: Iterable<BackendConnection> = this.held): void {
    for (const backend of [...backends]) {
      if (!this.held.delete(backend)) continue;
      if (this.host.work.participants.includes(backend)) backend.sink = this.host;
      else backend.owner.release(backend);
    }
  }

  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === Backend.commandComplete) {
      const question = this.open.get(backend);
      if (question !== undefined) question.tag = readTag(buffer, start, end);
      return;
    }
    // Triggers may have something to say wherever they ran; parameters change everywhere alike.
    const forClient =
      type === Backend.noticeResponse ||
      (type === Backend.parameterStatus && backend === this.first);
    if (forClient && this.host.work.participants.includes(backend)) {
      if (type === Backend.parameterStatus) this.host.told.read(buffer, start, end);
      else this.host.local.bytes(buffer, start, end);
    }
  }

  capturedData(): boolean {
    // No statement of ours answers with rows that matter.
    return true;
  }

  failed(
    backend: BackendConnection,
    _action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const question = this.open.get(backend);
    if (question !== undefined) question.error ??= Buffer.from(buffer.subarray(start, end));
  }

  ready(backend: BackendConnection, _status: number, action: number): void {
    const question = this.open.get(backend);
    // The BEGIN of a backend that joined last may be answered only now.
    if (question === undefined || action !== CAPTURE) return;
    question.pending--;
    if (question.pending > 0) return;
    const { error, tag } = question;
    this.close(backend, error === null ? { kind: 'done', tag } : { kind: 'failed', error });
  }

  closed(backend: BackendConnection, error: BackendError): void {
    this.held.delete(backend);
    this.losses.set(backend, error);
    this.host.dropParticipant(backend);
    backend.owner.lost(backend);
    // An error that the server sent before it hung up says why, not how far it got.
    if (this.open.has(backend)) this.close(backend, { kind: 'lost', error });
  }

  pass(): boolean {
    // Everything is captured.
    return true;
  }

  copyInStarted(backend: BackendConnection): void {
    backend.failCopy('not asked for');
    backend.flush();
  }

  drained(): void {
    // Small statements.
  }

  settled(): void {
    // ReadyForQuery says it.
  }

  private close(backend: BackendConnection, answer: Answer): void {
    this.open.delete(backend);
    this.answers.set(backend, answer);
    this.onAnswer(backend, answer);
    if (this.open.size === 0) this.onAll(this.answers);
  }
}

/** The error of an answer, as a client gets it; null: there is none. */
export function errorOf(answer: Answer): Buffer | null {
  if (answer.kind === 'done') return null;
  return answer.kind === 'failed' ? answer.error : errorBytes(answer.error.toSqlError());
}

function ignore(): void {
  // Not asked for.
}
