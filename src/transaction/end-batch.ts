import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP } from '../backend/postgres/expected-replies.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { QuietOperation } from './operation.js';
import { unknownOutcome } from './unknown-outcome.js';

/**
 * Ends what several backends ran without Sync: Sync commits each one's implicit transaction (inside an explicit one it
 * only ends the pipeline); abandoning rolls the implicit ones back. `onDone` gets the first error, if any, or that of
 * the one backend that has something to commit.
 */
export class EndBatch extends QuietOperation {
  private readonly open: Set<BackendConnection>;
  private readonly onDone: (error: Buffer | null) => void;
  private readonly writer: BackendConnection | null;
  private error: Buffer | null = null;

  private constructor(
    backends: readonly BackendConnection[],
    writer: BackendConnection | null,
    onDone: (error: Buffer | null) => void,
  ) {
    super();
    this.writer = writer;
    this.open = new Set(backends);
    this.onDone = onDone;
  }

  /**
   * The caller makes the result its session's operation before anything can answer.
   * @param writer the only one whose transaction has something to commit; null: none has, or this commits nothing
   */
  static sync(
    backends: readonly BackendConnection[],
    writer: BackendConnection | null,
    onDone: (error: Buffer | null) => void,
  ): EndBatch {
    for (const backend of backends) {
      backend.sync(CAPTURE);
      backend.flush();
    }
    return new EndBatch(backends, writer, onDone);
  }

  /** `undo`: what did not fail must not be committed either. */
  static rollBack(
    backends: readonly BackendConnection[],
    undo: boolean,
    onDone: () => void,
  ): EndBatch {
    for (const backend of backends) {
      // A backend that failed skips everything up to Sync, a query too; one that did not ends by ROLLBACK.
      if (undo && !backend.skipsToSync) backend.query('ROLLBACK', DROP);
      else backend.sync(CAPTURE);
      backend.flush();
    }
    return new EndBatch(backends, null, onDone);
  }

  override failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    if (this.decides(backend)) this.error ??= Buffer.from(buffer.subarray(start, end));
  }

  override ready(backend: BackendConnection): void {
    if (backend.quiet) this.close(backend);
  }

  override lost(backend: BackendConnection, error: BackendError): void {
    if (!this.open.has(backend)) return;
    if (this.decides(backend)) {
      const told = this.writer === null ? error.toSqlError() : unknownOutcome(error);
      this.error ??= errorBytes(told);
    }
    this.close(backend);
  }

  /** What others say has no bearing on a transaction that one backend commits. */
  private decides(backend: BackendConnection): boolean {
    return this.writer === null || this.writer === backend;
  }

  private close(backend: BackendConnection): void {
    if (this.open.delete(backend) && this.open.size === 0) this.onDone(this.error);
  }
}
