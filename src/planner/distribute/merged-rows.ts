import type { MergeStmt, Node, SelectStmt } from '@pgsql/types';
import type { ShardedTable } from '../../keyspace/topology.js';
import type { Analysis } from '../analysis.js';
import { columnRefOf, contains, isOperator, stringsOf } from '../ast.js';
import { checkCopiedDefaults, defaultKind } from '../column-defaults.js';
import { conjunctsOf } from '../gather/concerns.js';
import { refuseCounting } from '../counted-apart.js';
import { hasDefaultCollation } from '../gather/table-input.js';
import type { Occurrence } from '../model.js';
import type { Merging } from '../modifications.js';
import type { Destination, DistributeSpec } from '../plan.js';
import { refuse } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { columnOf, ownColumns, targetNames } from '../target-columns.js';
import { typeNode } from '../type-names.js';
import { columnNode, overRows, ROWS, selectNode } from './apply-text.js';
import { destinationColumn } from './inserted-rows.js';
import { sourceQuery, sourceText } from './source-query.js';

/** What MERGE reads its rows from. */
interface MergeSource {
  readonly alias: string;
  readonly columns: readonly {
    readonly name: string;
    /** Type OID; -1: not known. */
    readonly type: number;
  }[];
}

const HINT = 'Use INSERT ... ON CONFLICT, or UPDATE and INSERT as statements of their own.';

/**
 * MERGE as a distribution: what USING names is read, and every shard merges the rows that it gets.
 * Into a sharded table each row goes to the shard of the key that ON compares it with; rows of the
 * target elsewhere cannot match it. Throws Refused.
 */
export function distributeMerge(
  statement: MergeStmt,
  merging: Merging,
  analysis: Analysis,
  context: StatementContext,
): DistributeSpec {
  refuseForms(statement, merging, analysis);
  const source = sourceOf(statement, merging, analysis);
  const destination = destinationOf(statement, merging, source, analysis);
  const { sourceRelation, withClause, ...rest } = statement;
  const select: SelectStmt = {
    targetList: source.columns.map(({ name }) => ({
      ResTarget: { val: columnNode(source.alias, name) },
    })),
    fromClause: [sourceRelation!],
    limitOption: 'LIMIT_OPTION_DEFAULT',
    op: 'SETOP_NONE',
    ...(withClause === undefined ? {} : { withClause }),
  };
  const { catalog } = context.names;
  const names = source.columns.map((_, i) => `c${i}`);
  const targets = source.columns.map(({ name, type }, i): Node => {
    const typeName = typeNode(type, catalog);
    const arg = columnNode(ROWS, names[i]!);
    return { ResTarget: { name, val: typeName === null ? arg : { TypeCast: { arg, typeName } } } };
  });
  const using: Node = {
    RangeSubselect: {
      subquery: { SelectStmt: selectNode(targets) },
      alias: { aliasname: source.alias },
    },
  };
  return {
    source: sourceQuery(sourceText({ SelectStmt: select }, context), analysis.params, context),
    destination,
    apply: {
      sql: overRows({ MergeStmt: { ...rest, sourceRelation: using } }, context),
      columns: names,
      types: source.columns.map(({ type }) => type),
      returning: merging.returning ? 'rows' : 'none',
      everywhere: looksAtAll(statement),
    },
    inTurns: false,
  };
}

/** All that a shard would see of other tables, or of rows that it does not get. */
function refuseForms(statement: MergeStmt, merging: Merging, analysis: Analysis): void {
  const { joinCondition, mergeWhenClauses, returningClause } = statement;
  const parts = [joinCondition, mergeWhenClauses, returningClause];
  if (
    contains(parts, 'SubLink') ||
    analysis.nestedWrites > 0 ||
    analysis.systemColumn !== null ||
    analysis.wholeRows.size > 0
  ) {
    refuse(
      'MERGE over several shards with sub-selects, whole rows, system columns or writes in its clauses is not supported',
      HINT,
    );
  }
  refuseCounting(parts, merging.target, analysis);
  for (const { relation, entry } of analysis.occurrences) {
    if (entry === merging.target.entry || relation.columns.every(hasDefaultCollation)) continue;
    refuse(
      `MERGE over several shards from table "${relation.name}", which has a collation of its own, is not supported`,
      HINT,
    );
  }
  if (analysis.effects.length > 0 || analysis.levels.some(({ locking }) => locking)) {
    refuse('set_config and row locks in MERGE over several shards are not supported', HINT);
  }
}

