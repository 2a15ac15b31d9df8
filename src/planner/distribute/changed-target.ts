import type { ColumnRef, CommonTableExpr, Node, SelectStmt } from '@pgsql/types';
import type { CatalogColumn } from '../../keyspace/catalog.js';
import type { Analysis } from '../analysis.js';
import { contains, stringOf, stringsOf } from '../ast.js';
import { isReferenced } from '../foreign-keys.js';
import type { OutputColumn, Occurrence } from '../model.js';
import { typeNode } from '../type-names.js';
import { columnNode } from './apply-text.js';
import type { InsertedRows } from './inserted-rows.js';

/** A WITH query that deletes rows of the table. */
interface DeletedRows {
  readonly name: string;
  /** What tells rows apart, and what RETURNING calls it. */
  readonly keys: readonly { readonly column: CatalogColumn; readonly told: string }[];
}

/**
 * An INSERT into a table that its WITH queries change too. On one server these parts do not see each other, so they may
 * be done one after the other; but for a new row with the unique values of one that is deleted: which comes first is a
 * matter of PostgreSQL's plan. Null: it cannot be done like that. `query`: what gives the rows, each with a last
 * column that says whether it is such a row; null: none can be.
 */
export function insertBesideChanges(
  rows: InsertedRows,
  analysis: Analysis,
): { readonly query: SelectStmt | null } | null {
  const { statement, insertion } = rows;
  const { target } = insertion;
  const { relation } = target;
  const changes = analysis.occurrences.filter(
    ({ entry, written, relation: other }) =>
      written && entry !== target.entry && analysis.names.shareRows(other, relation),
  );
  if (changes.length === 0) return { query: null };
  const isPlain =
    statement.onConflictClause === undefined &&
    relation.refersToItself === false &&
    target.through === undefined;
  if (!isPlain) return null;
  const deleted: DeletedRows[] = [];
  for (const change of changes) {
    const cte = cteOf(change, analysis);
    // A view has names of its own.
    if (cte?.ctequery === undefined || change.through !== undefined) return null;
    if (addsOnly(cte.ctequery) || keepsUnique(cte.ctequery, change)) continue;
    if (!('DeleteStmt' in cte.ctequery)) return null;
    if (relation.uniqueColumns?.length === 0) continue;
    if (comesBack(cte, change, rows)) {
      // What refers to a row would be gone with it, and must not be.
      if (isReferenced(relation)) return null;
      continue;
    }
    const found = deletedRows(cte, change, rows);
    if (found === null) return null;
    deleted.push(found);
  }
  return { query: deleted.length === 0 ? null : toldClashes(rows, deleted, analysis) };
}

function cteOf({ entry }: Occurrence, { changes, nestedWrites }: Analysis): CommonTableExpr | null {
  if (changes.size !== nestedWrites) return null;
  for (const [cte, level] of changes) if (level === entry.level) return cte;
  return null;
}

function addsOnly(node: Node): boolean {
  return 'InsertStmt' in node && node.InsertStmt.onConflictClause === undefined;
}

/** An UPDATE of nothing that a unique constraint looks at. */
function keepsUnique(node: Node, { relation: { uniqueColumns, columns } }: Occurrence): boolean {
  if (!('UpdateStmt' in node) || uniqueColumns === undefined) return false;
  const computed = columns.some(({ name, generated }) => generated && uniqueColumns.includes(name));
  const sets = (node.UpdateStmt.targetList ?? []).some(
    (item) => !('ResTarget' in item) || uniqueColumns.includes(item.ResTarget.name ?? ''),
  );
  return !computed && !sets;
}

/** Whether the new rows are those that are deleted, each with its own unique values. */
function comesBack(
  cte: CommonTableExpr,
  change: Occurrence,
  { insertion: { query, columns }, statement }: InsertedRows,
): boolean {
  const [entry, ...others] = query?.entries ?? [];
  if (entry?.query !== change.entry.level || others.length > 0 || query!.arms.length > 0) {
    return false;
  }
  if (statement.override === 'OVERRIDING_USER_VALUE') return false;
  return (change.relation.uniqueColumns ?? []).every((name) => {
    const given = query!.outputs[columns.indexOf(name)]?.variable;
    if (given?.entry !== entry) return false;
    const place = toldNames(cte, change).indexOf(given.name);
    const output = change.entry.level.outputs[place];
    return output !== undefined && isColumn(output, change, name);
  });
}

