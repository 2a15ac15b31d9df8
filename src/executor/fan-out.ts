import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { cutCopyInResponse, readTag } from '../protocol/backend-messages.js';
import { Backend } from '../protocol/codes.js';
import type { CountSums } from './count-sums.js';
import type { CopyConcat } from './copy/copy-concat.js';
import { columnsOf, otherColumnsError } from './merge-description.js';
import { memoryError } from './gather-errors.js';
import type { KeptRows } from './ordered-rows.js';
import { RepeatedCancel } from './repeated-cancel.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Operation, OperationHost, Outcome } from '../transaction/operation.js';

/** How the answers of several shards become one. */
export type Merge =
  /** Rows one shard after the other; row counts of the tags add up. */
  | { readonly kind: 'concat' }
  /** Copies of the same rows: the first shard's answer stands for all. */
  | { readonly kind: 'first' }
  /** One row of bigints a shard; the client gets the sums. */
  | { readonly kind: 'counts'; readonly sums: CountSums }
  /** Rows in one order, told when all are there; row counts add up. */
  | { readonly kind: 'ordered'; readonly rows: KeptRows; readonly memoryBytesMax: number }
  /** COPY TO STDOUT streams joined into one. */
  | { readonly kind: 'copy'; readonly concat: CopyConcat };

export interface FanOutOptions {
  readonly merge: Merge;
  /** Writes the requests of one shard, answers under CAPTURE; flushing is done here. */
  readonly send: (backend: BackendConnection, position: number) => void;
  /**
   * True: the first shard runs the statement alone, the others follow when it has succeeded. Statements that lock the
   * same things on every shard take them in one order this way, so that two of them cannot wait for each other.
   */
  readonly firstLeads: boolean;
  /** An error of a shard as of the client's text, where the shard ran another one. */
  readonly told?: ((error: Buffer, position: number) => Buffer) | undefined;
  /**
   * It writes, so its rows are described when there is one, or all have succeeded: servers run it to its end first, but
   * for COPY.
   */
  readonly describesLate: boolean;
  /** Requests end in Sync (true), so that a branch ends at its ReadyForQuery, or in Flush. */
  readonly endsWithSync: boolean;
  /** The client's copy data has so many columns, where shards are sent more; else as many as they say. */
  readonly dataColumns?: number | undefined;
  /** A shard has done its part. */
  readonly onBranch?: ((backend: BackendConnection) => void) | undefined;
  readonly onDone: (outcome: Outcome, succeeded: readonly BackendConnection[]) => void;
}

interface Branch {
  readonly backend: BackendConnection;
  started: boolean;
  done: boolean;
  succeeded: boolean;
  /** The client has not taken what it got from here: the session lets this backend go on, nobody else. */
  inFlight: boolean;
  tag: string;
}

/**
 * One statement that runs on several shards at once. Its requests were written with CAPTURE and a Flush; this merges
 * the answers. Rows are taken shard by shard: whoever is not in turn is not read from, which is the backpressure, so
 * memory stays at one read buffer a shard whatever the result's size.
 *
 *   shard 0: T D D D D C
 *   shard 1:     (waits)  D D D C
 *   client : T D D D D    D D D C'
 *
 * When one shard fails the others are cancelled, and the outcome is told when all have ended.
 */
export class FanOut implements Operation {
  private readonly host: OperationHost;
  private readonly branches: Branch[];
  private readonly options: FanOutOptions;
  private readonly cancels: RepeatedCancel;
  private turn = 0;
  private error: Buffer | null = null;
  /** After a failure: the branch whose row was cut off in the middle still passes the rest of it. */
  private finishing: Branch | null = null;
  private described = false;
  /** Of a statement that writes, while the client has not got it. */
  private description: Buffer | null = null;
  /** Of the result, as the client was told: names and types. */
  private columns = '';
  private ended = false;
  private copyInCount = 0;
  private copyDone = false;
  /** Messages that came while the client had half a row of another shard. */
  private held: Buffer[] = [];
  /** Called when every shard waits for copy data. */
  private readonly onCopyIn: (() => void) | null;

