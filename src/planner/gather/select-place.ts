import type { SelectStmt } from '@pgsql/types';
import type { TextParser } from '../../sql/parser.js';
import { sameTree } from '../../sql/same-tree.js';
import type { Tokens } from '../../sql/tokens.js';
import type { StatementContext } from '../statement-context.js';
import type { StatementText } from './text-edits.js';

/** Where a query stands between parentheses, and its text. Offsets are bytes of the whole text. */
export interface SelectPlace {
  readonly start: number;
  readonly end: number;
  readonly sql: string;
}

/** `((SELECT ...) LIMIT 1)` is one query between two pairs of parentheses; more are not tried. */
const PAIRS_MAX = 4;

/**
 * The text of a query that stands in parentheses; null where it cannot be found. The parser says
 * nothing of where a query begins, so the parentheses around its first output are tried from the
 * inside outwards: what stands between them must parse to the very query.
 */
export function findSelect(
  select: SelectStmt,
  text: StatementText,
  { parser }: StatementContext,
): SelectPlace | null {
  const { tokens } = text;
  let inside = tokens.at(firstOutput(select) ?? -1);
  if (inside < 0) return null;
  for (let pairs = 0; pairs < PAIRS_MAX; pairs++) {
    const open = openingBefore(tokens, inside);
    const close = open < 0 ? -1 : tokens.closing(open);
    if (close < 0) return null;
    const start = tokens.end(open);
    const end = tokens.start(close);
    const sql = tokens.text(start, end).trim();
    if (isSelect(sql, select, parser)) return { start, end, sql };
    inside = open;
  }
  return null;
}

function firstOutput(select: SelectStmt): number | null {
  if (select.larg !== undefined) return firstOutput(select.larg);
  const target = select.targetList?.[0];
  return target !== undefined && 'ResTarget' in target ? (target.ResTarget.location ?? null) : null;
}

/** The parenthesis that a token stands in; -1: none. */
function openingBefore(tokens: Tokens, inside: number): number {
  let depth = 0;
  for (let i = inside - 1; i >= 0; i--) {
    if (tokens.is(i, ')')) depth++;
    else if (tokens.is(i, '(') && depth-- === 0) return i;
  }
  return -1;
}

function isSelect(sql: string, select: SelectStmt, parser: TextParser): boolean {
  try {
    const parsed = parser.parse(Buffer.from(sql));
    if (Array.isArray(parsed)) {
      return parsed.length === 1 && sameTree(parsed[0]!.node, { SelectStmt: select });
    }
    parsed.catch(() => undefined);
  } catch {
    // Not the query's own parentheses.
  }
  return false;
}
