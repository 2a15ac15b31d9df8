import type { BackendConnection } from '../backend/postgres/connection.js';
import { DROP } from '../backend/postgres/expected-replies.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { LocalCommand, Plan } from '../planner/plan.js';
import { TxStatus } from '../protocol/codes.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import type { Portal } from './client-statement.js';
import { endsFailedTransaction } from './local-commands.js';
import type { Session } from './session.js';

/**
 * BEGIN, COMMIT and ROLLBACK that go to a backend as the client sent them; what they did is known when it answers.
 */
export class TransactionControl {
  /** What passes through commits, unless it fails. */
  committing = false;
  /** COMMIT or ROLLBACK passes through: whatever comes of it, the transaction is over. */
  ending = false;
  /** The BEGIN that passes through, to be repeated on backends that join later. */
  beginSql: string | null = null;
  private readonly work: UnitOfWork;

  constructor(work: UnitOfWork) {
    this.work = work;
  }

  /** The one backend of the transaction, where COMMIT or ROLLBACK can go to it as it is; null: the session does it. */
  backendFor(command: LocalCommand): BackendConnection | null {
    const { work } = this;
    if (!work.explicit || work.participants.length !== 1) return null;
    const participant = work.participants[0]!;
    // Failed by our own word: the backend does not know.
    if (work.failed && participant.status !== TxStatus.failed) return null;
    const ends = command.kind === 'commit' || command.kind === 'rollback';
    return ends && !command.chain ? participant : null;
  }

  /** A command has been passed on. `sql`: its text. */
  passed(command: LocalCommand, sql: () => string): void {
    this.ending = command.kind === 'commit' || command.kind === 'rollback';
    if (command.kind === 'commit') this.committing = !this.work.failed;
    else if (command.kind === 'rollback') this.committing = false;
    else if (command.kind === 'begin') this.beginSql = sql();
  }

  /**
   * The explicit transaction has failed. PostgreSQL lets the locks go at once, whenever the client says ROLLBACK; here
   * those of shards that had no error go too.
   */
  fail(): void {
    const { work } = this;
    if (!work.explicit) return;
    const { failed } = work;
    work.failed = true;
    // The client hears of an error now: another one that it has not heard of does not matter any more.
    work.takeUntold();
    if (failed || work.participants.length < 2 || !work.plain) return;
    for (const backend of work.participants) {
      if (!backend.quiet || backend.skipsToSync) continue;
      backend.query('ROLLBACK AND CHAIN', DROP);
      backend.flush();
    }
  }

  /** What passed through is over. */
  reset(): void {
    this.committing = false;
    this.ending = false;
    this.beginSql = null;
  }

  /** Throws SqlError for what a failed transaction does not take: 25P02, or first what the client must hear of. */
  refuseWhereFailed(plan: Plan): void {
    if (!this.work.failed || plan.kind === 'empty') return;
    if (plan.kind === 'local' && endsFailedTransaction(plan.command)) return;
    this.refuseFailed();
  }

  /**
   * The same for an Execute. A failure ends the portals of its transaction, or savepoint, also those of commands that
   * could end it. True: the backend of the portal does not know of the failure, so the session ends the transaction.
   */
  refuseExecute({ plan, behindFailure, depth }: Portal): boolean {
    this.refuseWhereFailed(plan);
    if (plan.kind !== 'local') return false;
    if (!behindFailure && depth >= this.work.savepointDepth) this.refuseFailed();
    return this.backendFor(plan.command) === null;
  }

  /** The same for a Bind: an empty statement may be parsed then, but not bound. */
  refuseBind(plan: Plan): void {
    if (plan.kind === 'empty') this.refuseFailed();
    this.refuseWhereFailed(plan);
  }

  /** The same for what no failed transaction takes. */
  refuseFailed(): void {
    if (this.work.failed) throw this.work.takeUntold() ?? abortedError();
  }
}

/** The backend of COMMIT or ROLLBACK is lost, and whatever that did, the transaction is over. */
export function endTorn(session: Session): void {
  session.onTransactionEnd(false);
  session.work.end();
  session.extended.endPortals(true);
}

function abortedError(): SqlError {
  return sqlError(
    'in_failed_sql_transaction',
    'current transaction is aborted, commands ignored until end of transaction block',
  );
}
