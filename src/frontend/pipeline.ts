import type { BackendConnection } from '../backend/postgres/connection.js';
import { DROP } from '../backend/postgres/expected-replies.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan } from '../planner/plan.js';
import type { ClientStatement } from './client-statement.js';
import { controlsTransaction } from './local-commands.js';
import type { ParseQueue } from './parse-queue.js';
import type { Session } from './session.js';
import { assert } from '../util/assert.js';
import { assertMayUse } from './shard-use.js';

/**
 * The backends that the messages since the last Sync went to. The client sees answers in the order of its messages, so
 * a backend must have answered everything before another one gets something.
 */
export class Pipeline {
  /** The backend that got the last message. */
  current: BackendConnection | null = null;
  /** Got something since the last Sync. */
  private readonly touched: BackendConnection[] = [];
  /** A statement of the implicit transaction that is open has been executed: it counts as a block from then on. */
  hasRun = false;
  /** Bound or executed something since the last Sync: their implicit transaction and its portals matter. */
  private readonly dirty: BackendConnection[] = [];
  /** Given up before Sync, waiting for their last answer. */
  private readonly returning = new Set<BackendConnection>();
  /** The session is busy until this one has answered everything. */
  private awaited: BackendConnection | null = null;
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** Those that got something and are still this session's. */
  get backends(): BackendConnection[] {
    const { participants } = this.session.work;
    return this.touched.filter((backend) => participants.includes(backend));
  }

  /** The one backend that got everything; null: there are several, or none. */
  get only(): BackendConnection | null {
    if (this.touched.length !== 1) return null;
    const backend = this.touched[0]!;
    return this.session.work.participants.includes(backend) ? backend : null;
  }

  /**
   * The backend of a shard; null: wait. A backend that only parsed or described is given back first, so that a client
   * does not hold two for nothing.
   */
  backendFor(shard: Shard, plan: Plan | null): BackendConnection | null {
    const { session } = this;
    const { work } = session;
    const held = work.participant(shard);
    if (held === null && !work.explicit && work.participants.length > 0) {
      if (!this.giveBackIdle()) return null;
    }
    if (plan !== null) assertMayUse(session, [shard], plan);
    return held ?? session.lease(shard);
  }

  /** The backend for a statement whose Bind message ends at `end`, maybe of a batch; null: wait. */
  backendToBind(
    shard: Shard,
    plan: Plan,
    statement: ClientStatement,
    parses: ParseQueue,
    buffer: Buffer,
    end: number,
  ): BackendConnection | null {
    if (this.current === null) {
      const shared = this.session.ride.bind(plan, shard, statement, parses, buffer, end);
      if (shared !== null) return shared;
    }
    return this.backendFor(shard, plan);
  }

  /** Makes a backend the one that the next messages go to; false: another one must answer first. */
  switchTo(backend: BackendConnection): boolean {
    const { current } = this;
    if (current !== null && current !== backend && !current.quiet) {
      this.waitFor(current);
      return false;
    }
    this.assertLent(backend);
    this.current = backend;
    addOnce(this.touched, backend);
    return true;
  }

  /**
   * Whose loan has ended is another client's: better a fault for this client, which ends its session, than messages of
   * its among those of the other one.
   */
  private assertLent(backend: BackendConnection): void {
    const { session } = this;
    assert(
      backend.sink === session || session.ride.isOn(backend),
      'a backend is used by a session that does not have it',
    );
  }

  /**
   * The same for the backend of a portal; that of a cursor WITH HOLD may be at rest, and is leased again. Throws
   * SqlError where it cannot be had.
   */
  switchToHolder(backend: BackendConnection): boolean {
    const { participants } = this.session.work;
    if (!participants.includes(backend)) {
      const leased = this.backendFor(backend.shard, null);
      if (leased === null) return false;
      assert(leased === backend, 'a portal is on a backend of somebody else');
    }
    return this.switchTo(backend);
  }

