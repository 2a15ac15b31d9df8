import { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { cancelError } from '../executor/gather-errors.js';
import { partKey, type DdlJob } from '../executor/ddl-jobs/ddl-job.js';
import type { NextStep } from '../executor/ddl-jobs/traces.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { DdlSteps } from '../planner/plan.js';
import { readErrorFields } from '../protocol/backend-messages.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { withHint } from '../protocol/error-hint.js';
import { QuietOperation, type Outcome } from '../transaction/operation.js';
import { startFanOut } from './fan-out-run.js';
import { tellNotice } from './notices.js';
import { settingOf } from './setting-effects.js';
import type { Session } from './session.js';
import type { RunRequest, StatementRun } from './statement-run.js';

const POLL_MS = 300;

/**
 * DDL that PostgreSQL forbids in a transaction (CREATE INDEX CONCURRENTLY): the first shard runs it alone, then all
 * others. What each has done is written down; said again after a failure, it goes on where it stopped:
 *
 *     its job --> what every shard still needs, left-overs dropped --> the shards that need it
 */
export class DdlStepsRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.broadcast;
  readonly needsTypes = false;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly steps: DdlSteps;
  private state: 'new' | 'ready' | SqlError = 'new';
  /** Null: it could not be written down. */
  private job: DdlJob | null = null;
  /** The text of each shard that must run one, by `partKey`. */
  private readonly texts = new Map<string, Buffer>();
  private done = 0;

  constructor(session: Session, request: RunRequest, steps: DdlSteps, shards: readonly Shard[]) {
    this.session = session;
    this.request = request;
    this.steps = steps;
    this.shards = [...shards];
  }

  prepare(
    _backends: readonly BackendConnection[],
    _paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' {
    const { session, state } = this;
    if (state === 'ready') return 'ready';
    if (state !== 'new') throw state;
    const wait = new Waiting();
    session.operation = wait;
    session.busy = true;
    void Promise.race([this.plan(wait), wait.stopped]).then(
      () => {
        if (wait.error !== null) onFailed(wait.error);
        this.state = 'ready';
        if (!session.over) session.resumeSoon();
      },
      (error: unknown) => {
        this.state = asSqlError(error as Error);
        if (!session.over) session.resumeSoon();
      },
    );
    return 'wait';
  }

  /** What is left to do, and by which texts. */
  private async plan(wait: Waiting): Promise<void> {
    try {
      await this.planParts(wait);
    } catch (error) {
      await this.job?.leave();
      throw error;
    }
  }

  private async planParts(wait: Waiting): Promise<void> {
    const { session, request, shards, steps } = this;
    const own = request.text.subarray(request.from, request.to);
    const identity = {
      statement: own.toString('utf8').trim(),
      role: settingOf(session, 'role') ?? '',
      searchPath: settingOf(session, 'search_path') ?? '',
    };
    const stopped = (): boolean => session.over || wait.error !== null;
    const { ddlJobs } = session.context;
    const job = await ddlJobs.take(identity, shards, steps.trace, stopped);
    this.job = job;
    for (const shard of shards) {
      const next = job === null ? RUN : await this.next(job, shard, stopped);
      if (next.kind === 'done') this.done++;
      else this.texts.set(partKey(shard), next.kind === 'finish' ? Buffer.from(next.sql) : own);
    }
    if (stopped()) await job?.leave();
    else await job?.begin(shards.filter((shard) => this.texts.has(partKey(shard))));
  }

  /** What a shard needs, once nobody is at it and nothing is in its way. */
  private async next(job: DdlJob, shard: Shard, stopped: () => boolean): Promise<NextStep> {
    const known = job.stateOf(shard);
    for (let polls = 0; ; polls++) {
      const next = await job.next(shard);
      if (next.kind === 'done') {
        if (known !== 'done') job.done(shard);
        tellNotice(this.session, `shard "${shard.name}": has been done before`);
      }
      if (next.kind === 'busy' && !stopped()) {
        if (polls === 0) tellNotice(this.session, `shard "${shard.name}": is still at it; waiting`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        continue;
      }
      if (next.kind !== 'run' || stopped()) return next;
      for (const index of next.drops) {
        tellNotice(this.session, `shard "${shard.name}": dropping invalid index ${index}`);
        await job.drop(shard, index);
      }
      return next;
    }
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, request, texts, job } = this;
    const { plan, bind, endsWithSync, host = session } = request;
    const running = backends.filter(({ shard }) => texts.has(partKey(shard)));
    if (running.length === 0) {
      session.busy = true;
      void job!.leave().then(() => {
        if (!session.over) onDone({ ok: true, tag: this.steps.tag });
      });
      return;
    }
    let failedOn: Shard | null = null;
    const options = {
      ...{ bind, paramTypes, describe: false, endsWithSync, host, order: null },
      onBranch: ({ shard }: BackendConnection) => {
        job?.done(shard);
        const count = `(${++this.done} of ${this.shards.length})`;
        tellNotice(session, `shard "${shard.name}": done ${count}`);
      },
      told: (error: Buffer, position: number) => {
        failedOn ??= running[position]!.shard;
        return error;
      },
    };
    const own = running.map(({ shard }) => texts.get(partKey(shard))!);
    startFanOut(session, plan, own, running, options, (outcome, succeeded) => {
      if (!outcome.ok) this.noteFailure(outcome.error, failedOn, running, succeeded);
      const told = outcome.ok
        ? { ok: true, tag: this.steps.tag }
        : { ok: false, error: this.withAdvice(outcome.error, failedOn) };
      void (job?.leave() ?? Promise.resolve()).then(() => {
        if (!session.over) onDone(told as Outcome);
      });
    });
  }

  private noteFailure(
    error: Buffer,
    failedOn: Shard | null,
    running: readonly BackendConnection[],
    succeeded: readonly BackendConnection[],
  ): void {
    const message = readErrorFields(error, 0, error.length).get('M') ?? '';
    // The first one runs alone: nobody else has begun.
    const alone = succeeded.length === 0 && failedOn === running[0]!.shard;
    for (const backend of running) {
      if (succeeded.includes(backend)) continue;
      const { shard } = backend;
      if (shard === failedOn || !alone) {
        this.job?.failed(
          shard,
          shard === failedOn ? message : 'canceled since it failed elsewhere',
        );
      } else this.job?.untouched(shard);
    }
  }

  private withAdvice(error: Buffer, failedOn: Shard | null): Buffer {
    if (this.done === 0) return error;
    const on = failedOn === null ? '' : ` It failed on "${failedOn.name}".`;
    const advice =
      this.job === null
        ? 'Where it made something, drop that with IF EXISTS; then repeat it.'
        : 'Repeat the same statement, and it goes on where it stopped.';
    const hint = `It has been done on ${this.done} of ${this.shards.length} shards.${on} ${advice}`;
    return withHint(error, hint);
  }
}

const RUN: NextStep = { kind: 'run', drops: [] };

function asSqlError(error: Error): SqlError {
  if (error instanceof SqlError) return error;
  return error instanceof BackendError
    ? error.toSqlError()
    : sqlError('internal_error', error.message);
}

/** The session waits for our own questions; its backends have nothing to say. */
class Waiting extends QuietOperation {
  /** The client wants it cancelled, or a backend is gone. */
  error: Buffer | null = null;
  /** Resolves when there is an error. */
  readonly stopped: Promise<void>;
  private stop!: () => void;

  constructor() {
    super();
    this.stopped = new Promise((resolve) => {
      this.stop = resolve;
    });
  }

  cancel(): void {
    this.abort(errorBytes(cancelError()));
  }

  abort(error: Buffer): void {
    this.error ??= error;
    this.stop();
  }

  override failed(): void {
    // Nothing has been sent.
  }

  override ready(): void {
    // Nothing has been sent.
  }

  override lost(_backend: BackendConnection, error: BackendError): void {
    this.abort(errorBytes(error.toSqlError()));
  }
}
