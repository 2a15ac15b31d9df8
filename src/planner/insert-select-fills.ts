import type { InsertStmt, Node, SelectStmt } from '@pgsql/types';
import { quoteLiteral } from '../sql/quote.js';
import { constOf, contains, qualifiedName } from './ast.js';
import { insertText, type InsertText } from './distribute/insert-text.js';
import type { Edit } from './fill-plan.js';
import { valueOf, type IdColumn } from './id-sources.js';
import type { Insertion } from './insertions.js';
import { refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

/** The query of an INSERT, as it stands in the text. */
export function queryText(
  statement: InsertStmt,
  insertion: Insertion,
  context: StatementContext,
): InsertText {
  const own = insertion.select!;
  const { withClause } = statement;
  if (withClause === undefined || own.withClause === undefined) {
    const select = withClause === undefined ? own : { ...own, withClause };
    const text = insertText(statement, select, context);
    if (text !== null) return text;
  }
  return refuse(
    'values for this INSERT cannot be filled into its text',
    'Give a value for every column, or write the query in plainer notation.',
  );
}

/** Whether further columns can be added to the query of an INSERT. */
export function takesColumns(insertion: Insertion, context: StatementContext): boolean {
  const select = insertion.select!;
  return givesRowsAsRead(select, insertion, context) || !hasUntyped(select);
}

/**
 * INSERT ... SELECT without values for columns of sequences: the query itself takes them, one for
 * each row, on the server that counts. A time is one for all rows.
 */
export function queryEdits(
  insertion: Insertion,
  omitted: readonly IdColumn[],
  text: InsertText,
  context: StatementContext,
): Edit[] {
  const calls = omitted.flatMap((id): Edit['pieces'] => {
    const { source } = id;
    if (source.kind === 'sequence') return [`pg_catalog.nextval(${quoteLiteral(source.name)}), `];
    return [...valueOf(id), ', '];
  });
  const select = insertion.select!;
  const first = select.targetList?.[0];
  if (first !== undefined && 'ResTarget' in first && givesRowsAsRead(select, insertion, context)) {
    const at = first.ResTarget.location ?? 0;
    return [{ start: at, end: at, pieces: calls }];
  }
  if (!takesColumns(insertion, context)) {
    refuse(
      'constants without a type in this query of an INSERT are not supported',
      "Cast them, as in 'x'::text, or give values for every column.",
    );
  }
  const { start, end } = text;
  return [
    { start, end: start, pieces: ['SELECT ', ...calls, 'sg_query.* FROM ('] },
    { start: end, end, pieces: [') sg_query '] },
  ];
}

/** Each row of the query is one of what it reads: another output is computed once a row. */
function givesRowsAsRead(
  select: SelectStmt,
  { query }: Insertion,
  { names }: StatementContext,
): boolean {
  if (query === null || query.aggregates || query.windows || query.distinct) return false;
  const { targetList, sortClause, groupClause, havingClause, larg, valuesLists } = select;
  const parts = [groupClause, havingClause, larg, valuesLists, sortClause];
  if (parts.some((part) => part !== undefined)) return false;
  return !contains(targetList, 'FuncCall', (node) => {
    const name = 'FuncCall' in node ? qualifiedName(node.FuncCall.funcname).name : '';
    return names.catalog.setReturning.has(name) || names.catalog.functions.has(name);
  });
}

/** Outputs that take the type of the column that they are inserted into. */
function hasUntyped(select: SelectStmt): boolean {
  const arms = [select.larg, select.rarg].filter((arm) => arm !== undefined);
  if (arms.length > 0) return arms.some(hasUntyped);
  const outputs = (select.targetList ?? []).map((node) =>
    'ResTarget' in node ? node.ResTarget.val : undefined,
  );
  const cells = (select.valuesLists ?? []).flatMap((row) =>
    'List' in row ? (row.List.items ?? []) : [],
  );
  return [...outputs, ...cells].some((node) => node !== undefined && isUntyped(node));
}

function isUntyped(node: Node): boolean {
  const constant = constOf(node);
  return 'ParamRef' in node || constant?.sval !== undefined || constant?.isnull === true;
}
