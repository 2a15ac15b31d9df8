/** Places in `Metrics.statementsByRoute`. */
export const RouteKind = {
  oneShard: 0,
  any: 1,
  scatter: 2,
  merge: 3,
  gather: 4,
  insertSplit: 5,
  copy: 6,
  broadcast: 7,
  local: 8,
  refused: 9,
  empty: 10,
  distribute: 11,
} as const;
export type RouteKind = (typeof RouteKind)[keyof typeof RouteKind];
/** By `RouteKind`, as the `route` label has it. */
export const routeLabels = [
  'one_shard',
  'any',
  'scatter',
  'merge',
  'gather',
  'insert_split',
  'copy',
  'broadcast',
  'local',
  'refused',
  'empty',
  'distribute',
] as const;

/** Places in `Metrics.statementsByVerb`; a closed set, so that a client cannot make labels grow. */
export const verbLabels = [
  'select',
  'insert',
  'update',
  'delete',
  'merge',
  'copy',
  'ddl',
  'truncate',
  'begin',
  'commit',
  'rollback',
  'savepoint',
  'set',
  'show',
  'explain',
  'cursor',
  'lock',
  'utility',
  'empty',
  'other',
] as const;
const verbIndexes = new Map<string, number>(verbLabels.map((verb, index) => [verb, index]));
const OTHER_VERB = verbLabels.length - 1;

/**
 * The place of a plan's verb in `Metrics.statementsByVerb`; verbs that are not in the list count as
 * `other`.
 */
export function verbIndex(verb: string): number {
  return verbIndexes.get(verb) ?? OTHER_VERB;
}

/** Places in `Metrics.transactions`. */
export const CommitKind = { oneShard: 0, twoPhase: 1, bestEffort: 2, rolledBack: 3 } as const;
export type CommitKind = (typeof CommitKind)[keyof typeof CommitKind];
export const commitLabels = ['one_shard', 'two_phase', 'best_effort', 'rolled_back'] as const;

/** Who raised an error that a client got. */
export type ErrorOrigin = 'shard' | 'shardgate';
