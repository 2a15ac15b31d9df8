import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE } from '../backend/postgres/expected-replies.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { readTag } from '../protocol/backend-messages.js';
import { QuietOperation, type Outcome } from './operation.js';

/**
 * One statement without rows, as a simple query, on every participant: SAVEPOINT, ROLLBACK TO, COMMIT, ROLLBACK, SET.
 * The first participant's tag (and notices and parameter changes) stand for all.
 */
export class RunOnAll extends QuietOperation {
  private readonly open: Set<BackendConnection>;
  private readonly first: BackendConnection;
  private readonly onDone: (outcome: Outcome) => void;
  private readonly onNotice: (buffer: Buffer, start: number, end: number) => void;
  private tag = '';
  private error: Buffer | null = null;

  constructor(
    backends: readonly BackendConnection[],
    sql: string,
    onNotice: (buffer: Buffer, start: number, end: number) => void,
    onDone: (outcome: Outcome) => void,
  ) {
    super();
    this.open = new Set(backends);
    this.first = backends[0]!;
    this.onDone = onDone;
    this.onNotice = onNotice;
    for (const backend of backends) {
      backend.query(sql, CAPTURE);
      backend.flush();
    }
  }

  override captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (backend !== this.first) return;
    if (type === Backend.commandComplete) this.tag = readTag(buffer, start, end);
    if (type === Backend.noticeResponse) this.onNotice(buffer, start, end);
  }

  override failed(_backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    this.error ??= Buffer.from(buffer.subarray(start, end));
  }

  override ready(backend: BackendConnection): void {
    // The BEGIN of a backend that has just joined is answered first.
    if (backend.quiet) this.close(backend);
  }

  override lost(backend: BackendConnection, error: BackendError): void {
    if (!this.open.has(backend)) return;
    this.error ??= errorBytes(error.toSqlError());
    this.close(backend);
  }

  private close(backend: BackendConnection): void {
    if (!this.open.delete(backend) || this.open.size > 0) return;
    this.onDone(
      this.error === null ? { ok: true, tag: this.tag } : { ok: false, error: this.error },
    );
  }
}
