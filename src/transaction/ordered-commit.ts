import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import { readErrorFields } from '../protocol/backend-messages.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Outcome } from './operation.js';
import { errorOf, type Answer, type Participants } from './participants.js';

const COMMIT = ['COMMIT'];
const ROLLBACK = ['ROLLBACK'];

/**
 * Commits one participant after the other, writers first. With one writer that is atomic: what it says is the outcome,
 * and readers have nothing to lose. With several it is best effort: a failure before any has committed rolls all back,
 * a later one leaves the transaction in parts and is answered with 08007, naming them.
 */
export class OrderedCommit {
  private readonly participants: Participants;
  private readonly writers: readonly BackendConnection[];
  private readonly done: (outcome: Outcome) => void;
  private readonly committed: BackendConnection[] = [];
  /** Writers that have been asked: their transactions are over, one way or the other. */
  private readonly asked = new Set<BackendConnection>();
  private tag = 'COMMIT';

  private constructor(
    participants: Participants,
    writers: readonly BackendConnection[],
    done: (outcome: Outcome) => void,
  ) {
    this.participants = participants;
    this.writers = writers;
    this.done = done;
  }

  static run(
    participants: Participants,
    writers: readonly BackendConnection[],
    done: (outcome: Outcome) => void,
  ): void {
    const commit = new OrderedCommit(participants, writers, done);
    if (writers.length === 0) commit.commitReaders();
    else commit.next();
  }

  private next(): void {
    const writer = this.writers[this.committed.length];
    if (writer === undefined) {
      this.endRest(COMMIT, { ok: true, tag: this.tag });
      return;
    }
    this.asked.add(writer);
    this.participants.ask(new Map([[writer, COMMIT]]), (answers) => {
      this.onAnswer(writer, answers.get(writer)!);
    });
  }

  private onAnswer(writer: BackendConnection, answer: Answer): void {
    if (answer.kind === 'done' && answer.tag === 'COMMIT') {
      this.committed.push(writer);
      this.next();
      return;
    }
    const untouched = this.committed.length === 0;
    if (untouched && answer.kind === 'done') {
      // The shard's part had failed, so that its COMMIT was a ROLLBACK; Postgres does not call that an error.
      this.endRest(ROLLBACK, { ok: true, tag: answer.tag });
      return;
    }
    if (untouched && answer.kind === 'failed') {
      this.endRest(ROLLBACK, { ok: false, error: answer.error });
      return;
    }
    this.endRest(ROLLBACK, { ok: false, error: this.unresolved(writer, answer) });
  }

  /** Nobody writes: the first error, if any, is the outcome. */
  private commitReaders(): void {
    const { participants } = this;
    const first = participants.all[0];
    const all = new Map(participants.all.map((backend) => [backend, COMMIT]));
    participants.ask(all, (answers) => {
      for (const answer of answers.values()) {
        const error = errorOf(answer);
        if (error === null) continue;
        this.done({ ok: false, error });
        return;
      }
      const answer = first === undefined ? undefined : answers.get(first);
      this.done({ ok: true, tag: answer?.kind === 'done' ? answer.tag : 'COMMIT' });
    });
  }

  /** Whoever has not been asked yet ends like this; the outcome stands already. */
  private endRest(how: readonly string[], outcome: Outcome): void {
    const rest = this.participants.all.filter((backend) => !this.asked.has(backend));
    this.participants.ask(new Map(rest.map((backend) => [backend, how])), () => {
      this.done(outcome);
    });
  }

  /** The outcome on the writer's shard is not known, or others have committed without it. */
  private unresolved(writer: BackendConnection, answer: Answer): Buffer {
    const { committed, writers } = this;
    const names = (backends: readonly BackendConnection[]): string =>
      backends.map((backend) => `"${backend.shard.name}"`).join(', ') || 'none';
    const behind = writers.slice(committed.length + 1);
    const state = answer.kind === 'lost' ? 'Unknown' : 'Rolled back';
    const why = reasonOf(answer);
    return errorBytes(
      sqlError(
        'transaction_resolution_unknown',
        `shard "${writer.shard.name}" failed while the transaction was committed: ${why}`,
        {
          detail:
            `Committed on shards: ${names(committed)}. ${state} on shard "${writer.shard.name}".` +
            ` Rolled back on shards: ${names(behind)}.`,
          hint: 'Look at what has been written before repeating it.',
        },
      ),
    );
  }
}

function reasonOf(answer: Answer): string {
  if (answer.kind === 'lost') return answer.error.message;
  if (answer.kind === 'done') return `it answered ${answer.tag}`;
  return readErrorFields(answer.error, 0, answer.error.length).get('M') ?? 'an unknown error';
}
