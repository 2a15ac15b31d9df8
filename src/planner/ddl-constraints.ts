import type {
  AlterTableCmd,
  AlterTableStmt,
  ColumnDef,
  Constraint,
  CreateStmt,
  IndexStmt,
  RangeVar,
} from '@pgsql/types';
import type { CatalogRelation } from '../keyspace/catalog.js';
import { keyList } from '../keyspace/key-columns.js';
import type { Lookup, ShardedTable, Table } from '../keyspace/topology.js';
import { keyFamily } from '../vindex/key-types.js';
import { rangeVarText, stringsOf } from './ast.js';
import { checkPartition, sameHome } from './ddl-rows.js';
import { homeOf, subjectOf, type Subject } from './ddl-subject.js';
import { refuse } from './refusals.js';
import type { StatementContext } from './statement-context.js';

/** Refuses constraints that no shard could keep by itself. */
export function checkCreateTable(statement: CreateStmt, context: StatementContext): void {
  const columnTypes = definedTypes(statement, context);
  const subject = { ...createdSubject(statement, context), columnTypes };
  for (const node of statement.tableElts ?? []) {
    if ('Constraint' in node) checkConstraint(node.Constraint, null, subject, context);
    if ('ColumnDef' in node) checkColumn(node.ColumnDef, subject, context);
    if ('TableLikeClause' in node) checkLike(node.TableLikeClause.options ?? 0, subject);
  }
  for (const node of statement.constraints ?? []) {
    if ('Constraint' in node) checkConstraint(node.Constraint, null, subject, context);
  }
}

function definedTypes(
  { tableElts = [] }: CreateStmt,
  { names }: StatementContext,
): ReadonlyMap<string, number> {
  return new Map(
    tableElts.flatMap((node) => {
      if (!('ColumnDef' in node)) return [];
      const { colname = '', typeName } = node.ColumnDef;
      return [[colname, typeName === undefined ? 0 : names.typeOid(typeName)]];
    }),
  );
}

/** A partition of a sharded table is one too. */
function createdSubject(statement: CreateStmt, context: StatementContext): Subject {
  const own = subjectOf(statement.relation, context);
  const [parent] = statement.inhRelations ?? [];
  if (statement.partbound === undefined || parent === undefined || !('RangeVar' in parent)) {
    return own;
  }
  const whole = subjectOf(parent.RangeVar, context);
  if (own.table === null || whole.table === null) return { ...whole, name: own.name };
  if (sameHome(own.table, whole.table)) return own;
  return refuse(
    `table "${own.name}" as a partition of table "${whole.name}", whose rows the configuration spreads in another way, is not supported`,
    `Leave "${own.name}" out of the configuration.`,
  );
}

export function checkAlterTable(statement: AlterTableStmt, context: StatementContext): void {
  const subject = subjectOf(statement.relation, context);
  for (const node of statement.cmds ?? []) {
    if ('AlterTableCmd' in node) checkCommand(node.AlterTableCmd, subject, context);
  }
}

export function checkIndex(statement: IndexStmt, context: StatementContext): void {
  if (statement.unique !== true) return;
  const columns = (statement.indexParams ?? []).map((node) =>
    'IndexElem' in node ? (node.IndexElem.name ?? '') : '',
  );
  checkUnique('a unique index', columns, subjectOf(statement.relation, context));
}

function shardedOf(subject: Subject): ShardedTable | null {
  const { table } = subject;
  return table?.type === 'sharded' && table.keyspace.sharded ? table : null;
}

/** PostgreSQL 18, parsenodes.h CREATE_TABLE_LIKE_INDEXES. */
const LIKE_INDEXES = 1 << 6;

function checkLike(options: number, subject: Subject): void {
  if ((options & LIKE_INDEXES) === 0 || shardedOf(subject) === null) return;
  refuse(
    `LIKE ... INCLUDING INDEXES for sharded table "${subject.name}" is not supported: its unique indexes may lack the shard key`,
    'Leave INDEXES out and write the constraints.',
  );
}

