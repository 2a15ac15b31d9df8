import type { Node } from '@pgsql/types';

/**
 * A copy of a tree in which `replace` has put other nodes; it answers undefined for nodes whose
 * children are to be looked at. Nodes are told from other structures by their one capital key.
 */
export function replaced<T>(tree: T, replace: (node: Node) => Node | undefined): T {
  if (tree === null || typeof tree !== 'object') return tree;
  if (Array.isArray(tree)) return tree.map((item: unknown) => replaced(item, replace)) as T;
  const keys = Object.keys(tree);
  if (keys.length === 1 && /^[A-Z]/.test(keys[0]!)) {
    const other = replace(tree as unknown as Node);
    if (other !== undefined) return other as T;
  }
  return Object.fromEntries(
    Object.entries(tree).map(([name, field]) => [name, replaced(field as unknown, replace)]),
  ) as T;
}

/** `t.c` */
export function columnOf(table: string, column: string): Node {
  return { ColumnRef: { fields: [{ String: { sval: table } }, { String: { sval: column } }] } };
}
