/**
 * Bucket bounds are 50 us * 2^k. 50 us is under what any statement over a socket takes; the last
 * bound, 50 us * 2^18 = 13.1 s, is above 10 s, from where on nobody asks for a finer figure.
 * Doubling keeps the bucket search one clz32.
 */
const FIRST_BOUND_US = 50;
const BOUNDS = 19;
const LAST_BOUND_US = FIRST_BOUND_US * 2 ** (BOUNDS - 1);

/** Upper bounds in seconds, without the last bucket (+Inf). */
export const latencyBoundsSeconds: readonly number[] = Array.from(
  { length: BOUNDS },
  (_, k) => (FIRST_BOUND_US * 2 ** k) / 1e6,
);

/** A histogram of durations. `observe` takes some 5 ns and allocates nothing. */
export class LatencyHistogram {
  /** Observations by bucket, not cumulative; the last one is everything above the last bound. */
  readonly buckets = new Float64Array(BOUNDS + 1);
  /**
   * Of all observations, in microseconds; one cell, since a double field may be boxed anew at each
   * write.
   */
  readonly #sumUs = new Float64Array(1);

  /** `us`: whole microseconds; a clock that stepped back (negative) counts as 0. */
  observe(us: number): void {
    if (us > LAST_BOUND_US) {
      this.buckets[BOUNDS]!++;
    } else {
      // us in (50 * 2^(k-1), 50 * 2^k] gives k: 1..50 -> 0, 51..100 -> 1, 101..200 -> 2.
      this.buckets[us > 0 ? 32 - Math.clz32(((us - 1) / FIRST_BOUND_US) | 0) : 0]!++;
    }
    if (us > 0) this.#sumUs[0]! += us;
  }

  get sumSeconds(): number {
    return this.#sumUs[0]! / 1e6;
  }

  get count(): number {
    let count = 0;
    for (const bucket of this.buckets) count += bucket;
    return count;
  }
}
