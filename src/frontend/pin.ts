import type { BackendError } from '../backend/backend-error.js';
import type { OidMap } from '../backend/oids/oid-map.js';
import type { BackendOwner } from '../backend/postgres/backend-sink.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { QuietSink } from '../backend/postgres/quiet-sink.js';
import type { LatencyHistogram } from '../metrics/metrics.js';

/**
 * A backend that a session keeps between its units of work, since it holds what belongs to the session: it owns the
 * backend in the pool's place, so that whoever releases it gives it back to the session.
 *
 *   pool -> leased -> pinned: leased again -> released: idle here -> leased ...
 *                        '-> let go -> pool            nothing of the session is left on it
 *                        '-> the session ends -> pool, which closes it
 */
export class Pin extends QuietSink implements BackendOwner {
  readonly backend: BackendConnection;
  /** Something has run since the backend was asked what it holds. */
  stale = true;
  /** It may have temporary tables. */
  hasTables = false;
  /** It may have cursors WITH HOLD. */
  hasCursors = false;
  /** It belongs to nobody's unit of work now. */
  idle = false;
  private over = false;
  private readonly pool: BackendOwner;
  private readonly onLost: (error: BackendError | null) => void;

  /** `onLost`: the connection broke off, with all that it held; null: its session has been told why. */
  constructor(backend: BackendConnection, onLost: (error: BackendError | null) => void) {
    super();
    this.backend = backend;
    this.pool = backend.owner;
    this.onLost = onLost;
    this.pool.pins.count++;
    backend.owner = this;
  }

  get latency(): LatencyHistogram {
    return this.pool.latency;
  }

  get traffic(): { bytesIn: number; bytesOut: number } {
    return this.pool.traffic;
  }

  get oids(): OidMap | null {
    return this.pool.oids;
  }

  get pins(): { count: number; readonly max: number } {
    return this.pool.pins;
  }

  /** Nothing of the session is left on it: it is the pool's again, at once where it is idle. */
  letGo(): void {
    this.handBack();
    if (this.idle) this.pool.release(this.backend);
  }

  /** The session ends. A commit that has begun goes on without it. */
  end(): void {
    this.over = true;
    if (this.idle) this.close();
  }

  /** Nobody else may find what the session left. */
  private close(): void {
    this.handBack();
    this.backend.isSpent = true;
    if (this.backend.free) this.pool.release(this.backend);
    else this.pool.abandon(this.backend);
  }

  private handBack(): void {
    this.pool.pins.count--;
    this.backend.owner = this.pool;
  }

  // ---------------------------------------------------------------- as owner

  release(backend: BackendConnection): void {
    if (!backend.free) {
      this.abandon(backend);
      return;
    }
    backend.sink = this;
    this.idle = true;
    if (this.over) this.close();
  }

  /** In a state that only its end mends. */
  abandon(_backend: BackendConnection): void {
    this.close();
    this.onLost(null);
  }

  discard(backend: BackendConnection): void {
    this.handBack();
    this.pool.discard(backend);
    this.onLost(null);
  }

  lost(backend: BackendConnection): void {
    this.handBack();
    this.pool.lost(backend);
    this.onLost(null);
  }

  // ---------------------------------------------------------------- as sink, while it is idle

  ready(): void {
    // Nothing was asked.
  }

  closed(backend: BackendConnection, error: BackendError): void {
    this.handBack();
    this.pool.lost(backend);
    this.onLost(error);
  }
}
