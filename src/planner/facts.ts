import type { A_Expr, BoolExpr, Node, SubLink } from '@pgsql/types';
import type { Analysis, Place } from './analysis.js';
import { isOperator } from './ast.js';
import { bareColumn } from './expressions.js';
import { arrayValues, hasCommonType, valueOf } from './key-values.js';
import {
  addEdge,
  type Entry,
  type KeyValue,
  type KeyValues,
  type Level,
  type Variable,
} from './model.js';
import { rangesOf } from './value-ranges.js';

/**
 * Which of the level's entries a condition restricts: rows that fail it do not matter for the
 * result.
 */
export type Domain = (entry: Entry) => boolean;

/**
 * Learns from a condition (WHERE, ON) what columns can only be equal to. Only the AND-ed conjuncts
 * count, and an OR whose every arm binds the same column; all else binds nothing. The condition
 * must have been visited before, so that the queries inside it are known.
 */
export function learnCondition(
  node: Node | undefined,
  domain: Domain,
  place: Place,
  analysis: Analysis,
): void {
  if (node === undefined) return;
  if ('BoolExpr' in node && node.BoolExpr.boolop === 'AND_EXPR') {
    for (const arm of node.BoolExpr.args ?? []) learnCondition(arm, domain, place, analysis);
    return;
  }
  if (analysis.names.catalog.comparisonsOverloaded === true) return;
  if ('SubLink' in node) return learnMembership(node.SubLink, domain, place, analysis);
  for (const [left, right] of equalColumns(node, place, analysis)) {
    learnColumns(left, right, domain);
  }
  for (const [variable, values] of bindingsOf(node, place, analysis)) {
    if (domain(variable.entry)) variable.bindings.push(values);
  }
  for (const [variable, ranges] of rangesOf(node, place, analysis)) {
    if (domain(variable.entry)) variable.ranges.push(ranges);
  }
}

/** `a.x = b.y`, from USING and NATURAL too. */
export function learnColumns(left: Variable, right: Variable, domain: Domain): void {
  if (domain(left.entry)) addEdge(left, right);
  if (domain(right.entry)) addEdge(right, left);
}

/** The columns that a condition says are equal wherever it is true; it must have been visited before. */
export function equalColumns(
  node: Node | undefined,
  place: Place,
  analysis: Analysis,
): [Variable, Variable][] {
  if (node === undefined || analysis.names.catalog.comparisonsOverloaded === true) return [];
  if ('BoolExpr' in node && node.BoolExpr.boolop === 'AND_EXPR') {
    return (node.BoolExpr.args ?? []).flatMap((arm) => equalColumns(arm, place, analysis));
  }
  return comparedPairs(node).flatMap(([left, right]) => {
    const leftColumn = bareColumn(left, place, analysis);
    const rightColumn = leftColumn === null ? null : bareColumn(right, place, analysis);
    return rightColumn === null ? [] : [[leftColumn!, rightColumn]];
  });
}

/** The operand pairs that a conjunct says are equal: `a = b`, `(a, b) = (c, d)`. */
function comparedPairs(node: Node): [Node, Node][] {
  if (!('A_Expr' in node)) return [];
  const { kind, name, lexpr, rexpr } = node.A_Expr;
  if (kind !== 'AEXPR_OP' || !isOperator(name, '=')) return [];
  return lexpr === undefined || rexpr === undefined ? [] : pairsOf(lexpr, rexpr);
}

function pairsOf(left: Node, right: Node): [Node, Node][] {
  if (!('RowExpr' in left) || !('RowExpr' in right)) return [[left, right]];
  const others = right.RowExpr.args ?? [];
  const items = left.RowExpr.args ?? [];
  if (items.length !== others.length) return [];
  return items.map((item, index) => [item, others[index]!]);
}

/** Columns that a condition binds to values wherever it is true. */
type Bindings = Map<Variable, KeyValues>;

function bindingsOf(node: Node, place: Place, analysis: Analysis): Bindings {
  if ('BoolExpr' in node) return booleanBindings(node.BoolExpr, place, analysis);
  if (!('A_Expr' in node)) return new Map();
  const expression = node.A_Expr;
  if (!isOperator(expression.name, '=')) return new Map();
  switch (expression.kind) {
    case 'AEXPR_OP':
      return pairBindings(comparedPairs(node), place, analysis);
    case 'AEXPR_IN':
      return listBindings(expression, place, analysis);
    case 'AEXPR_OP_ANY':
      return arrayBindings(expression, place, analysis);
    default:
      return new Map();
  }
}

