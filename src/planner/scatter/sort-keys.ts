import type { Node } from '@pgsql/types';
import { contains } from '../ast.js';
import { clauseItem, outputExpression } from '../clause-items.js';
import type { SortKey } from '../plan.js';
import type { ScatterContext } from './scatter-context.js';

/** One item of ORDER BY. */
export interface SortItem {
  readonly key: SortKey;
  /** The output column that it names; null: an expression that is no output column by its name. */
  readonly output: number | null;
  /** What it sorts by, as an expression of FROM's columns; null: only known as an output column. */
  readonly expression: Node | null;
}

/** Null: an order that cannot be followed here, or would not be the same if it was computed twice. */
export function sortItems(scatter: ScatterContext): SortItem[] | null {
  const { statement, top, analysis } = scatter;
  const place = analysis.places.get(top) ?? null;
  const items: SortItem[] = [];
  for (const node of statement.sortClause ?? []) {
    if (!('SortBy' in node) || node.SortBy.node === undefined) return null;
    const { sortby_dir: direction, sortby_nulls: nulls } = node.SortBy;
    if (direction === 'SORTBY_USING') return null;
    const descending = direction === 'SORTBY_DESC';
    const nullsFirst =
      nulls === 'SORTBY_NULLS_FIRST' || (nulls !== 'SORTBY_NULLS_LAST' && descending);
    const item = clauseItem(node.SortBy.node, 'order', statement, top, place);
    if (item.kind === 'unclear') return null;
    const output = item.kind === 'output' ? item.index : null;
    const expression =
      item.kind === 'output' ? outputExpression(item.index, statement, top) : item.node;
    if (expression !== null && !isRepeatable(expression, scatter)) return null;
    items.push({ key: { descending, nullsFirst }, output, expression });
  }
  return items;
}

/** Whether an expression gives the same value when it is computed once more, and here or there. */
export function isRepeatable(expression: Node, { analysis }: ScatterContext): boolean {
  if (contains(expression, 'SubLink')) return false;
  const changes = analysis.volatileFunction !== null || analysis.clockText !== null;
  if (!changes) return true;
  return !['FuncCall', 'SQLValueFunction', 'TypeCast', 'A_Indirection'].some((kind) =>
    contains(expression, kind),
  );
}

/** ` ORDER BY` over columns with these SQL names; '' without keys. */
export function orderBy(columns: readonly string[], keys: readonly SortKey[]): string {
  if (keys.length === 0) return '';
  const items = keys.map(({ descending, nullsFirst }, index) => {
    const nulls = nullsFirst ? 'FIRST' : 'LAST';
    return `${columns[index]!} ${descending ? 'DESC' : 'ASC'} NULLS ${nulls}`;
  });
  return ` ORDER BY ${items.join(', ')}`;
}
