/**
 * Fires once when what was started has not been stopped in time. Started and stopped with every statement, so its timer
 * is made once: stopping leaves it running, and it is set anew at the next start.
 */
export class IdleTimer {
  private timer: NodeJS.Timeout | null = null;
  private timerMs = 0;
  private armed = false;
  private readonly onExpired: () => void;

  constructor(onExpired: () => void) {
    this.onExpired = onExpired;
  }

  /** Begins to wait, unless it does already; 0 ms: no limit. */
  start(limitMs: number): void {
    if (limitMs <= 0 || this.armed) return;
    this.armed = true;
    if (this.timer !== null && this.timerMs === limitMs) {
      this.timer.refresh();
      return;
    }
    if (this.timer !== null) clearTimeout(this.timer);
    this.timerMs = limitMs;
    this.timer = setTimeout(() => this.fire(), limitMs);
  }

  stop(): void {
    this.armed = false;
  }

  /** Stops for good: nothing of it is left. */
  close(): void {
    this.stop();
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private fire(): void {
    if (!this.armed) return;
    this.armed = false;
    this.onExpired();
  }
}
