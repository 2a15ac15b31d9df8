import type { BackendConnection } from '../backend/postgres/connection.js';
import { BackendError } from '../backend/backend-error.js';
import { SqlError } from '../errors/sql-error.js';
import { withoutPosition } from '../protocol/error-position.js';
import { CloseParts } from '../executor/portal/close-parts.js';
import { newPart } from '../executor/portal/portal-part.js';
import type { RowsRequest } from '../executor/portal/rows-request.js';
import type { ScatterPortal } from '../executor/portal/scatter-portal.js';
import { RowCapture, type TakeRow } from '../executor/row-capture.js';
import type { Shard } from '../keyspace/topology.js';
import type { SourceQuery } from '../planner/plan.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import {
  startOperation,
  type BoundValues,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** Finds the run of a statement; handed in, since that finds the runs which have sources too. */
export type ChooseRun = (session: Session, request: RunRequest) => StatementRun;

/** Takes the rows of an operation in the client's place; the first SqlError in taking them ends the operation. */
export class RowIntake {
  readonly host: RowCapture;
  /** What was thrown first. */
  problem: Buffer | null = null;

  constructor(session: Session, take: TakeRow) {
    this.host = new RowCapture(session, (backend, buffer, start, end) => {
      if (this.problem !== null) return;
      try {
        take(backend, buffer, start, end);
      } catch (error) {
        if (!(error instanceof SqlError)) throw error;
        this.problem = errorBytes(error);
        abortSoon(session, this.problem);
      }
    });
  }
}

/** One execution of a source: any run there is, whose rows come here instead of going to the client. */
export class SourceReader {
  private readonly session: Session;
  private readonly source: SourceQuery;
  private readonly intake: RowIntake;
  private run: StatementRun;
  private portal: ScatterPortal | null = null;

  /**
   * Throws SqlError as the run's own choice does.
   * @param given the client's; result columns come in the formats that its Bind says
   * @param take gets each row; what it throws (SqlError) ends the source
   */
  constructor(
    session: Session,
    source: SourceQuery,
    given: BoundValues,
    choose: ChooseRun,
    take: TakeRow,
  ) {
    this.session = session;
    this.source = source;
    this.intake = new RowIntake(session, take);
    this.run = sourceRun(session, source, given, this.intake.host, choose);
  }

  /** In the order of their index; others may come after `prepare`. */
  get shards(): readonly Shard[] {
    return this.run.shards;
  }

  /** 'moved': it has other shards now, which must be leased first. */
  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | 'moved' {
    const prepared = prepareSource(this.run, backends, paramTypes, onFailed);
    if (typeof prepared === 'string') return prepared;
    this.run = prepared;
    return 'moved';
  }

  /** Its rows can be taken in batches, while the source sees nothing of what is done with them. */
  get opens(): boolean {
    return this.run.open !== undefined && !this.source.plan.writes;
  }

  /** In place of `start`, where it `opens`: `onOpen` is told the error, or null and then `next` gives rows. */
  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onOpen: (error: Buffer | null) => void,
  ): void {
    this.run.open!(backends, paramTypes, newPart, (opened) => {
      if (opened.ok) {
        this.portal = opened.portal;
        onOpen(null);
      } else onOpen(withoutPosition(opened.error, 0, opened.error.length));
    });
  }

  /** So many further rows, of each of its shards where they have no order. */
  next(rowsMax: number, onDone: (error: Buffer | null, rows: number) => void): void {
    const { session, intake } = this;
    const request: RowsRequest = {
      rowsMax,
      host: intake.host,
      onDone: (error, rows) => {
        const told = error === null ? null : withoutPosition(error, 0, error.length);
        onDone(intake.problem ?? told, rows);
      },
    };
    const { gatherMemoryBytes } = session.context.config.limits;
    startOperation(session, this.portal!.batch(request, gatherMemoryBytes));
  }

  /** No more rows are to come. */
  get exhausted(): boolean {
    return this.portal!.exhausted;
  }

  /** What it has open on its shards ends with their transaction; where that goes on, it ends here. */
  close(onDone: () => void): void {
    const { session, portal } = this;
    if (session.work.explicit) startOperation(session, new CloseParts(portal!.parts, onDone));
    else onDone();
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    noteWriters(this.session, this.source, backends);
    this.run.start(backends, paramTypes, (outcome) => {
      const { problem } = this.intake;
      if (problem !== null) onDone({ ok: false, error: problem });
      else onDone(withoutPlace(outcome));
    });
  }
}

/** The run of a source, described, with its rows for `host`. Its literals stand in its own text. */
export function sourceRun(
  session: Session,
  source: SourceQuery,
  { values: own, bind }: BoundValues,
  host: OperationHost,
  choose: ChooseRun,
): StatementRun {
  const { sql, plan } = source;
  const text = Buffer.from(sql.buffer, sql.byteOffset, sql.length);
  const values = own.inText(source);
  const request = { plan, text, from: 0, to: text.length, values, bind, host };
  return choose(session, { ...request, describe: true, endsWithSync: false });
}

/** Prepares it, with errors of no place. */
export function prepareSource(
  run: StatementRun,
  backends: readonly BackendConnection[],
  paramTypes: readonly number[],
  onFailed: (error: Buffer) => void,
): ReturnType<StatementRun['prepare']> {
  return run.prepare(backends, paramTypes, (error) => {
    onFailed(withoutPosition(error, 0, error.length));
  });
}

/** A source that writes is about to run on these backends. */
export function noteWriters(
  { work }: Session,
  { plan }: SourceQuery,
  backends: readonly BackendConnection[],
): void {
  if (plan.writes) for (const backend of backends) work.writers.add(backend);
}

/** Ends what the session runs now, when it has passed on what it is passing on. */
function abortSoon(session: Session, error: Buffer): void {
  const { operation } = session;
  setImmediate(() => {
    if (session.operation === operation) operation?.abort?.(error);
  });
}

/** The error of a shard that was lost while others were read, as nothing was asked of it; null: none was. */
export function lossOf(backends: readonly BackendConnection[]): Failure | null {
  const lost = backends.find(({ alive }) => !alive);
  if (lost === undefined) return null;
  const error = BackendError.lost(lost.shard.name);
  return { ok: false, error: errorBytes(error.toSqlError()) };
}

type Failure = Extract<Outcome, { readonly ok: false }>;

/** The texts that shards run are our own: places in them mean nothing to the client. */
export function withoutPlace(outcome: Outcome): Outcome {
  if (outcome.ok) return outcome;
  return { ok: false, error: withoutPosition(outcome.error, 0, outcome.error.length) };
}
