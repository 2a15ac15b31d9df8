import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { whenAllDelivered } from '../backend/postgres/pending-cancels.js';
import type { BatchMember, SharedBatch } from '../backend/shared-batch.js';
import type { PreparedText } from '../backend/postgres/prepared-text.js';
import { joins } from '../backend/shared-reads.js';
import type { SqlError } from '../errors/sql-error.js';
import { sqlstates } from '../errors/sqlstates.js';
import { cancelError } from '../executor/gather-errors.js';
import type { ShapeUsage } from '../metrics/shape-usage.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan, RoutePlan } from '../planner/plan.js';
import { Pace } from '../util/pace.js';
import { readErrorFields, readSqlState } from '../protocol/backend-messages.js';
import { Frontend } from '../protocol/codes.js';
import { REVALIDATE_ROUTINE } from '../protocol/error-routines.js';
import { endAtFault, endByFault } from './abandon.js';
import type { ClientStatement } from './client-statement.js';
import type { ParseQueue } from './parse-queue.js';
import type { Session } from './session.js';

/** The session's place in a batch of reads that goes to one backend in one write. */
export class Ride implements BatchMember {
  pace: Pace = NO_PACE;
  usage: ShapeUsage | null = null;
  private readonly session: Session;
  /** Null: its statements go by themselves. */
  private batch: SharedBatch | null = null;
  /** It has written messages for the batch, and goes on until Sync. */
  private boarding = false;
  /** The text of its statement without a name, which is bound under the text's shared name; null: it is not. */
  private shared: PreparedText | null = null;
  /** The backend's plan of that text is out of date. */
  private isOutdated = false;
  /** What ran in a batch is to run again, by itself. */
  private alone = false;
  /** There was no batch for its statement, which may share one while it waits for a backend. */
  private isWilling = false;
  /** The text under whose shared name that statement is bound; null: none. */
  private prepared: PreparedText | null = null;
  /** The client's messages, for that case. */
  private messages: Buffer = NO_BYTES;
  private length = 0;
  /** A Parse in front of them that the batch was to answer. */
  private parse: ClientStatement | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  /** Sends a Query with a batch; false: it goes by itself. */
  query(plan: RoutePlan, shard: Shard, buffer: Buffer, start: number, end: number): boolean {
    const batch = this.find(plan, shard, end - start, null);
    if (batch === null) return false;
    this.keep(buffer, start, end, null);
    batch.query(buffer, start, end);
    this.depart(batch);
    return true;
  }

  /**
   * The backend of a batch for a pipeline whose one Bind ends at `end`; null: it goes by itself. The backend is a
   * participant until `sync`.
   */
  bind(
    plan: Plan,
    shard: Shard,
    statement: ClientStatement,
    parses: ParseQueue,
    buffer: Buffer,
    end: number,
  ): BackendConnection | null {
    if (plan.kind !== 'route' || plan.pace === undefined) return null;
    const { session } = this;
    const { portalStart, portalEnd } = session.source.layout;
    const parse = parses.empty ? null : statement;
    if (portalStart !== portalEnd || (parse !== null && !parses.isOnly(parse))) return null;
    const stop = session.input.endOfPipeline(buffer, end);
    if (stop < 0) return null;
    const start = portalStart - BIND_HEAD;
    const isNamed = statement.name !== '';
    const batch = this.find(plan, shard, stop - start, isNamed ? statement.prepared : null);
    if (batch === null) return null;
    this.shared = isNamed ? null : popularText(statement, batch);
    this.keep(buffer, start, stop, parse);
    this.batch = batch;
    this.boarding = true;
    this.session.work.participants.push(batch.backend);
    return batch.backend;
  }

  /** Sync has been written for the backend. */
  sync(): void {
    if (!this.boarding) return;
    this.boarding = false;
    this.session.work.participants.pop();
    this.depart(this.batch!);
  }

  /** A statement without a name that is bound now is on the backend under the shared name of its text. */
  get sharesText(): boolean {
    return this.boarding && this.shared !== null;
  }

  /** Its messages are being written for this backend. */
  isOn(backend: BackendConnection): boolean {
    return this.boarding && this.batch?.backend === backend;
  }

  /** A statement has been answered. */
  end(): void {
    this.alone = false;
    this.isWilling = false;
  }

  /** Whether its statement, which waits, may share this backend. */
  mayBoard(backend: BackendConnection, clock: number): boolean {
    const { isWilling, pace, prepared, session } = this;
    if (!isWilling || pace.slowUntil > clock) return false;
    return joins(backend, session.settings.key, prepared);
  }

