import type {
  DeleteStmt,
  InsertStmt,
  MergeStmt,
  Node,
  RangeVar,
  ReturningClause,
  SelectStmt,
  UpdateStmt,
} from '@pgsql/types';
import type { CatalogColumn } from '../keyspace/catalog.js';
import type { Analysis, CteScope, Place } from './analysis.js';
import { isStarTarget, selectOf } from './ast.js';
import { visitExpression } from './expressions.js';
import { learnCondition, valueOf } from './facts.js';
import { analyseFrom, baseTable } from './from-clause.js';
import { addEdge, type KeyValue, type Level, type Occurrence } from './model.js';
import type { ParamHint } from './params.js';
import { analyseTargets, analyseWith, newLevel } from './queries.js';
import { refuse } from './refusals.js';
import type { Scope, ScopeItem } from './scopes.js';

/** A data-modifying statement after its analysis. */
export interface Modification {
  readonly level: Level;
  readonly target: Occurrence;
  readonly returning: boolean;
  /** WHERE CURRENT OF: the cursor's name. */
  readonly cursor: string | null;
}

export interface Insertion extends Modification {
  /** Columns that values are given for, in order. */
  readonly columns: readonly string[];
  /** Rows of VALUES; null: INSERT ... SELECT or DEFAULT VALUES. */
  readonly rows: readonly (readonly Node[])[] | null;
  readonly select: SelectStmt | null;
}

/** The target table; null where it does not exist, so that PostgreSQL itself must say so. */
function target(
  range: RangeVar | undefined,
  level: Level,
  analysis: Analysis,
): { occurrence: Occurrence; item: ScopeItem } | null {
  if (range === undefined) refuse('this statement names no table', 'Name the table to change.');
  if (analysis.names.relation(range).kind === 'unknown') {
    analysis.unknownRelations.push(range);
    return null;
  }
  const { items, entries } = baseTable(range, level, analysis, true);
  const occurrence = analysis.tables.get(entries[0]!)!;
  return { occurrence, item: items[0]! };
}

