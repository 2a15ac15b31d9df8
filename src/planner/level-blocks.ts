import type { Level, Variable } from './model.js';

/** Whether columns tell the rows of different keys apart. */
export type HoldsKey = (columns: Iterable<Variable>) => boolean;

/**
 * What the outermost query may do that is more than the sum of its rows: nothing; sort and cut
 * them; that and make them distinct; anything behind WHERE.
 */
export type Allowed = 'nothing' | 'sorting' | 'distinct' | 'grouping';

/**
 * What makes a query more than the rows of FROM one by one; null where nothing does. Groups,
 * windows and distinct rows do not if they are told apart by columns that hold the key: one shard
 * has all rows of a key.
 */
export function levelBlock(level: Level, allowed: Allowed, holdsKey: HoldsKey): string | null {
  if (level.values) return 'VALUES';
  if (level.recursive) return 'WITH RECURSIVE';
  if (allowed === 'grouping') return null;
  const grouping = groupingBlock(level, holdsKey);
  if (grouping !== null) return grouping;
  if (level.windows && !(level.partitions?.every(holdsKey) ?? false)) {
    return 'a window function';
  }
  if (level.distinct && allowed !== 'distinct' && !holdsKey(level.distinctVariables)) {
    return 'DISTINCT';
  }
  if (level.limited && allowed === 'nothing') return 'LIMIT, OFFSET or FETCH';
  return null;
}

/** Counts over all rows are left to the caller, who adds them up. */
function groupingBlock(level: Level, holdsKey: HoldsKey): string | null {
  if (level.grouped) {
    return holdsKey(level.groupVariables ?? []) ? null : groupedBlock(level);
  }
  if (level.aggregates && !level.countsOnly) return 'an aggregate function';
  return level.having ? 'HAVING' : null;
}

function groupedBlock(level: Level): string {
  return level.aggregates ? 'an aggregate function' : 'GROUP BY';
}

/**
 * Whether the order of a sub-select, WITH query or view can be seen in the query's result: by its
 * own ORDER BY, PostgreSQL does not promise it to what reads it, but keeps it where nothing is done
 * in between that sorts or hashes, and DISTINCT ON and LIMIT choose rows by it.
 */
export function showsInnerOrder(level: Level): boolean {
  return (!level.ordered || level.distinctOn) && inheritsOrder(level);
}

function inheritsOrder(level: Level): boolean {
  if (level.grouped || level.aggregates || level.windows) return false;
  if (level.distinct && !level.distinctOn) return false;
  if (level.arms.length > 0) return level.operation === 'UNION ALL' && level.arms.some(hasOrder);
  const [entry] = level.entries;
  return level.entries.length === 1 && entry!.query !== null && hasOrder(entry!.query);
}

function hasOrder(level: Level): boolean {
  return level.ordered || inheritsOrder(level);
}
