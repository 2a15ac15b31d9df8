import { performance } from 'node:perf_hooks';
import type { ServerAddress } from '../config/config.js';
import type { Shard } from '../keyspace/topology.js';
import type { LatencyHistogram, ShardMetrics } from '../metrics/metrics.js';
import { TxStatus } from '../protocol/codes.js';
import type { Logger } from '../util/logger.js';
import { isStale } from './stale-backends.js';
import { BackendError } from './backend-error.js';
import type { OidMap } from './oids/oid-map.js';
import { AbandonedBackends } from './abandoned-backends.js';
import { ConnectAttempts } from './connect-attempts.js';
import { Pause } from './pause.js';
import type { PoolCensus } from './pool-census.js';
import { SharedReads, type BatchPool } from './shared-reads.js';
import type { BackendOwner, BackendSink } from './postgres/backend-sink.js';
import { BackendConnection } from './postgres/connection.js';
import { DROP } from './postgres/expected-replies.js';
import { QuietSink } from './postgres/quiet-sink.js';
import { loginToBackend } from './postgres/login.js';
import { Reserve, type LendingPool } from './reserve.js';
import {
  mayBorrow,
  passesPause,
  Rank,
  WaitingLine,
  type BackendWaiter,
  type Waiting,
} from './waiting-line.js';

export interface PoolOptions {
  readonly size: number;
  readonly queueTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly connectTimeoutMs: number;
  readonly healthCheckIntervalMs: number;
  readonly preparedStatementsMax: number;
  /** How many reads of different sessions may travel together. */
  readonly batchMax: number;
  /** Settings that every backend starts with. */
  readonly settings: Readonly<Record<string, string>>;
}

/** How often idle times, lifetimes and queue timeouts are looked at; timeouts are this exact. */
const SWEEP_MS = 250;
/** So long at most do those wait for others that came after them. */
const LATE_AFTER_MS = 250;
/** Who holds backends of other pools and has waited so long for one more is lent one, as long as there are any. */
const LEND_AFTER_MS = 1000;

/**
 * The backends of one shard and role. Where a backend is decides what may happen to it:
 *
 *   (connecting) -> idle -> leased -> idle          last used first, so that spare ones grow old and close
 *                              |-> next waiter      without going through idle
 *                              |-> abandoned        its session vanished: cancelled, drained, then as above
 *   any -> closed
 */
export class Pool extends QuietSink implements BackendOwner, BatchPool, LendingPool {
  shard: Shard;
  oids: OidMap | null = null;
  /** Gets a backend before any is lent, and releases it; null: nothing is to do. */
  firstTask: ((backend: BackendConnection) => void) | null = null;
  /** False again once the server could not be reached: it may be another one afterwards. */
  firstTaskDone = false;
  readonly pins: { count: number; readonly max: number };
  private readonly address: ServerAddress;
  private readonly options: PoolOptions;
  private readonly metrics: ShardMetrics;
  private readonly logger: Logger;
  private readonly idle: BackendConnection[] = [];
  /** All that are connected: idle, checked or leased. */
  private readonly members = new Set<BackendConnection>();
  private readonly checking = new Set<BackendConnection>();
  private readonly waiting = new WaitingLine();
  private readonly reserve: Reserve;
  /** Backends beyond the pool's size, and who has been lent them; the server's place is theirs until they are back. */
  private readonly loans = new Map<BackendConnection, BackendWaiter>();
  private readonly attempts = new ConnectAttempts();
  private readonly abandoned = new AbandonedBackends((backend) => this.discard(backend));
  /** Statements of several sessions in one write. */
  readonly reads: SharedReads;
  private readonly sweeper: NodeJS.Timeout;
  /** Milliseconds since the epoch at the last sweep: reading a clock at every release would cost more than it tells. */
  private now = Date.now();
  private closing = false;
  /** Backends that come back are closed: the pool is paused, or closes. */
  private retires = false;
  private readonly pausing = new Pause();
  /** They wait for `resume`. */
  private readonly held = new WaitingLine();
  /** Serves whoever wants a backend of this pool while it closes. */
  private successor: Pool | null = null;
  private onEmpty: (() => void) | null = null;

