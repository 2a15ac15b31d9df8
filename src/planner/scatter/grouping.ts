import type { Node } from '@pgsql/types';
import { contains, isStar, kindOf } from '../ast.js';
import { clauseItem, outputExpression } from '../clause-items.js';
import type { ScatterContext } from './scatter-context.js';
import { isRepeatable } from './sort-keys.js';
import { columnOf } from './tree.js';

/** GROUP BY of a query whose shards group first. */
export interface Grouping {
  /** What is grouped by, each once, as expressions of FROM's columns: g1, g2... of the shards. */
  readonly expressions: readonly Node[];
  /** GROUP BY of the final statement, GROUPING SETS and all. */
  readonly clause: readonly Node[];
}

/** Null: it groups by something that shards cannot group by. */
export function groupingOf(scatter: ScatterContext): Grouping | null {
  const expressions: Node[] = [];
  const clause = (scatter.statement.groupClause ?? []).map((node) =>
    finalItem(node, expressions, scatter),
  );
  if (clause.includes(null)) return null;
  // Where a grouping set leaves out an expression without columns, PostgreSQL still computes it in
  // HAVING: as a column of partial results it would be null there.
  const hasSets = clause.some((node) => node !== null && 'GroupingSet' in node);
  if (hasSets && !expressions.every((node) => contains(node, 'ColumnRef'))) return null;
  return { expressions, clause: clause.map((node) => node!) };
}

/** An item of GROUP BY as one of the final statement; adds what it groups by to `expressions`. */
function finalItem(node: Node, expressions: Node[], scatter: ScatterContext): Node | null {
  const inner = (nodes: readonly Node[] | undefined): Node[] | null => {
    const out = (nodes ?? []).map((item) => finalItem(item, expressions, scatter));
    return out.includes(null) ? null : out.map((item) => item!);
  };
  if ('GroupingSet' in node) {
    const content = inner(node.GroupingSet.content);
    if (content === null) return null;
    return { GroupingSet: { ...node.GroupingSet, ...(content.length === 0 ? {} : { content }) } };
  }
  // `(a, b)` is a list of columns here, and no row; ROW(a, b) is one.
  if ('RowExpr' in node && node.RowExpr.row_format === 'COERCE_IMPLICIT_CAST') {
    const args = inner(node.RowExpr.args);
    return args === null ? null : { RowExpr: { ...node.RowExpr, args } };
  }
  const expression = groupExpression(node, scatter);
  if (expression === null) return null;
  let index = expressions.findIndex((other) => scatter.isSame(other, expression));
  if (index < 0) index = expressions.push(expression) - 1;
  return columnOf('t', `g${index + 1}`);
}

function groupExpression(node: Node, scatter: ScatterContext): Node | null {
  const { statement, top, analysis } = scatter;
  const place = analysis.places.get(top);
  if (place === undefined) return null;
  const item = clauseItem(node, 'group', statement, top, place);
  if (item.kind === 'unclear') return null;
  const expression =
    item.kind === 'output' ? outputExpression(item.index, statement, top) : item.node;
  if (expression === null || isStar(expression)) return null;
  return isGroupable(expression, scatter) ? expression : null;
}

/** Groups are told apart twice, so equal values must be equal on every server. */
export function isGroupable(expression: Node, scatter: ScatterContext): boolean {
  // The type of a bare constant or parameter depends on what stands around it.
  if (['RowExpr', 'A_Const', 'ParamRef'].includes(kindOf(expression))) return false;
  if (!isRepeatable(expression, scatter)) return false;
  if (contains(expression, 'CollateClause') || scatter.hasOddEquality) return false;
  return !scatter.returnsSets(expression);
}
