import type { InsertStmt, Node } from '@pgsql/types';
import type { Keyspace, Lookup, Shard, ShardedTable, Table } from '../keyspace/topology.js';
import type { Analysis } from './analysis.js';
import { contains } from './ast.js';
import { checkCopiedDefaults, checkDefaults } from './column-defaults.js';
import { insertBesideChanges } from './distribute/changed-target.js';
import { conflictLookup } from './distribute/conflict-lookup.js';
import {
  distributeInsert,
  givesEachRow,
  keyDestination,
  selectedRows,
  valueRows,
  type InsertedRows,
} from './distribute/inserted-rows.js';
import { valueOf } from './key-values.js';
import type { Edit } from './fill-plan.js';
import { momentColumns, type IdColumn } from './id-sources.js';
import { columnsMadeByRow, planFill } from './insert-fills.js';
import { analyseInsert, type Insertion } from './insertions.js';
import { momentEdits, takesTime, tellsTime } from './moment-calls.js';
import { placementOf, refuseLookingAround, tablesOf, type ShardedOccurrence } from './placement.js';
import type { Destination, InsertSplitPlan, KeyTerm, ManyShards, Plan, Refusal } from './plan.js';
import { routePlan } from './plans.js';
import { planReferenceWrite } from './reference-writes.js';
import { refusal, Refused, refuse } from './refusals.js';
import { keyspacesOf, orRefusal, routeInsertSelect, routeToOne, routeUnknown } from './routing.js';
import { findRows, type RowSpan } from './row-spans.js';
import type { SequenceCalls } from './sequence-calls.js';
import { analyse, type StatementContext } from './statement-context.js';
import { storedTerm } from './terms.js';

/**
 * Plans an INSERT by the kind of its target table.
 * @param inside what its WITH queries leave to the proxy
 */
export function planInsert(
  statement: InsertStmt,
  calls: SequenceCalls | null,
  inside: readonly Edit[],
  context: StatementContext,
): Plan {
  const [analysis, insertion] = analyse(
    context,
    (walk) => analyseInsert(statement, null, null, walk),
    calls?.calls,
  );
  const unknown = routeUnknown(analysis);
  if (unknown !== null || insertion === null) return routePlan('insert', true, unknown!);
  const { table, relation } = insertion.target;
  if (table === null) refuseSystemTable(relation.name);
  const moments = momentShards(insertion, table, context);
  const times = momentCalls(statement, table, moments, context);
  const edits = [...(calls?.edits ?? []), ...inside, ...times];
  const fill = planFill(statement, insertion, { calls: edits, moments }, context);
  if (fill !== null) return fill;
  const { sharded } = tablesOf(analysis);
  const made = columnsMadeByRow(statement, insertion, context.names);
  const inserting = { statement, insertion, made, analysis, context };
  const plan = insertInto(table, sharded, inserting);
  // Columns that are left out may tell the time of the transaction.
  const isTimed = momentColumns(relation, []).length > 0 && context.oneMoment !== true;
  return isTimed && plan.kind !== 'refuse' ? { ...plan, tellsTime: true } : plan;
}

function insertInto(
  table: Table,
  sharded: readonly ShardedOccurrence[],
  inserting: Inserting,
): Plan {
  const { statement, insertion, analysis } = inserting;
  if (!table.keyspace.sharded) return insertUnsharded(table.keyspace, inserting);
  if (table.type === 'reference') return insertReference(table.keyspace, inserting);
  const target = sharded.find(({ entry }) => entry === insertion.target.entry)!;
  checkKeyColumns(inserting, target.table);
  const lookup = conflictLookup(statement, target.table, inserting.context.names);
  checkDefaults(analysis);
  return insertSharded(target, lookup, inserting);
}

/** The shards that may have to store one and the same time; null: one at most. */
function momentShards(
  { rows, select }: Insertion,
  table: Table,
  { oneMoment }: StatementContext,
): readonly Shard[] | null {
  const { sharded, shards } = table.keyspace;
  if (oneMoment === true) return shards;
  if (!sharded || shards.length === 1) return null;
  const isMany = table.type === 'reference' || select !== null || (rows?.length ?? 1) > 1;
  return isMany ? shards : null;
}

/** What stands in place of calls that tell the time; conditions matter where copies must be the same. */
function momentCalls(
  statement: InsertStmt,
  table: Table,
  shards: readonly Shard[] | null,
  context: StatementContext,
): readonly Edit[] {
  const node = { InsertStmt: statement };
  const isWanted = context.oneMoment === true || table.type === 'reference';
  if (shards === null || !(isWanted || tellsTime(node) || takesTime(node, context))) return [];
  return momentEdits(node, shards, context);
}