function booleanBindings(expression: BoolExpr, place: Place, analysis: Analysis): Bindings {
  const arms = (expression.args ?? []).map((arm) => bindingsOf(arm, place, analysis));
  const out: Bindings = new Map();
  if (expression.boolop === 'AND_EXPR') {
    for (const arm of arms) {
      for (const [variable, values] of arm) if (!out.has(variable)) out.set(variable, values);
    }
  } else if (expression.boolop === 'OR_EXPR' && arms.length > 0) {
    for (const variable of arms[0]!.keys()) {
      if (!arms.every((arm) => arm.has(variable))) continue;
      const values = arms.flatMap((arm) => arm.get(variable)!.values);
      out.set(variable, { values, site: variable });
    }
  }
  return out;
}

function pairBindings(pairs: [Node, Node][], place: Place, analysis: Analysis): Bindings {
  const out: Bindings = new Map();
  for (const [left, right] of pairs) {
    bindPair(left, right, out, place, analysis);
    bindPair(right, left, out, place, analysis);
  }
  return out;
}

function bindPair(
  columnNode: Node,
  valueNode: Node,
  out: Bindings,
  place: Place,
  analysis: Analysis,
): void {
  const column = keyColumn(columnNode, place, analysis);
  if (column === null || out.has(column)) return;
  const value = valueOf(valueNode, analysis);
  if (value !== null) out.set(column, { values: [value], site: column });
}

/** `x IN (1, $2)` and `(a, b) IN ((1, 2), (3, 4))`. */
function listBindings(expression: A_Expr, place: Place, analysis: Analysis): Bindings {
  const out: Bindings = new Map();
  const { lexpr, rexpr } = expression;
  if (lexpr === undefined || rexpr === undefined || !('List' in rexpr)) return out;
  const items = rexpr.List.items ?? [];
  if (!('RowExpr' in lexpr)) {
    bindList(lexpr, items, out, place, analysis);
    return out;
  }
  const width = lexpr.RowExpr.args?.length ?? 0;
  (lexpr.RowExpr.args ?? []).forEach((column, index) => {
    const cells: Node[] = [];
    for (const item of items) {
      if (!('RowExpr' in item) || item.RowExpr.args?.length !== width) return;
      cells.push(item.RowExpr.args[index]!);
    }
    bindList(column, cells, out, place, analysis);
  });
  return out;
}

function bindList(
  columnNode: Node,
  items: readonly Node[],
  out: Bindings,
  place: Place,
  analysis: Analysis,
): void {
  const column = keyColumn(columnNode, place, analysis);
  if (column === null || items.length === 0) return;
  const values: KeyValue[] = [];
  for (const item of items) {
    const value = valueOf(item, analysis);
    if (value === null) return;
    values.push(value);
  }
  if (hasCommonType(values, column)) out.set(column, { values, site: column });
}

/** `x = ANY ($1)`, `x = ANY (ARRAY[1, $2])`, `x = ANY ('{1,2}')`. */
function arrayBindings(expression: A_Expr, place: Place, analysis: Analysis): Bindings {
  const out: Bindings = new Map();
  const { lexpr, rexpr } = expression;
  const column = keyColumn(lexpr, place, analysis);
  if (column === null || rexpr === undefined) return out;
  const values = arrayValues(rexpr, column, analysis);
  if (values !== null) out.set(column, { values, site: column });
  return out;
}

/** A column whose equality with a value says where its rows are. */
function keyColumn(node: Node | undefined, place: Place, analysis: Analysis): Variable | null {
  const column = bareColumn(node, place, analysis);
  return column !== null && column.deterministic && column.type !== 0 ? column : null;
}

/**
 * `x IN (SELECT y ...)` as a conjunct: a semi-join, x = y for the rows that matter on either side.
 */
function learnMembership(link: SubLink, domain: Domain, place: Place, analysis: Analysis): void {
  if (link.subLinkType !== 'ANY_SUBLINK') return;
  if (link.operName !== undefined && !isOperator(link.operName, '=')) return;
  const query = analysis.sublinks.get(link);
  const tested = link.testexpr;
  if (query === undefined || tested === undefined || query.openOutputs) return;
  const items = 'RowExpr' in tested ? (tested.RowExpr.args ?? []) : [tested];
  if (items.length !== query.outputs.length) return;
  items.forEach((item, index) => {
    const column = bareColumn(item, place, analysis);
    const output = query.outputs[index]!.variable;
    if (column === null || output === null) return;
    if (domain(column.entry)) addEdge(column, output);
    if (passesFilters(query, output)) addEdge(output, column);
  });
}

/**
 * Whether a filter on this output of a query may as well be applied to the rows that the query
 * reads: nothing between counts, cuts or orders rows across values of the column.
 */
export function passesFilters(query: Level, output: Variable): boolean {
  if (query.limited || query.locking || query.windows || query.distinctOn || query.recursive) {
    return false;
  }
  if (query.values || query.modifies || output.entry.level !== query) return false;
  if (query.references !== 1) return false;
  if (!query.grouped && !query.aggregates && !query.having) return true;
  return query.groupVariables?.has(output) === true;
}
