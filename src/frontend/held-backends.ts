import type { BackendConnection } from '../backend/postgres/connection.js';

/** ReadyForQuery as a backend reported it. */
interface Ready {
  readonly status: number;
  readonly action: number;
}

/** Backends of a session that go on when somebody has caught up: the client with them, or they with the client. */
export class HeldBackends {
  /** Not read from, since the client has not taken their answers yet. */
  private readonly stalled = new Set<BackendConnection>();
  /** ReadyForQuery of those that have not taken yet all that was written for them. */
  private readonly overtaken = new Map<BackendConnection, Ready>();

  stall(backend: BackendConnection): void {
    this.stalled.add(backend);
  }

  /** The client has taken what it got. */
  resume(): void {
    if (this.stalled.size === 0) return;
    const backends = [...this.stalled];
    this.stalled.clear();
    for (const backend of backends) backend.resumeReading();
  }

  overtake(backend: BackendConnection, status: number, action: number): void {
    this.overtaken.set(backend, { status, action });
  }

  /** What the backend reported before it had taken everything, once; null: nothing. */
  takeReady(backend: BackendConnection): Ready | null {
    const ready = this.overtaken.get(backend);
    if (ready === undefined) return null;
    this.overtaken.delete(backend);
    return ready;
  }

  forget(backend: BackendConnection): void {
    this.stalled.delete(backend);
    this.overtaken.delete(backend);
  }
}