function checkColumn(column: ColumnDef, subject: Subject, context: StatementContext): void {
  for (const node of column.constraints ?? []) {
    if ('Constraint' in node) {
      checkConstraint(node.Constraint, column.colname ?? '', subject, context);
    }
  }
}

/** `column`: the column that a column constraint stands at; null for a table constraint. */
function checkConstraint(
  constraint: Constraint,
  column: string | null,
  subject: Subject,
  context: StatementContext,
): void {
  const columns = column === null ? stringsOf(constraint.keys) : [column];
  switch (constraint.contype) {
    case 'CONSTR_PRIMARY':
      // ADD PRIMARY KEY USING INDEX: the index was checked when it was made.
      if (constraint.indexname === undefined) checkUnique('a primary key', columns, subject);
      return;
    case 'CONSTR_UNIQUE':
      if (constraint.indexname === undefined) checkUnique('a unique constraint', columns, subject);
      return;
    case 'CONSTR_EXCLUSION':
      if (shardedOf(subject) !== null) {
        refuse(
          `an exclusion constraint on sharded table "${subject.name}" is not supported: rows of other shards are not seen`,
          'Keep the table in an unsharded keyspace.',
        );
      }
      return;
    case 'CONSTR_FOREIGN':
      checkForeignKey(constraint, column, subject, context);
      return;
    default:
  }
}

function checkUnique(what: string, columns: readonly string[], subject: Subject): void {
  const table = shardedOf(subject);
  if (table === null || table.keyColumns.every((name) => columns.includes(name))) return;
  // The lookup sees the values of all shards.
  const [column] = columns;
  const isLookedUp = ({ unique, column: own }: Lookup): boolean => unique && own === column;
  if (columns.length === 1 && table.lookups?.some(isLookedUp) === true) return;
  const list = [...new Set([...table.keyColumns, ...columns])].join(', ');
  const constraint = what === 'a primary key' ? 'PRIMARY KEY' : 'UNIQUE';
  // '': an expression.
  const example = columns.includes('')
    ? `Put "${keyList(table)}" in front of the expressions`
    : `Write ${constraint} (${list})`;
  refuse(
    `${what} of sharded table "${table.name}" must contain its shard key "${keyList(table)}": ` +
      'no shard sees the rows of the others',
    `${example}, make "${table.name}" a reference table, or give a single column a vindex of type lookup_unique.`,
  );
}

/** A foreign key holds where each shard has every row that its rows refer to. */
function checkForeignKey(
  constraint: Constraint,
  column: string | null,
  subject: Subject,
  context: StatementContext,
): void {
  const target = constraint.pktable;
  if (target === undefined) return;
  const other = subjectOf(target, context);
  const own = homeOf(subject, context);
  const theirs = homeOf(other, context);
  // A table without a home cannot hold rows.
  if (own === null || theirs === null) return;
  const local = column === null ? stringsOf(constraint.fk_attrs) : [column];
  const foreign = referredColumns(constraint, target, local.length, context);
  if (own.keyspace !== theirs.keyspace) {
    refuse(
      `a foreign key from table "${subject.name}" to table "${rangeVarText(target)}" of another keyspace is not supported`,
      `Leave it out, or make "${other.name}" a reference table of keyspace "${own.keyspace.name}".`,
    );
  }
  if (!own.keyspace.sharded || theirs.type === 'reference') return;
  if (own.type === 'sharded' && theirs.type === 'sharded') {
    const clears = ['n', 'd'].includes(constraint.fk_del_action ?? '');
    if (followsKeys(local, foreign, own, theirs) && !clears) {
      checkKeyTypes(constraint, subject, own, theirs, context);
      return;
    }
  }
  refuse(
    `a foreign key from table "${subject.name}" to table "${rangeVarText(target)}" that does not follow the shard keys is not supported`,
    foreignKeyHint(own, theirs),
  );
}

