import { performance } from 'node:perf_hooks';
import type { ServerAddress } from '../config/config.js';
import type { Shard } from '../keyspace/topology.js';
import { sqlError } from '../errors/sql-error.js';
import type { LatencyHistogram, ShardMetrics } from '../metrics/metrics.js';
import { TxStatus } from '../protocol/codes.js';
import type { Logger } from '../util/logger.js';
import { settingDurationMs } from '../util/setting-duration.js';
import { BackendError } from './backend-error.js';
import type { OidMap } from './oids/oid-map.js';
import { SharedReads, type BatchPool } from './shared-reads.js';
import type { BackendOwner } from './postgres/backend-sink.js';
import { BackendConnection } from './postgres/connection.js';
import { DROP } from './postgres/expected-replies.js';
import { loginToBackend } from './postgres/login.js';

/** Gets a backend later: exactly one of the two is called, unless the wait is given up. */
export interface BackendWaiter {
  /** It holds backends already, or is the proxy itself: a paused pool serves it, so that it ends; absent: it waits. */
  readonly mustGoOn?: boolean;
  onBackend(backend: BackendConnection): void;
  onBackendError(error: BackendError): void;
}

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

/** Numbers of backends and of those who wait for one. */
export interface PoolCensus {
  readonly active: number;
  readonly idle: number;
  readonly checking: number;
  /** Their sessions have vanished. */
  readonly canceled: number;
  readonly connecting: number;
  readonly waiting: number;
  readonly longestWaitMs: number;
}

interface Waiting {
  readonly waiter: BackendWaiter;
  readonly since: number;
  readonly urgent: boolean;
}

/** First retry after a failed connect; doubles up to the maximum. */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 1000;
/** How often idle times, lifetimes and queue timeouts are looked at; timeouts are this exact. */
const SWEEP_MS = 250;
/** A backend whose session vanished gets this long to end what it runs. */
const ABANDON_TIMEOUT_MS = 5000;
const CANCEL_AGAIN_MS = 1000;

/**
 * The backends of one shard and role. Where a backend is decides what may happen to it:
 *
 *   (connecting) -> idle -> leased -> idle          last used first, so that spare ones grow old and close
 *                              |-> next waiter      without going through idle
 *                              |-> abandoned        its session vanished: cancelled, drained, then as above
 *   any -> closed
 */
export class Pool implements BackendOwner, BatchPool {
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
  private waiting: Waiting[] = [];
  private connecting = 0;
  private backoffMs = 0;
  private retryAt = 0;
  private lastError: BackendError | null = null;
  private everReached = false;
  /** Statements of several sessions in one write. */
  readonly reads: SharedReads;
  private readonly sweeper: NodeJS.Timeout;
  /** Milliseconds since the epoch at the last sweep: reading a clock at every release would cost more than it tells. */
  private now = Date.now();
  private closing = false;
  /** Backends that come back are closed: the pool is paused, or closes. */
  private retires = false;
  private paused = false;
  /** They wait for `resume`. */
  private held: Waiting[] = [];
  private whenPaused: ((resumed: boolean) => void)[] = [];
  /** Serves whoever wants a backend of this pool while it closes. */
  private successor: Pool | null = null;
  private onEmpty: (() => void) | null = null;

  constructor(
    shard: Shard,
    address: ServerAddress,
    options: PoolOptions,
    metrics: ShardMetrics,
    logger: Logger,
  ) {
    this.shard = shard;
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
    return this.members.size + this.connecting;
  }

  /** For people to look at: where its backends are, and how long the one has waited that waits longest. */
  get census(): PoolCensus {
    const { idle, checking, abandoned, connecting } = this;
    const waiting = [...this.waiting, ...this.held];
    const since = waiting.reduce((first, entry) => Math.min(first, entry.since), Infinity);
    const canceled = [...abandoned.keys()].filter((backend) => !checking.has(backend)).length;
    return {
      active: this.members.size - idle.length - checking.size - canceled,
      idle: idle.length,
      checking: checking.size,
      canceled,
      connecting,
      waiting: waiting.length,
      longestWaitMs: waiting.length === 0 ? 0 : performance.now() - since,
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
    const entries = [...this.waiting, ...this.held];
    const since = entries.find((entry) => entry.waiter === waiter)?.since;
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
    if (this.lastError !== null) return this.lastError.message;
    return this.everReached ? null : 'not connected yet';
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
    if (this.paused && waiter.mustGoOn !== true) {
      this.held.push({ waiter, since: performance.now(), urgent });
      return;
    }
    if (this.lastError !== null && this.size === 0 && Date.now() < this.retryAt) {
      waiter.onBackendError(this.lastError);
      return;
    }
    const entry = { waiter, since: performance.now(), urgent };
    if (urgent) this.waiting.unshift(entry);
    else this.waiting.push(entry);
    this.openWhereNeeded();
  }

  /** A waiter that no longer wants one. */
  giveUp(waiter: BackendWaiter): void {
    this.waiting = this.waiting.filter((entry) => entry.waiter !== waiter);
    if (this.held.length > 0) this.held = this.held.filter((entry) => entry.waiter !== waiter);
    this.successor?.giveUp(waiter);
  }

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
    this.watchAbandoned(backend, Date.now() + ABANDON_TIMEOUT_MS);
    if (!backend.quiet) backend.cancel();
    // Sync ends a pipeline that was cut off (and copy-in, by the failure before it), whatever state it is in. It must
    // not commit: nobody has asked for that.
    if (backend.copyingIn) backend.failCopy('the client has gone');
    backend.breakPipeline();
    backend.sync(DROP);
    backend.query('ROLLBACK', DROP);
    backend.flush();
    backend.resumeReading();
  }

