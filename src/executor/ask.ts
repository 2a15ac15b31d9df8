import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE } from '../backend/postgres/expected-replies.js';
import { Backend } from '../protocol/codes.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { QuietOperation } from '../transaction/operation.js';

/** What a backend has said: results and parameter types, or an ErrorResponse. */
export type Answered =
  | {
      readonly ok: true;
      /** The rows of each statement; values as they were sent, null: NULL. */
      readonly results: readonly (readonly (readonly (Buffer | null)[])[])[];
      /** Of what was described. */
      readonly paramTypes: readonly number[];
    }
  | { readonly ok: false; readonly error: Buffer };

/**
 * A question of the session's own to one backend, with an answer of few rows. The caller writes the messages, under
 * CAPTURE as far as their answers matter, makes this the session's operation and starts it.
 */
export class Ask extends QuietOperation {
  private readonly backend: BackendConnection;
  private readonly onDone: (answered: Answered) => void;
  private readonly results: (readonly (readonly (Buffer | null)[])[])[] = [];
  private rows: (Buffer | null)[][] = [];
  private paramTypes: readonly number[] = [];
  private error: Buffer | null = null;
  private cutOff: Buffer = NO_BYTES;
  private over = false;

  constructor(backend: BackendConnection, onDone: (answered: Answered) => void) {
    super();
    this.backend = backend;
    this.onDone = onDone;
  }

  /** Sends what was written. `sync`: ends it; else it is part of a pipeline, which goes on. */
  start(sync: boolean): void {
    const { backend } = this;
    if (sync) backend.sync(CAPTURE);
    else backend.notifyWhenSettled();
    backend.flush();
  }

  override captured(
    _backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
  ): void {
    if (type === Backend.commandComplete) {
      this.results.push(this.rows);
      this.rows = [];
    }
    if (type !== Backend.parameterDescription) return;
    const types: number[] = [];
    const count = readUint16(buffer, start + 5);
    for (let i = 0; i < count; i++) types.push(readInt32(buffer, start + 7 + 4 * i) >>> 0);
    this.paramTypes = types;
  }

  override capturedData(
    _backend: BackendConnection,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    const bytes = Buffer.concat([this.cutOff, buffer.subarray(start, end)]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const next = at + 1 + readInt32(bytes, at + 1);
      if (next > bytes.length) break;
      this.rows.push(readValues(bytes, at));
      at = next;
    }
    this.cutOff = bytes.subarray(at);
    return true;
  }

  override failed(_backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    this.error ??= Buffer.from(buffer.subarray(start, end));
  }

  override ready(backend: BackendConnection): void {
    // The BEGIN of a backend that has just joined is answered first; others may have joined with it.
    if (backend === this.backend && backend.quiet) this.finish();
  }

  override settled(backend: BackendConnection): void {
    if (backend === this.backend) this.finish();
  }

  override lost(backend: BackendConnection, error: BackendError): void {
    if (backend !== this.backend) return;
    this.error ??= errorBytes(error.toSqlError());
    this.finish();
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    const { error, results, paramTypes } = this;
    this.onDone(error === null ? { ok: true, results, paramTypes } : { ok: false, error });
  }
}

/** The rows of a result whose values came as text. */
export function textRows(
  rows: readonly (readonly (Buffer | null)[])[],
): (readonly (string | null)[])[] {
  return rows.map((row) => row.map((value) => value?.toString() ?? null));
}

/** The values of the DataRow at `start`; slices of the given bytes. */
function readValues(bytes: Buffer, start: number): (Buffer | null)[] {
  const values: (Buffer | null)[] = [];
  let at = start + 7;
  for (let i = readUint16(bytes, start + 5); i > 0; i--) {
    const length = readInt32(bytes, at);
    at += 4;
    values.push(length < 0 ? null : bytes.subarray(at, at + length));
    at += Math.max(0, length);
  }
  return values;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
