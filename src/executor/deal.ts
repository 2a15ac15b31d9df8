import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText, type PreparedText } from '../backend/postgres/prepared-text.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { withoutPosition } from '../protocol/error-position.js';
import type { Operation, OperationHost } from '../transaction/operation.js';
import { NO_VALUES } from './bind-parts.js';
import { DealtRows } from './dealt-rows.js';
import type { GatherBranch } from './gather-branch.js';
import { GatherBranches } from './gather-branches.js';
import { cancelError, tableError } from './gather-errors.js';
import type { GatheredSize } from './gather-limits.js';
import { HASH_JOINS_SQL } from './gather-script.js';

/** An input whose rows are dealt to the targets. */
export interface DealingInput {
  /** Backends that run `read`. */
  readonly sources: readonly BackendConnection[];
  /** Its rows end in the place of the target that each goes to (int4). */
  readonly read: PreparedText;
  /** Makes its table, empty. */
  readonly create: PreparedText;
  /** COPY FROM STDIN of it, in binary. */
  readonly copy: PreparedText;
}

interface DealOptions {
  readonly inputs: readonly DealingInput[];
  readonly targets: readonly BackendConnection[];
  /** For `create` and `read`: the client's values, results in binary. */
  readonly bind: Buffer;
  readonly size: GatheredSize;
  /** Every target has its rows in its tables, or the error. */
  readonly onDone: (error: Buffer | null) => void;
}

/**
 * Deals the rows of inputs to temporary tables of all targets:
 *
 *   every target: CREATE TEMPORARY TABLE; every source: SELECT --> rows by place
 *        | all are there
 *        v
 *   every target: COPY of its rows
 *
 * A backend is a source and a target, so none could take rows while it still sends its own: they are
 * kept in between, within the limits of gathers. After an error the others are cancelled; the outcome
 * is told when all have ended.
 */
export class Deal implements Operation {
  private readonly host: OperationHost;
  private readonly options: DealOptions;
  private readonly branches: GatherBranches;
  /** Of each input. */
  private readonly rows: readonly DealtRows[];
  private loading = false;
  private error: Buffer | null = null;
  private ended = false;

  constructor(host: OperationHost, options: DealOptions) {
    this.host = host;
    this.options = options;
    const { inputs, targets } = options;
    this.branches = new GatherBranches(targets[0]!, [
      targets,
      ...inputs.map(({ sources }) => sources),
    ]);
    this.rows = inputs.map(() => new DealtRows(targets.length));
  }

  /** Sends the requests; this must be the session's operation already. */
  start(): void {
    const { inputs, targets, bind } = this.options;
    for (const branch of this.branches.all) {
      const { backend, steps } = branch;
      if (targets.includes(backend)) {
        backend.statements.runUnnamed(unnamedText(HASH_JOINS_SQL, []), NO_VALUES, false);
        steps.push({ kind: 'settings' });
        inputs.forEach(({ create }, input) => {
          backend.statements.runUnnamed(create, bind, false);
          steps.push({ kind: 'table', input });
        });
      }
      inputs.forEach(({ sources, read }, input) => {
        if (!sources.includes(backend)) return;
        backend.statements.runUnnamed(read, bind, false);
        steps.push({ kind: 'input', input });
      });
      backend.requestFlush();
      backend.flush();
    }
  }

  /** Sends every target its rows; nobody waits until it asks for them. */
  private load(): void {
    const { inputs, targets } = this.options;
    this.loading = true;
    targets.forEach((backend, place) => {
      inputs.forEach(({ copy }, input) => {
        backend.statements.runUnnamed(copy, NO_VALUES, false);
        for (const bytes of this.rows[input]!.content(place)) backend.writeThrough(bytes);
        this.branches.of(backend).steps.push({ kind: 'copy', input });
      });
      backend.requestFlush();
      backend.flush();
    });
  }

  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === Backend.commandComplete) {
      this.branches.of(backend).steps.shift();
      this.goOn();
    } else if (type === Backend.copyInResponse) {
      // It has been sent all of it.
      backend.copyingIn = false;
    } else if (type === Backend.noticeResponse) {
      this.host.passToClient(null, Buffer.from(buffer.subarray(start, end)), 0, end - start);
    }
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    const branch = this.branches.of(backend);
    const [step] = branch.steps;
    if (this.error !== null || step?.kind !== 'input') return true;
    const rows = this.rows[step.input]!;
    const before = rows.rowCount;
    rows.push(branch.rows[step.input]!, buffer, start, end);
    this.count(end - start, rows.rowCount - before);
    return true;
  }

  private count(bytes: number, rows: number): void {
    const error = this.options.size.add(bytes, rows);
    if (error !== null) this.fail(errorBytes(error), null);
  }

  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const branch = this.branches.of(backend);
    const [step] = branch.steps;
    branch.steps.length = 0;
    const ours = step?.kind === 'table' ? tableError(buffer, start, end) : null;
    this.fail(ours ?? withoutPosition(buffer, start, end), branch);
  }

  lost(backend: BackendConnection, error: BackendError): void {
    const branch = this.branches.find(backend);
    if (branch === null) return;
    branch.steps.length = 0;
    this.fail(errorBytes(error.toSqlError()), branch);
  }

  ready(): void {
    // No Sync is sent.
  }

  settled(): void {
    // CommandComplete and ErrorResponse say it.
  }

  cancel(): void {
    this.abort(errorBytes(cancelError()));
  }

  abort(error: Buffer): void {
    this.fail(error, null);
  }

  private goOn(): void {
    if (this.error === null && !this.loading && this.branches.idle) this.load();
    this.finishIfOver();
  }

  /** Breaks everything off; `origin` has ended by itself. */
  private fail(error: Buffer, origin: GatherBranch | null): void {
    if (this.error === null) {
      this.error = error;
      this.branches.stop(origin);
    }
    this.finishIfOver();
  }

  private finishIfOver(): void {
    if (this.ended || !this.branches.idle) return;
    this.ended = true;
    this.branches.settle(() => this.options.onDone(this.error));
  }
}
