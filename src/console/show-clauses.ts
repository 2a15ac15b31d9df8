import type { Node, SelectStmt, SortBy } from '@pgsql/types';
import { sqlError, SqlError } from '../errors/sql-error.js';
import type { ParsedStatement, Parser } from '../sql/parser.js';
import type { Column, Row } from './column.js';
import { compareRows, type SortKey } from './compare-rows.js';
import { compileCondition, type Condition } from './condition.js';
import {
  columnIndex,
  constantOf,
  unsupported,
  wholeNumber,
  type Operand,
  type Params,
} from './operand.js';

/** What stands behind `SHOW name`. */
export interface ShowClauses {
  /** Highest `$n` used. */
  readonly paramCount: number;
  /** The rows that are asked for, in the order that is asked for. Throws SqlError for parameters that do not fit. */
  apply(rows: readonly Row[], params: Params): readonly Row[];
}

/** With these in front, and nothing else, the clauses are a statement that PostgreSQL's grammar reads. */
const FRONT = 'SELECT * FROM x ';

/** What a SelectStmt of `FRONT` and the clauses may hold. */
const ALLOWED: ReadonlySet<string> = new Set([
  'targetList',
  'fromClause',
  'whereClause',
  'sortClause',
  'limitOffset',
  'limitCount',
  'limitOption',
  'op',
]);

const NOTHING: ShowClauses = { paramCount: 0, apply: (rows) => rows };

/**
 * Reads WHERE, ORDER BY, LIMIT and OFFSET. Throws SqlError: 42601, 42703 for a column that is not there, 0A000 for what
 * PostgreSQL knows and the console does not.
 */
export async function readClauses(
  text: string,
  columns: readonly Column[],
  parser: Parser,
): Promise<ShowClauses> {
  if (text === '') return NOTHING;
  const select = await parseClauses(quotedColumns(text, columns), parser);
  for (const key of Object.keys(select)) {
    if (!ALLOWED.has(key)) throw unsupported(`SHOW with ${key}`);
  }
  if (select.fromClause?.length !== 1 || !('RangeVar' in select.fromClause[0]!)) {
    throw unsupported('SHOW of several lists');
  }
  if ((select.fromClause[0].RangeVar.alias ?? null) !== null) {
    throw sqlError('syntax_error', 'expected WHERE, ORDER BY or LIMIT');
  }
  if (select.limitOption === 'LIMIT_OPTION_WITH_TIES') throw unsupported('WITH TIES');
  const used = { paramCount: 0 };
  const where = select.whereClause === undefined ? null : condition(select.whereClause);
  const sort = (select.sortClause ?? []).map((node) => sortKey(node, columns));
  const limit = bound(select.limitCount);
  const offset = bound(select.limitOffset);
  return {
    paramCount: used.paramCount,
    apply: (rows, params) => {
      const kept = where === null ? [...rows] : rows.filter((row) => where(row, params) === true);
      // Sorting is stable: what is equal stays in the order of the list.
      if (sort.length > 0) kept.sort((a, b) => compareRows(a, b, sort));
      const from = offset(params) ?? 0;
      const count = limit(params);
      return kept.slice(from, count === null ? undefined : from + count);
    },
  };

  function condition(node: Node): Condition {
    return compileCondition(node, columns, used);
  }

  function bound(node: Node | undefined): (params: Params) => number | null {
    if (node === undefined) return () => null;
    const operand = constantOf(node, used);
    if (operand === null) throw unsupported('LIMIT and OFFSET other than a number');
    return (params) => checkedBound(operand, params);
  }
}

/** Strings and quoted names, which stay, and words. */
const TOKENS = /\be'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[a-z_][\w$]*/gi;

/** With the names of columns in quotes: some of them are key words (`user`, `table`, `default`, `to`). */
function quotedColumns(text: string, columns: readonly Column[]): string {
  const names = new Set(columns.map(({ name }) => name));
  return text.replace(TOKENS, (token) => {
    const word = token.toLowerCase();
    return names.has(word) ? `"${word}"` : token;
  });
}

async function parseClauses(text: string, parser: Parser): Promise<SelectStmt> {
  let parsed: readonly ParsedStatement[];
  try {
    parsed = await parser.parse(Buffer.from(FRONT + text, 'utf8'));
  } catch (error) {
    // Positions would count our words.
    if (error instanceof SqlError) throw sqlError(error.state, error.message);
    throw error;
  }
  const node = parsed[0]?.node;
  if (node === undefined || !('SelectStmt' in node)) throw unsupported('SHOW with that');
  return node.SelectStmt;
}

function checkedBound(operand: Operand, params: Params): number | null {
  const value = operand(NO_ROW, params);
  if (value === null) return null;
  const count = wholeNumber(value);
  if (count < 0) {
    throw sqlError('invalid_row_count_in_limit_clause', 'LIMIT and OFFSET must not be negative');
  }
  return count;
}

function sortKey(node: Node, columns: readonly Column[]): SortKey {
  if (!('SortBy' in node)) throw unsupported('ORDER BY of that kind');
  const { node: by, sortby_dir: direction, sortby_nulls: nulls }: SortBy = node.SortBy;
  if (by === undefined || direction === 'SORTBY_USING') throw unsupported('ORDER BY ... USING');
  const descending = direction === 'SORTBY_DESC';
  const nullsFirst =
    nulls === 'SORTBY_NULLS_FIRST' || (nulls !== 'SORTBY_NULLS_LAST' && descending);
  return { column: sortColumn(by, columns), descending, nullsFirst };
}

function sortColumn(node: Node, columns: readonly Column[]): number {
  if ('ColumnRef' in node) return columnIndex(node.ColumnRef, columns);
  const place = 'A_Const' in node ? (node.A_Const.ival?.ival ?? 0) : 0;
  if (place >= 1 && place <= columns.length) return place - 1;
  throw unsupported('ORDER BY something else than columns');
}

const NO_ROW: Row = [];
