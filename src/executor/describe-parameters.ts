import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { QuietOperation } from '../transaction/operation.js';

/**
 * Waits for the ParameterDescription of a statement that was asked for with CAPTURE, and for the description of its
 * rows behind it: whatever runs next would take that for an answer of its own.
 */
export class DescribeParameters extends QuietOperation {
  private readonly onDone: (outcome: number[] | Buffer) => void;
  private readonly types: number[] = [];

  /** `onDone` gets the type OIDs, or an ErrorResponse. */
  constructor(onDone: (outcome: number[] | Buffer) => void) {
    super();
    this.onDone = onDone;
  }

  override captured(
    _backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
  ): void {
    const { types } = this;
    if (type === Backend.rowDescription || type === Backend.noData) this.onDone(types);
    if (type !== Backend.parameterDescription) return;
    const count = readUint16(buffer, start + 5);
    for (let i = 0; i < count; i++) types.push(readInt32(buffer, start + 7 + 4 * i) >>> 0);
  }

  override failed(_backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    this.onDone(Buffer.from(buffer.subarray(start, end)));
  }

  override ready(): void {
    // No Sync was sent.
  }

  override lost(_backend: BackendConnection, error: BackendError): void {
    this.onDone(errorBytes(error.toSqlError()));
  }
}
