import type {
  DeleteStmt,
  MergeStmt,
  Node,
  RangeVar,
  ReturningClause,
  UpdateStmt,
  WithClause,
} from '@pgsql/types';
import type { CatalogColumn } from '../keyspace/catalog.js';
import { keyName } from '../keyspace/key-columns.js';
import type { ShardedTable } from '../keyspace/topology.js';
import type { Analysis, CteScope, Place } from './analysis.js';
import { isStar } from './ast.js';
import { visitExpression } from './expressions.js';
import { learnCondition } from './facts.js';
import { analyseFrom, baseTable } from './from-clause.js';
import type { Entry, Level, Occurrence } from './model.js';
import type { ParamHint } from './params.js';
import { analyseWith, newLevel } from './queries.js';
import { refuse } from './refusals.js';
import type { Scope, ScopeItem } from './scopes.js';
import { columnOf } from './target-columns.js';
import { targetView, type TargetChange } from './target-views.js';
import { analyseTargets } from './targets.js';

/** A data-modifying statement after its analysis. */
export interface Modification {
  readonly level: Level;
  readonly target: Occurrence;
  readonly returning: boolean;
  /** WHERE CURRENT OF: the cursor's name. */
  readonly cursor: string | null;
  /** What an UPDATE sets the target's shard key to; null: it leaves the key alone. */
  readonly newKey: NewKey | null;
}

/** The values that an UPDATE gives to the columns of the shard key, in their order; null: it stays as it is. */
export interface NewKey {
  readonly values: readonly (Node | null)[];
  readonly place: Place;
}

/** A data-modifying statement whose target is known and whose clauses are still to be walked. */
export interface OpenModification {
  readonly level: Level;
  /** The WITH queries that its clauses see. */
  readonly ctes: CteScope | null;
  readonly occurrence: Occurrence;
  readonly item: ScopeItem;
}

/**
 * Begins the walk over an INSERT, UPDATE, DELETE or MERGE: its level, WITH queries and target. Null
 * where the target does not exist, so that PostgreSQL itself must say so.
 */
export function openModification(
  statement: { readonly relation?: RangeVar; readonly withClause?: WithClause },
  change: TargetChange,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): OpenModification | null {
  const level = newLevel(parent, analysis);
  level.modifies = true;
  level.inserts = change === 'insert';
  const visible = analyseWith(statement.withClause, level, null, ctes, analysis);
  const range = statement.relation;
  if (range === undefined) refuse('this statement names no table', 'Name the table to change.');
  const view = analysis.names.view(range);
  if (view === null && analysis.names.relation(range).kind === 'unknown') {
    analysis.unknownRelations.push(range);
    return null;
  }
  const { items, entries } =
    view === null
      ? baseTable(range, level, analysis, true)
      : targetView(range, view, change, level, analysis);
  const occurrence = analysis.tables.get(entries[0]!)!;
  return { level, ctes: visible, occurrence, item: items[0]! };
}

/** Where the clauses of UPDATE, DELETE and MERGE stand: they see the target and what it is joined with. */
function joinedPlace(
  { level, ctes, item }: OpenModification,
  from: readonly Node[] | undefined,
  analysis: Analysis,
): Place {
  const joined = analyseFrom(from, level, null, ctes, analysis);
  return { scope: { level, items: [item, ...joined.items], parent: null }, ctes };
}

/** Ends the walk with RETURNING. */
function closeModification(
  { level, occurrence, item }: OpenModification,
  statement: { returningClause?: ReturningClause },
  place: Place,
  cursor: string | null,
  analysis: Analysis,
): Modification {
  analyseReturning(statement.returningClause, item, place, level, analysis);
  const returning = hasReturning(statement);
  return { level, target: occurrence, returning, cursor, newKey: null };
}

