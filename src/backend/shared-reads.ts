import { performance } from 'node:perf_hooks';
import type { ShardMetrics } from '../metrics/metrics.js';
import type { Pace } from '../util/pace.js';
import type { BackendConnection } from './postgres/connection.js';
import type { PreparedText } from './postgres/prepared-text.js';
import { SharedBatch } from './shared-batch.js';
import type { WaitingLine } from './waiting-line.js';

/** What batches need of their pool. */
export interface BatchPool {
  /** Some backend is busy. */
  readonly isBusy: boolean;
  readonly backends: Iterable<BackendConnection>;
  /** Milliseconds since the epoch, a quarter of a second old at most. */
  readonly clock: number;
  /** Leases an idle backend with these settings; null: the one that would be next is none. */
  tryLeaseWith(settingsKey: string): BackendConnection | null;
}

/** Nobody waits longer than this, and as much again, for another one's statement. */
const SLOW_MS = 50;

/**
 * The batches of one pool. Reads that arrive in one turn of the event loop while the pool has other work go to one
 * backend in one write: system calls and wake-ups are most of what a short statement costs. So do those that wait for
 * a backend one behind the other. Without company a statement takes the usual way.
 */
export class SharedReads {
  private readonly pool: BatchPool;
  private readonly sizeMax: number;
  private readonly metrics: ShardMetrics;
  /** Takes more members until the end of this turn. */
  private open: SharedBatch | null = null;
  private isScheduled = false;
  private watch: NodeJS.Timeout | null = null;
  private watchedAt = 0;
  private usedSince = false;

  /** @param sizeMax statements in one batch; 1: there are no batches */
  constructor(pool: BatchPool, sizeMax: number, metrics: ShardMetrics) {
    this.pool = pool;
    this.metrics = metrics;
    this.sizeMax = sizeMax;
  }

  /**
   * A batch that takes one more statement now; whoever gets it writes the statement to its backend and joins. Null: it
   * goes by itself.
   * @param prepared the text under whose shared name it is bound; null: none
   */
  board(settingsKey: string, pace: Pace, prepared: PreparedText | null): SharedBatch | null {
    const { open, pool } = this;
    if (this.sizeMax === 1 || pace.slowUntil > pool.clock) return null;
    if (open !== null && open.size < this.sizeMax) {
      const { backend } = open;
      if (!backend.alive || !joins(backend, settingsKey, prepared)) return null;
      backend.statements.unnamed = null;
      return open;
    }
    return pool.isBusy ? this.begin(settingsKey) : null;
  }

  close(): void {
    if (this.watch !== null) clearInterval(this.watch);
    this.watch = null;
  }

  /** Has those in front of the line share a backend that has come back; false: nobody does. */
  boardWaiting(backend: BackendConnection, line: WaitingLine): boolean {
    const { clock } = this.pool;
    if (this.sizeMax === 1 || !line.hasCompany(backend, clock)) return false;
    const { sink } = backend;
    const batch = this.start(backend);
    // Whoever cannot come along after all waits again, behind all that are asked now.
    for (let left = line.length; left > 0 && this.open === batch; left--) {
      if (batch.size === this.sizeMax) break;
      const next = line.takeBoarding(backend, clock);
      if (next === null) break;
      this.metrics.wait.observe(Math.round((performance.now() - next.since) * 1000));
      next.waiter.onBoarding?.();
    }
    if (batch.size > 0) return true;
    if (this.open === batch) this.open = null;
    backend.sink = sink;
    return false;
  }

  private begin(settingsKey: string): SharedBatch | null {
    const backend = this.pool.tryLeaseWith(settingsKey);
    return backend === null ? null : this.start(backend);
  }

  private start(backend: BackendConnection): SharedBatch {
    // The one before is full, or another backend's.
    if (this.open !== null) this.send(this.open);
    const batch = (backend.batch ??= new SharedBatch(backend, this.shut));
    backend.sink = batch;
    this.open = batch;
    if (!this.isScheduled) {
      this.isScheduled = true;
      setImmediate(this.sendOpen);
    }
    this.usedSince = true;
    if (this.watch === null) this.startWatch();
    return batch;
  }

  private readonly sendOpen = (): void => {
    this.isScheduled = false;
    const { open } = this;
    this.open = null;
    if (open !== null) this.send(open);
  };

  private send(batch: SharedBatch): void {
    const { size } = batch;
    if (size > 1) {
      this.metrics.batches++;
      this.metrics.batchedStatements += size;
    }
    batch.send();
  }

  private readonly shut = (batch: SharedBatch): void => {
    if (this.open === batch) this.open = null;
  };

  private startWatch(): void {
    this.watchedAt = performance.now();
    this.watch = setInterval(() => this.look(), SLOW_MS);
    this.watch.unref();
  }

  private look(): void {
    if (!this.usedSince) {
      this.close();
      return;
    }
    this.usedSince = false;
    const now = performance.now();
    const pausedMs = now - this.watchedAt - SLOW_MS;
    this.watchedAt = now;
    // The process was busy: answers may be there that nobody has read.
    if (pausedMs > SLOW_MS / 2) {
      this.usedSince = true;
      return;
    }
    for (const { batch } of this.pool.backends) {
      if (batch === null || batch.size === 0) continue;
      this.usedSince = true;
      if (!batch.isLate(now - SLOW_MS)) continue;
      this.metrics.batchesDisbanded++;
      batch.first?.pace.keptWaiting(Date.now());
      batch.disband();
    }
  }
}

/**
 * Whether a statement may stand behind others in a batch on this backend.
 * @param prepared the text under whose shared name it is bound; null: none
 */
export function joins(
  backend: BackendConnection,
  settingsKey: string,
  prepared: PreparedText | null,
): boolean {
  // A Parse of another member might fail.
  const isSafe = prepared === null || backend.statements.isSafe(prepared);
  return isSafe && backend.settingsKey === settingsKey;
}
