import type { ColumnRef, Node } from '@pgsql/types';
import type { Analysis, Condition } from '../analysis.js';
import { bodyOf, columnRefOf, forEachChild, stringOf } from '../ast.js';
import type { Entry } from '../model.js';
import { resolveColumn } from '../scopes.js';

/** The conditions that a condition consists of, all of which must hold. */
export function conjunctsOf(node: Node): readonly Node[] {
  if (!('BoolExpr' in node) || node.BoolExpr.boolop !== 'AND_EXPR') return [node];
  return (node.BoolExpr.args ?? []).flatMap(conjunctsOf);
}

/**
 * The entries whose columns an expression names, under the names that they have in their own
 * tables; null where it names anything else.
 */
export function entriesOf(
  expression: Node,
  condition: Condition,
  analysis: Analysis,
): Set<Entry> | null {
  const entries = new Set<Entry>();
  let known = true;
  const visit = (node: Node): void => {
    const reference = columnRefOf(node);
    if (reference === null) {
      forEachChild(bodyOf(node), visit);
      return;
    }
    const entry = entryOf(reference, condition, analysis);
    if (entry === null) known = false;
    else entries.add(entry);
  };
  visit(expression);
  return known ? entries : null;
}

function entryOf(reference: ColumnRef, { place }: Condition, analysis: Analysis): Entry | null {
  if (analysis.wholeRows.has(reference)) return null;
  const fields = reference.fields ?? [];
  const resolved = resolveColumn(reference, place.scope);
  const variable = resolved.kind === 'column' ? resolved.variable : null;
  if (variable === null || stringOf(fields.at(-1)) !== variable.name) return null;
  const { entry } = variable;
  return fields.length === 1 || stringOf(fields.at(-2)) === entry.alias ? entry : null;
}

/** Names of columns that stand without a table's name before them. */
export function bareNames(expression: Node): Set<string> {
  const names = new Set<string>();
  const visit = (node: Node): void => {
    const reference = columnRefOf(node);
    const name = reference?.fields?.length === 1 ? stringOf(reference.fields[0]) : null;
    if (name !== null) names.add(name);
    forEachChild(bodyOf(node), visit);
  };
  visit(expression);
  return names;
}