export function analyseUpdate(
  statement: UpdateStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Modification | null {
  const open = openModification(statement, 'update', parent, ctes, analysis);
  if (open === null) return null;
  const place = joinedPlace(open, statement.fromClause, analysis);
  const cursor = analyseWhere(statement.whereClause, place, open.level, analysis);
  const values = assignedKeys(statement.targetList, open.occurrence);
  const newKey = values === null ? null : { values, place };
  if (newKey !== null && parent !== null) refuseNewKey(open.occurrence);
  analyseAssignments(statement.targetList, open.occurrence, place, analysis);
  return { ...closeModification(open, statement, place, cursor, analysis), newKey };
}

export function analyseDelete(
  statement: DeleteStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Modification | null {
  const open = openModification(statement, 'delete', parent, ctes, analysis);
  if (open === null) return null;
  const place = joinedPlace(open, statement.usingClause, analysis);
  const cursor = analyseWhere(statement.whereClause, place, open.level, analysis);
  return closeModification(open, statement, place, cursor, analysis);
}

/** A MERGE after its analysis; `place` sees its source and its target. */
export interface Merging extends Modification {
  readonly place: Place;
}

/** MERGE: the source and the target are joined by ON; what it inserts is checked by the caller. */
export function analyseMerge(
  statement: MergeStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Merging | null {
  const open = openModification(statement, 'merge', parent, ctes, analysis);
  if (open === null) return null;
  const { sourceRelation } = statement;
  const place = joinedPlace(open, sourceRelation === undefined ? [] : [sourceRelation], analysis);
  visitExpression(statement.joinCondition, place, analysis);
  for (const node of statement.mergeWhenClauses ?? []) {
    if (!('MergeWhenClause' in node)) continue;
    const clause = node.MergeWhenClause;
    visitExpression(clause.condition, place, analysis);
    if (clause.commandType === 'CMD_UPDATE') {
      if (assignedKeys(clause.targetList, open.occurrence) !== null) refuseNewKey(open.occurrence);
      analyseAssignments(clause.targetList, open.occurrence, place, analysis);
    }
    for (const value of clause.values ?? []) visitExpression(value, place, analysis);
  }
  return { ...closeModification(open, statement, place, null, analysis), place };
}

export function hasReturning(statement: { returningClause?: ReturningClause }): boolean {
  return (statement.returningClause?.exprs?.length ?? 0) > 0;
}

function analyseWhere(
  where: Node | undefined,
  place: Place,
  level: Level,
  analysis: Analysis,
): string | null {
  if (where !== undefined && 'CurrentOfExpr' in where) {
    const name = where.CurrentOfExpr.cursor_name;
    if (name === undefined)
      refuse('WHERE CURRENT OF a parameter is not supported', 'Name the cursor.');
    return name;
  }
  visitExpression(where, place, analysis);
  learnCondition(where, (entry) => entry.level === level, place, analysis);
  if (where !== undefined) {
    const restricts = (entry: Entry): boolean => entry.level === level && !entry.nullable;
    analysis.conditions.push({ node: where, place, restricts });
  }
  return null;
}

/** What SET gives to the columns of the target's shard key, as in `NewKey`; null: nothing to any. */
export function assignedKeys(
  targets: readonly Node[] | undefined,
  target: Occurrence,
): readonly (Node | null)[] | null {
  const { table } = target;
  if (table?.type !== 'sharded') return null;
  const values = table.keyColumns.map((): Node | null => null);
  for (const node of targets ?? []) {
    if (!('ResTarget' in node)) continue;
    const { name, val, indirection } = node.ResTarget;
    const place = table.keyColumns.indexOf(columnOf(target, name)?.name ?? '');
    if (place < 0) continue;
    // A part of the key that is set makes a value that nobody sees.
    values[place] = indirection === undefined && val !== undefined ? assignedValue(val) : node;
  }
  return values.some((value) => value !== null) ? values : null;
}

export function refuseNewKey({ table }: Occurrence): never {
  refuse(
    `changing the shard key "${keyName(table as ShardedTable)}" in this statement is not supported`,
    'The row may belong to another shard afterwards: use an UPDATE of its own.',
  );
}

export function analyseAssignments(
  targets: readonly Node[] | undefined,
  occurrence: Occurrence,
  place: Place,
  analysis: Analysis,
): void {
  for (const node of targets ?? []) {
    if (!('ResTarget' in node)) continue;
    const { name, val, indirection } = node.ResTarget;
    for (const step of indirection ?? []) {
      if (!('String' in step)) visitExpression(step, place, analysis);
    }
    const column = columnOf(occurrence, name);
    const value = val === undefined ? undefined : assignedValue(val);
    if (value !== undefined && 'SetToDefault' in value && column !== null) {
      analysis.defaulted.push({ occurrence, column });
    }
    // One sub-select for several columns stands in the tree once for each of them.
    if (value !== undefined && 'MultiAssignRef' in value && value.MultiAssignRef.colno !== 1)
      continue;
    visitExpression(value, place, analysis, columnHint(column));
  }
}

/** The item of a row that is meant for one column: `(a, b) = (1, $2)`. */
export function assignedValue(value: Node): Node {
  if (!('MultiAssignRef' in value)) return value;
  const { source, colno, ncolumns } = value.MultiAssignRef;
  const items = source !== undefined && 'RowExpr' in source ? (source.RowExpr.args ?? []) : [];
  if (items.length !== ncolumns || items.some(isStar)) return value;
  return items[(colno ?? 1) - 1]!;
}

/**
 * RETURNING sees the row as `old` and `new` too, under the aliases that WITH gives them (PostgreSQL
 * 18, 6.4).
 */
export function analyseReturning(
  clause: ReturningClause | undefined,
  item: ScopeItem,
  place: Place,
  level: Level,
  analysis: Analysis,
): void {
  if (clause === undefined) return;
  const names = new Map([
    ['RETURNING_OPTION_OLD', 'old'],
    ['RETURNING_OPTION_NEW', 'new'],
  ]);
  for (const node of clause.options ?? []) {
    if (!('ReturningOption' in node)) continue;
    const { option, value } = node.ReturningOption;
    if (option !== undefined && value !== undefined) names.set(option, value);
  }
  const versions = [...names.values()].map((name): ScopeItem => {
    return { ...item, name, schema: null, columnsVisible: false };
  });
  const scope: Scope = { ...place.scope, items: [...place.scope.items, ...versions] };
  level.outputs = analyseTargets(clause.exprs, { scope, ctes: place.ctes }, level, analysis);
}

/** The type that an assignment to the column gives to a parameter. */
export function columnHint(column: CatalogColumn | null): ParamHint {
  return column === null ? { kind: 'undetermined' } : { kind: 'scalar', type: column.type };
}