  constructor(
    shard: Shard,
    address: ServerAddress,
    options: PoolOptions,
    metrics: ShardMetrics,
    logger: Logger,
    reserve = new Reserve(0),
  ) {
    super();
    this.shard = shard;
    this.reserve = reserve;
    this.address = address;
    this.options = options;
    // One is left for those who keep nothing.
    this.pins = { count: 0, max: Math.max(1, options.size - 1) };
    this.metrics = metrics;
    this.logger = logger;
    this.reads = new SharedReads(this, options.batchMax, metrics);
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.sweeper.unref();
  }

  get latency(): LatencyHistogram {
    return this.metrics.latency;
  }

  get traffic(): { bytesIn: number; bytesOut: number } {
    return this.metrics;
  }

  get size(): number {
    return this.members.size + this.attempts.running;
  }

  /** For people to look at: where its backends are, and how long the one has waited that waits longest. */
  get census(): PoolCensus {
    const { idle, checking, abandoned, attempts, waiting, held } = this;
    const canceled = [...abandoned.backends].filter((backend) => !checking.has(backend)).length;
    return {
      active: this.members.size - idle.length - checking.size - canceled,
      idle: idle.length,
      checking: checking.size,
      canceled,
      connecting: attempts.running,
      waiting: waiting.length + held.length,
      longestWaitMs: Math.max(
        waiting.longestMs(performance.now()),
        held.longestMs(performance.now()),
      ),
    };
  }

  /** Where a backend of this pool is. */
  stateOf(backend: BackendConnection): 'idle' | 'tested' | 'active_cancel' | 'active' {
    if (this.checking.has(backend)) return 'tested';
    if (this.abandoned.has(backend)) return 'active_cancel';
    return this.idle.includes(backend) ? 'idle' : 'active';
  }

  /** Milliseconds for which this one has waited; 0: it does not. */
  waitedMs(waiter: BackendWaiter): number {
    const since = this.waiting.sinceOf(waiter) ?? this.held.sinceOf(waiter);
    return since === undefined ? 0 : performance.now() - since;
  }

  get gauge(): { active: number; idle: number; waiting: number; max: number } {
    return {
      active: this.members.size - this.idle.length - this.checking.size,
      idle: this.idle.length,
      waiting: this.waiting.length + this.held.length,
      max: this.options.size,
    };
  }

  /** Null: the shard can be reached as far as is known; else why not. */
  get problem(): string | null {
    return this.attempts.problem;
  }

  /** A backend at once, or null: then `wait` for one. */
  tryLease(): BackendConnection | null {
    // Whoever waits came first.
    if (this.waiting.length > 0) return null;
    for (;;) {
      const backend = this.idle.pop();
      if (backend === undefined) return null;
      if (backend.alive) return backend;
      this.members.delete(backend);
    }
  }

  /** A backend at once that has these settings already; null: there is none, or others wait. */
  tryLeaseWith(settingsKey: string): BackendConnection | null {
    const next = this.idle.at(-1);
    if (this.waiting.length > 0 || next?.alive !== true || next.settingsKey !== settingsKey) {
      return null;
    }
    this.idle.pop();
    return next;
  }

  get isBusy(): boolean {
    return this.members.size > this.idle.length + this.checking.size;
  }

  get backends(): Iterable<BackendConnection> {
    return this.members;
  }

  get clock(): number {
    return this.now;
  }

  /**
   * Queues for a backend; opens one where the pool has room. Ends in time, by a backend or by an
   * error. `urgent`: goes first, and there is room for one more than the pool's size: whoever holds
   * all others may be waiting for what this one does.
   */
  wait(waiter: BackendWaiter, urgent = false): void {
    if (this.closing) {
      this.passOn(waiter, urgent);
      return;
    }
    if (this.pausing.on && !passesPause(waiter)) {
      this.held.add(waiter, urgent ? Rank.urgent : Rank.new);
      return;
    }
    const { lastError, mayTry } = this.attempts;
    if (lastError !== null && this.size === 0 && !mayTry) {
      waiter.onBackendError(lastError);
      return;
    }
    const rank = urgent ? Rank.urgent : this.reserve.rankOf(waiter);
    this.waiting.add(waiter, rank);
    if (this.idle.length > 0) this.serveIdle();
    this.openWhereNeeded();
    if (mayBorrow({ waiter, rank })) this.reserve.wants(this);
  }

  /** A waiter that no longer wants one. */
  giveUp(waiter: BackendWaiter): void {
    this.left(this.waiting.remove(waiter));
    this.held.remove(waiter);
    this.successor?.giveUp(waiter);
  }

