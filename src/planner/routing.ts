import type { Keyspace, Topology } from '../keyspace/topology.js';
import type { Analysis } from './analysis.js';
import { checkDefaults } from './column-defaults.js';
import type { Level, Occurrence } from './model.js';
import type { Insertion } from './insertions.js';
import {
  placementOf,
  refuseLookingAround,
  tablesOf,
  type Placement,
  type ShardedOccurrence,
  type Tables,
} from './placement.js';
import type { ManyShards, Refusal, ShardSelector, SpreadSpec } from './plan.js';
import { tellsMoment } from './scatter/moment.js';
import { refusal, Refused, refuse } from './refusals.js';
import { refuseReferenceLocks } from './row-locks.js';
import { driverShards, keyGroups } from './selectors.js';
import type { StatementContext } from './statement-context.js';
import { splitModification, splitQuery, whole, type Split, type SplitQuery } from './splitting.js';
import { isOneTerm, isOneValue, isWhole, keyTerms } from './terms.js';
import { wishedShard } from './wishes/wished-shard.js';

/** Where a statement runs, and what becomes of its answers where that is several shards. */
export interface Route {
  readonly shards: ShardSelector;
  readonly many: ManyShards;
}

const NOWHERE: ShardSelector = { kind: 'nowhere' };

const ONE_SHARD: ManyShards = {
  kind: 'refuse',
  refusal: refusal(
    'this statement runs on one shard only',
    'Split it into one statement per shard.',
  ),
};

const MANY_KEYSPACES = refusal(
  'tables of several keyspaces in one statement are not supported',
  'Query them one after the other.',
);

/** Any one shard of the cluster: no user table is involved. */
export const ANYWHERE: Route = { shards: { kind: 'any', keyspace: null }, many: ONE_SHARD };
export const CATALOG_ROUTE: Route = { shards: { kind: 'catalog' }, many: ONE_SHARD };

/** Makes one answer of what several shards have. Throws Refused where that would not be exact. */
export interface Together {
  /** Of the rows of a query that splits. */
  ofRows(split: SplitQuery, shards: ShardSelector): ManyShards;
  /** Of a query that does not, for the given reason. `placement` null: tables of several keyspaces. */
  ofTables(problem: Refusal, placement: Placement | null, shards: ShardSelector): ManyShards;
}

/**
 * Routes a query that writes nothing but row locks. `together` null: it runs on one shard, or its
 * rows are simply put together.
 */
export function routeQuery(top: Level, analysis: Analysis, together: Together | null): Route {
  const unknown = routeUnknown(analysis);
  if (unknown !== null) return unknown;
  checkEffect(top, analysis);
  const keyspaces = keyspacesOf(analysis);
  if (keyspaces.size > 1) {
    if (together !== null) {
      return { shards: NOWHERE, many: together.ofTables(MANY_KEYSPACES, null, NOWHERE) };
    }
    if (keyspaces.has(null)) refuse(MANY_KEYSPACES.message, MANY_KEYSPACES.hint);
  }
  const placement = placementOf(analysis);
  refuseReferenceLocks(placement, analysis);
  if (analysis.nestedWrites > 0) checkNestedWrites(placement, analysis);
  const copied = copiedWrite(placement, null);
  if (copied !== null) {
    if (together === null) refuseNestedWrite(copied);
    return { shards: NOWHERE, many: together.ofTables(MANY_KEYSPACES, null, NOWHERE) };
  }
  if (placement.keyspace === null) {
    const catalog = placement.system.length > 0 || analysis.readsCatalog;
    return catalog ? catalogRoute(analysis) : ANYWHERE;
  }
  if (!placement.keyspace.sharded) return firstShardRoute(placement);
  if (placement.sharded.length === 0) {
    // REPEATABLE gives the same rows of the same copy.
    if (analysis.sampled.size > 0) return firstShardRoute(placement);
    return { shards: { kind: 'any', keyspace: placement.keyspace }, many: ONE_SHARD };
  }
  const wished = wishedRoute(placement, analysis);
  if (wished !== null) return wished;
  if (together !== null) {
    const split = splitQuery(top, placement, analysis, 'sorting');
    return routeTogether(split, top, placement, analysis, together);
  }
  let split = splitQuery(top, placement, analysis);
  if (split.kind === 'split' && top.ordered) split = whole('ORDER BY', placement);
  return routeSharded(split, placement, analysis, putTogether(top));
}