/** An INSERT on its way through the planner. */
interface Inserting {
  readonly statement: InsertStmt;
  readonly insertion: Insertion;
  /** Columns whose values each row gets on its way. */
  readonly made: readonly IdColumn[];
  readonly analysis: Analysis;
  readonly context: StatementContext;
}

function insertUnsharded(keyspace: Keyspace, inserting: Inserting): Plan {
  const { insertion, analysis } = inserting;
  if (keyspacesOf(analysis).size === 1) {
    return routePlan('insert', true, routeToOne(analysis, selectReason(insertion)));
  }
  return distributed(inserting, { kind: 'copies', shards: keyspace.shards });
}

/** Every shard runs the statement where that does the same on each; else its rows are read once. */
function insertReference(keyspace: Keyspace, inserting: Inserting): Plan {
  const { statement, insertion, made, analysis, context } = inserting;
  const { target } = insertion;
  try {
    if (made.length === 0) {
      return planReferenceWrite('insert', target, placementOf(analysis), analysis, context);
    }
  } catch (error) {
    if (!(error instanceof Refused) || statement.selectStmt === undefined) throw error;
  }
  checkCopiedDefaults(target, analysis, made);
  refuseVolatileConflict(statement, analysis);
  return distributed(inserting, { kind: 'copies', shards: keyspace.shards });
}

/** What ON CONFLICT computes is computed on every shard. */
function refuseVolatileConflict(
  { onConflictClause, relation }: InsertStmt,
  analysis: Analysis,
): void {
  if (analysis.volatileFunction === null && analysis.clockText === null) return;
  const kinds = ['FuncCall', 'SQLValueFunction', 'A_Const'];
  if (!kinds.some((kind) => contains(onConflictClause, kind))) return;
  refuse(
    `ON CONFLICT with computed values in a write to reference table "${relation?.relname ?? ''}" that calls volatile functions is not supported`,
    'Compute the values in the client and pass them as parameters.',
  );
}

/** `lookup`: rows with its values are met wherever they are; null: on the shards of their keys. */
function insertSharded(
  target: ShardedOccurrence,
  lookup: Lookup | null,
  inserting: Inserting,
): Plan {
  const { statement, insertion, made, analysis, context } = inserting;
  const { rows } = insertion;
  const places = target.table.keyColumns.map((name) => insertion.columns.indexOf(name));
  target.table.keyColumns.forEach((name, index) => {
    const isDefault = (row: readonly Node[]): boolean => {
      const cell = row[places[index]!];
      return cell !== undefined && 'SetToDefault' in cell;
    };
    if (rows?.some(isDefault) === true) refuseMissingKey(target.table, name);
  });
  const travelling = (): ManyShards => {
    const read =
      rows === null
        ? selectedRows(statement, insertion, context)
        : valueRows(statement, insertion, context);
    const columns = [...read.columns, ...made.map(({ column }) => column)];
    return manyOf(inserting, read, keyDestination(target.table, columns, lookup));
  };
  const meets = lookup !== null && isGiven(lookup, insertion);
  if (keyspacesOf(analysis).size > 1 || made.length > 0 || meets) {
    return routePlan('insert', true, { shards: { kind: 'nowhere' }, many: travelling() });
  }
  const placement = placementOf(analysis);
  const others = placement.sharded.length > 1 || placement.system.length > 0;
  if (rows === null || others || analysis.nestedWrites > 0) {
    return routePlan('insert', true, routeInsertSelect(insertion, analysis, travelling));
  }
  const keys = insertedKeys(rows, places, target, analysis);
  if (keys === null || analysis.effects.length > 0 || analysis.readsCatalog) {
    return routePlan('insert', true, { shards: { kind: 'nowhere' }, many: travelling() });
  }
  const { keyspace } = target.table;
  if (insertion.returning && !givesEachRow(statement) && keys.length > 1) {
    // Nobody can tell from the shards' answers which rows were skipped.
    return routePlan(
      'insert',
      true,
      orRefusal({ kind: 'keys', keyspace, groups: [keys] }, travelling),
    );
  }
  return splitRows(inserting, keys, keyspace);
}

/** Whether rows may have a value in the column of a lookup. */
function isGiven({ column: name }: Lookup, { columns, rows, target }: Insertion): boolean {
  const place = columns.indexOf(name);
  const isDefault = (row: readonly Node[]): boolean => 'SetToDefault' in (row[place] ?? {});
  if (place >= 0 && (rows === null || !rows.every(isDefault))) return true;
  const column = target.relation.columns.find((own) => own.name === name);
  if (column?.hasDefault !== true) return false;
  return refuse(
    `ON CONFLICT about "${target.relation.name}.${name}", which takes its default, is not supported`,
    'Give the value.',
  );
}

