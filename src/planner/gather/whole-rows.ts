import type { ColumnRef, Node, SelectStmt } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import type { Analysis } from '../analysis.js';
import { bodyOf, columnRefOf, forEachChild, qualifiedName } from '../ast.js';
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
  statement: SelectStmt,
  skip: ReadonlySet<SelectStmt>,
  moved: ReadonlySet<CatalogRelation>,
  analysis: Analysis,
): void {
  if (analysis.wholeRows.size === 0) return;
  const visit = (node: Node, harmless: boolean): void => {
    const reference = columnRefOf(node);
    if (reference !== null) {
      if (!harmless) check(reference, moved, analysis);
      return;
    }
    if ('SelectStmt' in node && skip.has(node.SelectStmt)) return;
    const inside = looksAtColumns(node, analysis);
    forEachChild(bodyOf(node), (child) => {
      visit(child, inside);
    });
  };
  visit({ SelectStmt: statement }, false);
}

function check(
  reference: ColumnRef,
  moved: ReadonlySet<CatalogRelation>,
  analysis: Analysis,
): void {
  const relation = analysis.wholeRows.get(reference);
  if (relation === undefined || !moved.has(relation)) return;
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