/** Where the session, or a comment, names the shard, the statement runs there as it stands. */
function wishedRoute(placement: Placement, analysis: Analysis): Route | null {
  const shard = wishedShard(placement, analysis);
  return shard === null ? null : { shards: { kind: 'shard', shard }, many: ONE_SHARD };
}

/** What a shard that is named knows of itself; but all sessions meet on one, whatever they wish for. */
function catalogRoute({ meetsOthers, names }: Analysis): Route {
  const { shard } = names.wish;
  if (shard === null || meetsOthers || names.touched.size > 0) return CATALOG_ROUTE;
  return { shards: { kind: 'shard', shard }, many: ONE_SHARD };
}

/** What becomes of the rows of a query that splits and neither sorts nor cuts them. */
export function putTogether(top: Level): ManyShards {
  return { kind: top.countsOnly ? 'counts' : 'concat' };
}

/** What `many` says is only made where more than one shard may be meant: it may cost much. */
function routeTogether(
  split: Split,
  top: Level,
  placement: Placement,
  analysis: Analysis,
  together: Together,
): Route {
  if (split.kind === 'split') {
    const shards = driverShards(split, analysis);
    if (isOneKey(shards)) return { shards, many: putTogether(top) };
    return orRefusal(shards, () => together.ofRows(split, shards));
  }
  return routeWhole(split.problem, placement, analysis, (shards) =>
    together.ofTables(split.problem, placement, shards),
  );
}

/** A statement that only the one shard of all its keys answers as it stands. */
function routeWhole(
  problem: Refusal,
  placement: Placement,
  analysis: Analysis,
  many: (shards: ShardSelector) => ManyShards,
): Route {
  const groups = keyGroups(placement.sharded, analysis);
  const shards: ShardSelector =
    groups === null ? { kind: 'nowhere' } : { kind: 'keys', keyspace: placement.keyspace!, groups };
  if (isOneKey(shards)) return { shards, many: { kind: 'refuse', refusal: problem } };
  return orRefusal(shards, () => many(shards));
}

/** Values may turn out to lead to one shard, which answers whatever could not be put together. */
export function orRefusal(shards: ShardSelector, many: () => ManyShards): Route {
  try {
    return { shards, many: many() };
  } catch (error) {
    const mayBeOne =
      shards.kind === 'keys' ||
      shards.kind === 'lookup' ||
      (shards.kind === 'all' &&
        (shards.within !== undefined || shards.keyspace.shards.length === 1));
    if (!(error instanceof Refused) || !mayBeOne) throw error;
    return { shards, many: { kind: 'refuse', refusal: error.refusal } };
  }
}

/** One value leads to one shard, whatever it is. */
export function isOneKey(shards: ShardSelector): boolean {
  if (shards.kind !== 'keys' || shards.groups.length !== 1) return false;
  const terms = shards.groups[0]!;
  return terms.length === 1 && isOneTerm(terms[0]!);
}

/** The beginning of a key, with one value for each column, leads to one shard as a rule (`salted`). */
export function isLikelyOne(shards: ShardSelector): boolean {
  if (shards.kind !== 'keys' || shards.groups.flat().every(isWhole)) return false;
  return shards.groups.every((group) => group.length === 1 && isOneValue(group[0]!));
}

/** Of the user tables of a statement; null: of a sequence that one shard of a sharded keyspace counts. */
export function keyspacesOf(analysis: Analysis): Set<Keyspace | null> {
  return new Set(
    analysis.occurrences.flatMap(({ table, relation }) =>
      table === null && relation.kind === 'S' ? null : (table?.keyspace ?? []),
    ),
  );
}

