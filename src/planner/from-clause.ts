import type {
  Alias,
  JoinExpr,
  Node,
  RangeFunction,
  RangeSubselect,
  RangeTableSample,
  RangeVar,
} from '@pgsql/types';
import type { CatalogRelation } from '../keyspace/catalog.js';
import type { Analysis, Cte, CteScope, Place } from './analysis.js';
import { bodyOf, forEachChild, kindOf, rangeVarText, selectOf, stringsOf } from './ast.js';
import { visitExpression } from './expressions.js';
import { equalColumns, learnColumns, learnCondition, passesFilters, type Domain } from './facts.js';
import { functionColumns } from './function-columns.js';
import { joinItems, renamed } from './join-columns.js';
import { addEdge, Entry, hashAlike, Variable, type Level, type TargetView } from './model.js';
import { refuse } from './refusals.js';
import { tableVariable, type Scope, type ScopeColumn, type ScopeItem } from './scopes.js';
import { TextConstants } from './values.js';
import { viewQuery } from './views.js';

/** What a FROM item adds to its query: names, and the entries whose rows it combines. */
export interface FromItem {
  readonly items: readonly ScopeItem[];
  readonly entries: readonly Entry[];
}

/**
 * The surroundings of a FROM item: its query, what lies around the query, and what LATERAL may see.
 */
interface FromContext {
  readonly level: Level;
  readonly outer: Scope | null;
  readonly ctes: CteScope | null;
  readonly lateral: readonly ScopeItem[];
  readonly analysis: Analysis;
}

/**
 * Analyses a FROM list (or USING of DELETE); `before` are items of the same level that LATERAL sees
 * too.
 */
export function analyseFrom(
  list: readonly Node[] | undefined,
  level: Level,
  outer: Scope | null,
  ctes: CteScope | null,
  analysis: Analysis,
  before: readonly ScopeItem[] = [],
): FromItem {
  const items: ScopeItem[] = [];
  const entries: Entry[] = [];
  for (const node of list ?? []) {
    const lateral = [...before, ...items];
    const item = fromItem(node, { level, outer, ctes, lateral, analysis });
    items.push(...item.items);
    entries.push(...item.entries);
  }
  return { items, entries };
}

function fromItem(node: Node, context: FromContext): FromItem {
  if ('RangeVar' in node) return rangeVar(node.RangeVar, context);
  if ('RangeSubselect' in node) return derivedTable(node.RangeSubselect, context);
  if ('JoinExpr' in node) return join(node.JoinExpr, context);
  if ('RangeFunction' in node) return functionItem(node.RangeFunction, context);
  if ('RangeTableFunc' in node || 'JsonTable' in node) return tableFunction(node, context);
  if ('RangeTableSample' in node) return sample(node.RangeTableSample, context);
  return refuse(`FROM item ${kindOf(node)} is not supported`, 'Use tables, sub-selects and joins.');
}

/** Samples of each shard's rows are a sample of all of them; two samples of one table differ. */
function sample(clause: RangeTableSample, context: FromContext): FromItem {
  const { relation, args, repeatable } = clause;
  const { analysis } = context;
  if (relation === undefined) refuse('this TABLESAMPLE is not supported', 'Name a table.');
  const place: Place = { scope: lateralScope(context), ctes: context.ctes };
  for (const node of [...(args ?? []), repeatable]) visitExpression(node, place, analysis);
  analysis.volatileFunction ??= 'TABLESAMPLE';
  const item = fromItem(relation, context);
  for (const entry of item.entries) analysis.sampled.set(entry, clause);
  return item;
}

function rangeVar(range: RangeVar, context: FromContext): FromItem {
  const { analysis } = context;
  const cte = range.schemaname === undefined ? findCte(range.relname ?? '', context.ctes) : null;
  if (cte !== null) return cteReference(range, cte, context);
  const view = analysis.names.view(range);
  if (view !== null) return viewReference(range, view, context);
  const found = analysis.names.relation(range);
  if (found.kind === 'unknown') {
    analysis.unknownRelations.push(range);
    return opaqueItem(range.alias, range.relname ?? '', context);
  }
  return baseTable(range, context.level, analysis, false);
}

/**
 * A base table as a FROM item or as the target of a data-modifying statement, which may name a view
 * in its place (`through`). The relation must be known.
 */