  /** The client wants its statement cancelled; false: it is in no batch. */
  cancel(delivered: () => void): boolean {
    const { batch } = this;
    if (batch === null) return false;
    batch.cancel(this, cancelError());
    whenAllDelivered([batch.backend], delivered);
    return true;
  }

  /** The session ends. */
  leave(): void {
    const { batch } = this;
    this.batch = null;
    batch?.leave(this);
  }

  private find(
    { pace, usage }: RoutePlan,
    shard: Shard,
    length: number,
    prepared: PreparedText | null,
  ): SharedBatch | null {
    this.isWilling = false;
    this.shared = null;
    if (pace === undefined || this.alone || length > LENGTH_MAX) return null;
    const { work, pins, listening, settings, context } = this.session;
    if (work.explicit || work.participants.length > 0) return null;
    if (!pins.none || listening.mustEndByItself) return null;
    this.pace = pace;
    this.usage = usage ?? null;
    const batch = context.cluster.pool(shard).reads.board(settings.key, pace, prepared);
    if (batch === null) {
      this.isWilling = true;
      this.prepared = prepared;
    }
    return batch;
  }

  private keep(buffer: Buffer, start: number, end: number, parse: ClientStatement | null): void {
    if (this.messages.length === 0) this.messages = Buffer.allocUnsafeSlow(LENGTH_MAX);
    this.length = buffer.copy(this.messages, 0, start, end);
    this.parse = parse;
  }

  private depart(batch: SharedBatch): void {
    this.batch = batch;
    this.session.busy = true;
    batch.join(this);
  }

  // ---------------------------------------------------------------- batch side

  pass(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    return this.isOutdated || this.session.pass(backend, buffer, start, end);
  }

  failed(
    backend: BackendConnection,
    action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (this.shared !== null && isOutdatedPlan(buffer, start, end)) {
      this.isOutdated = true;
      return;
    }
    // Also where a Parse of ours failed: the client is owed an answer behind it.
    this.session.failed(backend, action, buffer, start, end);
  }

  closed(backend: BackendConnection, error: BackendError): void {
    this.batch = null;
    this.isOutdated = false;
    this.session.closed(backend, error);
  }

  crashed(backend: BackendConnection, error: unknown): void {
    this.batch = null;
    this.isOutdated = false;
    endAtFault(this.session, backend, error);
  }

  answered(status: number): void {
    const { batch } = this;
    this.batch = null;
    try {
      if (this.isOutdated) this.parseAnew(batch!.backend.shard);
      else this.session.onAnswered(null, status);
    } catch (error) {
      // The backend is somebody else's already, who must not hear of it.
      endByFault(this.session, error);
    }
  }

  private parseAnew(shard: Shard): void {
    const { session, shared } = this;
    this.isOutdated = false;
    shared!.unnamedUses = Number.NEGATIVE_INFINITY;
    for (const { statements } of session.context.cluster.pool(shard).backends) {
      if (statements.unnamed === shared) statements.unnamed = null;
    }
    // The client has got ParseComplete.
    this.parse = null;
    this.runAgain(null);
  }

  runAgain(error: SqlError | null): void {
    const { session, parse, messages, length } = this;
    this.batch = null;
    this.alone = true;
    if (messages[0] === Frontend.bind) {
      // What stood in front of its Bind has been done, and an error undoes it.
      session.extended.inBatch = true;
      session.extended.runAgain(parse);
    }
    if (error !== null) session.leases.refuse(error);
    session.input.replay(messages.subarray(0, length));
    session.turn++;
    session.busy = false;
    session.pump();
  }
}

/**
 * The text of a statement without a name, where it comes often and a backend of the batch may know it, or learn it, by
 * its shared name: then neither side parses it again. Null: it is parsed without a name. Texts with constants are many.
 */
function popularText(
  { isShared, literals, prepared }: ClientStatement,
  { backend, size }: SharedBatch,
): PreparedText | null {
  if (!isShared || literals.count > 0 || ++prepared.unnamedUses < POPULAR_USES) return null;
  return size === 0 || backend.statements.isSafe(prepared) ? prepared : null;
}

function isOutdatedPlan(buffer: Buffer, start: number, end: number): boolean {
  return (
    readSqlState(buffer, start, end) === sqlstates.feature_not_supported.code &&
    readErrorFields(buffer, start, end).get('R') === REVALIDATE_ROUTINE
  );
}

/** Then it will come again. */
const POPULAR_USES = 16;
/** A longer statement is not a short one, and costs more than what it would save. */
const LENGTH_MAX = 1024;
/** Type and length of a Bind message, in bytes. */
const BIND_HEAD = 5;
const NO_BYTES: Buffer = Buffer.alloc(0);
const NO_PACE = new Pace();