/**
 * Routes an UPDATE or DELETE of a sharded or unsharded table. `spread` plans it where rows of other
 * shards matter, and throws Refused where that would not be exact.
 */
export function routeModification(
  target: Occurrence,
  analysis: Analysis,
  context: StatementContext,
  spread: (tables: Tables) => SpreadSpec,
): Route {
  if (analysis.effects.length > 0) refuseEffect();
  const tables = tablesOf(analysis);
  const many = (): ManyShards => {
    refuseLookingAround(target);
    return { kind: 'spread', spread: spread(tables) };
  };
  if (keyspacesOf(analysis).size > 1) return { shards: NOWHERE, many: many() };
  const placement = placementOf(analysis);
  refuseReferenceLocks(placement, analysis);
  if (analysis.nestedWrites > 0) checkNestedWrites(placement, analysis);
  if (copiedWrite(placement, target) !== null) return { shards: NOWHERE, many: many() };
  if (!placement.keyspace!.sharded) return firstShardRoute(placement);
  const wished = wishedRoute(placement, analysis);
  if (wished !== null) return wished;
  const driver = placement.sharded.find((occurrence) => occurrence.entry === target.entry)!;
  const split = splitModification(driver, placement, analysis);
  if (split.kind === 'split') {
    return { shards: driverShards(split, analysis), many: { kind: 'addTags' } };
  }
  const lazily = (shards: ShardSelector): ManyShards => whenNeeded(shards, analysis, context, many);
  return routeWhole(split.problem, placement, analysis, lazily);
}

/**
 * What `many` makes holds the literals of the text. Where key values may lead to one shard, which
 * answers as it stands, that is put off until they do not.
 */
export function whenNeeded(
  shards: ShardSelector,
  analysis: Analysis,
  context: StatementContext,
  many: () => ManyShards,
): ManyShards {
  const shared = shards.kind === 'keys' && !context.knowsValues && context.literals.count > 0;
  return shared && analysis.params.count === 0 ? { kind: 'replan' } : many();
}

/**
 * Routes a statement that only one shard may run: every sharded table must be bound. `reason`: why
 * not several.
 */
export function routeToOne(analysis: Analysis, reason: Refusal): Route {
  const placement = placementOf(analysis);
  if (analysis.effects.length > 0) refuseEffect();
  refuseReferenceLocks(placement, analysis);
  if (analysis.nestedWrites > 0) checkNestedWrites(placement, analysis);
  if (!placement.keyspace!.sharded) return firstShardRoute(placement);
  return routeSharded({ kind: 'whole', problem: reason }, placement, analysis, { kind: 'concat' });
}

/**
 * Routes an INSERT of what a query gives: where it takes rows from, if they stay on their shards; else
 * its key must lead to one shard. `travelling`: how rows get to other ones, made only where they may.
 */
export function routeInsertSelect(
  { select, query, returning, target }: Insertion,
  analysis: Analysis,
  travelling: () => ManyShards,
): Route {
  const placement = placementOf(analysis);
  if (analysis.effects.length > 0) refuseEffect();
  refuseReferenceLocks(placement, analysis);
  if (analysis.nestedWrites > 0) checkNestedWrites(placement, analysis);
  if (copiedWrite(placement, target) !== null) return { shards: NOWHERE, many: travelling() };
  const split =
    query === null ? whole('VALUES', placement) : splitQuery(query, placement, analysis);
  const inOrder = returning && query?.ordered === true;
  const moment = select !== null && tellsMoment({ SelectStmt: select }, analysis);
  if (split.kind === 'split') {
    const shards = driverShards(split, analysis);
    if (isOneKey(shards) || !(inOrder || moment)) return { shards, many: { kind: 'addTags' } };
    return orRefusal(shards, travelling);
  }
  const groups = keyGroups(placement.sharded, analysis);
  if (groups === null) return orRefusal({ kind: 'nowhere' }, travelling);
  return orRefusal({ kind: 'keys', keyspace: placement.keyspace!, groups }, travelling);
}