function distributed(inserting: Inserting, destination: Destination): Plan {
  const { statement, insertion, context } = inserting;
  const rows =
    insertion.rows === null
      ? selectedRows(statement, insertion, context)
      : valueRows(statement, insertion, context);
  const many = manyOf(inserting, rows, destination);
  return routePlan('insert', true, { shards: { kind: 'nowhere' }, many });
}

function manyOf(
  { insertion, made, analysis, context }: Inserting,
  rows: InsertedRows,
  destination: Destination,
): ManyShards {
  const { target } = insertion;
  const beside = insertBesideChanges(rows, analysis);
  const isGuarded = beside?.query !== null;
  if (!context.scatters || beside === null || analysis.effects.length > 0) {
    throw new Refused(selectReason(insertion));
  }
  if (isGuarded && made.length > 0) throw new Refused(selectReason(insertion));
  refuseLookingAround(target);
  const guarded = { ...rows, guarded: beside.query };
  const distribute = distributeInsert(guarded, made, destination, analysis, context);
  return { kind: 'distribute', distribute };
}

export function refuseSystemTable(name: string): never {
  refuse(
    `changing system catalog "${name}" is not supported`,
    'System catalogs belong to each server; use DDL.',
  );
}

function selectReason({ target }: Insertion): Refusal {
  return refusal(
    `INSERT into table "${target.relation.name}" from a query over several shards is not supported`,
    'Bind the query and the inserted shard key to one key value, or read the rows and insert them as VALUES.',
  );
}

function checkKeyColumns(inserting: Inserting, table: ShardedTable): void {
  for (const key of table.keyColumns) checkInsertedKey(inserting, table, key);
}

function checkInsertedKey(
  { statement, insertion, made }: Inserting,
  table: ShardedTable,
  key: string,
): void {
  const { name } = table;
  const column = insertion.target.relation.columns.find((candidate) => candidate.name === key)!;
  if (column.generated) {
    refuse(
      `shard key "${name}.${key}" is a generated column, so the proxy cannot see its value`,
      'Choose an ordinary column as the shard key.',
    );
  }
  if (column.identity !== '' && statement.override === 'OVERRIDING_USER_VALUE') {
    refuse(
      `OVERRIDING USER VALUE on shard key "${name}.${key}" is not supported`,
      'Give the value and use OVERRIDING SYSTEM VALUE.',
    );
  }
  if (made.some((id) => id.column.name === key)) return;
  const place = insertion.columns.indexOf(key);
  const short = insertion.rows?.some((row) => row.length <= place) ?? false;
  const missing = insertion.rows === null && insertion.select === null;
  if (place < 0 || short || missing) refuseMissingKey(table, key);
}

function refuseMissingKey({ name }: ShardedTable, key: string): never {
  refuse(
    `INSERT into table "${name}" gives no value for its shard key "${key}"`,
    `Name "${key}" among the columns and give a constant or parameter for it.`,
  );
}

function splitRows(
  { insertion, context }: Inserting,
  keys: readonly KeyTerm[],
  keyspace: Keyspace,
): InsertSplitPlan {
  const spans = rowSpans(keys.length, context);
  const { returning } = insertion;
  return {
    kind: 'insertSplit',
    verb: 'insert',
    writes: true,
    keyspace,
    table: insertion.target.table!.name,
    rows: keys.map((key, index) => ({
      start: context.constants.position(spans[index]!.start),
      end: context.constants.position(spans[index]!.end),
      key,
    })),
    returning,
  };
}

function rowSpans(count: number, context: StatementContext): readonly RowSpan[] {
  const { bytes, textStart, start, end, literals } = context;
  const spans = findRows(bytes, textStart, start, end, literals);
  if (spans?.length === count) return spans;
  // One row is never cut out of its text, so that its place does not matter.
  if (count === 1) return [{ start, end }];
  return refuse(
    'the rows of this INSERT cannot be told apart in its text',
    'Insert the rows one by one, or in plainer notation.',
  );
}

/** The key of each row, where all are constants or parameters; null where some are computed. */
function insertedKeys(
  rows: NonNullable<Insertion['rows']>,
  places: readonly number[],
  target: ShardedOccurrence,
  analysis: Analysis,
): KeyTerm[] | null {
  const keys: KeyTerm[] = [];
  for (const row of rows) {
    const values = places.map((place) => valueOf(row[place]!, analysis));
    const term = storedTerm(values, target, analysis);
    if (term === null) return null;
    keys.push(term);
  }
  return keys;
}
