import type { InsertStmt, Node, SelectStmt } from '@pgsql/types';
import type { Analysis, CteScope, Place } from './analysis.js';
import { isStarTarget, selectOf } from './ast.js';
import { conflictLookup } from './distribute/conflict-lookup.js';
import { bareColumn, visitExpression } from './expressions.js';
import { valueOf } from './key-values.js';
import { addEdge, type KeyValue, type Level, type Occurrence, type Variable } from './model.js';
import {
  analyseAssignments,
  analyseReturning,
  assignedKeys,
  columnHint,
  hasReturning,
  openModification,
  refuseNewKey,
  type Modification,
} from './modifications.js';
import { refuse } from './refusals.js';
import type { Scope, ScopeItem } from './scopes.js';
import { columnOf, ownColumns, targetNames } from './target-columns.js';

export interface Insertion extends Modification {
  /** The table's columns that values are given for, in order; '' for what is none of them. */
  readonly columns: readonly string[];
  /** Rows of VALUES; null: INSERT ... SELECT or DEFAULT VALUES. */
  readonly rows: readonly (readonly Node[])[] | null;
  readonly select: SelectStmt | null;
  /** The level of `select`. */
  readonly query: Level | null;
}

export function analyseInsert(
  statement: InsertStmt,
  parent: Level | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Insertion | null {
  const open = openModification(statement, 'insert', parent, ctes, analysis);
  if (open === null) return null;
  const { level, ctes: visible, occurrence, item } = open;
  const columns = insertedColumns(statement, occurrence);
  noteOmitted(statement, columns, occurrence, analysis);
  if (parent !== null) refuseConflictInside(statement, occurrence, analysis);
  const select = selectOf(statement.selectStmt);
  const rows = select === null ? null : valuesRows(select);
  // An identity column's given value is thrown away then.
  const keepsKey = statement.override !== 'OVERRIDING_USER_VALUE';
  let query: Level | null = null;
  const outer: Scope = { level, items: [], parent: null };
  const own = ownColumns(occurrence);
  if (rows !== null) {
    for (const row of rows) {
      row.forEach((cell, index) => {
        const column = own.find(({ name }) => name === columns[index]) ?? null;
        if (column !== null && 'SetToDefault' in cell) {
          analysis.defaulted.push({ occurrence, column });
        }
        const hint = columnHint(column);
        visitExpression(cell, { scope: outer, ctes: visible }, analysis, hint);
      });
    }
    if (keepsKey) bindInsertedKey(rows, columns, occurrence, analysis);
  } else if (select !== null) {
    query = analysis.walker.query(select, level, null, visible, analysis);
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
    newKey: null,
    columns,
    rows,
    select: rows === null ? select : null,
    query,
  };
}

/** In a WITH query, nothing finds the shards of rows that are met by another value than their key. */
function refuseConflictInside(
  statement: InsertStmt,
  { table }: Occurrence,
  { names }: Analysis,
): void {
  if (table?.type !== 'sharded') return;
  const lookup = conflictLookup(statement, table, names);
  if (lookup === null) return;
  refuse(
    `ON CONFLICT about "${table.name}.${lookup.column}", which is unique over all shards, in a WITH query is not supported`,
    'Run the INSERT as a statement of its own.',
  );
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
  const keys = analysis.keysOf(occurrence);
  assignedKeys(clause.targetList, occurrence)?.forEach((value, place) => {
    // The row that is met is on the shard that the inserted one, `excluded`, belongs to.
    const column = value === null ? keys?.[place] : bareColumn(value, inner, analysis);
    if (column === null || column !== keys?.[place]) refuseNewKey(occurrence);
  });
  analyseAssignments(clause.targetList, occurrence, inner, analysis);
  visitExpression(clause.whereClause, inner, analysis);
}

function insertedColumns(statement: InsertStmt, occurrence: Occurrence): string[] {
  const { table } = occurrence;
  if (statement.cols === undefined) {
    return targetNames(occurrence).map((name) => columnOf(occurrence, name)?.name ?? '');
  }
  return statement.cols.map((node) => {
    if (!('ResTarget' in node)) return '';
    const name = columnOf(occurrence, node.ResTarget.name)?.name ?? '';
    const steps = node.ResTarget.indirection?.length ?? 0;
    if (steps > 0 && table?.type === 'sharded' && table.keyColumns.includes(name)) {
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
  for (const column of ownColumns(occurrence)) {
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

/**
 * INSERT ... VALUES: a column of the key can only be one of the rows' values, where each is a
 * constant or parameter.
 */
function bindInsertedKey(
  rows: readonly (readonly Node[])[],
  columns: readonly string[],
  occurrence: Occurrence,
  analysis: Analysis,
): void {
  for (const key of analysis.keysOf(occurrence) ?? []) {
    if (typmodOf(key, occurrence) !== -1) continue;
    const place = columns.indexOf(key.name);
    const values: KeyValue[] = [];
    for (const row of rows) {
      const cell = row[place];
      const value = cell === undefined ? null : valueOf(cell, analysis);
      if (value !== null) values.push(value);
    }
    if (values.length === rows.length) key.bindings.push({ values, site: key, stored: true });
  }
}

/**
 * INSERT ... SELECT: what a column of the key gets is a column of the query, a constant or a parameter.
 */
function bindSelectedKey(
  query: Level,
  select: SelectStmt,
  columns: readonly string[],
  occurrence: Occurrence,
  analysis: Analysis,
): void {
  if (query.openOutputs) return;
  for (const key of analysis.keysOf(occurrence) ?? []) {
    // A length or precision may change the value on its way in.
    if (typmodOf(key, occurrence) !== -1) continue;
    const place = columns.indexOf(key.name);
    const output = query.outputs[place];
    if (output === undefined) continue;
    if (output.variable !== null) {
      addEdge(key, output.variable);
      continue;
    }
    const value = selectedValue(select, place, query.outputs.length, analysis);
    if (value !== null) key.bindings.push({ values: [value], site: key, stored: true });
  }
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

function typmodOf({ name }: Variable, { relation }: Occurrence): number {
  return relation.columns.find((column) => column.name === name)?.typmod ?? -1;
}
