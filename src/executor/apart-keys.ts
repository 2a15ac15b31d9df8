import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { ASK, MAPPED, UNREADABLE } from '../keyspace/vindex.js';
import type { ColumnTerm, KeysApart } from '../planner/plan.js';
import type { ShardTargets, ValueSource } from './shard-targets.js';

/** Whether two lists of keys have none in common: the values of one column at least are others. */
export function areApart(
  { one, other }: KeysApart,
  source: ValueSource,
  targets: ShardTargets,
): boolean {
  return one.some((terms, place) => {
    const rivals = other[place];
    if (rivals === undefined) return false;
    const own = idsOf(terms, source, targets);
    const others = idsOf(rivals, source, targets);
    return own !== null && others !== null && ![...own].some((id) => others.has(id));
  });
}

/** What values are mapped to; those that match nothing are left out. Null: that cannot be told. */
function idsOf(
  terms: readonly ColumnTerm[],
  source: ValueSource,
  targets: ShardTargets,
): Set<string> | null {
  const cell = new KeyspaceIdCell();
  const ids = new Set<string>();
  for (const term of terms) {
    const outcome = targets.mapTo(term, source, cell);
    if (outcome === UNREADABLE || outcome === ASK) return null;
    if (outcome === MAPPED) ids.add(`${cell.hi}:${cell.lo}`);
  }
  return ids;
}
