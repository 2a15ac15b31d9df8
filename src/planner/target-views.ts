import type { FuncCall, RangeVar, SelectStmt } from '@pgsql/types';
import type { Catalog, CatalogRelation } from '../keyspace/catalog.js';
import type { Analysis, Place } from './analysis.js';
import { columnRefOf, contains, qualifiedName, stringOf } from './ast.js';
import { visitExpression } from './expressions.js';
import { learnCondition } from './facts.js';
import { baseTable, type FromItem } from './from-clause.js';
import type { Level, TargetColumn } from './model.js';
import { Refused, refuse } from './refusals.js';
import type { ScopeItem } from './scopes.js';
import { analyseTargets } from './targets.js';
import { TextConstants } from './values.js';
import { viewSelect } from './views.js';

/** What a statement does to its target. */
export type TargetChange = 'insert' | 'update' | 'delete' | 'merge';

/** A view on the way from the one that the statement names down to a table. */
interface Step {
  readonly relation: CatalogRelation;
  readonly select: SelectStmt;
  readonly from: RangeVar;
}

/**
 * A view as the target of a data-modifying statement. It stands for the one table below it, as
 * PostgreSQL rewrites such statements (PostgreSQL 18, CREATE VIEW, Updatable Views): the text stays as
 * it is, and the server does the rest. Throws Refused, with PostgreSQL's own error for a view that no
 * statement can change.
 */
export function targetView(
  range: RangeVar,
  view: CatalogRelation,
  change: TargetChange,
  level: Level,
  analysis: Analysis,
): FromItem {
  const steps = stepsBelow(view, change, analysis);
  const alias = { aliasname: range.alias?.aliasname ?? view.name };
  const below: RangeVar = { ...steps[0]!.from, alias };
  const { items, entries } = baseTable(below, level, analysis, true, {
    relation: view,
    columns: columnsThrough(steps, analysis),
    looksAround: steps.some(({ select }) => contains(select, 'SubLink')),
  });
  const { constants } = analysis;
  // Nothing in the definitions is a literal of the statement's text.
  analysis.constants = new TextConstants(null);
  let item = items[0]!;
  steps.forEach(({ relation, select, from }, index) => {
    const inner = { ...item, name: from.alias?.aliasname ?? from.relname ?? '', schema: null };
    const place: Place = { scope: { level, items: [inner], parent: null }, ctes: null };
    item = viewItem(relation, select, place, level, analysis);
    // What is inserted need not be shown by the view, unless this or one around it checks.
    const checked = steps.slice(index).some((step) => step.relation.viewChecks === true);
    if (change !== 'insert' || checked) visitExpression(select.whereClause, place, analysis);
    if (change !== 'update' && change !== 'delete') return;
    learnCondition(select.whereClause, (entry) => entry === entries[0], place, analysis);
  });
  analysis.constants = constants;
  const schema = range.alias === undefined ? view.schema : null;
  return { items: [{ ...item, name: alias.aliasname, schema }], entries };
}

/** The view's columns, of which those that are columns of the table below can be followed. */
function viewItem(
  relation: CatalogRelation,
  { targetList }: SelectStmt,
  place: Place,
  level: Level,
  analysis: Analysis,
): ScopeItem {
  const outputs = analyseTargets(targetList, place, level, analysis);
  const columns = relation.columns.map(({ name }, index) => {
    return { name, variable: outputs[index]?.variable ?? null };
  });
  return {
    name: relation.name,
    schema: null,
    columns,
    open: false,
    columnsVisible: true,
    relation,
  };
}

/** The views between the statement and the table, the one over the table first. */
function stepsBelow(view: CatalogRelation, change: TargetChange, analysis: Analysis): Step[] {
  const steps: Step[] = [];
  let relation: CatalogRelation | null = view;
  // Views cannot refer to themselves, so this ends.
  while (relation !== null) {
    if (relation.hasTriggersOrRules) {
      refuse(
        `writing to view "${relation.name}", which has triggers or rules, is not supported`,
        'Write to its table instead.',
      );
    }
    const select = viewSelect(relation, analysis.parser);
    const from = updatableFrom(relation, select, change, analysis.names.catalog);
    steps.unshift({ relation, select, from });
    relation = analysis.names.view(from);
  }
  return steps;
}

