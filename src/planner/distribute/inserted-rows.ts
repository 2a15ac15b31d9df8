import type { InsertStmt, Node, SelectStmt } from '@pgsql/types';
import type { Catalog, CatalogColumn } from '../../keyspace/catalog.js';
import type { Lookup, ShardedTable } from '../../keyspace/topology.js';
import type { ParsedStatement } from '../../sql/parser.js';
import type { Analysis } from '../analysis.js';
import { bodyOf, contains, qualifiedName, selectOf } from '../ast.js';
import { refuseCounting } from '../counted-apart.js';
import type { IdColumn } from '../id-sources.js';
import type { Insertion } from '../insertions.js';
import {
  ROW_NUMBER,
  type ApplySpec,
  type Destination,
  type DestinationColumn,
  type DistributeSpec,
} from '../plan.js';
import { refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { nameOf, ownColumns } from '../target-columns.js';
import { typeNode } from '../type-names.js';
import { columnNode, overRows, ROWS, selectNode } from './apply-text.js';
import { insertText, type InsertText } from './insert-text.js';
import { sourceQuery, sourceText } from './source-query.js';

/** An INSERT whose rows are read first. */
export interface InsertedRows {
  readonly statement: InsertStmt;
  readonly insertion: Insertion;
  /** What gives the rows. */
  readonly select: SelectStmt;
  /** The statement's own text; null: it cannot be cut. */
  readonly text: InsertText | null;
  /** The columns that it gives values for, in order. */
  readonly columns: readonly CatalogColumn[];
}

/**
 * INSERT as a distribution: its query is the source; every shard inserts the rows that it gets, with
 * the statement's own ON CONFLICT and RETURNING. `made`: columns that rows get values for on their
 * way; `guarded`: the query with a column behind its own that tells rows which must not be inserted; null: all may be.
 * Throws Refused.
 */
export function distributeInsert(
  rows: InsertedRows & { readonly guarded: SelectStmt | null },
  made: readonly IdColumn[],
  destination: Destination,
  analysis: Analysis,
  context: StatementContext,
): DistributeSpec {
  const { statement, select, guarded } = rows;
  refuseTail(statement);
  const { onConflictClause, returningClause } = statement;
  refuseCounting([onConflictClause, returningClause], rows.insertion.target, analysis);
  const returning = returningOf(rows, destination);
  const own = guarded === null ? rows.text?.query : undefined;
  const query = own ?? sourceText({ SelectStmt: guarded ?? select }, context);
  const source = sourceQuery(query, analysis.params, context);
  const claims = destination.kind === 'key' && destination.claim !== undefined;
  const inTurns = !claims && mayTakeTurns(rows, returning);
  const apply = applyOf(rows, made, returning, context);
  const sources = made.map(({ source: values }) => values);
  const spec = { source, made: sources, destination, apply, inTurns };
  if (guarded === null) return spec;
  const { columns, types = [] } = apply;
  const told = { columns: [...columns, CLASH], types: [...types, 0] };
  return { ...spec, apply: { ...apply, ...told }, clash: columns.length };
}

const CLASH = 'sg_clash';

/**
 * Several INSERTs in a row do what one does: nothing is looked at when it ends (triggers, foreign
 * keys to rows that come later), no row can be met twice (DO UPDATE), and RETURNING has no order
 * that goes through all of them.
 */
function mayTakeTurns(
  { statement, insertion }: InsertedRows,
  returning: ApplySpec['returning'],
): boolean {
  const { kind, hasTriggersOrRules, refersToItself } = insertion.target.relation;
  return (
    insertion.rows === null &&
    (returning === 'none' || returning === 'rows') &&
    statement.onConflictClause?.action !== 'ONCONFLICT_UPDATE' &&
    (kind === 'r' || kind === 'p') &&
    !hasTriggersOrRules &&
    refersToItself === false
  );
}

/**
 * Where an inserted row belongs: the shard of the value for the table's key; or, of a row that has its value for this
 * unique lookup.
 */
export function keyDestination(
  table: ShardedTable,
  columns: readonly CatalogColumn[],
  lookup: Lookup | null = null,
): Destination {
  const claimed = columns.findIndex(({ name }) => name === lookup?.column);
  const places = table.keyColumns.map((key) => columns.findIndex(({ name }) => name === key));
  return {
    kind: 'key',
    keyspace: table.keyspace,
    table,
    columns: places.map((column) => destinationColumn(table, columns[column]!, column)),
    ...(lookup === null || claimed < 0 ? {} : { claim: { lookup, column: claimed } }),
  };
}

/** A column of the key, and which one of the source it is compared with or stored from. */
export function destinationColumn(
  table: ShardedTable,
  { name, type, typmod = -1 }: CatalogColumn,
  column: number,
): DestinationColumn {
  return { column, columnType: type, columnTypmod: typmod, name: `${table.name}.${name}` };
}

/** INSERT ... SELECT, its WITH queries included. */
export function selectedRows(
  statement: InsertStmt,
  insertion: Insertion,
  context: StatementContext,
): InsertedRows {
  const { query } = insertion;
  const { withClause } = statement;
  const own = insertion.select!;
  if (query === null || query.openOutputs || (withClause && own.withClause)) {
    refuse(
      `INSERT into table "${insertion.target.relation.name}" from a query of this form over several shards is not supported`,
      'Name the columns of the query one by one, and write its WITH queries in front of INSERT.',
    );
  }
  const columns = columnsOf(insertion, query.outputs.length);
  const select = withClause === undefined ? own : { ...own, withClause };
  const text = insertText(statement, select, context);
  return { statement, insertion, select, text, columns };
}

/**
 * INSERT ... VALUES as a query of its own: each value is cast to its column's type, which rows that
 * stand alone could not tell. A column that is DEFAULT in every row is left out.
 */
export function valueRows(
  statement: InsertStmt,
  insertion: Insertion,
  { names: { catalog } }: StatementContext,
): InsertedRows {
  const rows = insertion.rows!;
  const all = columnsOf(insertion, rows[0]!.length);
  const isDefault = (row: readonly Node[], place: number): boolean =>
    'SetToDefault' in (row[place] ?? {});
  const given = all.flatMap((_, place) =>
    rows.every((row) => isDefault(row, place)) ? [] : [place],
  );
  const lists = rows.map((row) =>
    given.map((place): Node => {
      const column = all[place]!;
      const arg = isDefault(row, place) && !hasDefault(column) ? NULL : row[place];
      if (arg === undefined || 'SetToDefault' in arg) refuseMixed(insertion, column.name);
      const typeName = typeNode(column.type, catalog);
      return typeName === null ? arg : { TypeCast: { arg, typeName } };
    }),
  );
  const { withClause } = statement;
  // A row alone may call functions that give several, as the list of a SELECT may.
  const makesRows = lists.length === 1 && callsSet(lists[0]!, catalog);
  const select: SelectStmt = {
    ...(makesRows
      ? { targetList: lists[0]!.map((val) => ({ ResTarget: { val } })) }
      : { valuesLists: lists.map((items) => ({ List: { items } })) }),
    limitOption: 'LIMIT_OPTION_DEFAULT',
    op: 'SETOP_NONE',
    ...(withClause === undefined ? {} : { withClause }),
  };
  const columns = given.map((place) => all[place]!);
  return { statement, insertion, select, text: null, columns };
}

const NULL: Node = { A_Const: { isnull: true } };

/** Whether values may call a function that returns a set. */
function callsSet(values: readonly Node[], catalog: Catalog): boolean {
  return contains(values, 'FuncCall', (call) => {
    const { funcname } = bodyOf(call) as { funcname?: Node[] };
    const { name } = qualifiedName(funcname);
    return catalog.setReturning.has(name) || catalog.functions.has(name);
  });
}

function hasDefault({ hasDefault: own, generated, identity }: CatalogColumn): boolean {
  return own || generated || identity !== '';
}

function refuseMixed({ target }: Insertion, column: string): never {
  refuse(
    `DEFAULT in some rows only for column "${target.relation.name}.${column}", in an INSERT into several shards whose values are computed, is not supported`,
    'Insert the rows with DEFAULT in a statement of their own.',
  );
}

function columnsOf(insertion: Insertion, width: number): CatalogColumn[] {
  const own = ownColumns(insertion.target);
  return insertion.columns
    .slice(0, width)
    .flatMap((name) => own.find((column) => column.name === name) ?? []);
}

/** ON CONFLICT and RETURNING run on the row's shard: they may look at nothing but the row. */
function refuseTail({ cols = [], onConflictClause, returningClause, relation }: InsertStmt): void {
  if (contains([onConflictClause, returningClause], 'SubLink')) {
    refuse(
      `sub-selects in ON CONFLICT or RETURNING of an INSERT into several shards of table "${relation?.relname ?? ''}" are not supported`,
      'Bind the shard key to one value, or query the other table first.',
    );
  }
  const parts = cols.some(
    (node) => 'ResTarget' in node && node.ResTarget.indirection !== undefined,
  );
  if (parts) {
    refuse(
      'inserting parts of columns into several shards is not supported',
      'Insert whole values.',
    );
  }
}

function returningOf(
  { statement, insertion }: InsertedRows,
  destination: Destination,
): ApplySpec['returning'] {
  if (!insertion.returning) return 'none';
  if (destination.kind === 'copies') return 'rows';
  if (givesEachRow(statement)) return 'each';
  return insertion.rows === null && insertion.query?.ordered !== true ? 'rows' : 'numbered';
}

/** Whether RETURNING gives one row for each that is to be inserted. */
export function givesEachRow({ onConflictClause }: InsertStmt): boolean {
  if (onConflictClause === undefined) return true;
  return onConflictClause.action === 'ONCONFLICT_UPDATE' && !onConflictClause.whereClause;
}

function applyOf(
  { statement, insertion, columns: given, text }: InsertedRows,
  made: readonly IdColumn[],
  returning: ApplySpec['returning'],
  context: StatementContext,
): ApplySpec {
  const { catalog } = context.names;
  const columns = [...given, ...made.map(({ column }) => column)];
  const names = columns.map((_, i) => `c${i}`);
  const targets = columns.map(({ type }, i): Node => {
    const typeName = typeNode(type, catalog);
    const arg = columnNode(ROWS, names[i]!);
    return { ResTarget: { val: typeName === null ? arg : { TypeCast: { arg, typeName } } } };
  });
  const { withClause: _, ...rest } = statement;
  const numbers = returning === 'numbered' ? rowNumbers(context) : null;
  const { returningClause } = rest;
  const isAlways = made.some(({ column }) => column.identity === 'a');
  const node: InsertStmt = {
    ...rest,
    ...(isAlways ? { override: 'OVERRIDING_SYSTEM_VALUE' } : {}),
    ...(numbers === null || returningClause === undefined
      ? {}
      : {
          returningClause: {
            ...returningClause,
            exprs: [...(returningClause.exprs ?? []), numbers.told],
          },
        }),
    cols: columns.map(({ name }) => ({ ResTarget: { name: nameOf(insertion.target, name)! } })),
    selectStmt: { SelectStmt: { ...selectNode(targets), ...numbers?.noted } },
  };
  return {
    sql: overRows({ InsertStmt: node }, context, numbers === null ? text?.tail : undefined),
    columns: names,
    types: [...given.map(({ type }) => type), ...made.map(() => 0)],
    returning,
  };
}

/**
 * RETURNING sees nothing of the rows that an INSERT reads. So each of them leaves its number in a
 * setting of the transaction when it is read, which is right before it is inserted, and RETURNING
 * finds it there.
 */
const NUMBERED_QUERY =
  `SELECT pg_catalog.current_setting('shardgate.row')::pg_catalog.int4 AS ${ROW_NUMBER} ` +
  `WHERE pg_catalog.set_config('shardgate.row', ${ROWS}.${ROW_NUMBER}::pg_catalog.text, true) IS NOT NULL`;

function rowNumbers({ parser }: StatementContext): {
  readonly told: Node;
  readonly noted: Pick<SelectStmt, 'whereClause'>;
} {
  const parsed = parser.parse(Buffer.from(NUMBERED_QUERY)) as readonly ParsedStatement[];
  const { targetList, whereClause } = selectOf(parsed[0]!.node)!;
  return { told: targetList![0]!, noted: { whereClause: whereClause! } };
}