  /** Somebody who has stood in line has got nothing here. */
  private left(entry: Waiting | null): void {
    if (entry?.rank === Rank.lent) this.reserve.returned(entry.waiter);
  }

  // ---------------------------------------------------------------- as one that lends

  get firstHolder(): Waiting | null {
    return this.waiting.firstHolder;
  }

  get lessees(): readonly BackendSink[] | null {
    if (this.attempts.running > 0 || this.members.size === 0) return null;
    const sinks: BackendSink[] = [];
    for (const { sink } of this.members) {
      if (sink === this) return null;
      sinks.push(sink);
    }
    return sinks;
  }

  lendTo(waiter: BackendWaiter): void {
    if (this.waiting.move(waiter, Rank.lent) === null) return;
    this.metrics.lent++;
    this.openWhereNeeded();
  }

  /** What was lent is back. */
  private repay(backend: BackendConnection): void {
    const borrower = this.loans.get(backend);
    if (borrower === undefined) return;
    this.loans.delete(backend);
    this.reserve.returned(borrower);
  }

  /** A backend that may have been lent comes back: the next one that holds others gets it, as long as some wait. */
  private lendOn(backend: BackendConnection): void {
    this.repay(backend);
    const next = this.firstHolder;
    if (next !== null) this.reserve.lend(this, next.waiter);
  }

  // ---------------------------------------------------------------- back

  /** Takes back a backend that is between statements, outside a transaction. */
  release(backend: BackendConnection): void {
    if (!backend.free) {
      this.abandon(backend);
      return;
    }
    backend.sink = this;
    // A cancel that is still on its way must not hit the next client's statement.
    if (backend.cancels.pending) backend.cancels.whenDelivered(() => this.handOn(backend));
    else this.handOn(backend);
  }

  /**
   * Takes back a backend in whatever state its vanished session left it: what runs is cancelled, the transaction
   * rolled back, answers dropped.
   */
  abandon(backend: BackendConnection): void {
    backend.sink = this;
    this.abandoned.cancel(backend);
    // Sync ends a pipeline that was cut off (and copy-in, by the failure before it), whatever state it is in. It must
    // not commit: nobody has asked for that.
    if (backend.copyingIn) backend.failCopy('the client has gone');
    backend.breakPipeline();
    backend.sync(DROP);
    backend.query('ROLLBACK', DROP);
    backend.flush();
    backend.resumeReading();
  }

  /** Closes a leased backend whose state cannot be trusted. */
  discard(backend: BackendConnection): void {
    this.forget(backend);
    backend.destroy();
    this.metrics.closes++;
    this.openWhereNeeded();
  }

  /**
   * No new leases; resolves when every backend is back and closed. Who waits is served by `successor`, the pool that a
   * reload has made of the same shard.
   */
  close(successor: Pool | null = null): Promise<void> {
    this.closing = true;
    this.retires = true;
    this.successor = successor;
    clearInterval(this.sweeper);
    this.reads.close();
    for (const backend of this.idle.splice(0)) this.terminate(backend);
    // Later: whoever goes on at once would find a reload half done.
    setImmediate(() => {
      for (const entry of [...this.waiting.takeAll(), ...this.held.takeAll()]) {
        this.left(entry);
        this.passOn(entry.waiter, entry.rank === Rank.urgent);
      }
    });
    return new Promise((resolve) => {
      this.onEmpty = resolve;
      this.checkEmpty();
    });
  }

  private passOn(waiter: BackendWaiter, urgent: boolean): void {
    const { successor } = this;
    if (successor === null) {
      waiter.onBackendError(this.error('insufficient_resources', 'the pool is closing'));
      return;
    }
    successor.wait(waiter, urgent);
  }

  /** Closes everything now. */
  destroy(): void {
    this.closing = true;
    this.retires = true;
    clearInterval(this.sweeper);
    this.reads.close();
    for (const backend of [...this.members]) this.discard(backend);
  }

  get isPaused(): boolean {
    return this.pausing.on;
  }

  /**
   * Closes backends as they come back; whoever holds none waits for `resume`, however long that takes. Resolves when
   * none is left. Rejects with SqlError 57014 where it is resumed before.
   */
  async pause(): Promise<void> {
    if (!this.pausing.on) {
      this.pausing.on = true;
      this.retires = true;
      for (const { waiter, rank, since } of this.waiting.takeAll()) {
        (passesPause(waiter) ? this.waiting : this.held).add(waiter, rank, since);
      }
      for (const backend of this.idle.splice(0)) this.terminate(backend);
    }
    if (this.size === 0) return;
    await this.pausing.done();
  }