function sourceOf(
  { sourceRelation }: MergeStmt,
  { level, target, place }: Merging,
  analysis: Analysis,
): MergeSource {
  const entries = level.entries.filter(
    (entry) => entry !== target.entry && entry.kind !== 'opaque',
  );
  const [entry] = entries;
  const isOne =
    sourceRelation !== undefined &&
    ('RangeVar' in sourceRelation || 'RangeSubselect' in sourceRelation);
  if (entry === undefined || entries.length > 1 || !isOne || entry.alias === '')
    return refuseSource();
  const item = place.scope.items[1];
  if (item === undefined || item.open) return refuseSource();
  const own = analysis.tables.get(entry)?.relation.columns;
  const columns = item.columns.map(({ name }, i) => ({ name, type: own?.[i]?.type ?? -1 }));
  const names = new Set(columns.map(({ name }) => name));
  if (columns.length === 0 || names.size !== columns.length) return refuseSource();
  return { alias: entry.alias, columns };
}

function refuseSource(): never {
  return refuse(
    'MERGE over several shards from a source of this form is not supported',
    'Use a table, or a sub-select with an alias whose columns all have names of their own.',
  );
}

function destinationOf(
  statement: MergeStmt,
  merging: Merging,
  source: MergeSource,
  analysis: Analysis,
): Destination {
  const { target } = merging;
  const table = target.table!;
  if (table.type === 'sharded') {
    // What only changes rows that are there can be done on each shard, by all rows of the source.
    const everywhere = { kind: 'copies', shards: table.keyspace.shards, each: true } as const;
    if (!inserts(statement) && !joinsKey(statement, merging, table, source, analysis)) {
      return everywhere;
    }
    const columns = table.keyColumns.map((key) => {
      const joined =
        joinedColumn(key, statement, merging, source, analysis) ?? refuseUnjoined(table, key);
      checkInserts(statement, merging, table, source, key, joined);
      const own = target.relation.columns.find(({ name }) => name === key)!;
      const column = source.columns.findIndex(({ name }) => name === joined);
      return destinationColumn(table, own, column);
    });
    checkOmitted(statement, merging, (kind) => kind === 'sequence' || kind === 'function');
    return { kind: 'key', keyspace: table.keyspace, table, columns };
  }
  if (table.keyspace.sharded) {
    if (analysis.volatileFunction !== null || analysis.clockText !== null) {
      refuse(
        `MERGE into reference table "${table.name}" with volatile functions is not supported`,
        HINT,
      );
    }
    checkCopiedDefaults(target, analysis);
    checkOmitted(statement, merging, (kind) => kind !== 'constant');
  }
  return { kind: 'copies', shards: table.keyspace.shards };
}

function inserts({ mergeWhenClauses = [] }: MergeStmt): boolean {
  return mergeWhenClauses.some(
    (node) => 'MergeWhenClause' in node && node.MergeWhenClause.commandType === 'CMD_INSERT',
  );
}

function joinsKey(
  statement: MergeStmt,
  merging: Merging,
  table: ShardedTable,
  source: MergeSource,
  analysis: Analysis,
): boolean {
  const isJoined = (key: string): boolean =>
    joinedColumn(key, statement, merging, source, analysis) !== null;
  return table.keyColumns.every(isJoined);
}

/** The source's column that ON says a column of the target's shard key equals; null: none is told. */
function joinedColumn(
  shardKey: string,
  { joinCondition }: MergeStmt,
  { target }: Merging,
  source: MergeSource,
  analysis: Analysis,
): string | null {
  const overloaded = analysis.names.catalog.comparisonsOverloaded === true;
  for (const conjunct of overloaded || joinCondition === undefined
    ? []
    : conjunctsOf(joinCondition)) {
    if (!('A_Expr' in conjunct) || conjunct.A_Expr.kind !== 'AEXPR_OP') continue;
    const { name, lexpr, rexpr } = conjunct.A_Expr;
    if (!isOperator(name, '=')) continue;
    for (const [one, other] of [
      [lexpr, rexpr],
      [rexpr, lexpr],
    ] as const) {
      const key = sourceColumn(other, source, target);
      if (key === null) continue;
      const column = targetColumn(one, source, target);
      if (column !== null && columnOf(target, column)?.name === shardKey) return key;
    }
  }
  return null;
}

