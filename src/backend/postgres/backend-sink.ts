import type { LatencyHistogram } from '../../metrics/metrics.js';
import { BackendError } from '../backend-error.js';
import type { OidMap } from '../oids/oid-map.js';
import type { BackendConnection } from './connection.js';

/** Whoever leases a backend gets its answers through this. */
export interface BackendSink {
  /** Bytes for the client, whole or partial messages. False: they are still in use, stop reading until resumed. */
  pass(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean;
  /** A message whose action is CAPTURE, whole; data rows and copy data come through `capturedData`. */
  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** DataRow or CopyData bytes under CAPTURE, whole or partial. False: not taken, offer them again on resume. */
  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean;
  /** An ErrorResponse arrived, whatever its action; everything up to the next Sync is void. */
  failed(
    backend: BackendConnection,
    action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** A NotificationResponse, which may come at any time; absent: nobody listens here. */
  notified?(backend: BackendConnection, buffer: Buffer, start: number, end: number): void;
  /** Whether a ParameterStatus whose action is PASS is to pass; absent: always. */
  hears?(name: string, value: string): boolean;
  /** The backend waits for copy data. */
  copyInStarted(backend: BackendConnection): void;
  /** Nothing is expected any more, though no ReadyForQuery came: `notifyWhenSettled` asked for this. */
  settled(backend: BackendConnection): void;
  /** ReadyForQuery answered a Sync or Query. */
  ready(backend: BackendConnection, status: number, action: number): void;
  /** What was written has left; `congested` turned false. */
  drained(backend: BackendConnection): void;
  /** The pool in whose line it stands for a backend: nothing goes on before it is served; null: in none. */
  readonly leases?: { readonly waitsFor: object | null };
  /** What was done with an answer has thrown, and the connection was closed for it; absent: `closed` is told. */
  crashed?(backend: BackendConnection, error: unknown): void;
  /** The connection is gone; it belongs to nobody any more. */
  closed(backend: BackendConnection, error: BackendError): void;
}

/** Tells a sink that what it did with an answer has thrown. */
export function tellCrash(sink: BackendSink, backend: BackendConnection, error: unknown): void {
  if (sink.crashed !== undefined) {
    sink.crashed(backend, error);
    return;
  }
  const reason = `its answer could not be handled: ${String(error)}`;
  sink.closed(backend, new BackendError(backend.shard.name, 'connection_failure', reason));
}

/**
 * The pool behind a backend, or the session that keeps it: its sink while nobody leases it, and where it goes back to.
 */
export interface BackendOwner extends BackendSink {
  readonly latency: LatencyHistogram;
  readonly traffic: { bytesIn: number; bytesOut: number };
  /** How the server's OIDs differ from those that clients see; null: not at all. */
  readonly oids: OidMap | null;
  /** How many of the pool's backends sessions keep beyond a unit of work, and how many may be. */
  readonly pins: { count: number; readonly max: number };
  /** Takes back a backend that is between statements, outside a transaction. */
  release(backend: BackendConnection): void;
  /** Takes back a backend in whatever state it is: cancelled, rolled back, drained. */
  abandon(backend: BackendConnection): void;
  /** Closes a backend whose state cannot be trusted. */
  discard(backend: BackendConnection): void;
  /** A leased backend broke off. */
  lost(backend: BackendConnection): void;
}
