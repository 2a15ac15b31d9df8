import type { Node } from '@pgsql/types';
import type { Analysis, Condition } from '../analysis.js';
import { bodyOf, columnRefOf, forEachChild, stringOf } from '../ast.js';
import type { Entry } from '../model.js';
import { resolveColumn } from '../scopes.js';
import type { StatementContext } from '../statement-context.js';
import { deparseExpression } from '../../sql/deparse.js';
import { isPlainCondition } from './plain-expressions.js';

/**
 * The conditions of the statement that concern rows of one table or view alone, as SQL: rows that fail them
 * need not be read. They stay in the statement too.
 */
export function filtersOf(entry: Entry, analysis: Analysis, context: StatementContext): string[] {
  const out: string[] = [];
  for (const condition of analysis.conditions) {
    if (!condition.restricts(entry)) continue;
    for (const conjunct of conjunctsOf(condition.node)) {
      if (!concernsOnly(conjunct, entry, condition, analysis)) continue;
      if (!isPlainCondition(conjunct, analysis)) continue;
      const sql = deparseExpression(conjunct, context.parser);
      if (sql !== null) out.push(`(${sql})`);
    }
  }
  return out;
}

/** The conditions that a condition consists of, all of which must hold. */
export function conjunctsOf(node: Node): readonly Node[] {
  if (!('BoolExpr' in node) || node.BoolExpr.boolop !== 'AND_EXPR') return [node];
  return (node.BoolExpr.args ?? []).flatMap(conjunctsOf);
}

/** Whether a condition names columns of this table, under names that they have there, and no others. */
function concernsOnly(
  conjunct: Node,
  entry: Entry,
  { place }: Condition,
  analysis: Analysis,
): boolean {
  let columns = 0;
  let others = 0;
  const visit = (node: Node): void => {
    const reference = columnRefOf(node);
    if (reference === null) {
      forEachChild(bodyOf(node), visit);
      return;
    }
    const fields = reference.fields ?? [];
    const resolved = resolveColumn(reference, place.scope);
    const variable = resolved.kind === 'column' ? resolved.variable : null;
    const own =
      variable?.entry === entry &&
      stringOf(fields.at(-1)) === variable.name &&
      (fields.length === 1 || stringOf(fields.at(-2)) === entry.alias);
    if (own && !analysis.wholeRows.has(reference)) columns++;
    else others++;
  };
  visit(conjunct);
  return columns > 0 && others === 0;
}
