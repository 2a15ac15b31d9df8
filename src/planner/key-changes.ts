import { keyList } from '../keyspace/key-columns.js';
import type { Analysis } from './analysis.js';
import { bareColumn } from './expressions.js';
import { valueOf } from './key-values.js';
import { reachable, type Occurrence } from './model.js';
import type { NewKey } from './modifications.js';
import type { ShardedOccurrence } from './placement.js';
import type { KeyTerm, ManyShards, ShardSelector } from './plan.js';
import { refusal, Refused } from './refusals.js';
import { orRefusal, type Route } from './routing.js';
import { storedTerm } from './terms.js';

/**
 * What becomes of the shard key in an UPDATE that sets it: null where the new value is the old one;
 * else the term of the new value, `computed` where that is seen only when the rows are.
 */
export type KeyChange = KeyTerm | 'computed';

export function keyChange(
  { values, place }: NewKey,
  target: Occurrence,
  analysis: Analysis,
): KeyChange | null {
  const occurrence = target as ShardedOccurrence;
  const keys = analysis.keysOf(occurrence)!;
  const stays = values.map((value, index) => {
    const column = value === null ? keys[index]! : bareColumn(value, place, analysis);
    return column !== null && reachable(keys[index]!).has(column);
  });
  if (!stays.includes(false)) return null;
  const constants = values.map((value) => (value === null ? null : valueOf(value, analysis)));
  return storedTerm(constants, occurrence, analysis) ?? 'computed';
}

/**
 * The route of an UPDATE that sets the shard key: as it stands where the new key belongs to the
 * shard that all rows are on; else `move` says how rows of `shards` get to others.
 */
export function routeKeyChange(
  route: Route,
  change: KeyChange,
  target: Occurrence,
  move: (own: ShardSelector, shards: ShardSelector) => ManyShards,
): Route {
  const { table, relation } = target as ShardedOccurrence;
  const { shards } = route;
  const bound = change !== 'computed' && shards.kind === 'keys';
  if (route.many.kind !== 'addTags') {
    const problem = refusal(
      `changing the shard key of "${relation.name}" by rows of other shards is not supported`,
      `Bind "${keyList(table)}", before and after, to values of one shard.`,
    );
    if (!bound || shards.groups.length > 1) throw new Refused(problem);
    return {
      shards: { ...shards, groups: [...shards.groups, [change]] },
      many: { kind: 'refuse', refusal: problem },
    };
  }
  const own: ShardSelector = bound
    ? { ...shards, groups: [...shards.groups, [change]] }
    : { kind: 'nowhere' };
  return orRefusal(own, () => move(own, shards));
}