/** What the statement calls the columns of RETURNING. */
function toldNames(
  { aliascolnames }: CommonTableExpr,
  { entry: { level } }: Occurrence,
): readonly (string | null)[] {
  const aliases = stringsOf(aliascolnames);
  return level.outputs.map(({ name }, place) => aliases[place] ?? name);
}

function isColumn({ variable }: OutputColumn, { entry }: Occurrence, name: string): boolean {
  return variable?.entry === entry && variable.name === name;
}

/** Null: RETURNING does not tell what makes rows unique, or lookups do. */
function deletedRows(
  cte: CommonTableExpr,
  change: Occurrence,
  { columns }: InsertedRows,
): DeletedRows | null {
  const { ctename: name = '' } = cte;
  const { table, relation } = change;
  if (table?.type !== 'sharded' || table.lookups?.some(({ unique }) => unique) === true)
    return null;
  if (looksAtNew(cte.ctequery)) return null;
  const names = toldNames(cte, change);
  const { outputs } = change.entry.level;
  const keysOf = (wanted: readonly string[]): DeletedRows['keys'] =>
    wanted.flatMap((key) => {
      const column = columns.find((given) => given.name === key);
      const told = names[outputs.findIndex((own) => isColumn(own, change, key))] ?? null;
      if (column === undefined || told === null) return [];
      return names.filter((other) => other === told).length > 1 ? [] : [{ column, told }];
    });
  const { primaryKey, uniqueColumns = [] } = relation;
  const isOnly = uniqueColumns.every((column) => primaryKey?.includes(column) === true);
  // Every unique constraint has the shard key in it.
  for (const wanted of [isOnly ? primaryKey! : table.keyColumns, table.keyColumns]) {
    const keys = keysOf(wanted);
    if (keys.length === wanted.length) return { name, keys };
  }
  return null;
}

/** Of a deleted row nothing is new. */
function looksAtNew(statement: Node | undefined): boolean {
  if (statement === undefined || !('DeleteStmt' in statement)) return true;
  const { returningClause } = statement.DeleteStmt;
  const isNew = ({ ColumnRef: { fields } }: { ColumnRef: ColumnRef }): boolean =>
    stringOf(fields?.[0]) === 'new';
  return (
    (returningClause?.options ?? []).length > 0 ||
    contains(returningClause?.exprs, 'ColumnRef', (node) => 'ColumnRef' in node && isNew(node))
  );
}

/** `SELECT *, (keys) IN (SELECT keys FROM deleted) FROM (query) AS sg_new (c0, c1, ...)`. */
function toldClashes(
  { select, columns }: InsertedRows,
  deleted: readonly DeletedRows[],
  { names: { catalog } }: Analysis,
): SelectStmt {
  const { withClause, ...own } = select;
  const names = columns.map((_, place) => `c${place}`);
  const plain = { limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' } as const;
  const clashes = deleted.map(({ name, keys }): Node => {
    const args = keys.map(({ column }): Node => {
      const arg = columnNode(NEW, names[columns.indexOf(column)]!);
      const typeName = typeNode(column.type, catalog);
      return typeName === null ? arg : { TypeCast: { arg, typeName } };
    });
    const targetList = keys.map(({ told }) => ({ ResTarget: { val: columnNode(name, told) } }));
    const fromClause: Node[] = [{ RangeVar: { relname: name, inh: true, relpersistence: 'p' } }];
    const testexpr: Node =
      args.length === 1 ? args[0]! : { RowExpr: { args, row_format: 'COERCE_IMPLICIT_CAST' } };
    return {
      SubLink: {
        subLinkType: 'ANY_SUBLINK',
        testexpr,
        subselect: { SelectStmt: { targetList, fromClause, ...plain } },
      },
    };
  });
  const clash: Node =
    clashes.length === 1 ? clashes[0]! : { BoolExpr: { boolop: 'OR_EXPR', args: clashes } };
  const values = [...names.map((name) => columnNode(NEW, name)), clash];
  const colnames = names.map((sval) => ({ String: { sval } }));
  return {
    targetList: values.map((val) => ({ ResTarget: { val } })),
    fromClause: [
      {
        RangeSubselect: {
          subquery: { SelectStmt: own },
          alias: { aliasname: NEW, colnames },
        },
      },
    ],
    ...plain,
    ...(withClause === undefined ? {} : { withClause }),
  };
}

const NEW = 'sg_new';