  constructor(
    host: OperationHost,
    backends: readonly BackendConnection[],
    options: FanOutOptions,
    onCopyIn: (() => void) | null = null,
  ) {
    this.host = host;
    this.options = options;
    this.onCopyIn = onCopyIn;
    this.cancels = new RepeatedCancel(backends);
    this.branches = backends.map((backend) => ({
      backend,
      started: false,
      done: false,
      succeeded: false,
      inFlight: false,
      tag: '',
    }));
  }

  /** Sends the requests; this must be the session's operation already. */
  start(): void {
    if (this.options.firstLeads) this.startBranch(0);
    else for (let i = 0; i < this.branches.length; i++) this.startBranch(i);
  }

  private startBranch(position: number): void {
    const branch = this.branches[position]!;
    branch.started = true;
    this.options.send(branch.backend, position);
    branch.backend.flush();
  }

  /** Of an UPDATE, DELETE or INSERT that has succeeded: the backends on which it has changed rows. */
  get changed(): BackendConnection[] {
    return this.branches.flatMap(({ tag, backend }) => (tag.endsWith(' 0') ? [] : [backend]));
  }

  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const branch = this.branchOf(backend);
    branch.inFlight = false;
    switch (type) {
      case Backend.rowDescription:
      case Backend.copyOutResponse:
      case Backend.copyInResponse:
        if (!this.described) {
          this.described = true;
          this.columns = columnsOf(buffer, start, end);
          this.describe(branch, buffer, start, end);
        } else if (this.columns !== columnsOf(buffer, start, end)) {
          this.breakOff(errorBytes(otherColumnsError(backend.shard.name)), null);
        }
        if (type !== Backend.copyInResponse) break;
        if (this.error !== null) this.stop(branch);
        else if (++this.copyInCount === this.branches.length) this.onCopyIn?.();
        break;
      case Backend.noticeResponse:
        // The same statement on the same schema says the same everywhere.
        if (this.options.merge.kind !== 'first' || branch === this.branches[0]) {
          this.passBetweenRows(branch, buffer, start, end);
        }
        break;
      case Backend.copyDone:
        // Told at the end: a shard without rows is through before the first one is.
        this.copyDone = true;
        break;
      case Backend.commandComplete:
        branch.tag = readTag(buffer, start, end);
        branch.succeeded = true;
        this.onSucceeded(branch);
        break;
      default:
        // NoData and the like: the client asked for none of them.
        break;
    }
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    const branch = this.branchOf(backend);
    branch.inFlight = false;
    if (this.error !== null) {
      if (branch !== this.finishing) return true;
      this.passRows(branch, this.branches.indexOf(branch), buffer, start, end);
      if (backend.dataBytesRemaining <= end - start) {
        this.finishing = null;
        this.passHeld();
      }
      return true;
    }
    const position = this.branches.indexOf(branch);
    if (this.options.merge.kind === 'first' && position > 0) return true;
    if (this.options.merge.kind === 'counts') {
      this.options.merge.sums.push(position, buffer, start, end);
      return true;
    }
    if (this.options.merge.kind === 'ordered') {
      const { rows, memoryBytesMax } = this.options.merge;
      rows.push(position, buffer, start, end);
      if (rows.bytes > memoryBytesMax) this.abort(errorBytes(memoryError(memoryBytesMax)));
      return true;
    }
    if (position !== this.turn) return false;
    this.passRows(branch, position, buffer, start, end);
    if (backend.dataBytesRemaining <= end - start) this.passHeld();
    return true;
  }

  private passRows(
    branch: Branch,
    position: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const { merge } = this.options;
    this.tellDescription();
    if (merge.kind !== 'copy') this.pass(branch, buffer, start, end);
    else {
      merge.concat.push(position, buffer, start, end, (bytes, from, to) => {
        this.pass(branch, bytes, from, to);
      });
    }
  }

  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const branch = this.branchOf(backend);
    const error = Buffer.from(buffer.subarray(start, end));
    this.fail(branch, this.options.told?.(error, this.branches.indexOf(branch)) ?? error);
  }

  lost(backend: BackendConnection, error: BackendError): void {
    const branch = this.branches.find((candidate) => candidate.backend === backend);
    if (branch === undefined) return;
    const { kind } = this.options.merge;
    const inTurn = this.error === null && branch === this.branches[this.turn];
    const passes = !this.keepsRows && (kind !== 'first' || branch === this.branches[0]);
    if ((branch === this.finishing || (inTurn && passes)) && backend.dataBytesRemaining > 0)
      this.host.clientStreamBroken();
    if (branch === this.finishing) this.finishing = null;
    branch.succeeded = false;
    this.fail(branch, errorBytes(error.toSqlError()));
  }

  ready(backend: BackendConnection): void {
    if (this.options.endsWithSync) this.finish(this.branchOf(backend));
  }

  /** Ends the statement everywhere with an error of our own. */
  abort(error: Buffer): void {
    this.error ??= error;
    for (const branch of this.branches) this.stop(branch);
    for (const branch of this.branches) this.resume(branch);
  }

  settled(): void {
    // CommandComplete and ErrorResponse say it.
  }

  /** Nothing is passed on before all have succeeded. */
  private get keepsRows(): boolean {
    const { kind } = this.options.merge;
    return kind === 'counts' || kind === 'ordered';
  }

  private onSucceeded(branch: Branch): void {
    this.options.onBranch?.(branch.backend);
    if (this.options.firstLeads && branch === this.branches[0]) {
      for (let i = 1; i < this.branches.length; i++) this.startBranch(i);
    }
    if (!this.options.endsWithSync) this.finish(branch);
  }

  private fail(branch: Branch, error: Buffer): void {
    branch.succeeded = false;
    this.breakOff(error, branch);
    if (!this.options.endsWithSync || !branch.backend.alive) this.finish(branch);
    // Whoever waited for its turn is drained now.
    for (const other of this.branches) this.resume(other);
  }

  /** Ends it with an error, unless it has one. `failed`: the shard that said so, and has ended. */
  private breakOff(error: Buffer, failed: Branch | null): void {
    if (this.error !== null) return;
    this.error = error;
    const current = this.keepsRows ? undefined : this.branches[this.turn];
    if (current !== failed && current !== undefined && current.backend.dataBytesRemaining > 0) {
      this.finishing = current;
    }
    this.cancels.start(() => {
      for (const other of this.branches) if (other !== failed) this.stop(other);
    });
    if (failed === null) for (const branch of this.branches) this.resume(branch);
  }

  /** Lets it be read from, unless its read buffer holds what the client is still being sent. */
  private resume(branch: Branch): void {
    if (!branch.done && !branch.inFlight) branch.backend.resumeReading();
  }

  /** The others need not go on: what runs is cancelled, what has not begun never will. */
  private stop(branch: Branch): void {
    if (branch.done) return;
    if (!branch.started) {
      branch.done = true;
      return;
    }
    if (branch.backend.copyingIn) {
      branch.backend.failCopy('the statement failed elsewhere');
      branch.backend.requestFlush();
      branch.backend.flush();
    } else if (!branch.succeeded) {
      branch.backend.cancel();
    }
  }

  private finish(branch: Branch): void {
    if (branch.done) return;
    branch.done = true;
    if (this.error === null) {
      while (this.turn < this.branches.length && this.branches[this.turn]!.done) this.turn++;
      const next = this.branches[this.turn];
      if (next !== undefined) this.resume(next);
    }
    // Reading on from the next shard may have ended it all already.
    if (this.ended || !this.branches.every((each) => each.done)) return;
    this.ended = true;
    this.cancels.settle(() => this.report());
  }

  private report(): void {
    const succeeded = this.branches.filter((each) => each.succeeded).map((each) => each.backend);
    const { merge } = this.options;
    if (this.error === null) this.tellDescription();
    if (this.error === null && (merge.kind === 'counts' || merge.kind === 'ordered')) {
      const rows = merge.kind === 'counts' ? merge.sums.row() : merge.rows.take();
      // The bytes are our own: no backend must stop reading for them.
      if (rows.length > 0) this.host.passToClient(null, rows, 0, rows.length);
    }
    this.passHeld();
    if (this.copyDone && this.error === null) {
      this.host.passToClient(null, COPY_DONE, 0, COPY_DONE.length);
    }
    if (this.error !== null) this.options.onDone({ ok: false, error: this.error }, succeeded);
    else this.options.onDone({ ok: true, tag: this.mergedTag() }, succeeded);
  }

  private mergedTag(): string {
    const tags = this.branches.map((branch) => branch.tag);
    // Copies of one answer, or one row made of all: the first tag is the answer's.
    const { kind } = this.options.merge;
    return kind === 'first' || kind === 'counts' ? tags[0]! : addTags(tags);
  }

  private describe(branch: Branch, buffer: Buffer, start: number, end: number): void {
    const { merge, describesLate, dataColumns } = this.options;
    if (dataColumns !== undefined && buffer[start] === Backend.copyInResponse) {
      const message = cutCopyInResponse(buffer, start, dataColumns);
      this.host.passToClient(null, message, 0, message.length);
      return;
    }
    if (describesLate && buffer[start] === Backend.rowDescription) {
      const message = Buffer.from(buffer.subarray(start, end));
      this.description = merge.kind === 'ordered' ? merge.rows.description(message) : message;
      return;
    }
    if (merge.kind !== 'ordered') {
      this.pass(branch, buffer, start, end);
      return;
    }
    const message = merge.rows.description(Buffer.from(buffer.subarray(start, end)));
    this.host.passToClient(null, message, 0, message.length);
  }

  private tellDescription(): void {
    const { description } = this;
    this.description = null;
    if (description !== null) this.host.passToClient(null, description, 0, description.length);
  }

  private pass(branch: Branch, buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    if (this.host.passToClient(branch.backend, buffer, start, end)) return;
    branch.inFlight = true;
    branch.backend.pauseReading();
  }

  /** A message that may stand anywhere but inside a row; its backend waits until it has gone out. */
  private passBetweenRows(branch: Branch, buffer: Buffer, start: number, end: number): void {
    const open = this.error === null ? this.branches[this.turn] : this.finishing;
    if (this.keepsRows || open === branch || (open?.backend.dataBytesRemaining ?? 0) === 0) {
      this.pass(branch, buffer, start, end);
      return;
    }
    this.held.push(Buffer.from(buffer.subarray(start, end)));
    branch.backend.pauseReading();
  }

  private passHeld(): void {
    if (this.held.length === 0) return;
    for (const message of this.held.splice(0)) {
      this.host.passToClient(null, message, 0, message.length);
    }
    for (const branch of this.branches) this.resume(branch);
  }

  private branchOf(backend: BackendConnection): Branch {
    return this.branches.find((branch) => branch.backend === backend)!;
  }
}

const COPY_DONE = Buffer.from([Backend.copyDone, 0, 0, 0, 4]);

/** `UPDATE 3` and `UPDATE 4` are `UPDATE 7`; `INSERT 0 n` keeps its zero; tags without a count are all equal. */
export function addTags(tags: readonly string[]): string {
  const first = tags[0]!;
  const verb = first.replace(/\d+$/, '');
  if (verb === first) return first;
  let rows = 0;
  for (const tag of tags) rows += Number(tag.slice(verb.length));
  return verb + String(rows);
}
