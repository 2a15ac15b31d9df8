import type { ColumnRef, Node } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import type { Analysis } from '../analysis.js';
import { bodyOf, columnRefOf, forEachChild, qualifiedName, stringOf, stringsOf } from '../ast.js';
import { refuse } from '../refusals.js';

/** Built-in functions that look at a row's columns and not at the type it has a name for. */
const rowFunctions = new Set(
  'count row_to_json to_json to_jsonb json_agg jsonb_agg json_build_array jsonb_build_array'.split(
    ' ',
  ),
);

/**
 * Refuses whole rows, outside of the queries in `skip`, of tables that are brought from elsewhere
 * where the row's own type may be seen: on the home they are rows of another type.
 */
export function checkWholeRows(
  statement: Node,
  skip: ReadonlySet<object>,
  moved: readonly MovedRelation[],
  analysis: Analysis,
): void {
  const visit = (node: Node, parent: Node | null): void => {
    const reference = columnRefOf(node);
    if (reference !== null) {
      const row = rowOf(reference, parent, moved, analysis);
      if (row !== null && !(parent !== null && looksAtColumns(parent, analysis))) refuseRow(row);
      return;
    }
    if (skip.has(bodyOf(node))) return;
    forEachChild(bodyOf(node), (child) => {
      visit(child, node);
    });
  };
  visit(statement, null);
}

/** A table or view that something else stands in for. */
export interface MovedRelation {
  /** What the statement calls it. */
  readonly name: string;
  readonly relation: CatalogRelation;
}

/** The moved relation whose row a reference is; null: it is none. */
function rowOf(
  reference: ColumnRef,
  parent: Node | null,
  moved: readonly MovedRelation[],
  analysis: Analysis,
): CatalogRelation | null {
  const relation = analysis.wholeRows.get(reference);
  if (relation !== undefined) {
    return moved.some((item) => item.relation === relation) ? relation : null;
  }
  if (parent === null || !isRowStar(reference, parent)) return null;
  const name = stringsOf(reference.fields).at(-1);
  return moved.find((item) => item.name === name)?.relation ?? null;
}

/**
 * Whether `o.*` is the row as one value: everywhere but among outputs and the items of rows, where
 * it is its columns (PostgreSQL 18, 8.16.5).
 */
export function isRowStar(reference: ColumnRef, parent: Node): boolean {
  const fields = reference.fields ?? [];
  if (fields.length < 2 || stringOf(fields.at(-1)) !== null) return false;
  return !('ResTarget' in parent || 'RowExpr' in parent || 'List' in parent);
}

function refuseRow(relation: CatalogRelation): never {
  refuse(
    `rows of table "${relation.name}" as values are not supported over several shards`,
    'Name its columns, or use row_to_json().',
  );
}

function looksAtColumns(node: Node, analysis: Analysis): boolean {
  if ('NullTest' in node || 'A_Indirection' in node) return true;
  if (!('FuncCall' in node)) return false;
  const { schema, name } = qualifiedName(node.FuncCall.funcname);
  return rowFunctions.has(name) && analysis.names.userFunctions(schema, name).length === 0;
}