function firstShardRoute(placement: Placement): Route {
  return { shards: { kind: 'shard', shard: placement.keyspace!.shards[0]! }, many: ONE_SHARD };
}

function routeSharded(
  split: Split,
  placement: Placement,
  analysis: Analysis,
  together: ManyShards,
): Route {
  const keyspace = placement.keyspace!;
  if (split.kind === 'split') {
    return { shards: driverShards(split, analysis), many: together };
  }
  const groups = keyGroups(placement.sharded, analysis);
  if (groups === null) {
    const culprit = placement.sharded.find((table) => keyTerms(table, analysis) === null)!;
    throw new Refused(unbound(split.problem, culprit, placement));
  }
  return {
    shards: { kind: 'keys', keyspace, groups },
    many: { kind: 'refuse', refusal: split.problem },
  };
}

/** The reason a statement is refused, with the table to blame where other tables are bound. */
function unbound(problem: Refusal, culprit: ShardedOccurrence, placement: Placement): Refusal {
  if (placement.sharded.length === 1) return problem;
  return {
    ...problem,
    detail: `The shard key of table "${culprit.relation.name}" is not bound to a value.`,
  };
}

/**
 * Tables that the catalog does not know. A default keyspace is where they would live, and
 * PostgreSQL there answers with its own error; elsewhere, a shard might hold an empty shell that
 * the catalog has not seen yet, so it is not asked.
 */
export function routeUnknown(analysis: Analysis): Route | null {
  const range = analysis.unknownRelations[0];
  if (range === undefined) return null;
  const { topology } = analysis.names;
  const home = topology.defaultKeyspace;
  const configured = analysis.unknownRelations.some((unknown) => isElsewhere(unknown, topology));
  const others = analysis.occurrences.some(
    ({ table }) => table !== null && table.keyspace !== home,
  );
  const isFree = analysis.names.wish.shard === null && analysis.nestedWrites === 0;
  if (home !== null && !home.sharded && !configured && !others && isFree) {
    return { shards: { kind: 'shard', shard: home.shards[0]! }, many: ONE_SHARD };
  }
  const name =
    range.schemaname === undefined
      ? (range.relname ?? '')
      : `${range.schemaname}.${range.relname ?? ''}`;
  return refuse(
    `relation "${name}" does not exist`,
    'A table that was made past Shardgate is seen within a minute, or at once after SIGHUP.',
    'undefined_table',
  );
}

/** Whether the configuration may mean a table elsewhere than where all lives that it does not name. */
function isElsewhere(
  { schemaname, relname = '' }: { schemaname?: string; relname?: string },
  { tables, defaultKeyspace }: Topology,
): boolean {
  for (const { schema, name, keyspace } of tables.values()) {
    const meant = name === relname && (schemaname === undefined || schemaname === schema);
    if (meant && keyspace !== defaultKeyspace) return true;
  }
  return false;
}

function checkEffect(top: Level, analysis: Analysis): void {
  if (analysis.effects.length === 0) return;
  // Called for no row, or for many, or under a condition: then nobody can tell what the session has
  // become.
  if (analysis.levels.length > 1 || top.entries.length > 0) refuseEffect();
}

function refuseEffect(): never {
  refuse(
    'function "set_config" is only supported in a SELECT of its own',
    'Run SELECT set_config(...) without FROM, or SET, as a statement of its own.',
  );
}

function checkNestedWrites(placement: Placement, analysis: Analysis): void {
  const target = placement.system.find(({ written }) => written);
  if (target !== undefined) refuseNestedWrite(target);
  checkDefaults(analysis);
}

/** A reference table that a WITH query changes: every shard must, so that no one can run the whole statement. */
function copiedWrite({ reference }: Placement, target: Occurrence | null): Occurrence | null {
  return reference.find(({ written, entry }) => written && entry !== target?.entry) ?? null;
}

function refuseNestedWrite({ relation }: Occurrence): never {
  refuse(
    `writing to table "${relation.name}" in a WITH query is not supported in this statement`,
    'Write to it in a statement of its own.',
  );
}
