import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { readSqlState } from '../protocol/backend-messages.js';
import { quoteLiteral } from '../sql/quote.js';
import type { Logger } from '../util/logger.js';
import type { CrashHook } from './crash-points.js';
import { decideSql, finishSql, prepareSql, type Decision } from './decisions.js';
import type { Outcome } from './operation.js';
import { errorOf, type Answer, type Participants } from './participants.js';
import { legGid, newTransactionId } from './transaction-ids.js';

/** What two-phase commit needs besides the participants' own backends. */
export interface TwoPhaseServices {
  readonly logger: Logger;
  readonly crashPoint: CrashHook;
  /** A shard has failed its vote with this SQLSTATE. */
  doubt(shard: Shard, sqlState: string): void;
  /** The outcome of a transaction whose decider broke off while it committed; null: it cannot be learnt now. */
  learn(deciding: Shard, transaction: string): Promise<Decision | null>;
  /** Ends a leg whose backend is gone, over another connection; resolves also where that must be left to recovery. */
  finishElsewhere(shard: Shard, gid: string, decision: Decision): Promise<void>;
}

/**
 * How long phase one may take. A decision row may be inserted only while an "abort" row of recovery would still be
 * there to refuse it, and those are kept for an hour (`Recovery`); the rest of the hour covers clocks and delays.
 */
const PHASE_ONE_MAX_MS = 10 * 60 * 1000;

/**
 * Commits a transaction that wrote on several shards:
 *
 *              vote                          decide              finish
 *   decider    INSERT decision               COMMIT              -
 *   legs       PREPARE TRANSACTION           -                   COMMIT PREPARED
 *   readers    -                             -                   COMMIT
 *
 * A vote that fails rolls everything back. COMMIT on the decider is the point of no return: its row becomes visible
 * with it, and from then on the outcome is "commit", whoever crashes; before, it is "abort". Recovery ends what this
 * proxy leaves prepared.
 */
export class TwoPhaseCommit {
  private readonly participants: Participants;
  private readonly decider: BackendConnection;
  private readonly legs = new Map<BackendConnection, string>();
  private readonly readers: readonly BackendConnection[];
  private readonly services: TwoPhaseServices;
  private readonly done: (outcome: Outcome) => void;
  private readonly transaction: string;
  private readonly began = { clock: Date.now(), monotonic: performance.now() };

  private constructor(
    participants: Participants,
    writers: readonly BackendConnection[],
    services: TwoPhaseServices,
    done: (outcome: Outcome) => void,
  ) {
    this.participants = participants;
    this.services = services;
    this.done = done;
    this.decider = writers[0]!;
    this.transaction = newTransactionId(this.decider.shard);
    writers.slice(1).forEach((backend, i) => {
      this.legs.set(backend, legGid(this.transaction, i + 1));
    });
    this.readers = participants.all.filter((backend) => !writers.includes(backend));
  }

  /** `writers`: two or more of the participants. */
  static run(
    participants: Participants,
    writers: readonly BackendConnection[],
    services: TwoPhaseServices,
    done: (outcome: Outcome) => void,
  ): void {
    new TwoPhaseCommit(participants, writers, services, done).vote();
  }

  private vote(): void {
    const { services } = this;
    services.crashPoint('before-prepare');
    const votes = new Map<BackendConnection, readonly string[]>();
    // The decider first: see PHASE_ONE_MAX_MS.
    votes.set(this.decider, [decideSql(this.transaction)]);
    for (const [backend, gid] of this.legs) votes.set(backend, [prepareSql(gid)]);
    this.participants.ask(
      votes,
      (answers) => {
        this.onVotes(answers);
      },
      () => {
        services.crashPoint('first-prepared');
      },
    );
    services.crashPoint('prepare-sent');
  }

  private onVotes(answers: ReadonlyMap<BackendConnection, Answer>): void {
    const prepared = new Set<BackendConnection>();
    let error: Buffer | null = null;
    for (const [backend, answer] of answers) {
      const expected = backend === this.decider ? 'INSERT 0 1' : 'PREPARE TRANSACTION';
      if (answer.kind === 'done' && answer.tag === expected) prepared.add(backend);
      else error ??= errorOf(answer) ?? this.noVote(backend, answer);
      if (answer.kind === 'failed') {
        this.services.doubt(backend.shard, readSqlState(answer.error, 0, answer.error.length));
      }
    }
    const { began } = this;
    const elapsedMs = Math.max(performance.now() - began.monotonic, Date.now() - began.clock);
    if (error === null && elapsedMs > PHASE_ONE_MAX_MS) error = this.tooLate();
    if (error === null) this.decide();
    else this.undo(error, prepared);
  }

  private decide(): void {
    const { decider, services } = this;
    services.crashPoint('prepared');
    this.participants.ask(new Map([[decider, ['COMMIT']]]), (answers) => {
      const answer = answers.get(decider)!;
      if (answer.kind === 'lost') void this.learnOutcome(answer.error.message);
      else if (answer.kind === 'done' && answer.tag === 'COMMIT') this.finish();
      else this.undo(errorOf(answer) ?? this.noVote(decider, answer), new Set(this.legs.keys()));
    });
    services.crashPoint('decision-sent');
  }

