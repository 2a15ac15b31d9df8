import type {
  A_Const,
  ColumnRef,
  DefElem,
  Node,
  RangeVar,
  SelectStmt,
  TypeName,
} from '@pgsql/types';

/**
 * The name of a node's kind, such as `SelectStmt`; `''` for the empty node (SQL's absent list
 * element).
 */
export function kindOf(node: Node): string {
  for (const kind in node) return kind;
  return '';
}

/** A node's fields, untyped, for generic walks. */
export function bodyOf(node: Node): Record<string, unknown> {
  for (const kind in node) {
    return (node as unknown as Record<string, Record<string, unknown>>)[kind]!;
  }
  return {};
}

/** The text of a `String` node; null for every other node. */
export function stringOf(node: Node | undefined): string | null {
  if (node === undefined || !('String' in node)) return null;
  return node.String.sval ?? '';
}

/** A list of `String` nodes as texts; other nodes (stars) are left out. */
export function stringsOf(nodes: readonly Node[] | undefined): string[] {
  const out: string[] = [];
  for (const node of nodes ?? []) {
    const text = stringOf(node);
    if (text !== null) out.push(text);
  }
  return out;
}

/** Bare name and schema (null where not written) of a dotted name. */
export function qualifiedName(nodes: readonly Node[] | undefined): {
  schema: string | null;
  name: string;
} {
  const parts = stringsOf(nodes);
  return { schema: parts.length > 1 ? parts[parts.length - 2]! : null, name: parts.at(-1) ?? '' };
}

/** Whether an operator name is exactly this built-in one: unqualified or from pg_catalog. */
export function isOperator(nodes: readonly Node[] | undefined, symbol: string): boolean {
  const { schema, name } = qualifiedName(nodes);
  return name === symbol && (schema === null || schema === 'pg_catalog');
}

/** The SELECT that a node holds; null where it holds something else (an INSERT in a CTE). */
export function selectOf(node: Node | undefined): SelectStmt | null {
  return node !== undefined && 'SelectStmt' in node ? node.SelectStmt : null;
}

export function columnRefOf(node: Node | undefined): ColumnRef | null {
  return node !== undefined && 'ColumnRef' in node ? node.ColumnRef : null;
}

export function constOf(node: Node | undefined): A_Const | null {
  return node !== undefined && 'A_Const' in node ? node.A_Const : null;
}

/** Whether an expression is `*`, `t.*` or `(row).*`. */
export function isStar(node: Node | undefined): boolean {
  if (node === undefined) return false;
  const last =
    'ColumnRef' in node
      ? node.ColumnRef.fields?.at(-1)
      : 'A_Indirection' in node
        ? node.A_Indirection.indirection?.at(-1)
        : undefined;
  return last !== undefined && 'A_Star' in last;
}

export function isStarTarget(node: Node): boolean {
  return 'ResTarget' in node && isStar(node.ResTarget.val);
}

/** A constant's value as text; null for SQL NULL. */
export function constText(value: A_Const): string | null {
  if (value.isnull === true) return null;
  if (value.ival !== undefined) return String(value.ival.ival ?? 0);
  if (value.fval !== undefined) return value.fval.fval ?? '0';
  if (value.boolval !== undefined) return value.boolval.boolval === true ? 'true' : 'false';
  if (value.sval !== undefined) return value.sval.sval ?? '';
  return value.bsval?.bsval ?? '';
}

/** Whether a type carries modifiers, as `varchar(5)` does: such a cast may change the value. */
export function hasModifiers(type: TypeName): boolean {
  return (type.typmods?.length ?? 0) > 0;
}

export function rangeVarText(range: RangeVar): string {
  const name = range.relname ?? '';
  return range.schemaname === undefined ? name : `${range.schemaname}.${name}`;
}

/** A DefElem's argument as text, whatever way the grammar wraps it; null where it has none. */
export function defElemText(element: DefElem): string | null {
  const argument = element.arg;
  if (argument === undefined) return null;
  if ('String' in argument) return argument.String.sval ?? '';
  if ('Integer' in argument) return String(argument.Integer.ival ?? 0);
  if ('Float' in argument) return argument.Float.fval ?? '';
  if ('Boolean' in argument) return argument.Boolean.boolval === true ? 'true' : 'false';
  if ('A_Const' in argument) return constText(argument.A_Const);
  if ('TypeName' in argument) return stringsOf(argument.TypeName.names).at(-1) ?? '';
  return null;
}

/** Whether a tree holds a node of this kind (that passes the test). */
export function contains(
  tree: unknown,
  kind: string,
  test: (node: Node) => boolean = () => true,
): boolean {
  if (tree === null || typeof tree !== 'object') return false;
  if (Array.isArray(tree)) return tree.some((item) => contains(item, kind, test));
  if (kind in tree && test(tree as Node)) return true;
  return Object.values(tree).some((field) => contains(field, kind, test));
}

/**
 * Calls `visit` for each node that stands in a field of `body`, at any depth of unwrapped
 * structures between.
 */
export function forEachChild(body: unknown, visit: (node: Node) => void): void {
  if (body === null || typeof body !== 'object') return;
  if (Array.isArray(body)) {
    for (const item of body) visitValue(item, visit);
    return;
  }
  for (const value of Object.values(body)) visitValue(value, visit);
}

function visitValue(value: unknown, visit: (node: Node) => void): void {
  if (value === null || typeof value !== 'object') return;
  if (Array.isArray(value)) {
    for (const item of value) visitValue(item, visit);
    return;
  }
  if (isNode(value)) visit(value);
  else forEachChild(value, visit);
}

/** Wrapped nodes have one key, and it begins with a capital letter; fields never do. */
function isNode(value: object): value is Node {
  const keys = Object.keys(value);
  if (keys.length !== 1) return false;
  const first = keys[0]!.charCodeAt(0);
  return first >= 65 && first <= 90;
}
