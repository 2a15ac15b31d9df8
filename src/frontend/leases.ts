import type { BackendError } from '../backend/backend-error.js';
import type { Pool } from '../backend/pool.js';
import type { BackendWaiter } from '../backend/waiting-line.js';
import type { BackendSink } from '../backend/postgres/backend-sink.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { DROP } from '../backend/postgres/expected-replies.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { readErrorFields } from '../protocol/backend-messages.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import type { Pins } from './pins.js';
import type { SessionContext } from './session-context.js';
import type { Ride } from './ride.js';
import type { SessionSettings } from './session-settings.js';

/** What leasing needs of its session. */
export interface LeaseHost extends BackendSink {
  readonly context: SessionContext;
  readonly work: UnitOfWork;
  readonly settings: SessionSettings;
  readonly pins: Pick<Pins, 'take'>;
  readonly ride: Pick<Ride, 'mayBoard'>;
  /** The settings with which the explicit transaction began; null: none is open. */
  readonly settingsAtBegin: ReadonlyMap<string, string> | null;
  busy: boolean;
  pump(): void;
}

/**
 * How a session comes by backends: at once, or by waiting in a pool's queue; then with its own settings on them, and
 * inside its transaction. Who must wait gets null and the session is busy; the message is handled again afterwards and
 * finds the backend among the participants, or the error thrown.
 */
export class Leases implements BackendWaiter {
  private readonly host: LeaseHost;
  private waitingOn: Pool | null = null;
  private error: SqlError | null = null;
  /** Leased, but its settings are not yet this session's. */
  private preparing: BackendConnection | null = null;
  /** Within the pool's `wait`: whoever asked goes on by itself when the answer comes at once. */
  private asking = false;
  /** Nobody wants the backend that is being prepared any more. */
  private unwanted = false;
  /** The shard that `pickAny` has chosen last, and among which; null: its choice was void once. */
  private picked: Shard | null = null;
  private among: readonly Shard[] = [];
  /** Called in the place of the session's messages, once: what runs goes on with a further backend. */
  private onward: (() => void) | null = null;

  constructor(host: LeaseHost) {
    this.host = host;
  }

  /** The backend of this unit of work on a shard; null: wait. Throws SqlError where the shard cannot be had. */
  lease(shard: Shard): BackendConnection | null {
    const { host, error } = this;
    if (error !== null) {
      this.error = null;
      throw error;
    }
    const held = host.work.participant(shard);
    if (held !== null) return held;
    if (this.waitingOn !== null) {
      // A second place in a line would bring a backend that nobody gives back.
      host.busy = true;
      return null;
    }
    const pinned = host.pins.take(shard);
    if (pinned !== null) return this.adopt(pinned) ? pinned : null;
    const pool = host.context.cluster.pool(shard);
    const backend = pool.isPaused && !this.holdsBackends ? null : pool.tryLease();
    if (backend !== null) {
      if (this.accepts(backend)) return this.adopt(backend) ? backend : null;
      pool.putBack(backend);
    }
    this.waitingOn = pool;
    host.busy = true;
    this.asking = true;
    pool.wait(this);
    this.asking = false;
    return this.answered() ? this.lease(shard) : null;
  }

  /**
   * One of these shards for a message that any of them can answer. Where it turns out that it cannot be reached, and
   * another one can, the message is handled again and picks that.
   */
  pickAny(shards: readonly Shard[]): Shard {
    const shard = this.host.context.cluster.pickAny(shards);
    this.picked = shard;
    this.among = shards;
    return shard;
  }

  /**
   * The backend of a further shard, for what runs already. `onDone` gets it, or the error; never where the session has
   * ended, or the statement with an error of another kind.
   */
  leaseWithin(shard: Shard, onDone: (leased: BackendConnection | SqlError) => void): void {
    const { host } = this;
    this.onward = null;
    let backend: BackendConnection | null;
    try {
      backend = this.lease(shard);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      onDone(error);
      return;
    }
    host.busy = true;
    if (backend !== null) onDone(backend);
    else {
      this.onward = () => {
        this.leaseWithin(shard, onDone);
      };
    }
  }

  /** The backends of several shards, in their order; null: wait. */
  leaseAll(shards: readonly Shard[]): BackendConnection[] | null {
    const backends: BackendConnection[] = [];
    for (const shard of shards) {
      const backend = this.lease(shard);
      if (backend === null) return null;
      backends.push(backend);
    }
    return backends;
  }

  /** Where other sessions have made up settings, names read as '' that are unknown to this one. */
  accepts({ madeNames }: BackendConnection): boolean {
    return madeNames.size === 0 || this.host.settings.knows(madeNames);
  }

  mayBoard(backend: BackendConnection, clock: number): boolean {
    return this.host.ride.mayBoard(backend, clock);
  }

  onBoarding(): void {
    this.waitingOn = null;
    this.host.busy = false;
    this.resume();
  }

  get holdsBackends(): boolean {
    return this.host.work.participants.length > 0;
  }

  get inTransaction(): boolean {
    return this.host.work.explicit;
  }