function refuseUnjoined({ name }: ShardedTable, shardKey: string): never {
  refuse(
    `MERGE that inserts into table "${name}" without comparing its shard key "${shardKey}" with a column of the source is not supported`,
    `Write ON ${name}.${shardKey} = source.column, or use INSERT ... ON CONFLICT.`,
  );
}

/** The source's column that a reference means; `target` null: the target's are not seen. */
function sourceColumn(
  node: Node | undefined,
  { alias, columns }: MergeSource,
  target: Occurrence | null,
): string | null {
  const [first, second, ...more] = columnPath(node);
  const name = second ?? first;
  if (name === undefined || more.length > 0) return null;
  if (!columns.some((column) => column.name === name)) return null;
  if (second !== undefined) return first === alias ? name : null;
  return target === null || !targetNames(target).includes(name) ? name : null;
}

/** The target's column that a reference means. */
function targetColumn(
  node: Node | undefined,
  { columns }: MergeSource,
  { entry }: Occurrence,
): string | null {
  const [first, second, ...more] = columnPath(node);
  if (first === undefined || more.length > 0) return null;
  if (second !== undefined) return first === entry.alias ? second : null;
  return columns.some((column) => column.name === first) ? null : first;
}

/** The names of a column reference; none for anything else. */
function columnPath(node: Node | undefined): string[] {
  const fields = columnRefOf(node)?.fields ?? [];
  const names = stringsOf(fields);
  return names.length === fields.length ? names : [];
}

/** Whether rows of the target that no source row matches are changed; all that could are on their shard. */
function looksAtAll({ mergeWhenClauses }: MergeStmt): boolean {
  return (mergeWhenClauses ?? []).some(
    (node) =>
      'MergeWhenClause' in node &&
      node.MergeWhenClause.matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE',
  );
}

/** A row that is inserted must belong where its source row was sent. */
function checkInserts(
  statement: MergeStmt,
  merging: Merging,
  { name }: ShardedTable,
  source: MergeSource,
  shardKey: string,
  key: string,
): void {
  for (const node of statement.mergeWhenClauses ?? []) {
    if (!('MergeWhenClause' in node)) continue;
    const { commandType, targetList, values = [] } = node.MergeWhenClause;
    if (commandType !== 'CMD_INSERT') continue;
    const columns = insertedColumns(targetList, merging.target);
    // Nothing but the source is seen there.
    const isKey = sourceColumn(values[columns.indexOf(shardKey)], source, null) === key;
    if (!isKey) {
      refuse(
        `MERGE that inserts another shard key into table "${name}" than it compares is not supported`,
        `Insert ${source.alias}.${key} into "${shardKey}".`,
      );
    }
  }
}

/** Defaults of columns that an INSERT of the statement leaves out. */
function checkOmitted(
  statement: MergeStmt,
  { target }: Merging,
  isRefused: (kind: ReturnType<typeof defaultKind>) => boolean,
): void {
  for (const node of statement.mergeWhenClauses ?? []) {
    if (!('MergeWhenClause' in node) || node.MergeWhenClause.commandType !== 'CMD_INSERT') continue;
    const { targetList, values = [] } = node.MergeWhenClause;
    const names = insertedColumns(targetList, target);
    const given = names.filter((_, i) => values[i] !== undefined && !('SetToDefault' in values[i]));
    const omitted = ownColumns(target).find(
      (column) =>
        !given.includes(column.name) && !column.generated && isRefused(defaultKind(column)),
    );
    if (omitted === undefined) continue;
    refuse(
      `the default of column "${target.relation.name}.${omitted.name}" in MERGE over several shards is not supported`,
      `Give a value for "${omitted.name}".`,
    );
  }
}

/** The table's columns that an INSERT of the statement gives values for, in order. */
function insertedColumns(
  targetList: readonly Node[] | undefined,
  target: Occurrence,
): (string | undefined)[] {
  const names =
    targetList?.map((item) => ('ResTarget' in item ? item.ResTarget.name : undefined)) ??
    targetNames(target);
  return names.map((name) => columnOf(target, name)?.name);
}
