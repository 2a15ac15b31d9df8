import type { Node } from '@pgsql/types';
import type { Names } from './names.js';
import type { Plan } from './plan.js';
import { refusePlan } from './plans.js';
import { refusal } from './refusals.js';

/**
 * The plan where it is sure to mean the same on every shard: a table that has other columns on some of them can be used
 * on one shard of its key, by the names of its columns; answers of several are refused.
 */
export function forEvenTables(plan: Plan, node: Node, names: Names): Plan {
  const { uneven } = names.catalog;
  if (uneven === undefined || uneven.size === 0) return plan;
  if (plan.kind !== 'route' && plan.kind !== 'insertSplit' && plan.kind !== 'copyFrom') return plan;
  const found = unevenIn(node, names, uneven);
  if (found === null) return plan;
  const { table, reason } = found;
  const why = refusal(
    `table "${table}" is not the same on all shards: ${reason}`,
    'Make it the same on every server, by direct connections; the log names all differences.',
  );
  if (plan.kind === 'route') {
    const { kind } = plan.shards;
    if (kind === 'shard') return plan;
    if (kind === 'keys') return { ...plan, many: { kind: 'refuse', refusal: why } };
    return refusePlan(plan.verb, why);
  }
  return namesColumns(node) ? plan : refusePlan(plan.verb, why);
}

/** Whether INSERT or COPY says which columns its values are for. */
function namesColumns(node: Node): boolean {
  if ('InsertStmt' in node) return (node.InsertStmt.cols?.length ?? 0) > 0;
  return 'CopyStmt' in node && (node.CopyStmt.attlist?.length ?? 0) > 0;
}

/** The first table of the tree that differs between shards. */
function unevenIn(
  tree: unknown,
  names: Names,
  uneven: ReadonlyMap<string, string>,
): { readonly table: string; readonly reason: string } | null {
  if (tree === null || typeof tree !== 'object') return null;
  if ('relname' in tree && typeof tree.relname === 'string') {
    const schema =
      'schemaname' in tree && typeof tree.schemaname === 'string' ? tree.schemaname : null;
    const relation = names.find(schema, tree.relname);
    const reason =
      relation === null ? undefined : uneven.get(`${relation.schema}.${relation.name}`);
    if (reason !== undefined) return { table: tree.relname, reason };
  }
  for (const field of Object.values(tree)) {
    const found = unevenIn(field, names, uneven);
    if (found !== null) return found;
  }
  return null;
}
