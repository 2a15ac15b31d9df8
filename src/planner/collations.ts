import type { Node, TypeName } from '@pgsql/types';
import type { CatalogColumn } from '../keyspace/catalog.js';
import { contains, qualifiedName } from './ast.js';
import type { Names } from './names.js';

/** Built-in collations that order text by the bytes of UTF-8. */
const BYTES = new Set(['C', 'POSIX', 'ucs_basic', 'pg_c_utf8']);

/** COLLATE behind an expression, or behind a column that is defined for the rows of a function. */
export function namesCollation(tree: unknown): boolean {
  return contains(tree, 'CollateClause') || contains(tree, 'collClause');
}

/** Whether whatever is collated there by name compares by its bytes. */
export function namesBytesOnly(tree: unknown): boolean {
  const isOther = (node: Node): boolean => 'CollateClause' in node && !isBytes(node);
  return !contains(tree, 'CollateClause', isOther) && !contains(tree, 'collClause');
}

/** `x COLLATE "C"` and the like. */
export function isBytes(node: Node): boolean {
  if (!('CollateClause' in node)) return false;
  const { schema, name } = qualifiedName(node.CollateClause.collname);
  return BYTES.has(name) && (schema === null || schema === 'pg_catalog');
}

/**
 * Whether text may have a collation that neither these columns nor COLLATE tell: that of a domain, of a row's column,
 * or of what a function of users gives.
 * @param columns those of tables and views that the tree may speak of
 */
export function typesMayCollate(
  tree: unknown,
  columns: readonly CatalogColumn[],
  names: Names,
): boolean {
  const { collatedTypes } = names.catalog;
  if (collatedTypes === undefined || collatedTypes.size === 0) return false;
  if (columns.some(({ type }) => collatedTypes.has(type))) return true;
  const isCollated = (typeName: TypeName): boolean => {
    const oid = names.parameterTypeOid(typeName);
    return oid === null || collatedTypes.has(oid);
  };
  const casts = contains(tree, 'typeName', (owner) =>
    isCollated((owner as unknown as { readonly typeName: TypeName }).typeName),
  );
  return casts || contains(tree, 'FuncCall', (node) => callsCollated(node, names));
}

function callsCollated(node: Node, names: Names): boolean {
  if (!('FuncCall' in node)) return false;
  const { schema, name } = qualifiedName(node.FuncCall.funcname);
  return names.userFunctions(schema, name).some(({ givesCollated }) => givesCollated !== false);
}
