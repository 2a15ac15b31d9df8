import type { InsertStmt, Node, SelectStmt } from '@pgsql/types';
import type { TextParser } from '../../sql/parser.js';
import { sameTree } from '../../sql/same-tree.js';
import { Tokens } from '../../sql/tokens.js';
import type { StatementContext } from '../statement-context.js';

/** An INSERT's own text, cut at its query. */
export interface InsertText {
  /** The query, with the WITH queries in front of the statement. */
  readonly query: string;
  /** ON CONFLICT and RETURNING; may be empty. */
  readonly tail: string;
  /** Where the query itself stands, as offsets in the text. */
  readonly start: number;
  readonly end: number;
}

/** Places where the query may begin that are tried. */
const STARTS_MAX = 6;

/**
 * Finds the query of an INSERT in its text, where the parser does not tell its place: between the
 * words that may stand around it, what parses to the very query. Null where it cannot be found.
 */
export function insertText(
  statement: InsertStmt,
  select: SelectStmt,
  { bytes, textStart, start, end, parser }: StatementContext,
): InsertText | null {
  const tokens = new Tokens(bytes, textStart, start, end);
  const outside = tokens.outsideParentheses();
  const insert = outside.find((token) => tokens.is(token, 'insert')) ?? -1;
  if (insert < 0) return null;
  const last = tokens.end(tokens.count - 1);
  const before =
    statement.withClause === undefined ? '' : tokens.text(tokens.start(0), tokens.start(insert));
  const later = outside.filter((token) => token > insert + 1);
  const words = later.filter((token) => QUERY_WORDS.some((word) => tokens.is(token, word)));
  const brackets = later.filter((token) => tokens.is(token, '('));
  for (const from of [...words.slice(0, STARTS_MAX), ...brackets.slice(0, STARTS_MAX)]) {
    const ends = later.filter((token) => token > from && isTail(tokens, token));
    for (const to of [...ends.map((token) => tokens.start(token)), last]) {
      const query = before + tokens.text(tokens.start(from), to);
      if (parsesTo(query, { SelectStmt: select }, parser))
        return { query, tail: tokens.text(to, last), start: tokens.start(from), end: to };
    }
  }
  return null;
}

const QUERY_WORDS = ['select', 'values', 'table', 'with'];

function isTail(tokens: Tokens, token: number): boolean {
  if (tokens.is(token, 'returning')) return true;
  return tokens.is(token, 'on') && tokens.is(token + 1, 'conflict');
}

/** Whether a text is this statement, and short enough to be parsed at once. */
export function parsesTo(text: string, node: Node, parser: TextParser): boolean {
  try {
    const parsed = parser.parse(Buffer.from(text));
    if (Array.isArray(parsed)) return parsed.length === 1 && sameTree(parsed[0]!.node, node);
    parsed.catch(() => undefined);
  } catch {
    // It begins or ends elsewhere.
  }
  return false;
}