  resume(): void {
    this.pausing.on = false;
    this.retires = this.closing;
    this.pausing.end(true);
    // Their time in the queue begins now.
    for (const { waiter, rank } of this.held.takeAll()) this.waiting.add(waiter, rank);
    this.openWhereNeeded();
  }

  /** Closes every backend as soon as nobody has it; others take their place. */
  renew(): void {
    for (const backend of this.members) backend.isSpent = true;
    for (const backend of this.idle.splice(0)) this.terminate(backend);
    this.openWhereNeeded();
  }

  /** The server of another pool is this one's as well: it can be reached if it could. */
  inherit(other: Pool): void {
    this.attempts.everReached = other.attempts.everReached;
    this.pausing.on = other.pausing.on;
    this.retires = other.pausing.on;
  }

  /** Opens a first backend, to learn whether the shard can be reached. */
  warmUp(): void {
    if (this.size === 0 && this.attempts.mayTry) this.open();
  }

  /** After a reload: the same shard under its new value. */
  rename(shard: Shard): void {
    this.shard = shard;
    for (const backend of this.members) backend.shard = shard;
  }

  private handOn(backend: BackendConnection): void {
    if (this.loans.size > 0) this.lendOn(backend);
    if (!backend.alive) {
      this.forget(backend);
      this.openWhereNeeded();
      return;
    }
    const { now } = this;
    const old = now - backend.createdAt > this.options.maxLifetimeMs;
    const spent = backend.isSpent || backend.cancels.mayComeLate;
    if ((this.retires && !this.servesSome) || old || spent || this.tooLarge) {
      this.forget(backend);
      this.terminate(backend);
      this.openWhereNeeded();
      return;
    }
    if (this.waiting.length > 0) {
      if (this.reads.boardWaiting(backend, this.waiting) || this.serve(backend)) return;
      // Nobody in line can use it: a new one takes its place.
      if (this.attempts.running < this.waiting.length && this.size >= this.sizeMax) {
        this.forget(backend);
        this.terminate(backend);
        this.openWhereNeeded();
        return;
      }
    }
    backend.idleSince = now;
    this.idle.push(backend);
  }

  /** Paused, but somebody must come to an end first. */
  private get servesSome(): boolean {
    return this.pausing.on && !this.closing && this.waiting.length > 0;
  }

  /** Gives a backend to the first in line that can use it; false: there is none. */
  private serve(backend: BackendConnection): boolean {
    const next = this.waiting.take(backend);
    if (next === null) return false;
    if (next.rank === Rank.lent) this.loans.set(backend, next.waiter);
    this.metrics.wait.observe(Math.round((performance.now() - next.since) * 1000));
    next.waiter.onBackend(backend);
    return true;
  }

  /** Idle backends while somebody waits: those that one of them could not use. */
  private serveIdle(): void {
    for (let at = this.idle.length - 1; at >= 0; at--) {
      const [backend] = this.idle.splice(at, 1);
      if (this.serve(backend!)) return;
      this.idle.splice(at, 0, backend!);
    }
    if (this.attempts.running < this.waiting.length && this.size >= this.sizeMax) {
      this.terminate(this.idle.shift()!);
    }
  }

  /** Takes back a backend that has just been leased and cannot be used. */
  putBack(backend: BackendConnection): void {
    this.idle.push(backend);
  }

  private openWhereNeeded(): void {
    if (this.closing || !this.attempts.mayTry) return;
    const { waiting } = this;
    const sizeMax = this.sizeMax + (waiting.urgent ? 1 : 0);
    while (this.attempts.running < waiting.length && this.size < sizeMax) this.open();
  }

  private get sizeMax(): number {
    return this.options.size + this.loans.size + this.waiting.lent;
  }

  /** What was opened for an urgent wait, or lent, is not needed any more. */
  private get tooLarge(): boolean {
    return this.size > this.options.size && this.size > this.sizeMax && !this.waiting.urgent;
  }

  private open(): void {
    this.attempts.running++;
    const { shard, address, options } = this;
    loginToBackend(shard.name, address, options.settings, options.connectTimeoutMs).then(
      (login) => {
        this.attempts.succeeded();
        this.metrics.connects++;
        const { preparedStatementsMax } = options;
        const backend = new BackendConnection(shard, address, login, preparedStatementsMax, this);
        this.members.add(backend);
        if (this.firstTask === null || this.firstTaskDone) this.handOn(backend);
        else this.firstTask(backend);
      },
      (error: unknown) => this.onConnectFailure(error as BackendError),
    );
  }

