import type { Node } from '@pgsql/types';
import type { Analysis, Place } from './analysis.js';
import { columnRefOf, isStar } from './ast.js';
import { figureColumnName } from './column-names.js';
import { bareColumn, visitExpression } from './expressions.js';
import type { Level, OutputColumn } from './model.js';
import { resolveColumn, type Scope } from './scopes.js';

/** Analyses a target list (or RETURNING) and says which columns come out of it. */
export function analyseTargets(
  targets: readonly Node[] | undefined,
  place: Place,
  level: Level,
  analysis: Analysis,
): OutputColumn[] {
  const outputs: OutputColumn[] = [];
  (targets ?? []).forEach((node, target) => {
    if (!('ResTarget' in node)) return;
    const { name, val } = node.ResTarget;
    visitExpression(val, place, analysis);
    if (isStar(val)) {
      const columns = expandStar(val, place.scope, level);
      outputs.push(...columns.map((column) => ({ ...column, target })));
      return;
    }
    const column = columnRefOf(val) === null ? null : bareColumn(val, place, analysis);
    outputs.push({ name: name ?? figureColumnName(val), variable: column, target });
  });
  return outputs;
}

function expandStar(node: Node | undefined, scope: Scope, level: Level): OutputColumn[] {
  const reference = columnRefOf(node);
  const resolved = reference === null ? null : resolveColumn(reference, scope);
  if (resolved?.kind !== 'star') {
    level.openOutputs = true;
    return [];
  }
  const items = resolved.items ?? scope.items.filter((item) => item.columnsVisible);
  if (items.some((item) => item.open)) level.openOutputs = true;
  return items.flatMap((item) => item.columns);
}
