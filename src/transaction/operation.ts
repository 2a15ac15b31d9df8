import type { BackendConnection } from '../backend/postgres/connection.js';
import type { BackendError } from '../backend/backend-error.js';

/**
 * A step of a session that takes several answers, of one or more backends, before the session goes on: a fan-out, a
 * commit, the settings of a new backend. While one runs, the session hands it everything that its backends say under
 * CAPTURE or DROP.
 */
export interface Operation {
  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** False: not now, offer the bytes again when reading is resumed. */
  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean;
  failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void;
  ready(backend: BackendConnection, status: number): void;
  settled(backend: BackendConnection): void;
  /** What was written for the backend has left. */
  drained?(backend: BackendConnection): void;
  /** Ends everywhere with an error of our own, an ErrorResponse message. */
  abort?(error: Buffer): void;
  /** The client wants it cancelled; absent: whatever its backends run is cancelled. */
  cancel?(): void;
  /** The backend is gone and no longer a participant. */
  lost(backend: BackendConnection, error: BackendError): void;
  /** The client has taken all that it was sent; told to operations that wait for it. */
  clientDrained?(): void;
}

/** What a finished operation reports; an ErrorResponse message as the shard sent it, or made from our own error. */
export type Outcome =
  { readonly ok: true; readonly tag: string } | { readonly ok: false; readonly error: Buffer };

/** What operations need of their session. */
export interface OperationHost {
  /**
   * Bytes to the client; false: congested, the backend that they came from must stop reading (null: they are the
   * operation's own, which leaves them as they are until `clientDrained`).
   */
  passToClient(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean;
  /** The client was given half a message that nobody can complete: its connection must close. */
  clientStreamBroken(): void;
}

/** Base of operations that listen to little. */
export abstract class QuietOperation implements Operation {
  captured(
    _backend: BackendConnection,
    _type: number,
    _buffer: Buffer,
    _start: number,
    _end: number,
  ): void {
    // Nothing to see.
  }

  capturedData(
    _backend: BackendConnection,
    _buffer: Buffer,
    _start: number,
    _end: number,
  ): boolean {
    return true;
  }

  settled(_backend: BackendConnection): void {
    // Nothing waited for.
  }

  abstract failed(backend: BackendConnection, buffer: Buffer, start: number, end: number): void;
  abstract ready(backend: BackendConnection, status: number): void;
  abstract lost(backend: BackendConnection, error: BackendError): void;
}
