import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Outcome } from '../transaction/operation.js';
import type { Hearer } from './notifications.js';
import type { Session } from './session.js';

/** LISTEN or UNLISTEN (`channel` null: all) of an open transaction. */
interface Change {
  readonly listens: boolean;
  readonly channel: string | null;
  depth: number;
}

/** What a client that does not read may leave here; then its session ends. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;

/**
 * The channels that a session listens to. Notifications are delivered between transactions, as PostgreSQL does; LISTEN
 * and UNLISTEN take effect when theirs commits.
 */
export class Listening implements Hearer {
  /** The process id that the client knows for its own. */
  pid = 0;
  /** The session has notified in what is open now. */
  private notifies = false;
  private readonly session: Session;
  private readonly channels = new Set<string>();
  private changes: Change[] = [];
  private queue: Buffer[] = [];
  private queuedBytes = 0;

  constructor(session: Session) {
    this.session = session;
  }

  /** What is open now has notified sessions here, which hear of it before its answer is over. */
  get mustCatchUp(): boolean {
    return this.notifies && this.session.context.notifications.active;
  }

  /** More is to be done at the end of what is open now than one backend's own answer tells. */
  get mustEndByItself(): boolean {
    return this.mustCatchUp || (this.changes.length > 0 && !this.session.work.explicit);
  }

  listen(channel: string, done: (outcome: Outcome) => void): void {
    const { session } = this;
    const { work, context } = session;
    session.busy = true;
    context.notifications.listen(channel, this).then(
      () => {
        if (session.over) {
          context.notifications.unlisten(channel, this);
          return;
        }
        this.change({ listens: true, channel, depth: work.savepointDepth });
        done({ ok: true, tag: 'LISTEN' });
        session.resumeSoon();
      },
      (error: unknown) => {
        if (session.over) return;
        done({ ok: false, error: errorBytes((error as BackendError).toSqlError()) });
        session.resumeSoon();
      },
    );
  }

  /** What it listens to, in the order of LISTEN, as the text of an array. */
  channelArray(): string {
    const quoted = [...this.channels].map((channel) => `"${channel.replace(/["\\]/g, '\\$&')}"`);
    return `{${quoted.join(',')}}`;
  }

  /** `channel` null: all. */
  unlisten(channel: string | null): void {
    this.change({ listens: false, channel, depth: this.session.work.savepointDepth });
  }

  private change(change: Change): void {
    const { work, inPipeline } = this.session;
    if (work.explicit || inPipeline) this.changes.push(change);
    else this.apply(change);
  }

  private apply({ listens, channel }: Change): void {
    if (channel === null) for (const each of [...this.channels]) this.leave(each);
    else if (listens) this.channels.add(channel);
    else this.leave(channel);
  }

  private leave(channel: string): void {
    if (this.channels.delete(channel)) this.session.context.notifications.unlisten(channel, this);
  }

  /** `undone`: what came behind the savepoint is void; else it belongs to the transaction around it. */
  endSavepoint(undone: boolean, depth: number): void {
    // A savepoint that was gone back to is still there.
    if (undone) this.drop(this.changes.filter((change) => change.depth >= depth));
    else for (const change of this.changes) change.depth = Math.min(change.depth, depth);
  }

  /** What ran outside BEGIN has succeeded. */
  endBatch(): void {
    if (!this.session.work.explicit) this.endTransaction(true);
  }

  endTransaction(committed: boolean): void {
    if (this.changes.length === 0) return;
    const changes = this.changes.splice(0);
    if (committed) for (const change of changes) this.apply(change);
    else this.drop(changes);
  }

  private drop(changes: readonly Change[]): void {
    this.changes = this.changes.filter((change) => !changes.includes(change));
    for (const { listens, channel } of changes) {
      const wanted = this.changes.some((change) => change.listens && change.channel === channel);
      if (!listens || channel === null || this.channels.has(channel) || wanted) continue;
      this.session.context.notifications.unlisten(channel, this);
    }
  }

  // ---------------------------------------------------------------- notifying

  /** A statement that notifies is about to be sent. */
  noteNotify(backend: BackendConnection): void {
    this.notifies = true;
    this.session.context.notifications.noteNotifier(backend, this.pid);
  }

  /** True: all has been heard here that was notified; false: `goOn` is called when it has. */
  caughtUp(goOn: () => void): boolean {
    if (!this.notifies) return true;
    const { session } = this;
    const { notifications } = session.context;
    this.notifies = false;
    if (!notifications.active) return true;
    session.busy = true;
    void notifications.caughtUp().then(() => {
      if (!session.over) goOn();
    });
    return false;
  }

  // ---------------------------------------------------------------- hearing

  hear(message: Buffer): void {
    const { session } = this;
    const channel = message.toString('utf8', 9, message.indexOf(0, 9));
    if (!this.channels.has(channel)) return;
    this.queue.push(message);
    this.queuedBytes += message.length;
    if (this.queuedBytes > QUEUE_BYTES_MAX) {
      session.fatal('program_limit_exceeded', 'too many notifications wait for the client');
    } else this.deliverBetween();
  }

  /** Delivers where the client waits for nothing. */
  deliverBetween(): void {
    const { session } = this;
    if (session.busy || session.inPipeline || session.copyTarget !== null) return;
    this.deliver();
    session.flushLocal();
  }

  /** Writes what has been heard, unless the client is in a transaction or does not read. */
  deliver(): void {
    const { session } = this;
    if (this.queue.length === 0 || session.work.explicit || session.transport.congested) return;
    for (const message of this.queue) session.local.bytes(message);
    this.queue = [];
    this.queuedBytes = 0;
  }

  /** The session ends. */
  close(): void {
    this.endTransaction(false);
    this.apply({ listens: false, channel: null, depth: 0 });
  }
}