  /** The pool in whose line it stands; null: none. */
  get waitsFor(): Pool | null {
    return this.waitingOn;
  }

  onBackend(backend: BackendConnection): void {
    this.waitingOn = null;
    this.host.busy = false;
    if (this.adopt(backend) && !this.asking) this.resume();
  }

  onBackendError(error: BackendError): void {
    const pool = this.waitingOn;
    this.waitingOn = null;
    if (pool === null || !this.mayPickAnother(pool)) {
      this.fail(error.toSqlError());
      return;
    }
    this.picked = null;
    this.host.busy = false;
    this.resume();
  }

  /** Whoever is asked by the pool at once would not be handed the message again. */
  private mayPickAnother(pool: Pool): boolean {
    if (this.asking || pool.shard !== this.picked || pool.problem === null) return false;
    const { cluster } = this.host.context;
    return this.among.some((shard) => cluster.pool(shard).problem === null);
  }

  /** Milliseconds for which a backend has been waited for; null: none is. */
  get waitedMs(): number | null {
    return this.waitingOn?.waitedMs(this) ?? null;
  }

  isPreparing(backend: BackendConnection): boolean {
    return this.preparing === backend;
  }

  /** A backend refused a setting of this session. */
  onSettingRefused(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const fields = readErrorFields(buffer, start, end);
    const state = REFUSALS.get(fields.get('C') ?? '') ?? 'invalid_parameter_value';
    this.error = sqlError(state, fields.get('M') ?? 'a setting was refused', {
      hint: fields.get('H'),
      detail: `while giving the session's settings to a backend of shard "${backend.shard.name}"`,
    });
  }

  /** The settings have been taken, or not. */
  onPrepared(backend: BackendConnection): void {
    const { host } = this;
    const { work } = host;
    this.preparing = null;
    host.busy = false;
    const refused = this.error !== null;
    if (this.unwanted) this.forget();
    if (refused) {
      // It cannot be brought to this session's settings: somebody else may use it from scratch.
      work.drop(backend);
      backend.owner.release(backend);
    } else {
      this.join(backend);
    }
    this.resume();
  }

  onPreparingLost(error: BackendError): void {
    this.preparing = null;
    if (this.unwanted) {
      this.forget();
      this.host.busy = false;
      this.resume();
    } else this.fail(error.toSqlError());
  }

  /**
   * The statement that waits will not run: its client has been told of another error. True: it is busy still, with a
   * backend that takes its settings.
   */
  stopWaiting(): boolean {
    this.giveUp();
    this.error = null;
    this.unwanted = this.preparing !== null;
    this.onward = null;
    return this.unwanted;
  }

  /** Gives up a wait in a pool's queue; false: there is none. */
  giveUp(): boolean {
    if (this.waitingOn === null) return false;
    this.waitingOn.giveUp(this);
    this.waitingOn = null;
    return true;
  }

  /** The statement that is handled next fails with this where it wants a backend. */
  refuse(error: SqlError): void {
    this.error = error;
  }

  /** The waiting statement fails with this. */
  fail(error: SqlError): void {
    this.error = error;
    this.host.busy = false;
    if (!this.asking) this.resume();
  }

  /** What waited for a backend goes on. */
  private resume(): void {
    const { onward, host } = this;
    this.onward = null;
    if (onward === null) host.pump();
    else onward();
  }

  private forget(): void {
    this.unwanted = false;
    this.error = null;
  }

  /** Makes a leased backend this session's; false: its settings come first. */
  private adopt(backend: BackendConnection): boolean {
    const { host } = this;
    const { work, settings } = host;
    backend.sink = host;
    work.participants.push(backend);
    // What a transaction has changed is repeated inside it, so that a rollback takes it back here as well.
    const before = work.explicit ? host.settingsAtBegin : null;
    const unchanged = before === null || before === settings.current;
    const wanted = unchanged ? settings.current : before;
    if (backend.settingsKey === (unchanged ? settings.key : settings.keyOf(wanted))) {
      this.join(backend);
      return true;
    }
    const applied = backend.settingsKey === null ? null : backend.settings;
    const sql = settings.sqlFor(applied, wanted, backend);
    settings.noteMade(backend);
    if (sql === '') {
      this.join(backend);
      return true;
    }
    this.preparing = backend;
    host.busy = true;
    backend.settingsKey = null;
    backend.query(sql, DROP);
    backend.flush();
    return false;
  }

  /** The backend has the settings that the transaction began with; behind this it has the current ones. */
  private join(backend: BackendConnection): void {
    const { work, settings } = this.host;
    if (work.explicit) backend.query(work.joinSql(), DROP);
    settings.noteMade(backend);
    backend.settings = settings.current;
    backend.settingsKey = settings.key;
  }

  /** The pool may have answered before `wait` returned. */
  private answered(): boolean {
    return this.waitingOn === null && this.preparing === null;
  }
}

/** What a refused setting is to the client; anything else is a bad value. */
const REFUSALS: ReadonlyMap<string, 'undefined_object' | 'query_canceled'> = new Map([
  ['42704', 'undefined_object'],
  ['57014', 'query_canceled'],
]);
