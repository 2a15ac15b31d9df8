/** A small seeded generator (mulberry32), so that a failing run can be repeated from its printed seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

/** A second in CI; FUZZ_SECONDS for a long run, FUZZ_SEED to repeat one. */
export const fuzzSeconds = Number(process.env['FUZZ_SECONDS'] ?? 1);
export const fuzzSeed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 0x1_0000_0000);

/** Runs `round` with a new seed each time until the time is over; a failure names its seed. */
export async function fuzz(round: (random: Random) => void | Promise<void>): Promise<number> {
  const end = Date.now() + fuzzSeconds * 1000;
  let rounds = 0;
  for (let seed = fuzzSeed; Date.now() < end || rounds === 0; seed++, rounds++) {
    try {
      await round(new Random(seed));
    } catch (error) {
      throw new Error(`failed with FUZZ_SEED=${seed}`, { cause: error });
    }
  }
  return rounds;
}
