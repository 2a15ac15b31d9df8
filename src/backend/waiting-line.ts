import { performance } from 'node:perf_hooks';
import type { BackendError } from './backend-error.js';
import type { BackendConnection } from './postgres/connection.js';

/** Gets a backend later: exactly one of the two is called, unless the wait is given up. */
export interface BackendWaiter {
  onBackend(backend: BackendConnection): void;
  onBackendError(error: BackendError): void;
  /** It is the proxy itself: a paused pool serves it; absent: it is not. */
  readonly mustGoOn?: boolean;
  /** It has backends of other pools, which nobody gets before it goes on; absent: none. */
  readonly holdsBackends?: boolean;
  /** Within BEGIN .. COMMIT. */
  readonly inTransaction?: boolean;
  /** Whether it can use this one; absent: any. A new one serves everybody. */
  accepts?(backend: BackendConnection): boolean;
  /** Whether its statement may share this one with others as a batch; absent: no. */
  mayBoard?(backend: BackendConnection, clock: number): boolean;
  /** In place of `onBackend`: the pool's open batch takes its statement, or else it waits again. */
  onBoarding?(): void;
}

/**
 * Who is served first:
 *
 *   urgent    queries of our own: whoever holds all backends may be waiting for what they do
 *   lent      may have a backend beyond the pool's size
 *   late      have stood here for a while, whatever they hold
 *   holding   transactions that have backends of other pools: served, they end and give back several
 *   new       everybody else
 */
export const Rank = { urgent: 0, lent: 1, late: 2, holding: 3, new: 4 } as const;
export type Rank = (typeof Rank)[keyof typeof Rank];

export interface Waiting {
  readonly waiter: BackendWaiter;
  /** As of `performance.now()`. */
  readonly since: number;
  readonly rank: Rank;
}

/** Whether a paused pool serves it: what has begun must be able to end. */
export function passesPause({ mustGoOn, holdsBackends }: BackendWaiter): boolean {
  return mustGoOn === true || holdsBackends === true;
}

/** It has backends of other pools, and is lent none here. */
export function mayBorrow({ waiter, rank }: Omit<Waiting, 'since'>): boolean {
  return waiter.holdsBackends === true && rank > Rank.lent;
}

/** Those who wait for a backend of one pool: by rank, then in the order in which they came. */
export class WaitingLine {
  private entries: Waiting[] = [];
  private lentCount = 0;

  get length(): number {
    return this.entries.length;
  }

  /** The first is urgent. */
  get urgent(): boolean {
    return this.entries[0]?.rank === Rank.urgent;
  }

  /** How many may have a backend beyond the pool's size. */
  get lent(): number {
    return this.lentCount;
  }

  /** The first of those that hold backends of other pools and are lent none here; null: there is none. */
  get firstHolder(): Waiting | null {
    return this.entries.find(mayBorrow) ?? null;
  }

  add(waiter: BackendWaiter, rank: Rank, since = performance.now()): void {
    const before = this.entries.findIndex((entry) => entry.rank > rank);
    this.entries.splice(before < 0 ? this.entries.length : before, 0, { waiter, since, rank });
    if (rank === Rank.lent) this.lentCount++;
  }

  /** Whoever gets this backend; null: nobody waits that can use it. */
  take(backend: BackendConnection): Waiting | null {
    return this.cut(this.entries.findIndex(({ waiter }) => waiter.accepts?.(backend) !== false));
  }

  /** The first in line, if it may share this backend as a batch; null: it may not. */
  takeBoarding(backend: BackendConnection, clock: number): Waiting | null {
    return this.boards(0, backend, clock) ? this.cut(0) : null;
  }

  /** Whether the first two may share this backend. */
  hasCompany(backend: BackendConnection, clock: number): boolean {
    return this.boards(0, backend, clock) && this.boards(1, backend, clock);
  }

  private boards(at: number, backend: BackendConnection, clock: number): boolean {
    return this.entries[at]?.waiter.mayBoard?.(backend, clock) === true;
  }

  /** Null: it does not wait here. */
  remove(waiter: BackendWaiter): Waiting | null {
    return this.cut(this.entries.findIndex((entry) => entry.waiter === waiter));
  }

  private cut(at: number): Waiting | null {
    if (at < 0) return null;
    const [entry] = this.entries.splice(at, 1);
    if (entry!.rank === Rank.lent) this.lentCount--;
    return entry!;
  }

  /** Gives somebody another place; null: it does not wait here. */
  move(waiter: BackendWaiter, rank: Rank): Waiting | null {
    const entry = this.remove(waiter);
    if (entry !== null) this.add(waiter, rank, entry.since);
    return entry;
  }

  takeAll(): readonly Waiting[] {
    this.lentCount = 0;
    return this.entries.splice(0);
  }

  /** How long the first to come has waited; 0: nobody waits. */
  longestMs(now: number): number {
    return this.entries.reduce((longest, { since }) => Math.max(longest, now - since), 0);
  }

  /** Since when somebody waits; undefined: it does not wait here. */
  sinceOf(waiter: BackendWaiter): number | undefined {
    return this.entries.find((entry) => entry.waiter === waiter)?.since;
  }

  /** Those that have waited since before a moment. */
  since(moment: number): readonly Waiting[] {
    return this.entries.filter(({ since }) => since < moment);
  }
}
