/**
 * How long the statements of one shape take, as far as it matters to those behind them in a batch: who keeps others
 * waiting shares no batch for a while, longer each time.
 */
export class Pace {
  /** Milliseconds since the epoch: until then it goes by itself. */
  slowUntil = 0;
  private penaltyMs = 0;

  /** @param now milliseconds since the epoch */
  keptWaiting(now: number): void {
    const forgiven = now - this.slowUntil > PENALTY_MAX_MS;
    this.penaltyMs = forgiven ? PENALTY_MS : Math.min(2 * this.penaltyMs, PENALTY_MAX_MS);
    this.slowUntil = now + this.penaltyMs;
  }
}

/** The first may be the machine's doing. */
const PENALTY_MS = 250;
const PENALTY_MAX_MS = 16_000;
