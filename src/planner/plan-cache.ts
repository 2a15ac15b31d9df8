/**
 * A map bounded in bytes that forgets what was not asked for lately. Two generations: what is used
 * moves to the young one; when that is full it becomes the old one, and the former old one is
 * dropped at once. A hit costs one or two Map look-ups and no bookkeeping, where a linked list
 * would be touched each time.
 */
export class PlanCache<V> {
  readonly #generationBytes: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
  #youngBytes = 0;
  #oldBytes = 0;
  /** Entries that were dropped for want of room since the start. */
  evictions = 0;

  constructor(bytesMax: number) {
    this.#generationBytes = bytesMax / 2;
  }

  get(key: string): V | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const old = this.#old.get(key);
    if (old !== undefined) this.#insert(key, old, this.#averageBytes());
    return old;
  }

  /** `bytes`: what key and value take, roughly. */
  set(key: string, value: V, bytes: number): void {
    this.#insert(key, value, bytes);
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#youngBytes = 0;
    this.#oldBytes = 0;
  }

  get entries(): number {
    return this.#young.size + this.#old.size;
  }

  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  #insert(key: string, value: V, bytes: number): void {
    if (this.#youngBytes + bytes > this.#generationBytes && this.#young.size > 0) {
      this.evictions += this.#old.size;
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += bytes;
  }

  /**
   * Entries do not keep their own size; what moves between generations counts as the average of the
   * old one.
   */
  #averageBytes(): number {
    return this.#oldBytes / Math.max(1, this.#old.size);
  }
}
