import type { BackendError } from '../backend/backend-error.js';
import { sqlError } from '../errors/sql-error.js';
import type { SqlStateName } from '../errors/sqlstates.js';
import { settingDurationMs } from '../util/setting-duration.js';
import { IdleTimer } from './idle-timer.js';
import type { Session } from './session.js';

/**
 * The times after which a session ends by itself. Each limit is the smaller one of the configuration's and of what the
 * session has SET; the shards have the session's too, but not while it has no backend.
 */
export class SessionTimers {
  private readonly session: Session;
  private readonly idle: IdleTimer;
  private readonly transaction: IdleTimer;
  private readonly stalled: IdleTimer;
  private readonly leaving: IdleTimer;
  /** The settings that `setMs` is of. */
  private settings: ReadonlyMap<string, string> | null = null;
  private setMs = NONE_SET;
  /** `UnitOfWork.begun` of the transaction that is timed. */
  private timed = 0;

  constructor(session: Session) {
    this.session = session;
    this.idle = new IdleTimer(() => {
      if (session.work.explicit) {
        const what = 'idle-in-transaction timeout';
        session.fatal(
          'idle_in_transaction_session_timeout',
          `terminating connection due to ${what}`,
        );
      } else {
        const what = 'idle-session timeout';
        session.fatal('idle_session_timeout', `terminating connection due to ${what}`);
      }
    });
    this.transaction = new IdleTimer(() => {
      session.fatal('transaction_timeout', 'terminating connection due to transaction timeout');
    });
    this.stalled = new IdleTimer(() => {
      session.logger.warn('the client takes nothing of its answer; closing it');
      session.cutOff();
    });
    this.leaving = new IdleTimer(() => session.cutOff());
  }

  /** The client has said goodbye behind what still runs. */
  farewell(): void {
    this.leaving.start(Math.max(1, this.session.context.config.drainTimeoutMs));
  }

  /** Something came from the client. */
  active(): void {
    this.idle.stop();
  }

  /** The session has done all that it can do now. */
  pumped(): void {
    const { session } = this;
    const { work } = session;
    const { limits } = session.context.config;
    const set = this.sessionLimits();
    if (!work.explicit) this.transaction.stop();
    else {
      if (this.timed !== work.begun) this.transaction.stop();
      this.timed = work.begun;
      this.transaction.start(smaller(limits.transactionTimeoutMs, set.transactionMs));
    }
    // A pipeline without its Sync, or a COPY that waits for data, is no idle session.
    if (session.busy || session.over || session.inPipeline || session.copyTarget !== null) return;
    const limitMs = work.explicit
      ? smaller(limits.idleInTransactionTimeoutMs, set.idleInTransactionMs)
      : smaller(limits.idleSessionTimeoutMs, set.idleMs);
    this.idle.start(limitMs);
  }

  /** The client has not taken what it was sent last. */
  stall(): void {
    this.stalled.start(this.session.context.config.limits.stalledClientTimeoutMs);
  }

  /** The client has taken all. */
  drained(): void {
    this.stalled.stop();
  }

  /** Ends the session where a server has closed a backend for one of these times; false: it was for another reason. */
  endBy(error: BackendError): boolean {
    const code = error.fields?.get('C');
    const state = code === undefined ? undefined : OWN_TIMEOUTS[code];
    if (state === undefined) return false;
    this.session.sendFatal(sqlError(state, error.message, { severity: 'FATAL' }));
    return true;
  }

  close(): void {
    this.idle.close();
    this.transaction.close();
    this.stalled.close();
    this.leaving.close();
  }

  private sessionLimits(): typeof NONE_SET {
    const { current } = this.session.settings;
    if (this.settings !== current) {
      this.settings = current;
      this.setMs = {
        idleMs: settingDurationMs(current.get('idle_session_timeout')),
        idleInTransactionMs: settingDurationMs(current.get('idle_in_transaction_session_timeout')),
        transactionMs: settingDurationMs(current.get('transaction_timeout')),
      };
    }
    return this.setMs;
  }
}

/** Timeouts of the session's own that a server keeps too, by SQLSTATE. */
const OWN_TIMEOUTS: Readonly<Record<string, SqlStateName>> = {
  '25P03': 'idle_in_transaction_session_timeout',
  '25P04': 'transaction_timeout',
  '57P05': 'idle_session_timeout',
};

const NONE_SET = { idleMs: 0, idleInTransactionMs: 0, transactionMs: 0 };

/** The smaller one of two limits, of which 0 is none. */
function smaller(a: number, b: number): number {
  if (a === 0 || b === 0) return a + b;
  return Math.min(a, b);
}
