/** What became of something that a client asked for, as far as the client can tell. */
export type Fate = 'done' | 'not done' | 'unknown';

/** How often a counter was raised: for certain, and perhaps. */
interface Count {
  done: number;
  unknown: number;
  inFlight: number;
}

/**
 * What clients were promised. Counters: everything acknowledged has happened, nothing has happened twice. Marks: rows
 * that are written together, over several shards, of which all are there or none.
 */
export class Ledger {
  readonly #counts = new Map<number, Count>();
  readonly #marks = new Map<string, { readonly rows: number; fate: Fate }>();

  constructor(ids: readonly number[]) {
    for (const id of ids) this.#counts.set(id, { done: 0, unknown: 0, inFlight: 0 });
  }

  get ids(): readonly number[] {
    return [...this.#counts.keys()];
  }

  /** Increments that were acknowledged, over all counters. */
  get done(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count.done, 0);
  }

  get unknown(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count.unknown, 0);
  }

  /** Raises a counter by one, as `attempt` does it. Its failure counts as unknown and is passed on. */
  async raise(id: number, attempt: () => Promise<Fate>): Promise<void> {
    const count = this.#counts.get(id)!;
    count.inFlight++;
    let fate: Fate = 'unknown';
    try {
      fate = await attempt();
    } finally {
      count.inFlight--;
      if (fate === 'done') count.done++;
      else if (fate === 'unknown') count.unknown++;
    }
  }

  /** What every counter is at least by now. */
  floor(): ReadonlyMap<number, number> {
    return new Map([...this.#counts].map(([id, { done }]) => [id, done]));
  }

  /** What is wrong with a value that was read between the time of `floor` and now; null: nothing. */
  wrong(id: number, value: number, floor: ReadonlyMap<number, number>): string | null {
    const { done, unknown, inFlight } = this.#counts.get(id)!;
    const least = floor.get(id)!;
    const most = done + unknown + inFlight;
    if (value >= least && value <= most) return null;
    return `counter ${id} is ${value}, not between ${least} and ${most}`;
  }

  /** Rows with this tag are written by `attempt`. */
  async mark(tag: string, rows: number, attempt: () => Promise<Fate>): Promise<void> {
    const mark = { rows, fate: 'unknown' as Fate };
    this.#marks.set(tag, mark);
    mark.fate = await attempt();
  }

  /** What is wrong with the rows found per tag: acknowledged but not whole, there though refused, in parts. */
  wrongMarks(found: ReadonlyMap<string, number>): string[] {
    const wrong: string[] = [];
    for (const [tag, { rows, fate }] of this.#marks) {
      const there = found.get(tag) ?? 0;
      const right =
        fate === 'done' ? there === rows : there === 0 || (fate === 'unknown' && there === rows);
      if (!right) wrong.push(`${tag} (${fate}): ${there} of ${rows} rows`);
    }
    for (const tag of found.keys()) if (!this.#marks.has(tag)) wrong.push(`${tag}: from nowhere`);
    return wrong;
  }

  /** How many marks met each fate. */
  markFates(): Record<Fate, number> {
    const fates: Record<Fate, number> = { done: 0, 'not done': 0, unknown: 0 };
    for (const { fate } of this.#marks.values()) fates[fate]++;
    return fates;
  }
}
