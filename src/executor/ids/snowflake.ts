/** 2024-01-01 00:00 UTC: 41 bits of milliseconds last until 2093. */
export const SNOWFLAKE_EPOCH_MS = Date.UTC(2024, 0, 1);
/** 10 bits. */
export const MACHINES_MAX = 1024;
/** 12 bits. */
const COUNTER_MAX = 4095;
/**
 * How far ids may run ahead of the clock, when it was set back or more than 4096 ids are wanted in
 * a millisecond.
 */
export const AHEAD_MAX_MS = 1000;

/**
 * Ids of one machine number: time (41 bits), machine (10), counter (12). Each is greater than the
 * one before.
 *
 *   0 | milliseconds since 2024 : 41 | machine : 10 | counter : 12
 */
export class Snowflakes {
  private readonly machine: bigint;
  private lastMs: number;
  private counter = COUNTER_MAX;

  /** `afterMs`: ids of this time and earlier may have been made by another holder of the number. */
  constructor(machine: number, afterMs: number) {
    this.machine = BigInt(machine) << 12n;
    this.lastMs = afterMs;
  }

  /**
   * The next id in decimal; null: the clock is too far behind the last one.
   * @param untilMs no id may have a later time
   */
  next(nowMs: number, untilMs: number): string | null {
    if (nowMs > this.lastMs) return this.make(nowMs, 0, untilMs);
    if (this.counter < COUNTER_MAX) return this.make(this.lastMs, this.counter + 1, untilMs);
    if (this.lastMs + 1 - nowMs > AHEAD_MAX_MS) return null;
    return this.make(this.lastMs + 1, 0, untilMs);
  }

  private make(ms: number, counter: number, untilMs: number): string | null {
    if (ms > untilMs) return null;
    this.lastMs = ms;
    this.counter = counter;
    const time = BigInt(ms - SNOWFLAKE_EPOCH_MS) << 22n;
    return String(time | this.machine | BigInt(counter));
  }
}