  private readonly abandoned = new Map<BackendConnection, NodeJS.Timeout>();

  /** A cancel that overtakes its statement does nothing, hence again; in the end the backend is closed. */
  private watchAbandoned(backend: BackendConnection, deadline: number): void {
    clearTimeout(this.abandoned.get(backend));
    const timer = setTimeout(() => {
      if (!backend.quiet) backend.cancel();
      if (Date.now() >= deadline) this.discard(backend);
      else this.watchAbandoned(backend, deadline);
    }, CANCEL_AGAIN_MS);
    timer.unref();
    this.abandoned.set(backend, timer);
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
      for (const { waiter, urgent } of [...this.waiting.splice(0), ...this.held.splice(0)]) {
        this.passOn(waiter, urgent);
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
    const mustWait = successor.paused && waiter.mustGoOn !== true;
    const backend = mustWait ? null : successor.tryLease();
    if (backend !== null) waiter.onBackend(backend);
    else successor.wait(waiter, urgent);
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
    return this.paused;
  }

  /**
   * Closes backends as they come back; whoever holds none waits for `resume`, however long that takes. Resolves when
   * none is left. Rejects with SqlError 57014 where it is resumed before.
   */
  async pause(): Promise<void> {
    if (!this.paused) {
      this.paused = true;
      this.retires = true;
      const waiting = this.waiting.splice(0);
      this.waiting = waiting.filter(({ waiter }) => waiter.mustGoOn === true);
      this.held.push(...waiting.filter(({ waiter }) => waiter.mustGoOn !== true));
      for (const backend of this.idle.splice(0)) this.terminate(backend);
    }
    if (this.size === 0) return;
    const resumed = await new Promise<boolean>((resolve) => {
      this.whenPaused.push(resolve);
    });
    if (resumed) throw sqlError('query_canceled', 'RESUME has ended the PAUSE');
  }

  resume(): void {
    this.paused = false;
    this.retires = this.closing;
    for (const tell of this.whenPaused.splice(0)) tell(true);
    // Their time in the queue begins now.
    const since = performance.now();
    this.waiting.push(...this.held.splice(0).map((entry) => ({ ...entry, since })));
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
    this.everReached = other.everReached;
    this.paused = other.paused;
    this.retires = other.paused;
  }

  /** Opens a first backend, to learn whether the shard can be reached. */
  warmUp(): void {
    if (this.size === 0 && Date.now() >= this.retryAt) this.open();
  }

  /** After a reload: the same shard under its new value. */
  rename(shard: Shard): void {
    this.shard = shard;
    for (const backend of this.members) backend.shard = shard;
  }

  private handOn(backend: BackendConnection): void {
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
    const next = this.waiting.shift();
    if (next !== undefined) {
      this.metrics.wait.observe(Math.round((performance.now() - next.since) * 1000));
      next.waiter.onBackend(backend);
      return;
    }
    backend.idleSince = now;
    this.idle.push(backend);
  }

  /** Paused, but somebody must come to an end first. */
  private get servesSome(): boolean {
    return this.paused && !this.closing && this.waiting.length > 0;
  }

  private openWhereNeeded(): void {
    if (this.closing || Date.now() < this.retryAt) return;
    const sizeMax = this.options.size + (this.urgentlyWanted ? 1 : 0);
    while (this.connecting < this.waiting.length && this.size < sizeMax) this.open();
  }

  private get urgentlyWanted(): boolean {
    return this.waiting.length > 0 && this.waiting[0]!.urgent;
  }

  /** What was opened for an urgent wait is not needed any more. */
  private get tooLarge(): boolean {
    return this.size > this.options.size && !this.urgentlyWanted;
  }

  private open(): void {
    this.connecting++;
    const { shard, address, options } = this;
    loginToBackend(shard.name, address, options.settings, options.connectTimeoutMs).then(
      (login) => {
        this.connecting--;
        this.metrics.connects++;
        this.everReached = true;
        this.lastError = null;
        this.backoffMs = 0;
        this.retryAt = 0;
        const { preparedStatementsMax } = options;
        const backend = new BackendConnection(shard, address, login, preparedStatementsMax, this);
        this.members.add(backend);
        if (this.firstTask === null || this.firstTaskDone) this.handOn(backend);
        else this.firstTask(backend);
      },
      (error: unknown) => {
        this.connecting--;
        this.onConnectFailure(error as BackendError);
      },
    );
  }

  private onConnectFailure(error: BackendError): void {
    this.metrics.connectFailures++;
    this.firstTaskDone = false;
    if (this.lastError === null) {
      this.logger.warn(
        { shard: this.shard.name, reason: error.message },
        'cannot connect to shard',
      );
    }
    this.lastError = error;
    this.backoffMs = Math.min(BACKOFF_MAX_MS, Math.max(BACKOFF_FIRST_MS, this.backoffMs * 2));
    this.retryAt = Date.now() + this.backoffMs;
    // Others may still serve those who wait; where there are none, nobody should wait for nothing.
    if (this.size === 0) {
      for (const { waiter } of this.waiting.splice(0)) waiter.onBackendError(error);
    }
    this.checkEmpty();
  }

  private sweep(): void {
    const now = Date.now();
    this.now = now;
    const deadline = performance.now() - this.options.queueTimeoutMs;
    for (const { waiter } of this.waiting.filter(({ since }) => since < deadline)) {
      this.giveUp(waiter);
      waiter.onBackendError(
        this.error(
          'insufficient_resources',
          `no backend became free within ${this.options.queueTimeoutMs} ms (pool size ${this.options.size})`,
        ),
      );
    }
    const { idleTimeoutMs, maxLifetimeMs, healthCheckIntervalMs } = this.options;
    for (let i = this.idle.length - 1; i >= 0; i--) {
      const backend = this.idle[i]!;
      const idleMs = now - backend.idleSince;
      if (!backend.alive) this.forget(backend);
      else if (
        idleMs > Math.min(idleTimeoutMs, ownIdleTimeoutMs(backend)) ||
        now - backend.createdAt > maxLifetimeMs
      ) {
        this.idle.splice(i, 1);
        this.terminate(backend);
      } else if (healthCheckIntervalMs > 0 && idleMs > healthCheckIntervalMs) {
        this.idle.splice(i, 1);
        this.check(backend);
      }
    }
    if (this.lastError !== null && !this.paused) this.warmUp();
    this.openWhereNeeded();
  }

  /** An empty round trip; a backend that does not answer is closed. */
  private check(backend: BackendConnection): void {
    this.checking.add(backend);
    const giveUp = setTimeout(() => this.discard(backend), this.options.connectTimeoutMs);
    giveUp.unref();
    this.abandoned.set(backend, giveUp);
    backend.sync(DROP);
    backend.flush();
  }

  private terminate(backend: BackendConnection): void {
    this.metrics.closes++;
    this.members.delete(backend);
    backend.terminate();
    this.checkEmpty();
  }

  private forget(backend: BackendConnection): void {
    clearTimeout(this.abandoned.get(backend));
    this.abandoned.delete(backend);
    this.members.delete(backend);
    this.checking.delete(backend);
    const at = this.idle.indexOf(backend);
    if (at >= 0) this.idle.splice(at, 1);
    this.checkEmpty();
  }

  private checkEmpty(): void {
    if (this.size > 0) return;
    if (this.closing) this.onEmpty?.();
    for (const tell of this.whenPaused.splice(0)) tell(false);
  }

  private error(state: 'insufficient_resources', message: string): BackendError {
    return new BackendError(this.shard.name, state, message);
  }

  // The pool is the sink of backends that nobody uses: idle, checked or abandoned.

  pass(): boolean {
    return true;
  }

  captured(): void {
    // Answers to a session that has gone.
  }

  capturedData(): boolean {
    return true;
  }

  failed(): void {
    // The statement of a session that has gone.
  }

  copyInStarted(backend: BackendConnection): void {
    backend.failCopy('the client has gone');
    backend.flush();
  }

  drained(): void {
    // Nobody feeds it.
  }

  settled(): void {
    // Nobody waits for it.
  }

  ready(backend: BackendConnection): void {
    if (!backend.quiet) return;
    clearTimeout(this.abandoned.get(backend));
    this.abandoned.delete(backend);
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

/**
 * A backend whose last session has SET an idle_session_timeout is closed by its server, maybe just when it is lent: it
 * goes well before that.
 */
function ownIdleTimeoutMs(backend: BackendConnection): number {
  const set = settingDurationMs(backend.settings.get('idle_session_timeout'));
  return set === 0 ? Infinity : set / 2;
}
