import type { Node, SelectStmt } from '@pgsql/types';
import { deparse } from '../../sql/deparse.js';
import type { TextParser } from '../../sql/parser.js';
import type { FinalPiece } from '../plan.js';
import { refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { parsesTo } from './insert-text.js';

/** The alias of the rows that a shard gets, in what it runs over them. */
export const ROWS = 'sg_rows';
/** Stands for their relation in a tree, and nowhere else. */
const PLACEHOLDER = 'shardgate_rows_of_this_shard';

/** The rows that a shard gets, as an item of FROM. */
export const rowsItem: Node = {
  RangeVar: {
    relname: PLACEHOLDER,
    inh: true,
    relpersistence: 'p',
    alias: { aliasname: ROWS },
  },
};

/** `SELECT targets FROM` the rows that a shard gets. */
export function selectNode(targetList: Node[]): SelectStmt {
  return {
    targetList,
    fromClause: [rowsItem],
    limitOption: 'LIMIT_OPTION_DEFAULT',
    op: 'SETOP_NONE',
  };
}

/** `table.column`. */
export function columnNode(table: string, column: string): Node {
  return { ColumnRef: { fields: [{ String: { sval: table } }, { String: { sval: column } }] } };
}

/**
 * The text of a statement that has `rowsItem` once in it.
 * @param tail of an INSERT, ON CONFLICT and RETURNING as they were written; absent: not known
 * Throws Refused where no text is certain to mean the same.
 */
export function overRows(
  statement: Node,
  { parser }: StatementContext,
  tail?: string,
): FinalPiece[] {
  const text = deparse(statement, parser) ?? withTail(statement, tail, parser);
  const parts = text?.split(PLACEHOLDER) ?? [];
  if (parts.length !== 2) {
    refuse(
      'a statement of this form, whose rows are written to several shards, is not supported',
      'Write it in plainer notation, or bind the shard key to one value.',
    );
  }
  return [parts[0]!, { kind: 'input', input: 0 }, parts[1]!];
}

/** An INSERT that ends in text of its own. */
function withTail(statement: Node, tail: string | undefined, parser: TextParser): string | null {
  if (tail === undefined || !('InsertStmt' in statement)) return null;
  const { onConflictClause: _, returningClause: __, ...head } = statement.InsertStmt;
  const written = deparse({ InsertStmt: head }, parser);
  if (written === null) return null;
  const text = `${written}\n${tail}`;
  return parsesTo(text, statement, parser) ? text : null;
}