  /** The decider broke off in its COMMIT: only its shard knows what became of it. */
  private async learnOutcome(reason: string): Promise<void> {
    const { decider, transaction, services } = this;
    const { name } = decider.shard;
    const decision = await services.learn(decider.shard, transaction);
    services.logger.warn(
      { transaction, shard: name, reason, decision: decision ?? 'not known yet' },
      'a shard was lost while it decided a transaction',
    );
    if (decision === 'commit') {
      this.finish();
      return;
    }
    if (decision === 'abort') {
      const lost = sqlError('connection_failure', `shard "${name}": ${reason}`, {
        detail: 'The transaction was rolled back on every shard.',
        hint: 'Repeat the transaction.',
      });
      this.undo(errorBytes(lost), new Set(this.legs.keys()));
      return;
    }
    const unknown = sqlError(
      'transaction_resolution_unknown',
      `shard "${name}" was lost while the transaction was committed: ${reason}`,
      {
        detail: `Transaction ${transaction} will be committed or rolled back on every shard when "${name}" is back.`,
        hint: 'Look at what has been written before repeating it.',
      },
    );
    this.endReaders(['ROLLBACK'], { ok: false, error: errorBytes(unknown) });
  }

  /** Decided: from here on the client will hear COMMIT. */
  private finish(): void {
    this.services.crashPoint('decided');
    const steps = new Map<BackendConnection, readonly string[]>();
    for (const [backend, gid] of this.legs) steps.set(backend, legSteps(backend, 'commit', gid));
    for (const backend of this.readers) steps.set(backend, ['COMMIT']);
    const onAnswer = (backend: BackendConnection): void => {
      if (this.legs.has(backend)) this.services.crashPoint('first-finished');
    };
    this.participants.ask(
      steps,
      (answers) => {
        void this.finishLegs('commit', answers, { ok: true, tag: 'COMMIT' });
      },
      onAnswer,
    );
  }

  /** Nothing has been decided, and nothing will be: the decider's transaction ends without its row. */
  private undo(error: Buffer, prepared: ReadonlySet<BackendConnection>): void {
    this.services.crashPoint('before-undo');
    const steps = new Map<BackendConnection, readonly string[]>();
    for (const backend of this.participants.all) {
      const gid = this.legs.get(backend);
      if (gid !== undefined && prepared.has(backend)) {
        steps.set(backend, legSteps(backend, 'abort', gid));
      } else if (!backend.free) {
        // In a transaction, or about to hear of its BEGIN.
        steps.set(backend, ['ROLLBACK']);
      }
    }
    // A leg that broke off may have been prepared, whether it said so or not.
    for (const backend of this.legs.keys()) {
      if (!this.participants.has(backend)) steps.set(backend, ['ROLLBACK']);
    }
    this.participants.ask(steps, (answers) => {
      void this.finishLegs('abort', answers, { ok: false, error });
    });
  }

  /** Sees to the legs that did not do as they were told, then reports. */
  private async finishLegs(
    decision: Decision,
    answers: ReadonlyMap<BackendConnection, Answer>,
    outcome: Outcome,
  ): Promise<void> {
    const elsewhere: Promise<void>[] = [];
    for (const [backend, gid] of this.legs) {
      const answer = answers.get(backend);
      if (answer === undefined || answer.kind === 'done') continue;
      // Which of its steps failed is not known, so neither are its settings.
      backend.settingsKey = null;
      elsewhere.push(this.services.finishElsewhere(backend.shard, gid, decision));
    }
    if (elsewhere.length > 0) await Promise.all(elsewhere);
    this.services.crashPoint('finished');
    this.done(outcome);
  }

  private endReaders(how: readonly string[], outcome: Outcome): void {
    this.participants.ask(new Map(this.readers.map((backend) => [backend, how])), () => {
      this.done(outcome);
    });
  }

  /** A vote without an error that is none: the participant's transaction was not open any more. */
  private noVote(backend: BackendConnection, answer: Answer): Buffer {
    const tag = answer.kind === 'done' ? answer.tag : '';
    const name = `shard "${backend.shard.name}"`;
    return errorBytes(
      sqlError('in_failed_sql_transaction', `${name} had rolled its part of the transaction back`, {
        detail: `It answered ${tag}. The transaction was rolled back on every shard.`,
      }),
    );
  }

  private tooLate(): Buffer {
    return errorBytes(
      sqlError('query_canceled', 'the shards took too long to prepare the transaction', {
        detail: `Bound: ${PHASE_ONE_MAX_MS} ms. The transaction was rolled back on every shard.`,
      }),
    );
  }
}

/** COMMIT PREPARED is for the role that prepared, which is the connection's own, whatever SET ROLE says. */
function legSteps(backend: BackendConnection, decision: Decision, gid: string): readonly string[] {
  const finish = finishSql(decision, gid);
  const role = backend.settings.get('role');
  if (role === undefined) return [finish];
  const restore = `SELECT pg_catalog.set_config('role',${quoteLiteral(role)},false)`;
  return ['RESET ROLE', finish, restore];
}
