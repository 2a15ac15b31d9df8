import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import { sqlstates } from '../errors/sqlstates.js';
import type { Comparator } from '../merger/comparator.js';
import { KeyOrder } from '../merger/key-order.js';
import { MergeCut } from '../merger/merge-cut.js';
import { MergeHeap } from '../merger/merge-heap.js';
import type { MergeSpec } from '../planner/plan.js';
import { Backend, MESSAGE_BYTES_MAX } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Operation, OperationHost, Outcome } from '../transaction/operation.js';
import type { MergeBranch } from './merge-branch.js';
import { MergeBranches } from './merge-branches.js';
import { hasTypes, type ResultColumn } from './described-columns.js';
import { changedShapeError, trimRowDescription } from './merge-description.js';
import { MergeOutput } from './merge-output.js';
import { rowsOf } from './portal/parts-in-turn.js';
import { readSqlState, readTag } from '../protocol/backend-messages.js';

/** What of the schema is not as it was learnt. */
export type Changed = 'columns' | 'values';

export interface OrderedMergeOptions {
  readonly merge: MergeSpec;
  /** Values of `merge.limit` and `merge.offset`; not negative. */
  readonly limit: bigint | null;
  readonly offset: bigint;
  /** One for each of `merge.keys`, whose values come in binary. */
  readonly comparators: readonly Comparator[];
  /** What shards were found to give: any other columns would be misread. */
  readonly columns: readonly ResultColumn[];
  /** The client is owed the RowDescription. */
  readonly describe: boolean;
  /** The client's result formats as Bind has them: none, one for all columns, or one for each. */
  readonly visibleFormats: readonly number[];
  /** Writes the requests of one shard, Describe included, answers under CAPTURE; flushing is done here. */
  readonly send: (backend: BackendConnection, position: number) => void;
  /** Requests end in Sync (true), so that a branch ends at its ReadyForQuery, or in Flush. */
  readonly endsWithSync: boolean;
  readonly onDone: (outcome: Outcome, succeeded: readonly BackendConnection[]) => void;
  /** A shard gives other columns, or values of types as they are by now; the statement fails. */
  readonly onChanged: (what: Changed) => void;
  /** Longest row that is put together where it came in pieces; absent: what the protocol allows. */
  readonly rowBytesMax?: number;
}

/**
 * Shards that still run this long after the last row was sent are cancelled: most have ended by
 * themselves, and a cancel is a connection of its own.
 */
const CANCEL_AFTER_MS = 20;

/**
 * One SELECT that runs on several shards, each of which sorts its rows: a k-way merge of them into
 * one sorted result, cut by OFFSET, LIMIT and WITH TIES. Without sort keys the rows go out as they
 * come.
 *
 *   shard 0: 1 4 5    (its rows stay in its read buffer, which is not read into meanwhile)
 *   shard 1: 2 3 9    -> heap by the hidden keys -> output buffer -> client: 1 2 3 4 5
 *   shard 2: (none)   a shard without a row at hand, that has not ended, holds up all others
 *
 * Memory: a read buffer and at most one row a shard, one output buffer. The client gets whole rows
 * only, so that an error may follow at any time.
 */
export class OrderedMerge implements Operation {
  private readonly options: OrderedMergeOptions;
  private readonly branches: MergeBranches;
  private readonly heap: MergeHeap<MergeBranch>;
  private readonly order: KeyOrder;
  private readonly output: MergeOutput;
  private readonly fieldCount: number;
  private described = false;
  private readonly cut: MergeCut;
  private sent = 0;
  /** All rows are sent: what shards still say is of no interest. */
  private enough = false;
  private error: Buffer | null = null;
  /** The top of the heap has been sent or skipped, and is to be left. */
  private taken = false;
  private running = false;
  private flushing = false;
  private reported = false;
  private cancelTimer: NodeJS.Timeout | null = null;