  /** True when everything sent so far is answered; false: wait. */
  settled(): boolean {
    const { current } = this;
    if (current === null || current.quiet) return true;
    this.waitFor(current);
    return false;
  }

  /** Bytes for the client behind everything that is expected. */
  reply(payload: Buffer): void {
    const { current, session } = this;
    if (current !== null && !current.quiet) current.synthesize(payload);
    else session.local.bytes(payload);
  }

  /** The backend binds or executes something within this pipeline: it stays until Sync. */
  execute(backend: BackendConnection): void {
    addOnce(this.touched, backend);
    addOnce(this.dirty, backend);
  }

  /** A statement with this plan has been executed. */
  noteRun(plan: Plan): void {
    if (plan.kind !== 'local' || !controlsTransaction(plan.command)) this.hasRun = true;
  }

  /** What was executed so far has been committed or rolled back. */
  forgetExecuted(): void {
    empty(this.dirty);
  }

  /** Asks for the answers so far, without a Sync. */
  flush(): void {
    for (const backend of this.touched) if (!backend.quiet) backend.requestFlush();
  }

  /** Sync: a new pipeline begins. */
  reset(): void {
    this.current = null;
    this.awaited = null;
    this.hasRun = false;
    empty(this.touched);
    empty(this.dirty);
  }

  /** Some backend has bound or executed something that no Sync has ended. */
  get holds(): boolean {
    return this.dirty.length > 0;
  }

  /** Whether the pipeline cannot do without this backend any more. */
  needs(backend: BackendConnection): boolean {
    return this.dirty.includes(backend);
  }

  /** Gives back backends that only parsed or described; false: one of them must answer first. */
  giveBackIdle(): boolean {
    for (const backend of this.backends) {
      if (!this.dirty.includes(backend) && !this.giveBack(backend)) return false;
    }
    return true;
  }

  lost(backend: BackendConnection): void {
    remove(this.touched, backend);
    remove(this.dirty, backend);
    this.returning.delete(backend);
    if (this.current === backend) this.current = null;
    if (this.awaited !== backend) return;
    this.awaited = null;
    // What runs goes on by itself.
    if (this.session.operation === null) this.session.resumeSoon();
  }

  /** What was waited for has been answered, or will never be. */
  goOn(): void {
    this.awaited = null;
    this.session.resumeSoon();
  }

  /** Whether a ReadyForQuery is that of a backend given up before Sync, which goes back now. */
  takeBack(backend: BackendConnection): boolean {
    if (!this.returning.delete(backend)) return false;
    backend.owner.release(backend);
    return true;
  }

  /** Whether a backend that broke off was on its way back already. */
  forgetReturning(backend: BackendConnection): boolean {
    return this.returning.delete(backend);
  }

  /** The session ends: what is on its way back is the pool's. */
  abandon(): void {
    for (const backend of this.returning) backend.owner.abandon(backend);
    this.returning.clear();
  }

  private giveBack(backend: BackendConnection): boolean {
    if (!this.touched.includes(backend)) return true;
    if (!backend.quiet) {
      this.waitFor(backend);
      return false;
    }
    remove(this.touched, backend);
    if (this.current === backend) this.current = null;
    this.session.dropParticipant(backend);
    this.returning.add(backend);
    backend.sync(DROP);
    backend.flush();
    return true;
  }

  private waitFor(backend: BackendConnection): void {
    this.session.busy = true;
    this.awaited = backend;
    backend.notifyWhenSettled();
  }
}

/** Lists, not sets: they hold one backend nearly always, and emptying a set makes a new one. */
function addOnce(list: BackendConnection[], backend: BackendConnection): void {
  if (!list.includes(backend)) list.push(backend);
}

function remove(list: BackendConnection[], backend: BackendConnection): void {
  const at = list.indexOf(backend);
  if (at >= 0) list.splice(at, 1);
}

function empty(list: BackendConnection[]): void {
  while (list.length > 0) list.pop();
}
