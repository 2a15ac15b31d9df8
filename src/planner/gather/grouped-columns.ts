import type { Node, SelectStmt } from '@pgsql/types';
import type { Analysis, Place } from '../analysis.js';
import { columnRefOf, isStar } from '../ast.js';
import { clauseItem, outputExpression } from '../clause-items.js';
import { bareColumn } from '../expressions.js';
import type { Entry, Level, Variable } from '../model.js';

/** The bare columns that a query groups by, by whatever position or name. */
export interface GroupedColumns {
  readonly select: SelectStmt;
  /** Each that GROUP BY names somewhere. */
  readonly some: ReadonlySet<Variable>;
  /** Those of every grouping set. */
  readonly always: ReadonlySet<Variable>;
}

/** Null: that cannot be told. */
export function groupedColumns(level: Level, analysis: Analysis): GroupedColumns | null {
  const [select] = [...analysis.queries].find(([, own]) => own === level) ?? [];
  const place = analysis.places.get(level);
  if (select === undefined || place === undefined) return null;
  const some = new Set<Variable>();
  const always = new Set<Variable>();
  let known = true;
  const visit = (node: Node, isAlways: boolean): void => {
    if ('GroupingSet' in node) {
      for (const item of node.GroupingSet.content ?? []) visit(item, false);
    } else if ('RowExpr' in node && node.RowExpr.row_format === 'COERCE_IMPLICIT_CAST') {
      for (const item of node.RowExpr.args ?? []) visit(item, isAlways);
    } else {
      const meaning = meaningOf(node, select, level, place, analysis);
      if (meaning === 'unclear') known = false;
      else if (meaning !== 'expression') {
        some.add(meaning);
        if (isAlways) always.add(meaning);
      }
    }
  };
  for (const item of select.groupClause ?? []) visit(item, true);
  return known ? { select, some, always } : null;
}

/** The names of those that are columns of this table. */
export function namesOf(variables: ReadonlySet<Variable>, entry: Entry): Set<string> {
  return new Set([...variables].flatMap((one) => (one.entry === entry ? [one.name] : [])));
}

/** What one item is: a column as it stands, or something from which no other column follows. */
function meaningOf(
  node: Node,
  select: SelectStmt,
  level: Level,
  place: Place,
  analysis: Analysis,
): Variable | 'expression' | 'unclear' {
  const item = clauseItem(node, 'group', select, level, place);
  if (item.kind === 'unclear') return 'unclear';
  const expression =
    item.kind === 'output' ? outputExpression(item.index, select, level) : item.node;
  if (expression === null) return 'unclear';
  const reference = columnRefOf(expression);
  if (reference === null) return 'expression';
  const isRow = isStar(expression) || analysis.wholeRows.get(reference)?.isCertain === true;
  if (isRow) return 'expression';
  return bareColumn(expression, place, analysis) ?? 'unclear';
}
