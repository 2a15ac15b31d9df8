import type { A_Expr, BoolExpr, Node } from '@pgsql/types';
import type { Analysis, Place } from './analysis.js';
import { isOperator } from './ast.js';
import { bareColumn } from './expressions.js';
import { valueOf } from './key-values.js';
import type { ValueBound, ValueInterval, ValueRanges, Variable } from './model.js';

/** Columns that a condition keeps within intervals wherever it is true. */
export type RangesByColumn = Map<Variable, ValueRanges>;

/** `<` and its like, with the operator that says the same of exchanged sides. */
const comparisons: readonly (readonly [operator: string, mirrored: string])[] = [
  // Beside other conditions of an OR.
  ['=', '='],
  ['<', '>'],
  ['<=', '>='],
  ['>', '<'],
  ['>=', '<='],
];

/** What a condition says of the order of columns and values: comparisons, BETWEEN, LIKE, AND and OR of these. */
export function rangesOf(node: Node, place: Place, analysis: Analysis): RangesByColumn {
  if ('BoolExpr' in node) return booleanRanges(node.BoolExpr, place, analysis);
  if (!('A_Expr' in node)) return new Map();
  const expression = node.A_Expr;
  switch (expression.kind) {
    case 'AEXPR_OP':
      return comparedRanges(expression, place, analysis);
    case 'AEXPR_BETWEEN':
      return betweenRanges(expression, place, analysis);
    case 'AEXPR_LIKE':
      return likeRanges(expression, place, analysis);
    default:
      return new Map();
  }
}

function booleanRanges(expression: BoolExpr, place: Place, analysis: Analysis): RangesByColumn {
  const arms = (expression.args ?? []).map((arm) => rangesOf(arm, place, analysis));
  const out: RangesByColumn = new Map();
  if (expression.boolop === 'AND_EXPR') {
    for (const arm of arms) {
      for (const [column, ranges] of arm) out.set(column, together(out.get(column), ranges));
    }
  } else if (expression.boolop === 'OR_EXPR' && arms.length > 0) {
    for (const [column, first] of arms[0]!) {
      const all = arms.map((arm) => arm.get(column));
      const known = all.filter((ranges) => ranges !== undefined);
      // Patterns and comparisons are bounds of different kinds.
      if (known.length < all.length || known.some(({ pattern }) => pattern !== first.pattern)) {
        continue;
      }
      out.set(column, { ...first, intervals: known.flatMap(({ intervals }) => intervals) });
    }
  }
  return out;
}

/** Both hold: one interval where they are its two ends, else either alone says enough. */
function together(a: ValueRanges | undefined, b: ValueRanges): ValueRanges {
  const [left, right] = [a?.intervals[0], b.intervals[0]];
  if (a === undefined || left === undefined || right === undefined) return b;
  if (a.intervals.length > 1 || b.intervals.length > 1 || a.pattern !== b.pattern) return a;
  const lower = left.lower ?? right.lower;
  const upper = left.upper ?? right.upper;
  return { ...a, intervals: [{ lower, upper }] };
}

function comparedRanges(expression: A_Expr, place: Place, analysis: Analysis): RangesByColumn {
  const { name, lexpr, rexpr } = expression;
  const out: RangesByColumn = new Map();
  const found = comparisons.find(([operator]) => isOperator(name, operator));
  if (found === undefined) return out;
  addBound(lexpr, found[0], rexpr, out, place, analysis);
  addBound(rexpr, found[1], lexpr, out, place, analysis);
  return out;
}

function addBound(
  columnNode: Node | undefined,
  operator: string,
  valueNode: Node | undefined,
  out: RangesByColumn,
  place: Place,
  analysis: Analysis,
): void {
  const column = orderedColumn(columnNode, place, analysis);
  const bound = column === null ? null : boundOf(valueNode, operator.endsWith('='), analysis);
  if (column === null || bound === null) return;
  const interval: ValueInterval = {
    lower: operator.startsWith('<') ? null : bound,
    upper: operator.startsWith('>') ? null : bound,
  };
  out.set(column, { intervals: [interval], site: column });
}

/** BETWEEN; not its SYMMETRIC form. */
function betweenRanges(expression: A_Expr, place: Place, analysis: Analysis): RangesByColumn {
  const { lexpr, rexpr } = expression;
  const out: RangesByColumn = new Map();
  const column = orderedColumn(lexpr, place, analysis);
  if (column === null || rexpr === undefined || !('List' in rexpr)) return out;
  const [low, high] = rexpr.List.items ?? [];
  const lower = boundOf(low, true, analysis);
  const upper = boundOf(high, true, analysis);
  if (lower !== null || upper !== null) {
    out.set(column, { intervals: [{ lower, upper }], site: column });
  }
  return out;
}

/** `x LIKE 'abc%'`, of text only, whatever its collation: the beginning must be these very characters. */
function likeRanges(expression: A_Expr, place: Place, analysis: Analysis): RangesByColumn {
  const { name, lexpr, rexpr } = expression;
  const out: RangesByColumn = new Map();
  const column = isOperator(name, '~~') ? orderedColumn(lexpr, place, analysis) : null;
  const bound = column === null ? null : boundOf(rexpr, true, analysis);
  if (column === null || bound === null) return out;
  const interval = { lower: bound, upper: { ...bound, inclusive: false } };
  out.set(column, { intervals: [interval], site: column, pattern: true });
  return out;
}

function boundOf(
  node: Node | undefined,
  inclusive: boolean,
  analysis: Analysis,
): ValueBound | null {
  const value = node === undefined ? null : valueOf(node, analysis);
  return value === null ? null : { value, inclusive };
}

function orderedColumn(node: Node | undefined, place: Place, analysis: Analysis): Variable | null {
  const column = bareColumn(node, place, analysis);
  return column !== null && column.deterministic && column.type !== 0 ? column : null;
}
