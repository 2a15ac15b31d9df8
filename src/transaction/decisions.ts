import { quoteLiteral } from '../sql/quote.js';
import { LEG_PREFIX } from './transaction-ids.js';

/**
 * The statements of two-phase commit. The decision of a transaction is one row of `shardgate.decisions` on the shard
 * that decides:
 *
 *   decider   BEGIN ... INSERT (gid, 'commit')                       COMMIT   <- the point of no return
 *   legs      BEGIN ... PREPARE TRANSACTION 'gid:n'                           COMMIT PREPARED 'gid:n'
 *   recovery      INSERT (gid, 'abort') waits for the decider's row; then reads who was first
 *
 * Whichever row is there first is the outcome, for ever: the primary key lets only one in, and makes the second
 * inserter wait until the first one's transaction has ended.
 */
export type Decision = 'commit' | 'abort';

/** Any number will do, as long as all proxies take the same; this is "shardgat" in ASCII. */
export const SET_UP_LOCK = '8316003855878283636';

/**
 * One row: whether transactions can be prepared, whether the table is there, whether it may be used. Fails where the
 * schema may not even be looked at.
 */
export const CAPABILITY_SQL = `
SELECT current_setting('max_prepared_transactions')::int,
       t IS NOT NULL,
       COALESCE(has_table_privilege(t, 'SELECT') AND has_table_privilege(t, 'INSERT')
                AND has_table_privilege(t, 'DELETE'), false)
  FROM to_regclass('shardgate.decisions') t`;

/** Several proxies may do this at once: the lock makes IF NOT EXISTS true of the moment it is acted on. */
export const SET_UP_SQL = `
SET LOCAL client_min_messages = warning;
SELECT pg_advisory_xact_lock(${SET_UP_LOCK});
CREATE SCHEMA IF NOT EXISTS shardgate;
CREATE TABLE IF NOT EXISTS shardgate.decisions (
  gid text PRIMARY KEY,
  outcome text NOT NULL CHECK (outcome IN ('commit', 'abort')),
  decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shardgate.decisions IS
  'Outcomes of transactions over several shards, kept by Shardgate for recovery: leave it alone'`;

/**
 * What comes before the vote, in the participant's transaction. Deferred constraints and triggers run now, under the
 * role and settings that the client has them run under. Then the role is the connection's own: a prepared transaction
 * may be finished by the role that prepared it only (or a superuser), and recovery knows no other.
 */
const BEFORE_VOTE = 'SET CONSTRAINTS ALL IMMEDIATE;SET LOCAL ROLE NONE';

/** Phase one on the decider, in its transaction. */
export function decideSql(transaction: string): string {
  // A commit that is not flushed may be lost in a crash, and the decision with it, when others have acted on it.
  const durable =
    "SELECT pg_catalog.set_config('synchronous_commit','on',true)" +
    " WHERE pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'";
  const row = `INSERT INTO shardgate.decisions (gid, outcome) VALUES (${quoteLiteral(transaction)}, 'commit')`;
  return `${BEFORE_VOTE};${durable};${row}`;
}

/** Phase one on a leg. */
export function prepareSql(gid: string): string {
  return `${BEFORE_VOTE};PREPARE TRANSACTION ${quoteLiteral(gid)}`;
}

/** Phase two on a leg; must be alone in its Query. */
export function finishSql(decision: Decision, gid: string): string {
  const verb = decision === 'commit' ? 'COMMIT' : 'ROLLBACK';
  return `${verb} PREPARED ${quoteLiteral(gid)}`;
}

/**
 * Settles a transaction whose decider is not heard of: aborted, unless it has committed. Waits for a decider that is
 * still in flight. One row: the decision. Read committed, so that the last statement sees what the one before it
 * waited for.
 */
export function settleSql(transaction: string, waitMs: number): string {
  const gid = quoteLiteral(transaction);
  return [
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE',
    `SET LOCAL statement_timeout = ${waitMs}`,
    `INSERT INTO shardgate.decisions (gid, outcome) VALUES (${gid}, 'abort') ON CONFLICT DO NOTHING`,
    `SELECT outcome FROM shardgate.decisions WHERE gid = ${gid}`,
  ].join(';');
}

/**
 * Our prepared transactions of this database: name, whether it is older than the bound ('t' or 'f'), and its age in
 * milliseconds.
 */
export function legsSql(ageMs: number): string {
  return (
    `SELECT gid, prepared < clock_timestamp() - interval '${ageMs} ms', ${AGE_MS} FROM pg_prepared_xacts` +
    ` WHERE ${IS_OURS}`
  );
}

/** The same for people: name, when it was prepared, and its age in milliseconds. */
export function inDoubtSql(): string {
  const preparedAt = `to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  return `SELECT gid, ${preparedAt}, ${AGE_MS} FROM pg_prepared_xacts WHERE ${IS_OURS}`;
}

/** What has been decided of these transactions on this shard: key, outcome. */
export function outcomesSql(transactions: Iterable<string>): string {
  return `SELECT gid, outcome FROM shardgate.decisions WHERE gid IN (${[...transactions].map(quoteLiteral).join(',')})`;
}

const AGE_MS = `(extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint`;
const IS_OURS = `database = current_database() AND starts_with(gid, ${quoteLiteral(LEG_PREFIX)})`;

/** Keys of decisions that are old enough to go, if no leg needs them any more. */
export function oldDecisionsSql(ageMs: number): string {
  return (
    `SELECT gid FROM shardgate.decisions WHERE decided_at < clock_timestamp() - interval '${ageMs} ms'` +
    ' LIMIT 10000'
  );
}

export function forgetSql(transactions: readonly string[]): string {
  return `DELETE FROM shardgate.decisions WHERE gid IN (${transactions.map(quoteLiteral).join(',')})`;
}
