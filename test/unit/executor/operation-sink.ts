import type { BackendError } from '../../../src/backend/backend-error.js';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import type { Operation } from '../../../src/transaction/operation.js';
import { RecordingSink } from '../backend/postgres/recording-sink.js';

/** Gives what a backend says to an operation, as a session does. */
export class OperationSink extends RecordingSink {
  operation!: Operation;

  override captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.operation.captured(backend, type, buffer, start, end);
  }

  override capturedData(
    backend: BackendConnection,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    return this.operation.capturedData(backend, buffer, start, end);
  }

  override failed(
    backend: BackendConnection,
    _action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.operation.failed(backend, buffer, start, end);
  }

  override ready(backend: BackendConnection, status: number): void {
    this.operation.ready(backend, status);
  }

  override closed(backend: BackendConnection, error: BackendError): void {
    this.operation.lost(backend, error);
  }
}
