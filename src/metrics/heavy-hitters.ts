/** What is known of one key. */
export interface HeavyKey {
  readonly key: string;
  /** How often it was seen; it may be less, by `error` at most. */
  count: number;
  error: number;
  /** The shards it led to when it was seen last. */
  shards: string;
}

/** What is counted loses half of its weight whenever so many more have been seen. */
const SEEN_MAX = 8192;

/**
 * The keys that are seen most often, in bounded memory: the space-saving algorithm (Metwally, Agrawal, El Abbadi:
 * Efficient Computation of Frequent and Top-k Elements in Data Streams). A key that is not among those kept takes the
 * place and the count of the least of them, so that whatever is more than 1/size of all is always kept. Old keys fade.
 */
export class HeavyHitters {
  /** How many were seen; older ones weigh less. */
  seen = 0;
  readonly #size: number;
  readonly #keys = new Map<string, HeavyKey>();

  constructor(size: number) {
    this.#size = size;
  }

  /** In no order. */
  all(): Iterable<HeavyKey> {
    return this.#keys.values();
  }

  add(key: string, shards: string): void {
    if (this.seen >= SEEN_MAX) this.#fade();
    this.seen++;
    const known = this.#keys.get(key);
    if (known !== undefined) {
      known.count++;
      known.shards = shards;
      return;
    }
    let error = 0;
    if (this.#keys.size >= this.#size) {
      const least = this.#least();
      this.#keys.delete(least.key);
      error = least.count;
    }
    this.#keys.set(key, { key, count: error + 1, error, shards });
  }

  #least(): HeavyKey {
    let least: HeavyKey | null = null;
    for (const each of this.#keys.values()) {
      if (least === null || each.count < least.count) least = each;
    }
    return least!;
  }

  #fade(): void {
    this.seen /= 2;
    for (const each of this.#keys.values()) {
      each.count /= 2;
      each.error /= 2;
    }
  }
}
