import type { SelectStmt } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import type { Level } from './model.js';
import { tablesOf, type Tables } from './placement.js';
import type { BroadcastPlan } from './plan.js';
import { broadcastPlan } from './plans.js';
import { refuse } from './refusals.js';
import { lockedReference } from './row-locks.js';
import type { StatementContext } from './statement-context.js';

/**
 * Plans a SELECT that locks rows of reference tables and reads no others: every shard locks its own
 * copies, the first one in front as with writes, and its answer stands for all. So it meets whoever
 * writes these rows, locks them, or refers to them from some shard. Null: it is another query.
 * Throws Refused where shards may lock other rows than the first one gives.
 */
export function planReferenceLocks(
  select: SelectStmt,
  analysis: Analysis,
  context: StatementContext,
): BroadcastPlan | null {
  const [level, ...below] = analysis.levels;
  if (level?.locking !== true || below.length > 0 || analysis.unknownRelations.length > 0) {
    return null;
  }
  const tables = tablesOf(analysis);
  const keyspace = tables.reference[0]?.table?.keyspace;
  const alone = analysis.occurrences.every(({ table }) => table?.keyspace === keyspace);
  if (keyspace === undefined || !alone || tables.sharded.length > 0) return null;
  if (lockedReference(tables, analysis) === null) return null;
  const differs = analysis.volatileFunction ?? analysis.clockText;
  if (differs !== null || analysis.readsCatalog || analysis.effects.length > 0) {
    refuse(
      `"${differs ?? 'an object identifier'}" in a query that locks rows of reference tables is not supported: it gives another value on each shard`,
      'Compute the value in the client and pass it as a parameter.',
    );
  }
  if (skipsLocked(select) || (level.limited && !isOneRow(level, tables))) {
    refuse(
      'SKIP LOCKED, and LIMIT without values for a unique key, in a query that locks rows of reference tables are not supported: ' +
        'each shard may lock other rows',
      'Name the rows by their primary key, or another unique one.',
    );
  }
  // Whether a string means the current time is a matter of its value.
  if (analysis.stringConstants > 0) context.outcome.cacheable = false;
  return broadcastPlan('select', keyspace, { ddl: false, transactional: true });
}

function skipsLocked({ lockingClause = [] }: SelectStmt): boolean {
  return lockingClause.some(
    (node) => 'LockingClause' in node && node.LockingClause.waitPolicy === 'LockWaitSkip',
  );
}

/** The columns of a unique key of its one table are compared with values, so that LIMIT chooses among no rows. */
function isOneRow({ entries }: Level, { reference }: Tables): boolean {
  const [table] = reference;
  if (table === undefined || entries.length > 1) return false;
  const { uniqueKeys = [] } = table.relation;
  const isBound = (name: string): boolean =>
    table.entry.variables.get(name)?.bindings.some(({ values }) => values.length === 1) === true;
  return uniqueKeys.some((columns) => columns.every(isBound));
}