/** Each column of the statement's view, and the table's column that it is. */
function columnsThrough(steps: readonly Step[], { names }: Analysis): TargetColumn[] {
  const base = names.find(steps[0]!.from.schemaname ?? null, steps[0]!.from.relname ?? '');
  let below: TargetColumn[] = (base?.columns ?? []).map((column) => ({
    name: column.name,
    column,
  }));
  for (const { relation, select } of steps) {
    below = relation.columns.map((own, index): TargetColumn => {
      const target = select.targetList?.[index];
      const value =
        target !== undefined && 'ResTarget' in target ? target.ResTarget.val : undefined;
      const name = stringOf(columnRefOf(value)?.fields?.at(-1));
      const inner = below.find((column) => column.name === name)?.column ?? null;
      if (inner === null || !own.hasDefault) return { name: own.name, column: inner };
      const { sequence: _, ...rest } = inner;
      const { defaultKind = 'function' } = own;
      return {
        name: own.name,
        column: { ...rest, identity: '', hasDefault: true, defaultKind },
      };
    });
  }
  return below;
}

/** What a view that can be updated selects from (rewriteHandler.c, view_query_is_auto_updatable). */
function updatableFrom(
  relation: CatalogRelation,
  select: SelectStmt,
  change: TargetChange,
  catalog: Catalog,
): RangeVar {
  const obstacle = obstacleOf(select, catalog);
  const [from, ...others] = select.fromClause ?? [];
  if (obstacle === null && from !== undefined && 'RangeVar' in from && others.length === 0) {
    return from.RangeVar;
  }
  const verb = { insert: 'insert into', update: 'update', delete: 'delete from', merge: 'update' };
  const what = { insert: 'inserting into', update: 'updating', delete: 'deleting from', merge: '' };
  const event = change === 'merge' ? 'UPDATE' : change.toUpperCase();
  throw new Refused({
    state: 'object_not_in_prerequisite_state',
    message: `cannot ${verb[change]} view "${relation.name}"`,
    detail: `Views ${obstacle ?? 'that do not select from a single table or view'} are not automatically updatable.`,
    hint:
      change === 'merge'
        ? 'Write to the tables of the view.'
        : `To enable ${what[change]} the view, provide an INSTEAD OF ${event} trigger or an unconditional ON ${event} DO INSTEAD rule.`,
  });
}

/** What a view does that no change can be followed through, in PostgreSQL's words; null: nothing. */
function obstacleOf(select: SelectStmt, catalog: Catalog): string | null {
  const { targetList } = select;
  if (select.distinctClause !== undefined) return 'containing DISTINCT';
  if (select.groupClause !== undefined) return 'containing GROUP BY';
  if (select.havingClause !== undefined) return 'containing HAVING';
  if (select.larg !== undefined) return 'containing UNION, INTERSECT, or EXCEPT';
  if (select.withClause !== undefined) return 'containing WITH';
  if (select.limitCount !== undefined || select.limitOffset !== undefined) {
    return 'containing LIMIT or OFFSET';
  }
  const calls = (test: (call: FuncCall, name: string) => boolean): boolean =>
    contains(
      targetList,
      'FuncCall',
      (node) =>
        'FuncCall' in node && test(node.FuncCall, qualifiedName(node.FuncCall.funcname).name),
    );
  if (calls((call, name) => call.over === undefined && catalog.aggregates.has(name))) {
    return 'that return aggregate functions';
  }
  if (calls((call) => call.over !== undefined)) return 'that return window functions';
  if (calls((_, name) => catalog.setReturning.has(name))) {
    return 'that return set-returning functions';
  }
  return null;
}
