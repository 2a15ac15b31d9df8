import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { Expect } from '../backend/postgres/expected-replies.js';
import { readTag } from '../protocol/backend-messages.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Operation, OperationHost } from '../transaction/operation.js';
import { distinctValues } from './array-parameter.js';
import { hasTypes } from './described-columns.js';
import { changedShapeError } from './merge-description.js';
import { withoutPosition } from '../protocol/error-position.js';
import { GatherAnswer } from './gather-answer.js';
import type { GatherBranch } from './gather-branch.js';
import { GatherBranches } from './gather-branches.js';
import type { GatherFeed } from './gather-feed.js';
import type { GatherRows } from './gather-rows.js';
import { cancelError, shapeError, tableError } from './gather-errors.js';
import type { GatherOptions } from './gather-options.js';
import type { TableWay } from './gather-script.js';
import { rowsOf } from './portal/parts-in-turn.js';

/** Inputs up to this size, all together, travel as parameters of the final statement. */
const PARAMETER_BYTES_MAX = 256 * 1024;
/** Rows of one input from one shard that travel so. */
export const PARAMETER_ROWS_MAX = 1000;

/**
 * Brings the inputs of a statement to one server, the home, which then runs the final statement.
 *
 *   collecting: every shard runs its inputs, rows are kept  -- all there, small --> final
 *        | too large for parameters
 *        v
 *   copying: for each input CREATE TEMPORARY TABLE, COPY: what comes, then what was kept --> final
 *
 * What the home has itself is in the tables from the beginning, or stays where it is.
 *
 * While copying, a shard whose rows are not wanted yet is not read from, nor is any while the home
 * takes nothing; so memory stays at what was kept and one read buffer a shard. After an error the
 * others are cancelled; the outcome is told when all have ended.
 */
export class Gather implements Operation {
  private readonly host: OperationHost;
  private readonly options: GatherOptions;
  private readonly home: GatherBranch;
  private readonly branches: GatherBranches;
  private readonly answer: GatherAnswer;
  /** Of the COPY that is open, or was last. */
  private feed: GatherFeed | null = null;
  private collecting: boolean;
  /** Inputs that are read by values of others, which have not come. */
  private readonly waiting = new Set<number>();
  /** In the order in which shards were asked for them, and answer. */
  private readonly asked: number[] = [];
  /** By input, where they are large. */
  private readonly ways: TableWay[];
  /** Inputs of which the home's rows are kept: it had read all of them before there were tables. */
  private readonly keptAtHome = new Set<number>();
  /** The input that the home's COPY takes now; -1: none. */
  private copying = -1;
  /** The branch whose row the COPY has half of. */
  private owner: GatherBranch | null = null;
  /** The final statement's. */
  private tag: string | null = null;
  private error: Buffer | null = null;
  private ended = false;
  /** Some shard has planned its input, and executed it. */
  private executed = false;

  constructor(host: OperationHost, options: GatherOptions) {
    this.host = host;
    this.options = options;
    const { sources, home } = options;
    this.collecting = options.startsSmall;
    this.ways = sources.map((backends) => {
      if (!options.readsInPlace || !backends.includes(home)) return 'all';
      return backends.length > 1 ? 'others' : 'none';
    });
    this.branches = new GatherBranches(home, sources);
    this.home = this.branches.home;
    this.answer = new GatherAnswer(host, home, options.result, options.describe);
  }

  /** Sends the requests; this must be the session's operation already. */
  start(): void {
    const { sources, script } = this.options;
    const readers = new Map<number, readonly BackendConnection[]>();
    sources.forEach((backends, input) => {
      if (this.collecting && script.linkOf(input) !== null) this.waiting.add(input);
      else readers.set(input, backends);
    });
    this.read(readers);
    if (!this.collecting) this.copyFrom(0);
  }