export function baseTable(
  range: RangeVar,
  level: Level,
  analysis: Analysis,
  written: boolean,
  through?: TargetView,
): FromItem {
  const found = analysis.names.relation(range);
  if (found.kind === 'unknown') refuse(`relation "${rangeVarText(range)}" does not exist`, '');
  const { relation } = found;
  const alias = range.alias?.aliasname ?? relation.name;
  const entry = new Entry(level, 'table', alias);
  const table = found.kind === 'table' ? found.table : null;
  const view = through === undefined ? {} : { through };
  const occurrence = { entry, relation, table, written, ...view };
  analysis.occurrences.push(occurrence);
  analysis.tables.set(entry, occurrence);
  analysis.ranges.set(range, occurrence);
  const columns = relation.columns.map((column) => ({
    name: column.name,
    variable: tableVariable(entry, relation, column.name),
  }));
  const item: ScopeItem = {
    name: alias,
    schema: range.alias === undefined ? relation.schema : null,
    columns: renamed(columns, range.alias),
    open: false,
    columnsVisible: true,
    relation,
  };
  return { items: [item], entries: [entry] };
}

function findCte(name: string, ctes: CteScope | null): Cte | null {
  for (let scope = ctes; scope !== null; scope = scope.parent) {
    const cte = scope.ctes.get(name);
    if (cte !== undefined) return cte;
  }
  return null;
}

function cteReference(range: RangeVar, cte: Cte, context: FromContext): FromItem {
  const name = range.relname ?? '';
  cte.level.references++;
  context.analysis.cteRanges.set(range, cte.open ? null : cte.level);
  if (cte.open) return opaqueItem(range.alias, name, context);
  const entry = new Entry(context.level, 'derived', range.alias?.aliasname ?? name, cte.level);
  const { item, pairs } = derivedItem(entry, cte.level, range.alias, cte.columns);
  context.analysis.cteUses.push({ level: cte.level, columns: pairs });
  return { items: [item], entries: [entry] };
}

/** A view is a derived table of its query, which sees nothing of the statement around it. */
function viewReference(range: RangeVar, view: CatalogRelation, context: FromContext): FromItem {
  const { level, analysis } = context;
  const select = viewQuery(view, analysis.parser);
  const { constants } = analysis;
  // Nothing in the definition is a literal of the statement's text.
  analysis.constants = new TextConstants(null);
  const query = analysis.walker.query(select, level, null, null, analysis);
  analysis.constants = constants;
  const entry = new Entry(level, 'derived', range.alias?.aliasname ?? view.name, query);
  analysis.views.set(range, { range, relation: view, select, level: query, entry });
  const names = view.columns.map(({ name }) => name);
  const { item, pairs } = derivedItem(entry, query, range.alias, names);
  for (const [column, output] of pairs) if (passesFilters(query, output)) addEdge(output, column);
  const schema = range.alias === undefined ? view.schema : null;
  return { items: [{ ...item, schema, relation: view }], entries: [entry] };
}

function derivedTable(range: RangeSubselect, context: FromContext): FromItem {
  const select = selectOf(range.subquery);
  if (select === null) refuse('this sub-select in FROM is not supported', 'Write it as a SELECT.');
  const { level, analysis } = context;
  const scope = range.lateral === true ? lateralScope(context) : context.outer;
  const query = analysis.walker.query(select, level, scope, context.ctes, analysis);
  const entry = new Entry(level, 'derived', range.alias?.aliasname ?? '', query);
  const { item, pairs } = derivedItem(entry, query, range.alias, []);
  for (const [column, output] of pairs) if (passesFilters(query, output)) addEdge(output, column);
  return { items: [item], entries: [entry] };
}

/**
 * The columns of a derived table: each one can only have the value of the column that it passes on.
 */
function derivedItem(
  entry: Entry,
  query: Level,
  alias: Alias | undefined,
  names: readonly string[],
): { item: ScopeItem; pairs: [Variable, Variable][] } {
  const pairs: [Variable, Variable][] = [];
  // Behind a `*` of unknown width, names given by place cannot be matched with columns.
  const shifted = query.openOutputs && (names.length > 0 || alias?.colnames !== undefined);
  const columns = query.outputs.map((output, index): ScopeColumn => {
    const name = names[index] ?? output.name ?? '?column?';
    if (output.variable === null || shifted) return { name, variable: null };
    const { type, deterministic } = output.variable;
    const variable = new Variable(entry, name, type, deterministic);
    addEdge(variable, output.variable);
    pairs.push([variable, output.variable]);
    return { name, variable };
  });
  const item: ScopeItem = {
    name: entry.alias === '' ? null : entry.alias,
    schema: null,
    columns: renamed(columns, alias),
    open: query.openOutputs,
    columnsVisible: true,
    relation: null,
  };
  return { item, pairs };
}