export function analyseUpdate(
  statement: UpdateStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Modification | null {
  const level = newLevel(parent, analysis);
  level.modifies = true;
  const visible = analyseWith(statement.withClause, level, null, ctes, analysis);
  const found = target(statement.relation, level, analysis);
  if (found === null) return null;
  const { occurrence, item } = found;
  const from = analyseFrom(statement.fromClause, level, null, visible, analysis);
  const scope: Scope = { level, items: [item, ...from.items], parent: null };
  const place: Place = { scope, ctes: visible };
  const cursor = analyseWhere(statement.whereClause, place, level, analysis);
  analyseAssignments(statement.targetList, occurrence, place, analysis);
  analyseReturning(statement.returningClause, item, place, level, analysis);
  return { level, target: occurrence, returning: hasReturning(statement), cursor };
}

export function analyseDelete(
  statement: DeleteStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Modification | null {
  const level = newLevel(parent, analysis);
  level.modifies = true;
  const visible = analyseWith(statement.withClause, level, null, ctes, analysis);
  const found = target(statement.relation, level, analysis);
  if (found === null) return null;
  const { occurrence, item } = found;
  const using = analyseFrom(statement.usingClause, level, null, visible, analysis);
  const scope: Scope = { level, items: [item, ...using.items], parent: null };
  const place: Place = { scope, ctes: visible };
  const cursor = analyseWhere(statement.whereClause, place, level, analysis);
  analyseReturning(statement.returningClause, item, place, level, analysis);
  return { level, target: occurrence, returning: hasReturning(statement), cursor };
}

export function analyseInsert(
  statement: InsertStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Insertion | null {
  const level = newLevel(parent, analysis);
  level.modifies = true;
  const visible = analyseWith(statement.withClause, level, null, ctes, analysis);
  const found = target(statement.relation, level, analysis);
  if (found === null) return null;
  const { occurrence, item } = found;
  const columns = insertedColumns(statement, occurrence);
  noteOmitted(statement, columns, occurrence, analysis);
  const select = selectOf(statement.selectStmt);
  const rows = select === null ? null : valuesRows(select);
  // An identity column's given value is thrown away then.
  const keepsKey = statement.override !== 'OVERRIDING_USER_VALUE';
  const outer: Scope = { level, items: [], parent: null };
  if (rows !== null) {
    for (const row of rows) {
      row.forEach((cell, index) => {
        const column = columnOf(occurrence, columns[index]);
        if (column !== null && 'SetToDefault' in cell) {
          analysis.defaulted.push({ occurrence, column });
        }
        const hint = columnHint(column);
        visitExpression(cell, { scope: outer, ctes: visible }, analysis, hint);
      });
    }
    if (keepsKey) bindInsertedKey(rows, columns, occurrence, analysis);
  } else if (select !== null) {
    const query = analysis.walker.query(select, level, null, visible, analysis);
    if (keepsKey) bindSelectedKey(query, select, columns, occurrence, analysis);
  }
  const place: Place = { scope: { level, items: [item], parent: null }, ctes: visible };
  analyseConflict(statement, occurrence, item, place, analysis);
  analyseReturning(statement.returningClause, item, place, level, analysis);
  return {
    level,
    target: occurrence,
    returning: hasReturning(statement),
    cursor: null,
    columns,
    rows,
    select: rows === null ? select : null,
  };
}

/** MERGE: the source and the target are joined by ON; what it inserts is checked by the caller. */
export function analyseMerge(
  statement: MergeStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Modification | null {
  const level = newLevel(parent, analysis);
  level.modifies = true;
  const visible = analyseWith(statement.withClause, level, null, ctes, analysis);
  const found = target(statement.relation, level, analysis);
  if (found === null) return null;
  const { occurrence, item } = found;
  const sources = statement.sourceRelation === undefined ? [] : [statement.sourceRelation];
  const source = analyseFrom(sources, level, null, visible, analysis);
  const scope: Scope = { level, items: [item, ...source.items], parent: null };
  const place: Place = { scope, ctes: visible };
  visitExpression(statement.joinCondition, place, analysis);
  for (const node of statement.mergeWhenClauses ?? []) {
    if (!('MergeWhenClause' in node)) continue;
    const clause = node.MergeWhenClause;
    visitExpression(clause.condition, place, analysis);
    if (clause.commandType === 'CMD_UPDATE') {
      analyseAssignments(clause.targetList, occurrence, place, analysis);
    }
    for (const value of clause.values ?? []) visitExpression(value, place, analysis);
  }
  analyseReturning(statement.returningClause, item, place, level, analysis);
  return { level, target: occurrence, returning: hasReturning(statement), cursor: null };
}

function hasReturning(statement: { returningClause?: ReturningClause }): boolean {
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
  return null;
}

function analyseAssignments(
  targets: readonly Node[] | undefined,
  occurrence: Occurrence,
  place: Place,
  analysis: Analysis,
): void {
  const { table } = occurrence;
  for (const node of targets ?? []) {
    if (!('ResTarget' in node)) continue;
    const { name, val, indirection } = node.ResTarget;
    if (table?.type === 'sharded' && name === table.shardKey) {
      refuse(
        `changing the shard key "${table.name}.${table.shardKey}" is not supported`,
        'The row may belong to another shard afterwards: delete it and insert it anew.',
      );
    }
    for (const step of indirection ?? []) {
      if (!('String' in step)) visitExpression(step, place, analysis);
    }
    const column = columnOf(occurrence, name);
    if (val !== undefined && 'SetToDefault' in val && column !== null) {
      analysis.defaulted.push({ occurrence, column });
    }
    visitExpression(val, place, analysis, columnHint(column));
  }
}

function analyseConflict(
  statement: InsertStmt,
  occurrence: Occurrence,
  item: ScopeItem,
  place: Place,
  analysis: Analysis,
): void {
  const clause = statement.onConflictClause;
  if (clause === undefined) return;
  for (const node of clause.infer?.indexElems ?? []) {
    if ('IndexElem' in node) visitExpression(node.IndexElem.expr, place, analysis);
  }
  visitExpression(clause.infer?.whereClause, place, analysis);
  const excluded: ScopeItem = { ...item, name: 'excluded', schema: null, columnsVisible: false };
  const scope: Scope = { ...place.scope, items: [item, excluded] };
  const inner: Place = { scope, ctes: place.ctes };
  analyseAssignments(clause.targetList, occurrence, inner, analysis);
  visitExpression(clause.whereClause, inner, analysis);
}

/** RETURNING sees the row as `old` and `new` too, under the aliases that WITH gives them (PostgreSQL 18, 6.4). */
function analyseReturning(
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

function insertedColumns(statement: InsertStmt, occurrence: Occurrence): string[] {
  const { table, relation } = occurrence;
  if (statement.cols === undefined) return relation.columns.map((column) => column.name);
  return statement.cols.map((node) => {
    if (!('ResTarget' in node)) return '';
    const name = node.ResTarget.name ?? '';
    const steps = node.ResTarget.indirection?.length ?? 0;
    if (steps > 0 && table?.type === 'sharded' && table.shardKey === name) {
      refuse(
        `inserting into a part of the shard key "${table.name}.${name}" is not supported`,
        'Insert the whole value.',
      );
    }
    return name;
  });
}

/** Columns without a value take their default. */
function noteOmitted(
  statement: InsertStmt,
  columns: readonly string[],
  occurrence: Occurrence,
  analysis: Analysis,
): void {
  const select = selectOf(statement.selectStmt);
  const first = select?.valuesLists?.[0];
  // Without a column list, values fill the first columns; a query is taken to fill them all.
  const width =
    select === null
      ? 0
      : first !== undefined && 'List' in first
        ? (first.List.items?.length ?? 0)
        : columns.length;
  const filled = new Set(columns.slice(0, width));
  for (const column of occurrence.relation.columns) {
    if (!filled.has(column.name)) analysis.defaulted.push({ occurrence, column });
  }
}

function valuesRows(select: SelectStmt): Node[][] | null {
  const plain =
    select.valuesLists !== undefined &&
    select.sortClause === undefined &&
    select.limitCount === undefined &&
    select.limitOffset === undefined &&
    select.withClause === undefined;
  if (!plain) return null;
  return select.valuesLists!.map((row) => ('List' in row ? (row.List.items ?? []) : []));
}

function columnOf(occurrence: Occurrence, name: string | undefined): CatalogColumn | null {
  return occurrence.relation.columns.find((column) => column.name === name) ?? null;
}

function columnHint(column: CatalogColumn | null): ParamHint {
  return column === null ? { kind: 'undetermined' } : { kind: 'scalar', type: column.type };
}

/** INSERT ... VALUES: the key can only be one of the rows' values, where each is a constant or parameter. */
function bindInsertedKey(
  rows: readonly (readonly Node[])[],
  columns: readonly string[],
  occurrence: Occurrence,
  analysis: Analysis,
): void {
  const key = analysis.keyOf(occurrence);
  if (key === null || (columnOf(occurrence, key.name)?.typmod ?? -1) !== -1) return;
  const place = columns.indexOf(key.name);
  const values: KeyValue[] = [];
  for (const row of rows) {
    const cell = row[place];
    const value = cell === undefined ? null : valueOf(cell, analysis);
    if (value === null) return;
    values.push(value);
  }
  key.bindings.push({ values, site: key, stored: true });
}

/** INSERT ... SELECT: what the key column gets is a column of the query, a constant or a parameter. */
function bindSelectedKey(
  query: Level,
  select: SelectStmt,
  columns: readonly string[],
  occurrence: Occurrence,
  analysis: Analysis,
): void {
  const key = analysis.keyOf(occurrence);
  if (key === null || query.openOutputs) return;
  // A length or precision may change the value on its way in.
  if ((columnOf(occurrence, key.name)?.typmod ?? -1) !== -1) return;
  const place = columns.indexOf(key.name);
  const output = query.outputs[place];
  if (output === undefined) return;
  if (output.variable !== null) return addEdge(key, output.variable);
  const value = selectedValue(select, place, query.outputs.length, analysis);
  if (value !== null) key.bindings.push({ values: [value], site: key, stored: true });
}

function selectedValue(
  select: SelectStmt,
  place: number,
  width: number,
  analysis: Analysis,
): KeyValue | null {
  const targets = select.targetList ?? [];
  const node = targets[place];
  // Stars shift the places.
  if (targets.length !== width || targets.some(isStarTarget)) return null;
  if (node === undefined || !('ResTarget' in node)) return null;
  return node.ResTarget.val === undefined ? null : valueOf(node.ResTarget.val, analysis);
}
