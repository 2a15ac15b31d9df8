import type { Node } from '@pgsql/types';
import { deparseExpression } from '../../sql/deparse.js';
import type { Analysis } from '../analysis.js';
import type { Entry } from '../model.js';
import type { StatementContext } from '../statement-context.js';
import { conjunctsOf, entriesOf } from './concerns.js';
import { isPlainCondition } from './plain-expressions.js';

/**
 * The conditions of the statement that concern rows of one table or view alone, as SQL: rows that
 * fail them need not be read. They stay in the statement too.
 */
export function filtersOf(entry: Entry, analysis: Analysis, context: StatementContext): string[] {
  const out: string[] = [];
  for (const condition of analysis.conditions) {
    if (!condition.restricts(entry)) continue;
    const isOwn = (node: Node): boolean => {
      const entries = entriesOf(node, condition, analysis);
      return entries?.size === 1 && entries.has(entry) && isPlainCondition(node, analysis);
    };
    for (const conjunct of conjunctsOf(condition.node)) {
      const part = isOwn(conjunct) ? conjunct : ownPart(conjunct, isOwn);
      const sql = part === null ? null : deparseExpression(part, context.parser);
      if (sql !== null) out.push(`(${sql})`);
    }
  }
  return out;
}

/**
 * What an OR says of the table alone, if each of its arms says something:
 * `(a.x = 1 AND b.y = 2) OR a.x = 3` holds only where `a.x = 1 OR a.x = 3` does.
 */
function ownPart(node: Node, isOwn: (node: Node) => boolean): Node | null {
  if (!('BoolExpr' in node) || node.BoolExpr.boolop !== 'OR_EXPR') return null;
  const args: Node[] = [];
  for (const arm of node.BoolExpr.args ?? []) {
    const own = conjunctsOf(arm).filter(isOwn);
    if (own.length === 0) return null;
    args.push(own.length === 1 ? own[0]! : { BoolExpr: { boolop: 'AND_EXPR', args: own } });
  }
  return { BoolExpr: { boolop: 'OR_EXPR', args } };
}
