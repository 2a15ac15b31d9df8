import type { Analysis } from './analysis.js';
import { reachable, type Entry, type Level } from './model.js';
import type { Placement, ShardedOccurrence } from './placement.js';
import { refusal } from './refusals.js';
import type { Refusal } from './plan.js';

/**
 * Whether the shards' own answers, put together, are the statement's answer.
 *
 * They are where every result row comes from exactly one row of one sharded table (the driver), and
 * every other sharded table only matters in rows whose key equals the driver's: each shard then
 * holds all that its driver rows meet.
 */
export type Split =
  | { readonly kind: 'split'; readonly driver: ShardedOccurrence }
  | { readonly kind: 'whole'; readonly problem: Refusal };

/** Splits a query. `top` is its outermost level. */
export function splitQuery(top: Level, placement: Placement, analysis: Analysis): Split {
  const construct = mergedConstruct(top, true);
  if (construct !== null) return whole(construct, placement);
  const drivers = drivingEntries(top)
    .map((entry) => placement.sharded.find((occurrence) => occurrence.entry === entry))
    .filter((occurrence) => occurrence !== undefined);
  if (drivers.length === 0) return whole(undrivenConstruct(top, placement, analysis), placement);
  return splitBy(drivers, placement, analysis);
}

/** Splits an UPDATE or DELETE: its target is what drives it. */
export function splitModification(
  target: ShardedOccurrence,
  placement: Placement,
  analysis: Analysis,
): Split {
  return splitBy([target], placement, analysis);
}

function splitBy(
  drivers: readonly ShardedOccurrence[],
  placement: Placement,
  analysis: Analysis,
): Split {
  if (analysis.nestedWrites > 0) return whole('a data-modifying WITH query', placement);
  if (placement.system.length > 0) return whole('a join with system catalogs', placement);
  if (analysis.systemColumn !== null) {
    return whole(`system column "${analysis.systemColumn}"`, placement);
  }
  if (analysis.readsCatalog) {
    return whole('an object identifier or a function that describes the server', placement);
  }
  for (const driver of drivers) {
    if (placement.sharded.every((other) => follows(other, driver, analysis))) {
      return { kind: 'split', driver };
    }
  }
  const stray = placement.sharded.find((other) => !follows(other, drivers[0]!, analysis))!;
  return {
    kind: 'whole',
    problem: refusal(
      `tables "${drivers[0]!.relation.name}" and "${stray.relation.name}" are not joined on their shard keys, ` +
        'so rows of several shards would have to meet',
      `Join them with ${nameOf(drivers[0]!)} = ${nameOf(stray)}, or compare both with the same key value.`,
    ),
  };
}

/** Why no row of a sharded table stands for each row of the result. */
function undrivenConstruct(level: Level, placement: Placement, analysis: Analysis): string {
  for (const entry of level.entries) {
    const table = analysis.tables.get(entry)?.relation.name;
    if (entry.nullable && table !== undefined) {
      return `an outer join that keeps rows without a row of "${table}"`;
    }
    const { query } = entry;
    if (query === null || placement.sharded.every((other) => !contains(query, other.entry)))
      continue;
    if (entry.nullable) return 'an outer join that keeps rows without a row of its sub-select';
    if (query.references !== 1) return 'a WITH query that is used more than once';
    const construct = mergedConstruct(query, false);
    if (construct !== null) return `${construct} in a sub-select`;
    return undrivenConstruct(query, placement, analysis);
  }
  return 'a sub-select that is not tied to a shard key';
}

function contains(level: Level, target: Entry): boolean {
  return (
    level.arms.some((arm) => contains(arm, target)) ||
    level.entries.some(
      (entry) => entry === target || (entry.query !== null && contains(entry.query, target)),
    )
  );
}

/** What makes a query more than the sum of its rows; null where nothing does. */
export function mergedConstruct(level: Level, top: boolean): string | null {
  if (level.arms.length > 0) return 'UNION, INTERSECT or EXCEPT';
  if (level.values) return 'VALUES';
  if (level.recursive) return 'WITH RECURSIVE';
  if (level.aggregates && !(top && level.countsOnly)) return 'an aggregate function';
  if (level.windows) return 'a window function';
  if (level.distinct) return 'DISTINCT';
  if (level.grouped) return 'GROUP BY';
  if (level.having) return 'HAVING';
  if (level.limited) return 'LIMIT, OFFSET or FETCH';
  if (top && level.ordered) return 'ORDER BY';
  return null;
}

/**
 * Entries of which every result row holds exactly one row: not null-extended, and below plain
 * queries only.
 */
function drivingEntries(level: Level): Entry[] {
  const out: Entry[] = [];
  for (const entry of level.entries) {
    if (entry.nullable) continue;
    if (entry.kind === 'table') out.push(entry);
    const { query } = entry;
    if (query === null || query.references !== 1 || mergedConstruct(query, false) !== null)
      continue;
    out.push(...drivingEntries(query));
  }
  return out;
}

/** Whether rows of `other` only matter where their key is that of the driver's row. */
function follows(other: ShardedOccurrence, driver: ShardedOccurrence, analysis: Analysis): boolean {
  if (other.entry === driver.entry) return true;
  if (!sameMapping(other, driver)) return false;
  const from = analysis.keyOf(other);
  const to = analysis.keyOf(driver);
  return from !== null && to !== null && reachable(from).has(to);
}

/** Whether equal keys of the two tables are on the same shard. */
export function sameMapping(a: ShardedOccurrence, b: ShardedOccurrence): boolean {
  if (a.table.keyspace !== b.table.keyspace) return false;
  if (a.table.vindex === b.table.vindex) return true;
  return a.table.vindex.type === 'hash' && b.table.vindex.type === 'hash';
}

export function nameOf(occurrence: ShardedOccurrence): string {
  const { alias } = occurrence.entry;
  return `${alias === '' ? occurrence.table.name : alias}.${occurrence.table.shardKey}`;
}

function whole(construct: string, placement: Placement): Split {
  const occurrence = placement.sharded[0]!;
  const column = nameOf(occurrence);
  return {
    kind: 'whole',
    problem: refusal(
      `${construct} over several shards of table "${occurrence.relation.name}" is not supported`,
      `Bind the shard key, as in ${column} = value, so that one shard can answer.`,
    ),
  };
}