  constructor(
    host: OperationHost,
    backends: readonly BackendConnection[],
    options: OrderedMergeOptions,
  ) {
    const { merge } = options;
    const { visibleColumns, keys } = merge;
    this.options = options;
    this.branches = new MergeBranches(backends, visibleColumns, keys.length);
    this.fieldCount = visibleColumns + keys.length;
    this.order = new KeyOrder(keys, options.comparators);
    this.heap = new MergeHeap((a, b) => {
      const difference = this.order.compare(a.cursor, b.cursor);
      return difference < 0 || (difference === 0 && a.position < b.position);
    });
    this.output = new MergeOutput(visibleColumns, (buffer, start, end) =>
      host.passToClient(null, buffer, start, end),
    );
    this.cut = new MergeCut(this.order, options.offset, options.limit, merge.withTies);
  }

  /** Sends the requests; this must be the session's operation already. */
  start(): void {
    for (const branch of this.branches.all) {
      this.options.send(branch.backend, branch.position);
      branch.backend.flush();
    }
  }

  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const branch = this.branches.of(backend);
    switch (type) {
      case Backend.rowDescription:
        if (!hasTypes(buffer, start, end, this.options.columns)) this.refuseShape();
        else this.describe(buffer.subarray(start, end));
        break;
      case Backend.noticeResponse:
        this.passBetweenRows(branch, buffer, start, end);
        break;
      case Backend.commandComplete:
        branch.succeeded = true;
        branch.given = rowsOf(readTag(buffer, start, end));
        branch.ended = true;
        if (!this.options.endsWithSync) branch.done = true;
        this.branches.countStarving();
        this.run();
        break;
      default:
        // NoData and the like: the client asked for none of them.
        break;
    }
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    if (this.discarding) return true;
    const branch = this.branches.of(backend);
    const { cursor } = branch;
    if (branch.spent) {
      branch.spent = false;
      return true;
    }
    // Resumed by somebody else: not yet.
    if (cursor.holdsPiece) return false;
    const had = cursor.current;
    cursor.give(buffer, start, end);
    this.checkRow(branch);
    if (cursor.current && !had) {
      this.heap.push(branch);
      this.branches.countStarving();
    }
    this.run();
    if (this.discarding || !cursor.holdsPiece) return true;
    branch.refused = true;
    return false;
  }

  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    // More result formats, or fewer, than it has columns.
    if (readSqlState(buffer, start, end) === sqlstates.protocol_violation.code) {
      this.options.onChanged('columns');
    }
    this.fail(this.branches.of(backend), Buffer.from(buffer.subarray(start, end)));
  }

  lost(backend: BackendConnection, error: BackendError): void {
    const branch = this.branches.find(backend);
    if (branch === null) return;
    branch.done = true;
    this.fail(branch, errorBytes(error.toSqlError()));
  }

  ready(backend: BackendConnection): void {
    // Of a BEGIN that went ahead of the statement.
    if (!this.options.endsWithSync) return;
    const branch = this.branches.of(backend);
    branch.ended = true;
    branch.done = true;
    this.reportWhenDone();
  }

  settled(): void {
    // CommandComplete and ErrorResponse say it.
  }

  clientDrained(): void {
    if (!this.output.congested) return;
    this.output.drained();
    this.run();
    // Those that were stopped because of a message between rows.
    if (!this.output.congested) this.branches.resumeReading();
  }

  /** What runs ends with the server's word for it. */
  cancel(): void {
    this.branches.cancel();
  }

  /** Ends the statement everywhere with an error of our own. */
  abort(error: Buffer): void {
    this.error ??= error;
    this.branches.cancel();
    this.branches.resumeReading();
    this.reportWhenDone();
  }

  /** Of each backend, in their order. */
  get counts(): readonly Pick<MergeBranch, 'taken' | 'given'>[] {
    return this.branches.all;
  }

  private get discarding(): boolean {
    return this.enough || this.error !== null;
  }

  private get rowBytesMax(): number {
    return this.options.rowBytesMax ?? MESSAGE_BYTES_MAX + 1;
  }

  /** Sends rows as long as it is known which is next and the client takes them. */
  private run(): void {
    if (this.running) return;
    this.running = true;
    while (!this.discarding && !this.output.congested) {
      // The row that was sent last goes only now: the client may not have taken it before.
      if (this.taken) this.advance();
      else if (this.heap.size === 0 || this.mustWait) break;
      else this.takeTop();
    }
    this.running = false;
    this.flushSoon();
    this.reportWhenDone();
  }

  /** Some shard may still send a row that comes before all that are here. */
  private get mustWait(): boolean {
    return this.branches.starving > 0 && this.options.merge.keys.length > 0;
  }

  /** Skips the first row in order, sends it, or finds that it is one too many. */
  private takeTop(): void {
    const { cursor } = this.heap.top!;
    const fate = this.cut.fateOf(cursor);
    if (this.order.unsure) {
      this.refuseShape('values');
      return;
    }
    if (fate === 'end') {
      this.stopAtLimit();
      return;
    }
    this.taken = true;
    this.heap.top!.taken++;
    if (fate === 'skip') return;
    this.output.addRow(cursor);
    this.sent++;
    if (this.cut.full) this.stopAtLimit();
  }

  /** The next row of the branch whose row was taken. */
  private advance(): void {
    this.taken = false;
    const branch = this.heap.top!;
    branch.cursor.next();
    if (branch.cursor.current) {
      this.heap.settleTop();
      this.checkRow(branch);
      return;
    }
    this.heap.removeTop();
    this.branches.countStarving();
    this.checkRow(branch);
    if (!branch.refused) return;
    branch.refused = false;
    branch.spent = true;
    branch.backend.resumeReading();
  }

  /** All rows that the client wants are sent: shards that have more of them need not go on. */
  private stopAtLimit(): void {
    this.enough = true;
    this.output.flush();
    this.branches.resumeReading();
    // In a transaction a cancelled shard would have failed; LIMIT ends it there soon.
    if (!this.options.endsWithSync || this.branches.ended) return;
    this.cancelTimer = setTimeout(() => this.branches.cancel(), CANCEL_AFTER_MS);
    this.cancelTimer.unref();
  }

  private fail(branch: MergeBranch, error: Buffer): void {
    branch.ended = true;
    branch.succeeded = false;
    if (!this.options.endsWithSync || !branch.backend.alive) branch.done = true;
    // Outside of transactions a shard that fails behind the last row has changed nothing.
    if (this.enough && this.options.endsWithSync) this.reportWhenDone();
    else this.abort(error);
  }

  /** What no row of a branch may be. */
  private checkRow({ cursor }: MergeBranch): void {
    if (cursor.current && cursor.fieldCount !== this.fieldCount) this.refuseShape();
    if (cursor.cutOffBytes <= this.rowBytesMax) return;
    const message = `a row of ${cursor.cutOffBytes} bytes is too large to be merged`;
    const hint = `Rows of several shards that are put in order may have ${this.rowBytesMax} bytes.`;
    this.abort(errorBytes(sqlError('program_limit_exceeded', message, { hint })));
  }

  private refuseShape(changed: Changed = 'columns'): void {
    this.options.onChanged(changed);
    this.abort(errorBytes(changedShapeError()));
  }

  private describe(message: Buffer): void {
    if (this.described || !this.options.describe) return;
    this.described = true;
    const { visibleColumns, keys } = this.options.merge;
    const { visibleFormats } = this.options;
    const trimmed = trimRowDescription(message, visibleColumns, keys.length, visibleFormats);
    if (trimmed === null) this.refuseShape();
    else this.output.addMessage(trimmed, 0, trimmed.length);
  }

  private passBetweenRows(branch: MergeBranch, buffer: Buffer, start: number, end: number): void {
    this.output.addMessage(buffer, start, end);
    if (this.output.congested) branch.backend.pauseReading();
  }

  /** When all bytes that are here are through: pieces of one read make one write. */
  private flushSoon(): void {
    if (this.flushing || this.output.empty) return;
    this.flushing = true;
    queueMicrotask(this.flush);
  }

  private readonly flush = (): void => {
    this.flushing = false;
    if (!this.reported) this.output.flush();
  };

  private reportWhenDone(): void {
    if (this.reported || this.running) return;
    if (!this.branches.done || (!this.discarding && this.heap.size > 0)) return;
    this.reported = true;
    if (this.cancelTimer !== null) clearTimeout(this.cancelTimer);
    this.branches.settle(() => this.report());
  }

  private report(): void {
    this.output.end();
    const { error, options } = this;
    const { succeeded } = this.branches;
    if (error !== null) options.onDone({ ok: false, error }, succeeded);
    else options.onDone({ ok: true, tag: `SELECT ${this.sent}` }, succeeded);
  }
}
