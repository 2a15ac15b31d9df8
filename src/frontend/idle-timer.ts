/** Fires once when a transaction has been left idle for too long. */
export class IdleTimer {
  private timer: NodeJS.Timeout | null = null;
  private readonly onExpired: () => void;

  constructor(onExpired: () => void) {
    this.onExpired = onExpired;
  }

  /** Begins to wait, unless it does already; 0 ms: no limit. */
  start(limitMs: number): void {
    if (limitMs > 0) this.timer ??= setTimeout(this.onExpired, limitMs);
  }

  stop(): void {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.timer = null;
  }
}
