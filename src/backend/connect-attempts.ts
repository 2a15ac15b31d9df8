import type { BackendError } from './backend-error.js';

/** First retry after a failed connect; doubles up to the maximum. */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 1000;

/** How a pool's attempts to open backends go. */
export class ConnectAttempts {
  /** How many are under way. */
  running = 0;
  /** Null: the last one succeeded. */
  lastError: BackendError | null = null;
  everReached = false;
  private backoffMs = 0;
  private retryAt = 0;

  /** False: a while after a failure. */
  get mayTry(): boolean {
    return Date.now() >= this.retryAt;
  }

  /** Why the server cannot be used; null: it can. */
  get problem(): string | null {
    if (this.lastError !== null) return this.lastError.message;
    return this.everReached ? null : 'not connected yet';
  }

  succeeded(): void {
    this.running--;
    this.everReached = true;
    this.lastError = null;
    this.backoffMs = 0;
    this.retryAt = 0;
  }

  failed(error: BackendError): void {
    this.running--;
    this.lastError = error;
    this.backoffMs = Math.min(BACKOFF_MAX_MS, Math.max(BACKOFF_FIRST_MS, this.backoffMs * 2));
    this.retryAt = Date.now() + this.backoffMs;
  }
}
