import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText, type PreparedText } from '../backend/postgres/prepared-text.js';
import { SqlError } from '../errors/sql-error.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { withoutPosition } from '../protocol/error-position.js';
import type { Operation, OperationHost } from '../transaction/operation.js';
import { NO_VALUES } from './bind-parts.js';
import type { DealtRows } from './dealt-rows.js';
import type { GatherBranch } from './gather-branch.js';
import { GatherBranches } from './gather-branches.js';
import { cancelError } from './gather-errors.js';
import type { GatheredSize } from './gather-limits.js';
import { HASH_JOINS_SQL } from './gather-script.js';

/** An input whose rows are dealt to the targets. */
export interface DealingInput {
  /** Backends that run `read`. */
  readonly sources: readonly BackendConnection[];
  /** Its rows end in the keyspace id of where each goes. */
  readonly read: PreparedText;
  /** The client's values; results in the formats that the rows are kept in. */
  readonly bind: Buffer;
  /** Takes its rows. */
  readonly rows: DealtRows;
}

interface DealOptions {
  readonly inputs: readonly DealingInput[];
  readonly targets: readonly BackendConnection[];
  readonly size: GatheredSize;
  /** All rows are there, or the error. */
  readonly onDone: (error: Buffer | null) => void;
}

/**
 * Reads the inputs of a statement whose rows are dealt to the targets, which get them as parameters of
 * what they run next: most backends are source and target, so none could take rows while it sends its
 * own. They are kept within the limits of gathers. After an error the others are cancelled; the outcome
 * is told when all have ended.
 */
export class Deal implements Operation {
  private readonly host: OperationHost;
  private readonly options: DealOptions;
  private readonly branches: GatherBranches;
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
  }

  /** Sends the requests; this must be the session's operation already. */
  start(): void {
    const { inputs, targets } = this.options;
    for (const branch of this.branches.all) {
      const { backend, steps } = branch;
      if (targets.includes(backend)) {
        backend.statements.runUnnamed(unnamedText(HASH_JOINS_SQL, []), NO_VALUES, false);
        steps.push({ kind: 'settings' });
      }
      inputs.forEach(({ sources, read, bind }, input) => {
        if (!sources.includes(backend)) return;
        backend.statements.runUnnamed(read, bind, false);
        steps.push({ kind: 'input', input });
      });
      backend.requestFlush();
      backend.flush();
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
      this.branches.of(backend).steps.shift();
      this.finishIfOver();
    } else if (type === Backend.noticeResponse) {
      this.host.passToClient(null, Buffer.from(buffer.subarray(start, end)), 0, end - start);
    }
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    const branch = this.branches.of(backend);
    const [step] = branch.steps;
    if (this.error !== null || step?.kind !== 'input') return true;
    const { rows } = this.options.inputs[step.input]!;
    const before = rows.rowCount;
    try {
      rows.push(branch.rows[step.input]!, buffer, start, end);
      const error = this.options.size.add(end - start, rows.rowCount - before);
      if (error !== null) throw error;
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      this.fail(errorBytes(error), null);
    }
    return true;
  }

  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const branch = this.branches.of(backend);
    branch.steps.length = 0;
    this.fail(withoutPosition(buffer, start, end), branch);
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
