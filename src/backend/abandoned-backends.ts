import type { BackendConnection } from './postgres/connection.js';

/** A backend whose session vanished gets this long to end what it runs. */
const ABANDON_TIMEOUT_MS = 5000;
const CANCEL_AGAIN_MS = 1000;

/** Backends that must answer in time, since nobody else waits for them. */
export class AbandonedBackends {
  private readonly timers = new Map<BackendConnection, NodeJS.Timeout>();
  private readonly discard: (backend: BackendConnection) => void;

  /** `discard`: closes one that does not answer. */
  constructor(discard: (backend: BackendConnection) => void) {
    this.discard = discard;
  }

  get backends(): Iterable<BackendConnection> {
    return this.timers.keys();
  }

  has(backend: BackendConnection): boolean {
    return this.timers.has(backend);
  }

  /** Its session has vanished: what it runs is cancelled until it ends. */
  cancel(backend: BackendConnection): void {
    this.cancelUntil(backend, Date.now() + ABANDON_TIMEOUT_MS);
    if (!backend.quiet) backend.cancel();
  }

  /** It has been asked something that takes no time. */
  expect(backend: BackendConnection, timeoutMs: number): void {
    this.after(backend, timeoutMs, () => this.discard(backend));
  }

  /** It has answered, or is gone. */
  forget(backend: BackendConnection): void {
    clearTimeout(this.timers.get(backend));
    this.timers.delete(backend);
  }

  /** A cancel that overtakes its statement does nothing, hence again; in the end the backend is closed. */
  private cancelUntil(backend: BackendConnection, deadline: number): void {
    this.after(backend, CANCEL_AGAIN_MS, () => {
      if (!backend.quiet) backend.cancel();
      if (Date.now() >= deadline) this.discard(backend);
      else this.cancelUntil(backend, deadline);
    });
  }

  private after(backend: BackendConnection, ms: number, act: () => void): void {
    clearTimeout(this.timers.get(backend));
    const timer = setTimeout(act, ms);
    timer.unref();
    this.timers.set(backend, timer);
  }
}
