import { sqlError } from '../errors/sql-error.js';
import { cancelError } from '../executor/gather-errors.js';
import type { IdSource } from '../planner/plan.js';
import { boundValue } from './bound-value.js';
import { tellWarning } from './notices.js';
import type { Session } from './session.js';

type Signal = Extract<IdSource, { readonly kind: 'signal' }>;

/** Server processes have ids up to this (Linux, PID_MAX_LIMIT); those of clients are larger. */
const SERVER_PID_MAX = 1 << 22;

const WORDS = {
  cancel: {
    message: 'permission denied to cancel query',
    detail:
      'Only roles with privileges of the role whose query is being canceled or with privileges of the' +
      ' "pg_signal_backend" role may cancel this query.',
  },
  terminate: {
    message: 'permission denied to terminate process',
    detail:
      'Only roles with privileges of the role whose process is being terminated or with privileges of the' +
      ' "pg_signal_backend" role may terminate this process.',
  },
} as const;

/**
 * Cancels what a client runs, or ends its session, and tells whether there is such a client. Throws SqlError: 42501; of
 * the session itself 57014 and, FATAL, 57P01; 0A000 for a server's process.
 * @param bind a Bind message from behind the statement's name; null: there are no parameters to be read
 */
export function sendSignal(
  session: Session,
  { signal, pid }: Signal,
  bind: Buffer | null,
): 't' | 'f' {
  const { context, listening, user } = session;
  const given = pid.kind === 'param' ? readPid(session, pid.index, bind) : null;
  const wanted = pid.kind === 'own' ? listening.pid : pid.kind === 'constant' ? pid.pid : given;
  if (wanted === null) return 'f';
  if (wanted === listening.pid) throw ownEnd(signal);
  const target = context.cancels.find(wanted);
  if (target === null) {
    if (wanted > 0 && wanted <= SERVER_PID_MAX) throw serverProcess(wanted);
    tellWarning(session, '01000', `PID ${wanted} is not a PostgreSQL backend process`);
    return 'f';
  }
  if (target.user !== user && !isAdmin(session)) {
    const { message, detail } = WORDS[signal];
    throw sqlError('insufficient_privilege', message, { detail });
  }
  // As a signal: this session's own step comes to its end first.
  setImmediate(() => {
    if (signal === 'cancel') target.cancel();
    else target.shutDown();
  });
  return 't';
}

function isAdmin({ context, user }: Session): boolean {
  return context.config.auth.users.get(user)?.role === 'admin';
}

/** Null: the parameter is NULL, or no int4. */
function readPid({ source }: Session, index: number, bind: Buffer | null): number | null {
  const value = boundValue(source, bind, index);
  if (value === null) return null;
  const { bytes, binary } = value;
  if (binary) return bytes.length === 4 ? bytes.readInt32BE(0) : null;
  const text = bytes.toString('latin1').trim();
  return /^\d{1,10}$/.test(text) ? Number(text) : null;
}

function ownEnd(signal: Signal['signal']): Error {
  if (signal === 'cancel') return cancelError();
  const message = 'terminating connection due to administrator command';
  return sqlError('admin_shutdown', message, { severity: 'FATAL' });
}

function serverProcess(pid: number): Error {
  return sqlError(
    'feature_not_supported',
    `process ${pid} is one of a server, which clients share`,
    { hint: 'Name a session by the process id that it got at login, or from pg_backend_pid().' },
  );
}
