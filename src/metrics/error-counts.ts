import type { ErrorOrigin } from './kinds.js';

/**
 * PostgreSQL 18 lists some 260 SQLSTATEs and real applications meet a few dozen; functions may
 * RAISE any five characters, so a bound keeps a client from growing the exposition without end.
 */
const DISTINCT_MAX = 300;
const OVERFLOW = 'other';
const SQLSTATE = /^[0-9A-Z]{5}$/;

/**
 * Errors by SQLSTATE and origin; once the bound is reached, codes not seen before count as `other`.
 */
export class ErrorCounts {
  readonly #counts: Readonly<Record<ErrorOrigin, Map<string, number>>> = {
    shard: new Map(),
    shardgate: new Map(),
  };

  add(sqlstate: string, origin: ErrorOrigin): void {
    const counts = this.#counts[origin];
    const before = counts.get(sqlstate);
    if (before !== undefined) {
      counts.set(sqlstate, before + 1);
      return;
    }
    const known = SQLSTATE.test(sqlstate) && counts.size < DISTINCT_MAX;
    const key = known ? sqlstate : OVERFLOW;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }

  *entries(): Generator<readonly [sqlstate: string, origin: ErrorOrigin, count: number]> {
    for (const origin of ['shard', 'shardgate'] as const) {
      for (const [sqlstate, count] of this.#counts[origin]) yield [sqlstate, origin, count];
    }
  }
}