  /** Sends inputs to the backends that are to read them; Sync when nothing more will be sent. */
  private read(inputs: ReadonlyMap<number, readonly BackendConnection[]>): void {
    const { script, endsWithSync, makesTables } = this.options;
    this.asked.push(...inputs.keys());
    for (const branch of this.branches.all) {
      const isHome = branch === this.home;
      if (isHome && !this.collecting) continue;
      const { backend, steps } = branch;
      const before = steps.length;
      for (const [input, backends] of inputs) {
        if (!backends.includes(backend)) continue;
        // The home must be free again when its rows are many: it makes a table of them by itself.
        script.runInput(backend, input, isHome && makesTables ? PARAMETER_ROWS_MAX + 1 : 0);
        steps.push({ kind: 'input', input });
        branch.open = true;
      }
      if (!isHome && endsWithSync && branch.open && this.waiting.size === 0) branch.sync();
      else if (steps.length > before) backend.requestFlush();
      else continue;
      backend.flush();
    }
  }

  // ---------------------------------------------------------------- what backends say

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
        this.onDescribed(branch, buffer, start, end);
        break;
      case Backend.copyInResponse:
        this.onCopyIn(branch);
        break;
      case Backend.commandComplete:
        // Of a DECLARE, which is described next.
        if (branch.steps[0]?.kind === 'final' && this.options.script.opensPortal) break;
        this.onStepDone(branch, readTag(buffer, start, end));
        break;
      case Backend.portalSuspended:
        this.spill();
        branch.steps.shift();
        break;
      case Backend.noticeResponse:
        this.tell(buffer, start, end);
        break;
      default:
        break;
    }
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    const branch = this.branches.of(backend);
    const step = branch.steps[0];
    if (step?.kind === 'final') {
      // After an error a row that was begun goes out to its end.
      if (this.error === null || this.answer.isInsideRow) this.answer.rows(buffer, start, end);
      return true;
    }
    if (this.error !== null || step?.kind !== 'input') return true;
    // Once there are tables, the home's own rows are in them.
    if (branch === this.home && !this.collecting) return true;
    const rows = branch.rows[step.input]!;
    if (this.collecting || rows.missing > 0) {
      const before = rows.rowCount;
      rows.push(buffer, start, end);
      this.count(end - start, rows.rowCount - before);
      const { size } = this.options;
      const isLarge = rows.rowCount > PARAMETER_ROWS_MAX || size.bytes > PARAMETER_BYTES_MAX;
      if (isLarge && this.options.makesTables) this.spill();
      return true;
    }
    const { owner } = this;
    if (this.copying !== step.input || (owner !== null && owner !== branch)) return false;
    if (this.home.backend.congested) return false;
    this.copyRows(branch, buffer, start, end);
    return true;
  }

  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const branch = this.branches.of(backend);
    const [step] = branch.steps;
    branch.steps.length = 0;
    if (step?.kind === 'input' && backend.failedWhile === Expect.execute) this.executed = true;
    const ours = step?.kind === 'table' ? tableError(buffer, start, end) : null;
    this.fail(ours ?? withoutPosition(buffer, start, end), branch);
  }

  lost(backend: BackendConnection, error: BackendError): void {
    const branch = this.branches.find(backend);
    if (branch === null) return;
    if (branch === this.home && this.answer.isInsideRow) this.host.clientStreamBroken();
    branch.steps.length = 0;
    branch.syncing = false;
    this.fail(errorBytes(error.toSqlError()), branch);
  }

  ready(backend: BackendConnection): void {
    const branch = this.branches.find(backend);
    // Of a BEGIN on a backend that the statement needs for something else.
    if (branch === null) return;
    branch.syncing = false;
    this.finishIfOver();
  }

  settled(): void {
    // CommandComplete and ErrorResponse say it.
  }

  cancel(): void {
    this.abort(errorBytes(cancelError()));
  }

  abort(error: Buffer): void {
    if (this.tag === null) this.fail(error, null);
  }

  drained(backend: BackendConnection): void {
    if (backend === this.home.backend) this.branches.resumeShards();
  }

  private onStepDone(branch: GatherBranch, tag: string): void {
    const step = branch.steps.shift();
    if (step?.kind === 'final') this.tag = tag;
    // What a table was made with, of the home's own rows.
    if (step?.kind === 'table' && tag.startsWith('SELECT')) this.count(0, rowsOf(tag));
    if (step?.kind === 'input') this.executed = true;
    if (step?.kind === 'input' && this.error === null) {
      this.readByValues();
      this.finishCollecting();
      this.finishCopy();
    }
    this.finishIfOver();
  }

  // ---------------------------------------------------------------- small inputs

  /** Inputs whose values are all there now are asked for the rows that have them. */
  private readByValues(): void {
    if (!this.collecting || this.waiting.size === 0) return;
    const { script, readersOf } = this.options;
    const readers = new Map<number, readonly BackendConnection[]>();
    for (const input of this.waiting) {
      const { input: leader, column } = script.linkOf(input)!;
      if (this.waiting.has(leader) || this.branches.awaitInput(leader)) continue;
      const contents = this.rowsOf(leader).map((rows) => rows.content());
      const values = distinctValues(contents, column);
      script.restrict(input, values);
      readers.set(input, readersOf(input, values));
    }
    for (const input of readers.keys()) this.waiting.delete(input);
    if (readers.size > 0) this.read(readers);
  }

  /** What is kept of an input, by backend. */
  private rowsOf(input: number): GatherRows[] {
    return this.options.sources[input]!.map((backend) => this.branches.of(backend).rows[input]!);
  }

  /** When every input is there, and small enough, the final statement gets them as parameters. */
  private finishCollecting(): void {
    if (!this.collecting || this.waiting.size > 0 || this.branches.awaitInput()) return;
    this.collecting = false;
    const { sources, script } = this.options;
    const rows = sources.map((_, input) => this.rowsOf(input));
    script.finalOverParameters(this.home.backend, rows);
    this.home.steps.push({ kind: 'final' });
    this.endHome();
  }

  /** The inputs are too large for parameters: tables take them. */
  private spill(): void {
    if (!this.collecting || this.error !== null) return;
    this.collecting = false;
    this.home.rows.forEach((rows, input) => {
      const reads = this.options.sources[input]!.includes(this.home.backend);
      if (!reads || this.waiting.has(input) || this.home.awaitsInput(input)) rows.clear();
      else {
        // Others were perhaps asked by their values: read again they could be other rows.
        this.keptAtHome.add(input);
        this.ways[input] = 'all';
      }
    });
    const late = new Map([...this.waiting].map((input) => [input, this.options.sources[input]!]));
    this.waiting.clear();
    this.read(late);
    this.copyFrom(0);
  }

  // ---------------------------------------------------------------- large inputs

  /**
   * Makes tables of the inputs from this place in their order on, up to one that needs rows of shards. Their order is
   * that of the shards' answers: what comes behind cannot be had before what comes first has been taken.
   */
  private copyFrom(first: number): void {
    const { sources, script, onTables } = this.options;
    const { ways, keptAtHome } = this;
    const { backend, steps } = this.home;
    if (first === 0 && ways.some((way) => way !== 'none')) onTables();
    for (const input of this.asked.slice(first)) {
      const backends = sources[input]!;
      if (ways[input] === 'none') continue;
      const isKept = keptAtHome.has(input);
      const withData = ways[input] === 'all' && !isKept && backends.includes(backend);
      script.createTable(backend, input, withData);
      steps.push({ kind: 'table', input });
      if (isKept || backends.some((other) => other !== backend)) {
        script.copyInto(backend, input);
        steps.push({ kind: 'copy', input });
        backend.requestFlush();
        backend.flush();
        return;
      }
      this.finishTable(input, 0);
    }
    this.finish();
  }

  /** The final statement over tables, and what must be undone behind it. */
  private finish(): void {
    const { script, dropsTables, endsWithSync } = this.options;
    const { backend, steps } = this.home;
    const readsInPlace = this.ways.some((way) => way !== 'all');
    if (readsInPlace) {
      script.preferHashJoins(backend);
      steps.push({ kind: 'settings' });
    }
    script.finalOverTables(backend, this.ways);
    steps.push({ kind: 'final' });
    let cleaning = readsInPlace && !endsWithSync ? script.endHashJoins(backend) : 0;
    if (dropsTables) cleaning += script.dropTables(backend, this.ways);
    while (cleaning-- > 0) steps.push({ kind: 'cleanUp' });
    this.endHome();
  }

  private onCopyIn(branch: GatherBranch): void {
    const [step] = branch.steps;
    if (this.error !== null || step?.kind !== 'copy') {
      branch.stop();
      return;
    }
    this.copying = step.input;
    this.feed = this.options.script.feed(branch.backend, step.input);
    this.feed.begin();
    this.branches.resumeShards();
    this.finishCopy();
  }

  private copyRows(branch: GatherBranch, buffer: Buffer, start: number, end: number): void {
    const { backend } = branch;
    this.count(end - start, 0);
    if (this.error !== null) return;
    const feed = this.feed!;
    const before = feed.rowCount;
    const isRest = this.owner !== null;
    this.owner = backend.dataBytesRemaining > end - start ? branch : null;
    if (!feed.rows(buffer, start, end, isRest)) backend.pauseReading();
    else if (this.owner === null) this.branches.resumeShards(branch);
    this.count(0, feed.rowCount - before);
  }

  /** When all rows of the input have come, its table is finished, and the next one is due. */
  private finishCopy(): void {
    const input = this.copying;
    if (input < 0 || this.branches.awaitInput(input)) return;
    this.copying = -1;
    const feed = this.feed!;
    for (const branch of this.branches.all) {
      const rows = branch.rows[input]!;
      feed.kept(rows.content(), rows.rowCount);
      rows.clear();
    }
    feed.end();
    this.finishTable(input, feed.rowCount);
    this.copyFrom(this.asked.indexOf(input) + 1);
  }

  private finishTable(input: number, rowCount: number): void {
    const { backend, steps } = this.home;
    // Nobody would look at statistics of a part.
    if (this.ways[input] === 'others') return;
    const statements = this.options.script.finishTable(backend, input, rowCount);
    for (let i = 0; i < statements; i++) steps.push({ kind: 'table', input });
  }

  // ---------------------------------------------------------------- the answer

  private endHome(): void {
    const { backend } = this.home;
    if (this.options.endsWithSync) this.home.sync();
    else backend.requestFlush();
    backend.flush();
  }

  /** What the final statement gives must be what the client was told. */
  private onDescribed(branch: GatherBranch, buffer: Buffer, start: number, end: number): void {
    const { script, result, onChanged } = this.options;
    const [step] = branch.steps;
    if (step?.kind === 'input') {
      if (script.gives(step.input, buffer, start, end)) return;
      onChanged();
      this.abort(errorBytes(changedShapeError()));
      return;
    }
    if (script.opensPortal) this.home.steps.shift();
    if (this.error === null) {
      const told = hasTypes(buffer, start, end, result.columns);
      if (!told) {
        onChanged();
        this.fail(shapeError(), null);
      } else if (script.opensPortal) this.tag = 'OPEN';
      else this.answer.describe();
    }
    this.finishIfOver();
  }

  private tell(buffer: Buffer, start: number, end: number): void {
    if (this.error === null) this.answer.message(buffer, start, end);
  }

  // ---------------------------------------------------------------- errors and the end

  private count(bytes: number, rows: number): void {
    const error = this.options.size.add(bytes, rows);
    if (error !== null) this.fail(errorBytes(error), null);
  }

  /** Breaks everything off; `origin` has ended by itself. */
  private fail(error: Buffer, origin: GatherBranch | null): void {
    if (this.error === null) {
      this.error = error;
      this.copying = -1;
      this.branches.stop(origin);
      // Whoever waited for its turn is drained now; what the home has not taken yet, when it has.
      const { backend } = this.home;
      if (!backend.alive || !backend.congested) this.branches.resumeShards();
    }
    this.finishIfOver();
  }

  private finishIfOver(): void {
    if (this.ended || (this.tag === null && this.error === null)) return;
    if (!this.branches.idle) return;
    this.ended = true;
    this.branches.settle(() => this.report());
  }

  private report(): void {
    const { onDone } = this.options;
    // One server would have failed at run time too: behind its RowDescription, not in front of it.
    if (this.executed) this.answer.describe();
    if (this.error !== null) onDone({ ok: false, error: this.error });
    else onDone({ ok: true, tag: this.tag! });
  }
}
