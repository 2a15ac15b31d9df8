import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan } from '../planner/plan.js';
import type { CrossShardPolicy } from '../transaction/participants.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import { CROSS_SHARD } from './session-settings.js';
import { settingOf } from './setting-effects.js';
import type { Session } from './session.js';
import type { StatementRun } from './statement-run.js';

/** Levels under which a transaction sees one snapshot, which several shards do not share. */
const SNAPSHOT_LEVELS = new Set(['repeatable read', 'serializable']);

/**
 * Whether these shards may join what is open. Throws 0A000: a second writing shard where commits over several shards
 * are not possible, or a second shard under an isolation level that promises one snapshot.
 * @param writing those of `shards` that a plan which writes may write on
 */
export function assertMayUse(
  session: Session,
  shards: readonly Shard[],
  plan: Plan,
  writing = shards,
): void {
  const { context, work } = session;
  const { participants } = work;
  if (work.explicit && context.config.transactions.snapshots === 'refuse') {
    if (keepsSnapshot(session)) useSnapshot(work, isolationOf(session), shards, plan);
  }
  if (participants.length === 0 && shards.length === 1) return;
  const only = shards.length === 1 && participants.length === 1;
  if (only && participants[0]!.shard === shards[0]) return;
  if (work.staysWhereItIs && shards.some((shard) => work.participant(shard) === null)) {
    throw localOutsideTransaction();
  }
  if (!isCommitted(plan)) return;
  const { crossShard } = session;
  const writers = new Set<Shard>(writing);
  for (const backend of work.writers) writers.add(backend.shard);
  if (context.commits.possible(writers, crossShard)) return;
  // One schema everywhere comes first.
  const isDdl = plan.kind === 'broadcast' && plan.ddl;
  if (isDdl && !work.explicit && work.writers.size === 0) return;
  throw context.commits.refusal(writers, crossShard);
}

/** In lower case: what the transaction or the session has said, else what the servers' own default is. */
export function isolationOf({ work, settings, context }: Session): string {
  const said = work.isolation ?? settings.get('default_transaction_isolation');
  return (said ?? context.defaultIsolation()).toLowerCase();
}

/** Whether the explicit transaction is READ ONLY, as far as the session has said it. */
export function isReadOnly({ work, settings }: Session): boolean {
  return work.readOnly ?? isOn(settings.get('default_transaction_read_only') ?? '');
}

/** A boolean as settings take it. */
export function isOn(value: string): boolean {
  return /^(on|t|tr|tru|true|y|ye|yes|1)$/i.test(value.trim());
}

/** Whether the transaction goes on seeing what it saw first. */
export function keepsSnapshot(session: Session): boolean {
  return SNAPSHOT_LEVELS.has(isolationOf(session));
}

/** How a commit over several shards is done: by `SET shardgate.cross_shard`, else as configured. */
export function crossShardOf(session: Session): CrossShardPolicy {
  const said = settingOf(session, CROSS_SHARD) as CrossShardPolicy | undefined;
  return said ?? session.context.config.transactions.crossShard;
}

/** Only one shard's snapshot may be seen; what reads no table sees none, wherever it runs. */
function useSnapshot(
  work: UnitOfWork,
  isolation: string,
  shards: readonly Shard[],
  plan: Plan,
): void {
  if (plan.kind === 'route' && plan.shards.kind === 'any' && plan.shards.keyspace === null) return;
  // LOCK TABLE takes no snapshot, wherever it runs; pg_dump begins with it.
  if (plan.verb === 'lock') return;
  const [shard, ...more] = shards;
  if (shard !== undefined && more.length === 0) {
    const { name, keyspace } = work.snapshotOf ?? shard;
    // By name: after a reload the same shard has another value.
    if (shard.name === name && shard.keyspace === keyspace) {
      work.snapshotOf = shard;
      return;
    }
  }
  throw sqlError(
    'feature_not_supported',
    `a ${isolation} transaction cannot use more than one shard`,
    {
      hint:
        'Use READ COMMITTED, keep the transaction on one shard key, or set' +
        ' transactions.snapshots: per_shard, which gives it a snapshot on each shard.',
    },
  );
}

/** A statement is about to run on these backends. A run that knows its writers tells of them itself. */
export function noteRun(
  session: Session,
  plan: Plan,
  { writers, declares }: StatementRun,
  backends: readonly BackendConnection[],
): void {
  if (plan.kind === 'broadcast' && plan.ddl) {
    session.catalogStale = true;
    session.planning.overlay.changed();
  }
  const commits = writers === undefined && isCommitted(plan);
  for (const backend of backends) session.pins.noteUse(backend, plan, commits, declares);
}

/**
 * Whether the statement leaves something that a commit must bring to all of its shards or to none: not upkeep such as
 * ANALYZE or table locks, nor what PostgreSQL forbids in a transaction, which commits by itself.
 */
function isCommitted(plan: Plan): boolean {
  if (!plan.writes || plan.verb === 'lock') return false;
  return plan.kind !== 'broadcast' || (plan.transactional && plan.verb !== 'utility');
}

/** What Postgres forbids in a transaction must not be one of several statements of a Query. Throws SqlError 25001. */
export function assertAlone(plan: Plan): void {
  if (plan.kind !== 'broadcast' || plan.transactional) return;
  const command = plan.steps?.command ?? plan.command ?? 'this command';
  throw sqlError('active_sql_transaction', `${command} cannot run inside a transaction block`);
}

/** Statements of one Query or pipeline may go to shards that have not heard of it. */
export function localOutsideTransaction(): SqlError {
  return sqlError(
    'feature_not_supported',
    'settings that are local to what runs outside a transaction block are not supported over several shards',
    { hint: 'Send BEGIN first.' },
  );
}
