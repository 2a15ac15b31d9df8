import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { withoutPosition } from '../protocol/error-position.js';
import { QuietOperation } from '../transaction/operation.js';
import { NO_VALUES } from './bind-parts.js';
import { END_HASH_JOINS_SQL } from './gather-script.js';

/** Lets backends join as they like again, so that what comes next in their transactions is planned as ever. */
export class EndHashJoins extends QuietOperation {
  private readonly awaited: Set<BackendConnection>;
  private readonly onDone: (error: Buffer | null) => void;
  private error: Buffer | null = null;

  constructor(backends: readonly BackendConnection[], onDone: (error: Buffer | null) => void) {
    super();
    this.awaited = new Set(backends);
    this.onDone = onDone;
  }

  /** Sends the requests; this must be the session's operation already. */
  start(): void {
    for (const backend of this.awaited) {
      backend.statements.runUnnamed(unnamedText(END_HASH_JOINS_SQL, []), NO_VALUES, false);
      backend.requestFlush();
      backend.flush();
    }
  }

  override captured(backend: BackendConnection, type: number): void {
    if (type === Backend.commandComplete) this.end(backend);
  }

  override failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    this.error ??= withoutPosition(buffer, start, end);
    this.end(backend);
  }

  override lost(backend: BackendConnection, error: BackendError): void {
    if (!this.awaited.has(backend)) return;
    this.error ??= errorBytes(error.toSqlError());
    this.end(backend);
  }

  override ready(): void {
    // No Sync is sent.
  }

  private end(backend: BackendConnection): void {
    if (this.awaited.delete(backend) && this.awaited.size === 0) this.onDone(this.error);
  }
}
