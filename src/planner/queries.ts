import type { CommonTableExpr, LockingClause, Node, SelectStmt, WithClause } from '@pgsql/types';
import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis, Cte, CteScope, Place } from './analysis.js';
import { constOf, contains, kindOf, rangeVarText, stringsOf } from './ast.js';
import { distinctVariables, groupVariables, windowPartitions } from './clause-items.js';
import { visitExpression } from './expressions.js';
import { learnCondition, passesFilters } from './facts.js';
import { analyseFrom } from './from-clause.js';
import { addEdge, Entry, Level, Variable, type OutputColumn } from './model.js';
import { refuse } from './refusals.js';
import type { Scope, ScopeItem } from './scopes.js';
import { analyseTargets } from './targets.js';

const ROW_COUNT = { kind: 'scalar', type: TypeOid.int8 } as const;

/** Analyses one SELECT, VALUES or set operation with everything inside it. */
export function analyseQuery(
  select: SelectStmt,
  parent: Level | null,
  outer: Scope | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Level {
  const level = newLevel(parent, analysis);
  analysis.queries.set(select, level);
  if (select.intoClause !== undefined) {
    refuse('SELECT INTO is not supported', 'Create the table first, then use INSERT ... SELECT.');
  }
  const visible = analyseWith(select.withClause, level, outer, ctes, analysis);
  let scope: Scope;
  if (select.op !== undefined && select.op !== 'SETOP_NONE') {
    scope = setOperation(select, level, outer, visible, analysis);
  } else if (select.valuesLists !== undefined) {
    scope = valuesLists(select, level, outer, visible, analysis);
  } else scope = plainSelect(select, level, outer, visible, analysis);
  const place: Place = { scope, ctes: visible };
  for (const item of select.sortClause ?? []) visitExpression(item, place, analysis);
  level.partitions = windowPartitions(select, place, level, analysis);
  level.ordered = (select.sortClause?.length ?? 0) > 0;
  visitExpression(select.limitCount, place, analysis, ROW_COUNT);
  visitExpression(select.limitOffset, place, analysis, ROW_COUNT);
  level.limited = isLimit(select.limitCount) || isLimit(select.limitOffset);
  for (const clause of select.lockingClause ?? []) {
    if ('LockingClause' in clause) lockRows(clause.LockingClause, level, analysis);
  }
  return level;
}

export function newLevel(parent: Level | null, analysis: Analysis): Level {
  const level = new Level(parent);
  analysis.levels.push(level);
  return level;
}

/** LIMIT ALL and LIMIT NULL are none. */
function isLimit(node: Node | undefined): boolean {
  return node !== undefined && constOf(node)?.isnull !== true;
}

function lockRows(clause: LockingClause, level: Level, analysis: Analysis): void {
  analysis.writes = true;
  const names = (clause.lockedRels ?? []).map((node) =>
    'RangeVar' in node ? rangeVarText(node.RangeVar) : '',
  );
  const derived = names.some((name) =>
    level.entries.some((entry) => entry.alias === name && entry.kind !== 'table'),
  );
  const all = names.length === 0 || derived || (level.locking && level.lockedNames === null);
  level.lockedNames = all ? null : [...(level.lockedNames ?? []), ...names];
  level.locking = true;
}

/**
 * Analyses the queries of a WITH clause in order; each sees those before it, recursive ones
 * themselves too.
 */
export function analyseWith(
  clause: WithClause | undefined,
  level: Level,
  outer: Scope | null,
  ctes: CteScope | null,
  analysis: Analysis,
): CteScope | null {
  if (clause === undefined) return ctes;
  const known = new Map<string, Cte>();
  const visible: CteScope = { ctes: known, parent: ctes };
  const written = (clause.ctes ?? []).flatMap((node) =>
    'CommonTableExpr' in node ? [node.CommonTableExpr] : [],
  );
  for (const cte of clause.recursive === true ? inOrderOfUse(written) : written) {
    const name = cte.ctename ?? '';
    const columns = stringsOf(cte.aliascolnames);
    const query = cte.ctequery;
    if (query === undefined) continue;
    if ('SelectStmt' in query) {
      // The level is known only once its query is analysed; a recursive reference counts on a
      // stand-in.
      const standIn: Cte = { level: new Level(level), columns, open: true };
      standIn.level.references = 0;
      if (clause.recursive === true) known.set(name, standIn);
      const body = analysis.walker.query(query.SelectStmt, level, outer, visible, analysis);
      body.recursive = standIn.level.references > 0;
      body.references = 0;
      addTrackingColumns(cte, body, visible, analysis);
      known.set(name, { level: body, columns, open: false });
    } else {
      analysis.nestedWrites++;
      const body = analysis.walker.modification(query, level, visible, analysis);
      if (level.parent === null) analysis.changes.set(cte, body);
      body.references = 0;
      known.set(name, { level: body, columns, open: false });
    }
  }
  return visible;
}

/** SEARCH and CYCLE add columns behind those of the query (PostgreSQL 18, 7.8.2). */
function addTrackingColumns(
  cte: CommonTableExpr,
  body: Level,
  ctes: CteScope | null,
  analysis: Analysis,
): void {
  const { search_clause: search, cycle_clause: cycle } = cte;
  const place: Place = { scope: { level: body, items: [], parent: null }, ctes };
  visitExpression(cycle?.cycle_mark_value, place, analysis);
  visitExpression(cycle?.cycle_mark_default, place, analysis);
  const names = [search?.search_seq_column, cycle?.cycle_mark_column, cycle?.cycle_path_column];
  for (const name of names) if (name !== undefined) body.outputs.push({ name, variable: null });
}

/** WITH RECURSIVE lets a query use a later one: those that are used come first. */
function inOrderOfUse(ctes: readonly CommonTableExpr[]): CommonTableExpr[] {
  const out: CommonTableExpr[] = [];
  const waiting = [...ctes];
  while (waiting.length > 0) {
    const next = waiting.findIndex((cte) => {
      return waiting.every((other) => other === cte || !mayUse(cte, other));
    });
    if (next === -1) {
      const [one, other] = waiting.map(({ ctename }) => ctename ?? '');
      refuse(
        `WITH queries "${one!}" and "${other!}" may use one another`,
        'Let no WITH query have the name of a table or WITH query that another one uses.',
      );
    }
    out.push(...waiting.splice(next, 1));
  }
  return out;
}

/** Whether something in it has the other's name, be it a table of a query of its own. */
function mayUse(cte: CommonTableExpr, { ctename }: CommonTableExpr): boolean {
  return contains(cte, 'RangeVar', (node) => {
    if (!('RangeVar' in node)) return false;
    const { schemaname, relname } = node.RangeVar;
    return schemaname === undefined && relname === ctename;
  });
}

function setOperation(
  select: SelectStmt,
  level: Level,
  outer: Scope | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Scope {
  const arms = [select.larg, select.rarg].map((arm) => {
    if (arm === undefined) refuse('this set operation is not supported', 'Name both of its sides.');
    return analysis.walker.query(arm, level, outer, ctes, analysis);
  });
  level.arms = arms;
  const union = select.all === true ? 'UNION ALL' : 'UNION';
  level.operation = select.op === 'SETOP_UNION' ? union : 'OTHER';
  const [left, right] = arms as [Level, Level];
  level.openOutputs = left.openOutputs || right.openOutputs;
  const entry = new Entry(level, 'derived', '');
  level.outputs = left.outputs.map((output, index) => ({
    name: output.name,
    variable: level.openOutputs
      ? null
      : mergedOutput(entry, output, left, right.outputs[index], right),
  }));
  const columns = level.outputs.map(({ name }) => ({ name: name ?? '?column?', variable: null }));
  return { level, items: [resultItem(columns, level.openOutputs)], parent: outer };
}

/** The output of a set operation: a filter on it is a filter on the column of each arm. */
function mergedOutput(
  entry: Entry,
  left: OutputColumn,
  leftArm: Level,
  right: OutputColumn | undefined,
  rightArm: Level,
): Variable | null {
  const a = left.variable;
  const b = right?.variable ?? null;
  if (a === null || b === null || a.type !== b.type) return null;
  const merged = new Variable(entry, left.name ?? '', a.type, a.deterministic && b.deterministic);
  if (passesFilters(leftArm, a)) addEdge(a, merged);
  if (passesFilters(rightArm, b)) addEdge(b, merged);
  return merged;
}

function valuesLists(
  select: SelectStmt,
  level: Level,
  outer: Scope | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Scope {
  level.values = true;
  const scope: Scope = { level, items: [], parent: outer };
  let width = 0;
  for (const row of select.valuesLists ?? []) {
    const cells = 'List' in row ? (row.List.items ?? []) : [];
    width = cells.length;
    for (const cell of cells) visitExpression(cell, { scope, ctes }, analysis);
  }
  const columns = Array.from({ length: width }, (_, index) => ({
    name: `column${index + 1}`,
    variable: null,
  }));
  level.outputs = columns;
  return { level, items: [resultItem(columns, false)], parent: outer };
}

function resultItem(columns: ScopeItem['columns'], open: boolean): ScopeItem {
  return { name: null, schema: null, columns, open, columnsVisible: true, relation: null };
}

function plainSelect(
  select: SelectStmt,
  level: Level,
  outer: Scope | null,
  ctes: CteScope | null,
  analysis: Analysis,
): Scope {
  const from = analyseFrom(select.fromClause, level, outer, ctes, analysis);
  const scope: Scope = { level, items: from.items, parent: outer };
  const place: Place = { scope, ctes };
  visitExpression(select.whereClause, place, analysis);
  learnCondition(select.whereClause, (entry) => entry.level === level, place, analysis);
  if (select.whereClause !== undefined) {
    const restricts = (entry: Entry): boolean => entry.level === level && !entry.nullable;
    analysis.conditions.push({ node: select.whereClause, place, restricts });
  }
  level.outputs = analyseTargets(select.targetList, place, level, analysis);
  for (const item of select.groupClause ?? []) visitExpression(item, place, analysis);
  level.grouped = (select.groupClause?.length ?? 0) > 0;
  level.groupVariables = groupVariables(select, place, level, analysis);
  visitExpression(select.havingClause, place, analysis);
  level.having = select.havingClause !== undefined;
  for (const item of select.windowClause ?? []) visitExpression(item, place, analysis);
  const distinct = select.distinctClause ?? [];
  level.distinct = distinct.length > 0;
  level.distinctOn = distinct.some((node) => kindOf(node) !== '');
  for (const item of distinct) visitExpression(item, place, analysis);
  if (level.distinct) level.distinctVariables = distinctVariables(select, place, level, analysis);
  analysis.places.set(level, place);
  return scope;
}
