import { sqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan } from '../planner/plan.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import type { SessionContext } from './session-context.js';
import type { SessionSettings } from './session-settings.js';

/** Levels under which a transaction sees one snapshot, which several shards do not share. */
const SNAPSHOT_LEVELS = new Set(['repeatable read', 'serializable']);

/**
 * Whether these shards may join what is open. Throws 0A000: a second writing shard where commits over several shards
 * are not possible, or a second shard under an isolation level that promises one snapshot.
 */
export function assertMayUse(
  context: SessionContext,
  work: UnitOfWork,
  settings: SessionSettings,
  shards: readonly Shard[],
  plan: Plan,
): void {
  const { participants } = work;
  if (participants.length === 0 && (shards.length === 1 || !work.explicit)) return;
  const only = shards.length === 1 && participants.length === 1;
  if (only && participants[0]!.shard === shards[0]) return;
  const isolation = work.isolation ?? settings.get('default_transaction_isolation')?.toLowerCase();
  if (work.explicit && isolation !== undefined && SNAPSHOT_LEVELS.has(isolation)) {
    throw sqlError(
      'feature_not_supported',
      `a ${isolation} transaction cannot use more than one shard`,
      { hint: 'Use READ COMMITTED, or keep the transaction on one shard key.' },
    );
  }
  if (!plan.writes) return;
  const writers = new Set<Shard>(shards);
  for (const backend of work.writers) writers.add(backend.shard);
  // One statement on its own commits on every shard when all have succeeded.
  if (writers.size === 1 || (!work.explicit && work.writers.size === 0)) return;
  const { crossShard } = context.config.transactions;
  if (work.explicit && crossShard !== 'refuse' && context.commits.possible(writers)) return;
  throw context.commits.refusal(writers);
}
