import type { InsertStmt, Node, WithClause } from '@pgsql/types';
import type { Shard } from '../keyspace/topology.js';
import { quoteIdentifier } from '../sql/quote.js';
import { Tokens } from '../sql/tokens.js';
import { bodyOf, selectOf } from './ast.js';
import {
  countsItself,
  idColumns,
  isMadeByRow,
  momentColumns,
  valueOf,
  type IdColumn,
} from './id-sources.js';
import { queryEdits, queryText, takesColumns } from './insert-select-fills.js';
import { analyseInsert, type Insertion } from './insertions.js';
import { fillPlan, type Edit } from './fill-plan.js';
import type { Occurrence } from './model.js';
import type { Names } from './names.js';
import type { FillPlan, FillSlot } from './plan.js';
import { Refused, refuse } from './refusals.js';
import { findRows, type RowSpan } from './row-spans.js';
import { analyse, type StatementContext } from './statement-context.js';
import { nameOf, ownColumns, targetNames } from './target-columns.js';

/** What is to be filled in besides ids. */
export interface OtherFills {
  /** Edits of calls whose values the proxy knows. */
  readonly calls: readonly Edit[];
  /** The shards that may have to store one and the same time; null: one at most. */
  readonly moments: readonly Shard[] | null;
}

/**
 * Plans an INSERT that leaves out values which the proxy makes, or says DEFAULT for them; null for
 * every other one. The filled text gives them all, so that it is planned as any other INSERT.
 */
export function planFill(
  statement: InsertStmt,
  insertion: Insertion,
  { calls, moments }: OtherFills,
  context: StatementContext,
): FillPlan | null {
  const { target } = insertion;
  if (target.table === null) return null;
  const { select } = insertion;
  const tellsTime = moments !== null && (select === null || takesColumns(insertion, context));
  const ids = madeColumns(insertion, context.names);
  // Rows of a query get theirs while they travel.
  const made = select === null ? ids : ids.filter((id) => !isMadeByRow(id));
  if (tellsTime) made.push(...withTableDefault(momentColumns(target.relation, moments), target));
  const edits = [...fillEdits(statement, insertion, made, context), ...calls];
  return edits.length === 0 ? null : fillPlan('insert', edits, context);
}

/**
 * The same for the WITH queries of a statement that insert VALUES over several shards, where no server may make what
 * they leave out: edits of the statement.
 */
export function fillsInside(node: Node, context: StatementContext): readonly Edit[] {
  const { withClause } = bodyOf(node) as { withClause?: WithClause };
  return (withClause?.ctes ?? []).flatMap((cte) => {
    const query = 'CommonTableExpr' in cte ? cte.CommonTableExpr.ctequery : undefined;
    if (query === undefined || !('InsertStmt' in query)) return [];
    const { InsertStmt: statement } = query;
    const plain = withoutValues(statement);
    const found = context.names.relation(statement.relation ?? {});
    if (plain === null || found.kind !== 'table' || !found.table.keyspace.sharded) return [];
    const [, insertion] = analyse(context, (walk) => analyseInsert(plain, null, null, walk));
    if (insertion === null) return [];
    const made = madeColumns(insertion, context.names);
    const start = statement.relation?.location ?? context.start;
    return fillEdits(statement, insertion, made, { ...context, start });
  });
}

/** Its columns, rows and DEFAULTs, without what may name other WITH queries; null: a query gives its rows. */
function withoutValues({ relation, cols, override, selectStmt }: InsertStmt): InsertStmt | null {
  const plain: InsertStmt = { relation: relation!, override: override!, ...(cols && { cols }) };
  const select = selectOf(selectStmt);
  if (select === null) return plain;
  const { valuesLists } = select;
  if (valuesLists === undefined) return null;
  const rows = valuesLists.map((row): Node => {
    const cells = 'List' in row ? (row.List.items ?? []) : [];
    return { List: { items: cells.map((cell) => (isDefault(cell) ? cell : NULL)) } };
  });
  return { ...plain, selectStmt: { SelectStmt: { valuesLists: rows } } };
}

const NULL: Node = { A_Const: { isnull: true } };

/** What makes the values of these columns stand in the text, where it leaves them out or says DEFAULT. */
function fillEdits(
  statement: InsertStmt,
  insertion: Insertion,
  made: readonly IdColumn[],
  context: StatementContext,
): readonly Edit[] {
  const omitted = made.filter(({ column }) => isOmitted(column.name, insertion));
  const defaulted = made.filter(
    (id) => !omitted.includes(id) && isDefaulted(id.column.name, insertion),
  );
  const filled = [...omitted, ...defaulted];
  if (filled.length === 0 || isLeftToServer(filled, insertion, context)) return [];
  checkShown(insertion, filled);
  checkOverriding(statement, insertion, filled);
  checkAlways(statement, insertion, filled);
  if (insertion.select !== null) return selectEdits(statement, insertion, omitted, context);
  return insertion.rows === null
    ? [defaultValuesEdit(statement, insertion, omitted, context)]
    : rowEdits(statement, insertion, omitted, defaulted, context);
}

