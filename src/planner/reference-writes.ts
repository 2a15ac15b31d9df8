import type { Analysis } from './analysis.js';
import { checkCopiedDefaults } from './column-defaults.js';
import type { Occurrence } from './model.js';
import type { Placement } from './placement.js';
import type { BroadcastPlan } from './plan.js';
import { broadcastPlan } from './plans.js';
import { refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

/**
 * A write to a reference table runs as it stands on every shard of its keyspace, so it must do the
 * same on each: read only copies, and compute nothing that depends on the shard, the moment or the
 * order of rows.
 */
export function planReferenceWrite(
  verb: string,
  target: Occurrence,
  placement: Placement,
  analysis: Analysis,
  context: StatementContext,
): BroadcastPlan {
  const { name } = target.relation;
  const other = placement.sharded[0] ?? placement.system[0];
  if (other !== undefined) {
    refuse(
      `writing to reference table "${name}" from table "${other.relation.name}" is not supported: each shard would write something else`,
      'Read the rows first and write them as constants.',
    );
  }
  if (analysis.nestedWrites > 0) {
    refuse(
      `data-modifying WITH queries beside a write to reference table "${name}" are not supported`,
      'Run them as statements of their own.',
    );
  }
  const moment = analysis.volatileFunction ?? analysis.clockText;
  if (moment !== null || analysis.readsCatalog || analysis.effects.length > 0) {
    refuse(
      `"${moment ?? 'an object identifier'}" in a write to reference table "${name}" is not supported: it gives another value on each shard`,
      'Compute the value in the client and pass it as a parameter.',
    );
  }
  refuseRowOrder(name, analysis);
  checkCopiedDefaults(target, analysis);
  // Whether a string means the current time is a matter of its value.
  if (analysis.stringConstants > 0) context.outcome.cacheable = false;
  return broadcastPlan(verb, placement.keyspace, { ddl: false, transactional: true });
}

function refuseRowOrder(name: string, analysis: Analysis): void {
  const depends = analysis.levels.some(
    (level) => level.limited || level.windows || level.distinctOn || level.aggregates,
  );
  if (!depends) return;
  refuse(
    `LIMIT, DISTINCT ON, window and aggregate functions in a write to reference table "${name}" are not supported: ` +
      'each shard may see its rows in another order',
    'Read the rows first and write them as constants.',
  );
}
