import type { Analysis } from './analysis.js';
import { bareColumn } from './expressions.js';
import { valueOf } from './key-values.js';
import { reachable, type Occurrence } from './model.js';
import type { NewKey } from './modifications.js';
import type { ShardedOccurrence } from './placement.js';
import type { KeyTerm } from './plan.js';
import { refusal, refuse } from './refusals.js';
import type { Route } from './routing.js';
import { inputTypeOf, keyTerm } from './terms.js';

/**
 * What becomes of the shard key in an UPDATE that sets it: null where the new value is the old one;
 * else the term of the new value, `computed` where that is seen only when the rows are.
 */
export type KeyChange = KeyTerm | 'computed';

export function keyChange(
  { value, place }: NewKey,
  target: Occurrence,
  analysis: Analysis,
): KeyChange | null {
  const occurrence = target as ShardedOccurrence;
  const key = analysis.keyOf(occurrence)!;
  const column = bareColumn(value, place, analysis);
  if (column !== null) return reachable(key).has(column) ? null : 'computed';
  const constant = valueOf(value, analysis);
  const inputType = constant === null ? null : inputTypeOf(constant, key, analysis);
  if (constant === null || inputType === null) return 'computed';
  return keyTerm(constant, inputType, occurrence, true) ?? 'computed';
}

/** The route where the new key belongs to the shard that the rows are on already. */
export function onOneShard(route: Route, change: KeyChange, target: Occurrence): Route {
  const { table, relation } = target as ShardedOccurrence;
  const problem = refusal(
    `moving rows of table "${relation.name}" to another shard is not supported here`,
    `Bind the old and the new value of "${table.shardKey}" to values of one shard; or delete the rows and insert them anew.`,
  );
  const { shards } = route;
  if (change === 'computed' || shards.kind !== 'keys') refuse(problem.message, problem.hint);
  return {
    shards: { ...shards, groups: [...shards.groups, [change]] },
    many: { kind: 'refuse', refusal: problem },
  };
}