/** The columns that an INSERT may leave to the proxy. */
function madeColumns({ target }: Insertion, names: Names): IdColumn[] {
  return withTableDefault(idColumns(target.relation, target.table!, names), target);
}

/** Those for which a view has no default of its own. */
function withTableDefault(ids: readonly IdColumn[], target: Occurrence): IdColumn[] {
  const own = ownColumns(target);
  return ids.filter(({ column }) => own.includes(column));
}

/** Those that an INSERT of a query leaves out, whose values are made row by row. */
export function columnsMadeByRow(
  statement: InsertStmt,
  insertion: Insertion,
  names: Names,
): IdColumn[] {
  if (insertion.select === null) return [];
  const made = madeColumns(insertion, names).filter(
    (id) => isMadeByRow(id) && isOmitted(id.column.name, insertion),
  );
  checkShown(insertion, made);
  checkOverriding(statement, insertion, made);
  return made;
}

/**
 * A server that has the whole table makes the values by itself. Those of one row are made here all the same, so that
 * they are known to currval and lastval; but not where a WITH query became an INSERT of its own.
 */
function isLeftToServer(
  filled: readonly IdColumn[],
  { rows, select, target }: Insertion,
  { outerParams }: StatementContext,
): boolean {
  if (!countsItself(target.table!, filled)) return false;
  if (outerParams !== undefined) return true;
  const { relation, through } = target;
  const plain = relation.kind === 'r' && !relation.hasTriggersOrRules && through === undefined;
  return !plain || select !== null || (rows?.length ?? 1) > 1;
}

/** The columns beyond the first row's width take their defaults. */
function isOmitted(name: string, { columns, rows, select, query }: Insertion): boolean {
  const place = columns.indexOf(name);
  if (query?.openOutputs === false && place >= query.outputs.length) return true;
  if (place < 0 || (rows === null && select === null)) return true;
  return rows !== null && rows.length > 0 && place >= rows[0]!.length;
}

function isDefaulted(name: string, { columns, rows }: Insertion): boolean {
  const place = columns.indexOf(name);
  return rows?.some((row) => isDefault(row[place])) ?? false;
}

function isDefault(cell: Node | undefined): cell is Extract<Node, { SetToDefault: unknown }> {
  return cell !== undefined && 'SetToDefault' in cell;
}

/** Values are given under the names that a view has for its columns. */
function checkShown({ target }: Insertion, filled: readonly IdColumn[]): void {
  const hidden = filled.find(({ column }) => nameOf(target, column.name) === null);
  if (hidden === undefined) return;
  refuse(
    `INSERT into view "${target.through!.relation.name}", which does not show column "${hidden.column.name}" whose values Shardgate makes, is not supported`,
    'Add the column to the view, or insert into its table.',
  );
}

/** Rows that give a value to a GENERATED ALWAYS column beside rows that do not: PostgreSQL's own error. */
function checkAlways(
  statement: InsertStmt,
  { columns, rows }: Insertion,
  filled: readonly IdColumn[],
): void {
  const always = filled.find(({ column }) => column.identity === 'a');
  if (always === undefined || rows === null) return;
  if (statement.override === 'OVERRIDING_SYSTEM_VALUE') return;
  const { name } = always.column;
  const place = columns.indexOf(name);
  if (rows.every((row) => place < 0 || place >= row.length || isDefault(row[place]))) return;
  throw new Refused({
    state: 'generated_always',
    message: `cannot insert a non-DEFAULT value into column "${name}"`,
    detail: `Column "${name}" is an identity column defined as GENERATED ALWAYS.`,
    hint: 'Use OVERRIDING SYSTEM VALUE to override.',
  });
}

function checkOverriding(
  statement: InsertStmt,
  { target }: Insertion,
  filled: readonly IdColumn[],
): void {
  const identity = filled.find(({ column }) => column.identity !== '');
  if (identity === undefined || statement.override !== 'OVERRIDING_USER_VALUE') return;
  refuse(
    `OVERRIDING USER VALUE on identity column "${target.relation.name}.${identity.column.name}" is not supported`,
    'Leave it out, and the column as well.',
  );
}

/** `DEFAULT VALUES` -> `(id) VALUES (...)`. */
function defaultValuesEdit(
  statement: InsertStmt,
  insertion: Insertion,
  omitted: readonly IdColumn[],
  context: StatementContext,
): Edit {
  const tokens = tokensBehindTarget(statement, context);
  const at = keywordAt(tokens, ['default']);
  if (!tokens.is(at + 1, 'values')) refuseText();
  const pieces: (string | FillSlot)[] = [
    `(${nameList(omitted, insertion)})${overriding(statement, omitted)} `,
  ];
  omitted.forEach((id, index) => pieces.push(index === 0 ? 'VALUES (' : ', ', ...valueOf(id)));
  return { start: tokens.start(at), end: tokens.end(at + 1), pieces: [...pieces, ')'] };
}