  private onConnectFailure(error: BackendError): void {
    this.metrics.connectFailures++;
    this.firstTaskDone = false;
    if (this.attempts.lastError === null) {
      this.logger.warn(
        { shard: this.shard.name, reason: error.message },
        'cannot connect to shard',
      );
    }
    this.attempts.failed(error);
    // Others may still serve those who wait; where there are none, nobody should wait for nothing.
    if (this.size === 0) {
      for (const entry of this.waiting.takeAll()) {
        this.left(entry);
        entry.waiter.onBackendError(error);
      }
    }
    this.checkEmpty();
  }

  private sweep(): void {
    const now = Date.now();
    this.now = now;
    this.serveLine(performance.now());
    const { healthCheckIntervalMs } = this.options;
    for (let i = this.idle.length - 1; i >= 0; i--) {
      const backend = this.idle[i]!;
      const idleMs = now - backend.idleSince;
      if (!backend.alive) this.forget(backend);
      else if (isStale(backend, now, this.options)) {
        this.idle.splice(i, 1);
        this.terminate(backend);
      } else if (healthCheckIntervalMs > 0 && idleMs > healthCheckIntervalMs) {
        this.idle.splice(i, 1);
        this.check(backend);
      }
    }
    if (this.attempts.lastError !== null && !this.pausing.on) this.warmUp();
    this.openWhereNeeded();
  }

  /** Those who have waited for long are refused, go ahead of others, or are lent a backend. */
  private serveLine(clock: number): void {
    const { queueTimeoutMs } = this.options;
    for (const { waiter } of this.waiting.since(clock - queueTimeoutMs)) {
      this.giveUp(waiter);
      waiter.onBackendError(
        this.error(
          'insufficient_resources',
          `no backend became free within ${this.options.queueTimeoutMs} ms (pool size ${this.options.size})`,
        ),
      );
    }
    for (const { waiter, rank } of this.waiting.since(clock - LATE_AFTER_MS)) {
      if (rank > Rank.late) this.waiting.move(waiter, Rank.late);
    }
    // Rings that go through locks are not seen: who has the backends may wait for a row of somebody in line here.
    for (const entry of this.waiting.since(clock - LEND_AFTER_MS)) {
      if (mayBorrow(entry) && !this.reserve.lend(this, entry.waiter)) return;
    }
  }

  /** An empty round trip; a backend that does not answer is closed. */
  private check(backend: BackendConnection): void {
    this.checking.add(backend);
    this.abandoned.expect(backend, this.options.connectTimeoutMs);
    backend.sync(DROP);
    backend.flush();
  }

  private terminate(backend: BackendConnection): void {
    this.metrics.closes++;
    this.members.delete(backend);
    this.repay(backend);
    backend.terminate();
    this.checkEmpty();
  }

  private forget(backend: BackendConnection): void {
    this.abandoned.forget(backend);
    this.members.delete(backend);
    this.checking.delete(backend);
    const at = this.idle.indexOf(backend);
    if (at >= 0) this.idle.splice(at, 1);
    this.repay(backend);
    this.checkEmpty();
  }

  private checkEmpty(): void {
    if (this.size > 0) return;
    if (this.closing) this.onEmpty?.();
    this.pausing.end(false);
  }

  private error(state: 'insufficient_resources', message: string): BackendError {
    return new BackendError(this.shard.name, state, message);
  }

  // The pool is the sink of backends that nobody uses: idle, checked or abandoned.

  ready(backend: BackendConnection): void {
    if (!backend.quiet) return;
    this.abandoned.forget(backend);
    const checked = this.checking.delete(backend);
    if (backend.status !== TxStatus.idle) {
      // Not even ROLLBACK ends its transaction: no Postgres.
      this.discard(backend);
      return;
    }
    // What a vanished session set is not known.
    if (!checked) backend.settingsKey = null;
    this.release(backend);
  }

  closed(backend: BackendConnection): void {
    this.metrics.closes++;
    this.forget(backend);
  }

  /** The lessee of a backend that broke off tells the pool. */
  lost(backend: BackendConnection): void {
    this.closed(backend);
    this.openWhereNeeded();
  }
}