/** Several columns without a list refer to those of the primary key, in its order. */
function referredColumns(
  { pk_attrs }: Constraint,
  { schemaname, relname = '' }: RangeVar,
  count: number,
  { names }: StatementContext,
): readonly string[] {
  if (pk_attrs !== undefined || count < 2) return stringsOf(pk_attrs);
  return names.find(schemaname ?? null, relname)?.primaryKey ?? [];
}

/** Equal numbers and times of other types may be keys of other shards. */
function checkKeyTypes(
  { pktable }: Constraint,
  { name, columnTypes }: Subject,
  own: ShardedTable,
  theirs: ShardedTable,
  { names }: StatementContext,
): void {
  const typesIn = (relation: CatalogRelation | null) => (column: string) =>
    relation?.columns.find((other) => other.name === column)?.type;
  const ownType = typesIn(names.catalog.relations.get(`${own.schema}.${own.name}`) ?? null);
  const type = typesIn(names.find(pktable?.schemaname ?? null, pktable?.relname ?? ''));
  own.keyColumns.forEach((column, place) => {
    const there = type(theirs.keyColumns[place]!);
    const here = columnTypes?.get(column) ?? ownType(column);
    if (!here || !there || keyFamily(here) === keyFamily(there)) return;
    refuse(
      `a foreign key from table "${name}" to table "${theirs.name}" between shard keys of different types is not supported`,
      `Give column "${column}" the type of column "${theirs.keyColumns[place]!}".`,
    );
  });
}

function foreignKeyHint(own: Table, theirs: Table): string {
  if (own.type !== 'sharded' || theirs.type !== 'sharded') {
    return 'Only references to reference tables, and between shard keys, can be checked by a shard.';
  }
  if (own.vindex.mapping !== theirs.vindex.mapping) {
    return 'Give both tables vindexes of one type with the same options: equal keys of these may be on different shards.';
  }
  return `Let the shard keys be part of it: FOREIGN KEY (${keyList(own)}, ...) REFERENCES ${theirs.name} (${keyList(theirs)}, ...).`;
}

/** Whether the columns of one shard key refer to those of the other in their order, and equal keys are on one shard. */
function followsKeys(
  local: readonly string[],
  foreign: readonly string[],
  { keyColumns: own, vindex }: ShardedTable,
  { keyColumns: theirs, vindex: other }: ShardedTable,
): boolean {
  // Without a list it refers to the primary key, which holds the shard key; of one column, it is that.
  const isBare = foreign.length === 0 && local.length === 1;
  const named = isBare ? theirs : foreign;
  return (
    vindex.mapping === other.mapping &&
    own.length === theirs.length &&
    own.every((name, place) => {
      const at = local.indexOf(name);
      return at >= 0 && named[at] === theirs[place];
    })
  );
}

function checkCommand(command: AlterTableCmd, subject: Subject, context: StatementContext): void {
  const { subtype, def, name } = command;
  if (subtype === 'AT_AddConstraint' && def !== undefined && 'Constraint' in def) {
    checkConstraint(def.Constraint, null, subject, context);
  }
  if (subtype === 'AT_AddColumn' && def !== undefined && 'ColumnDef' in def) {
    checkColumn(def.ColumnDef, subject, context);
  }
  if (def !== undefined && 'PartitionCmd' in def) {
    checkPartition(subtype === 'AT_AttachPartition', def.PartitionCmd, subject, context);
  }
  const table = shardedOf(subject);
  if (table === null || name === undefined || !table.keyColumns.includes(name)) return;
  if (subtype === 'AT_DropColumn') {
    refuse(
      `dropping the shard key "${table.name}.${name}" is not supported`,
      'Reshard the table by another column first.',
    );
  }
  if (subtype === 'AT_AlterColumnType') {
    refuse(
      `changing the type of the shard key "${table.name}.${name}" is not supported: its values may map to other shards`,
      'Create a new table and copy the rows into it.',
    );
  }
}