function rowEdits(
  statement: InsertStmt,
  insertion: Insertion,
  omitted: readonly IdColumn[],
  defaulted: readonly IdColumn[],
  context: StatementContext,
): Edit[] {
  const rows = insertion.rows!;
  const listPlace = (): number => {
    const tokens = tokensBehindTarget(statement, context);
    return tokens.start(keywordAt(tokens, ['values', 'overriding']));
  };
  const edits =
    omitted.length === 0
      ? []
      : columnEdits(statement, insertion, omitted, rows[0]!.length, listPlace);
  const always = overriding(statement, [...omitted, ...defaulted]);
  if (always !== '') {
    const tokens = tokensBehindTarget(statement, context);
    const at = tokens.start(keywordAt(tokens, ['values']));
    edits.push({ start: at, end: at, pieces: [`${always.trim()} `] });
  }
  const spans = omitted.length === 0 ? [] : rowSpans(rows.length, context);
  rows.forEach((row, index) => {
    const span = spans[index];
    if (span !== undefined) {
      const at = span.start + 1;
      edits.push({ start: at, end: at, pieces: omitted.flatMap((id) => [...valueOf(id), ', ']) });
    }
    for (const id of defaulted) {
      const cell = row[insertion.columns.indexOf(id.column.name)];
      if (!isDefault(cell)) continue;
      const start = cell.SetToDefault.location ?? 0;
      edits.push({ start, end: start + 'default'.length, pieces: valueOf(id) });
    }
  });
  return edits;
}

function selectEdits(
  statement: InsertStmt,
  insertion: Insertion,
  omitted: readonly IdColumn[],
  context: StatementContext,
): Edit[] {
  const text = queryText(statement, insertion, context);
  const { start } = text;
  const width = insertion.query?.outputs.length ?? insertion.columns.length;
  const edits = columnEdits(statement, insertion, omitted, width, () => start);
  const always = overriding(statement, omitted);
  if (always !== '') edits.push({ start, end: start, pieces: [`${always.trim()} `] });
  return [...edits, ...queryEdits(insertion, omitted, text, context)];
}

/**
 * The omitted columns come first, in the list of columns that there is, or in a new one at `listPlace`, with the
 * `width` columns that are given.
 */
function columnEdits(
  statement: InsertStmt,
  insertion: Insertion,
  omitted: readonly IdColumn[],
  width: number,
  listPlace: () => number,
): Edit[] {
  const first = statement.cols?.[0];
  if (first !== undefined && 'ResTarget' in first) {
    const at = first.ResTarget.location ?? 0;
    return [{ start: at, end: at, pieces: [`${nameList(omitted, insertion)}, `] }];
  }
  const at = listPlace();
  const given = targetNames(insertion.target).slice(0, width).map(quoteIdentifier);
  return [
    { start: at, end: at, pieces: [`(${[nameList(omitted, insertion), ...given].join(', ')}) `] },
  ];
}

function nameList(ids: readonly IdColumn[], { target }: Insertion): string {
  return ids.map(({ column }) => quoteIdentifier(nameOf(target, column.name)!)).join(', ');
}

/** What lets values of the proxy into a GENERATED ALWAYS column. */
function overriding(statement: InsertStmt, filled: readonly IdColumn[]): string {
  const always = filled.some(({ column }) => column.identity === 'a');
  return always && statement.override !== 'OVERRIDING_SYSTEM_VALUE'
    ? ' OVERRIDING SYSTEM VALUE'
    : '';
}

/** The tokens from the target table on. */
function tokensBehindTarget(statement: InsertStmt, context: StatementContext): Tokens {
  const { bytes, textStart, end } = context;
  return new Tokens(bytes, textStart, statement.relation?.location ?? context.start, end);
}

/** The first of these keywords outside of parentheses. */
function keywordAt(tokens: Tokens, words: readonly string[]): number {
  let depth = 0;
  for (let index = 1; index < tokens.count; index++) {
    if (tokens.is(index, '(')) depth++;
    else if (tokens.is(index, ')')) depth--;
    else if (depth === 0 && words.some((word) => tokens.is(index, word))) return index;
  }
  return refuseText();
}

function rowSpans(count: number, context: StatementContext): readonly RowSpan[] {
  const { bytes, textStart, start, end, literals } = context;
  const spans = findRows(bytes, textStart, start, end, literals);
  return spans?.length === count ? spans : refuseText();
}

function refuseText(): never {
  return refuse(
    'values for this INSERT cannot be filled into its text',
    'Give a value for every column, or write the INSERT in plainer notation.',
  );
}