function functionItem(range: RangeFunction, context: FromContext): FromItem {
  const place: Place = { scope: lateralScope(context), ctes: context.ctes };
  for (const node of range.functions ?? []) {
    const call = 'List' in node ? node.List.items?.[0] : node;
    visitExpression(call, place, context.analysis);
  }
  const { items, entries } = opaqueItem(range.alias, '', context);
  const columns = functionColumns(range, context.analysis.names)?.map((name) => {
    return { name, variable: null };
  });
  if (columns === undefined) return { items, entries };
  return { items: items.map((item) => ({ ...item, columns, open: false })), entries };
}

/** XMLTABLE and JSON_TABLE: functions of their inputs. */
function tableFunction(node: Node, context: FromContext): FromItem {
  const place: Place = { scope: lateralScope(context), ctes: context.ctes };
  const visitInputs = (body: unknown): void => {
    forEachChild(body, (child) => {
      const kind = kindOf(child);
      if (/^(RangeTableFuncCol|JsonTableColumn|JsonTablePathSpec)$/.test(kind)) {
        visitInputs(bodyOf(child));
      } else visitExpression(child, place, context.analysis);
    });
  };
  visitInputs(bodyOf(node));
  const { alias } = bodyOf(node) as { alias?: Alias };
  return opaqueItem(alias, '', context);
}

/** Something whose columns are not known here: any name may be one of them. */
function opaqueItem(alias: Alias | undefined, name: string, context: FromContext): FromItem {
  const known = alias?.aliasname ?? name;
  const entry = new Entry(context.level, 'opaque', known);
  const columns = stringsOf(alias?.colnames).map((column) => ({ name: column, variable: null }));
  const item: ScopeItem = {
    name: known === '' ? null : known,
    schema: null,
    columns,
    open: true,
    columnsVisible: true,
    relation: null,
  };
  return { items: [item], entries: [entry] };
}

function lateralScope(context: FromContext): Scope {
  return { level: context.level, items: context.lateral, parent: context.outer };
}

function join(expression: JoinExpr, context: FromContext): FromItem {
  const { analysis, level } = context;
  if (expression.larg === undefined || expression.rarg === undefined) {
    refuse('this join is not supported', 'Name both sides of the join.');
  }
  const left = fromItem(expression.larg, context);
  const lateral = [...context.lateral, ...left.items];
  const right = fromItem(expression.rarg, { ...context, lateral });
  const entries = [...left.entries, ...right.entries];
  const type = expression.jointype ?? 'JOIN_INNER';
  const domain = joinDomain(type, left.entries, right.entries);
  const preserved = new Set(entries.filter((entry) => !entry.nullable));
  if (type === 'JOIN_LEFT' || type === 'JOIN_FULL') markNullable(right.entries, level);
  if (type === 'JOIN_RIGHT' || type === 'JOIN_FULL') markNullable(left.entries, level);

  const place: Place = {
    scope: { level, items: [...left.items, ...right.items], parent: context.outer },
    ctes: context.ctes,
  };
  visitExpression(expression.quals, place, analysis);
  learnCondition(expression.quals, domain, place, analysis);
  if (expression.quals !== undefined) {
    const restricts = (entry: Entry): boolean => domain(entry) && preserved.has(entry);
    analysis.conditions.push({ node: expression.quals, place, restricts });
  }
  const equal = equalColumns(expression.quals, place, analysis);
  const items = joinItems(expression, left.items, right.items, type, (a, b) => {
    learnColumns(a, b, domain);
    equal.push([a, b]);
  });
  const [one, another] = entries;
  if (type === 'JOIN_FULL' && entries.length === 2 && one !== undefined && another !== undefined) {
    level.fullJoins.push({
      left: one,
      right: another,
      equal: equal.flatMap((pair) => sidesOf(pair, one, another)),
    });
  }
  return { items, entries };
}

/**
 * ON restricts both sides of an inner join, the nullable side of an outer one, and neither side of
 * a full one.
 */
function joinDomain(type: string, left: readonly Entry[], right: readonly Entry[]): Domain {
  const restricted = new Set<Entry>();
  if (type === 'JOIN_INNER' || type === 'JOIN_LEFT')
    for (const entry of right) restricted.add(entry);
  if (type === 'JOIN_INNER' || type === 'JOIN_RIGHT')
    for (const entry of left) restricted.add(entry);
  return (entry) => restricted.has(entry);
}

function markNullable(entries: readonly Entry[], level: Level): void {
  for (const entry of entries) entry.nullable = true;
  level.fullJoins = level.fullJoins.filter(({ left }) => !entries.includes(left));
}

/** Equal columns with that of the left entry first; none where they are not one of each, or hash differently. */
function sidesOf([a, b]: [Variable, Variable], left: Entry, right: Entry): [Variable, Variable][] {
  if (!hashAlike(a, b)) return [];
  if (a.entry === left && b.entry === right) return [[a, b]];
  return a.entry === right && b.entry === left ? [[b, a]] : [];
}
