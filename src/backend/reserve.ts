import type { BackendSink } from './postgres/backend-sink.js';
import { Rank, type BackendWaiter, type Waiting } from './waiting-line.js';

/** A pool, as the reserve sees it. */
export interface LendingPool {
  /** The first in its line that holds backends of other pools and is lent none here; null: nobody. */
  readonly firstHolder: Waiting | null;
  /** Who has its backends; null: one of them is about to be free, or none can be had. */
  readonly lessees: Iterable<BackendSink> | null;
  /** Lets one in its line have a backend beyond the pool's size. */
  lendTo(waiter: BackendWaiter): void;
}

/**
 * Backends beyond the pools' sizes, for sessions that would wait for each other for ever: each has backends that others
 * want, and wants one of theirs.
 *
 *   session A   has one of pool 0, waits in the line of pool 1
 *   session B   has one of pool 1, waits in the line of pool 0      both pools are used up by such
 *
 * A borrower may have one beyond the size in every pool, so it never waits again before it ends; then all that it has
 * goes to others. So few borrowers at a time are enough, and no pool opens more than that beyond its size.
 */
export class Reserve {
  /** How many sessions may borrow at a time. */
  borrowersMax: number;
  /** With how many backends of theirs, and places in line for one. */
  private readonly borrowers = new Map<BackendWaiter, number>();
  /** Pools in whose lines somebody stood that holds backends of others. */
  private readonly wanted = new Set<LendingPool>();

  constructor(borrowersMax: number) {
    this.borrowersMax = borrowersMax;
  }

  /** Where somebody stands in line; a borrower is lent what it waits for. */
  rankOf(waiter: BackendWaiter): Rank {
    if (waiter.holdsBackends !== true) return Rank.new;
    const lent = this.borrowers.get(waiter);
    if (lent === undefined) return waiter.inTransaction === true ? Rank.holding : Rank.new;
    this.borrowers.set(waiter, lent + 1);
    return Rank.lent;
  }

  /** Somebody that holds backends of other pools waits for one of this pool: that may close a ring. */
  wants(pool: LendingPool): void {
    this.wanted.add(pool);
    this.endRings();
  }

  /** False: as many borrow as may, or this one does. */
  lend(pool: LendingPool, waiter: BackendWaiter): boolean {
    if (this.borrowers.size >= this.borrowersMax || this.borrowers.has(waiter)) return false;
    this.borrowers.set(waiter, 1);
    pool.lendTo(waiter);
    return true;
  }

  /** A backend that was lent is back, or will not be needed. */
  returned(waiter: BackendWaiter): void {
    const lent = this.borrowers.get(waiter);
    if (lent === undefined) return;
    if (lent > 1) {
      this.borrowers.set(waiter, lent - 1);
      return;
    }
    this.borrowers.delete(waiter);
    this.endRings();
  }

  private endRings(): void {
    while (this.borrowers.size < this.borrowersMax) {
      const [stuck] = this.stuckPools();
      if (stuck === undefined || !this.lend(stuck, stuck.firstHolder!.waiter)) return;
    }
  }

  /** Those whose backends are all had by sessions that wait for one of a pool that is stuck as well. */
  private stuckPools(): ReadonlySet<LendingPool> {
    for (const pool of this.wanted) if (pool.firstHolder === null) this.wanted.delete(pool);
    const stuck = new Set(this.wanted);
    for (let before = 0; before !== stuck.size;) {
      before = stuck.size;
      for (const pool of stuck) if (!isStuck(pool, stuck)) stuck.delete(pool);
    }
    return stuck;
  }
}

function isStuck({ lessees }: LendingPool, stuck: ReadonlySet<object>): boolean {
  if (lessees === null) return false;
  for (const { leases } of lessees) {
    const waitsFor = leases?.waitsFor ?? null;
    if (waitsFor === null || !stuck.has(waitsFor)) return false;
  }
  return true;
}
