import type { SelectStmt } from '@pgsql/types';
import type { Keyspace, Table } from '../../keyspace/topology.js';
import type { Vindex } from '../../keyspace/vindex.js';
import { quoteIdentifier } from '../../sql/quote.js';
import { makeHashVindex } from '../../vindex/hash.js';
import type { Analysis } from '../analysis.js';
import { contains } from '../ast.js';
import { sourceQuery } from '../distribute/source-query.js';
import { tableInputs, type TableInputs } from '../gather/gather-query.js';
import { estimatedRows } from '../gather/home.js';
import { reachable, type Entry, type FullJoin, type Occurrence, type Variable } from '../model.js';
import type { StandIn } from '../names.js';
import { tablesOf } from '../placement.js';
import type { DealSpec, DealtInput, GatherSpec, ManyShards, RoutePlan } from '../plan.js';
import { Refused } from '../refusals.js';
import { mayMove, nameOf, markOf, putsTogether, relationOf } from '../ship/stand-ins.js';
import type { StatementContext } from '../statement-context.js';

/** Where fewer rows would be gathered, one server is quick enough. */
const DEALT_ROWS_MIN = 50_000;
/** More rows than this are never dealt, since all of them are in the memory of the proxy at a time. */
const DEALT_ROWS_MAX = 1_000_000;
/** Columns to deal by that are tried. */
const ATTEMPTS_MAX = 4;
/** Places rows whatever table they are of. */
const byValue: Vindex = makeHashVindex('shardgate deal');

/** Tables with the columns by which their rows meet. */
interface Way {
  /** By what the table is in the statement; those that lie by this column already are not moved. */
  readonly columns: ReadonlyMap<Entry, Variable>;
  readonly stays: ReadonlySet<Entry>;
  readonly movedRows: number;
}

/**
 * Plans a query that would be gathered as one over tables that are sharded by the columns which join
 * them: their rows are dealt to the shards by these values, and every shard answers for its part.
 * Whether that is exact is judged as for tables that are sharded so. Null where it is not, or no gain.
 */
export function dealtQuery(
  statement: SelectStmt,
  gather: GatherSpec,
  analysis: Analysis,
  context: StatementContext,
): ManyShards | null {
  if (gather.readsInPlace !== true || !mayMove(analysis, context)) return null;
  if (gather.inputs.some(({ link }) => link !== undefined)) return null;
  const rows = gather.inputs.reduce((sum, { estimatedRows: own }) => sum + (own ?? 0), 0);
  if (rows < DEALT_ROWS_MIN) return null;
  const tables = occurrencesBySize(analysis);
  if (tables === null) return null;
  const { keyspace } = tables[0]!.table!;
  if (!keyspace.sharded) return null;
  for (const way of waysOf(tables, keyspace, analysis).slice(0, ATTEMPTS_MAX)) {
    if (way.movedRows > DEALT_ROWS_MAX) continue;
    const deal = attempt(statement, gather, way, keyspace, analysis, context);
    if (deal !== null) return { kind: 'deal', deal };
  }
  return null;
}

/** The tables whose rows are on several servers, the largest first; null: others are read, or the size is unknown. */
function occurrencesBySize(analysis: Analysis): readonly Occurrence[] | null {
  const { sharded, reference, unsharded, system } = tablesOf(analysis);
  const known = [...sharded, ...unsharded, ...reference].every(
    (table) => estimatedRows(table) !== null && !table.written,
  );
  const other = reference.length > 0 || unsharded.length > 0 || system.length > 0;
  if (!known || other || sharded.length < 2) return null;
  return [...sharded].sort((a, b) => estimatedRows(b)! - estimatedRows(a)!);
}

/** The ways in which every table has a column that is compared with one of the largest table's; the cheapest first. */
function waysOf(tables: readonly Occurrence[], keyspace: Keyspace, analysis: Analysis): Way[] {
  const full = analysis.levels.flatMap((level) => level.fullJoins.flatMap(({ equal }) => equal));
  const ways: Way[] = [];
  for (const key of tables[0]!.entry.variables.values()) {
    const columns = new Map<Entry, Variable>();
    const stays = new Set<Entry>();
    let movedRows = 0;
    for (const occurrence of tables) {
      const { table, entry } = occurrence;
      const own = [...entry.variables.values()].find((variable) => meets(variable, key, full));
      if (own === undefined) break;
      columns.set(entry, own);
      if (liesBy(table!, own, keyspace)) stays.add(entry);
      else movedRows += estimatedRows(occurrence)!;
    }
    if (columns.size === tables.length) ways.push({ columns, stays, movedRows });
  }
  return ways.sort((a, b) => a.movedRows - b.movedRows);
}

/** @param full columns that full joins compare */
function meets(a: Variable, b: Variable, full: FullJoin['equal']): boolean {
  if (reaches(a, b) || reaches(b, a)) return true;
  return full.some(
    ([left, right]) =>
      (reaches(left, a) && reaches(right, b)) || (reaches(left, b) && reaches(right, a)),
  );
}

function reaches(from: Variable, to: Variable): boolean {
  return reachable(from).has(to);
}

function liesBy(table: Table, column: Variable, keyspace: Keyspace): boolean {
  return (
    table.type === 'sharded' &&
    table.keyspace === keyspace &&
    table.keyColumns.length === 1 &&
    table.keyColumns[0] === column.name &&
    table.vindex.type === byValue.type
  );
}

/** The plan with the tables dealt in this way; null where that is not exact. */
function attempt(
  statement: SelectStmt,
  otherwise: GatherSpec,
  { columns, stays }: Way,
  keyspace: Keyspace,
  analysis: Analysis,
  context: StatementContext,
): DealSpec | null {
  try {
    const shards = { kind: 'all', keyspace } as const;
    const home = { shards, holds: (_table: Table, entry: Entry) => stays.has(entry) };
    const found = tableInputs(statement, home, false, analysis, context);
    const inputs = dealtInputs(statement, found, columns);
    if (inputs === null) return null;
    const sql = found.text
      .map((piece) => (typeof piece === 'string' ? piece : markOf(piece.input)))
      .join('');
    const names = analysis.names.withStandIns(standInsOf(found, columns, keyspace));
    const source = sourceQuery(sql, analysis.params, { ...context, names, standsIn: true });
    if (!putsTogether(source) || !readsEverywhere(source.plan)) return null;
    return { keyspace, inputs, statement: source, otherwise };
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** Whether all shards have a part in it. */
function readsEverywhere({ many, shards }: RoutePlan): boolean {
  if (many.kind === 'gather')
    return many.gather.inputs.every((input) => input.shards.kind === 'all');
  return shards.kind === 'all';
}

/** Null: the rows of some table cannot be dealt. */
function dealtInputs(
  statement: SelectStmt,
  { inputs, origins }: TableInputs,
  columns: Way['columns'],
): DealtInput[] | null {
  const out: DealtInput[] = [];
  for (const [i, input] of inputs.entries()) {
    const { of: origin } = origins[i]!;
    if (origin === null || !('entry' in origin)) return null;
    const { name } = columns.get(origin.entry)!;
    const column = origin.relation.columns.find((own) => own.name === name);
    if (column === undefined || !input.columns.includes(name)) return null;
    if (!column.deterministicCollation || byValue.refusal(column.type) !== null) return null;
    // What a NULL is compared with in a sub-select is not only what is on its shard.
    if (!column.notNull && contains(statement, 'SubLink')) return null;
    const id = byValue.sqlExpression(`sg_rows.${quoteIdentifier(name)}`, column.type);
    const { label, shards, sql, estimatedRows, defaultCollations, collations } = input;
    const keepsText = defaultCollations || collations !== undefined;
    if (id === null || input.primaryKey !== null || !keepsText) return null;
    out.push({
      label,
      shards,
      sql,
      columns: input.columns,
      ...(collations === undefined ? {} : { collations }),
      key: name,
      id,
      mark: markOf(i),
      estimatedRows,
    });
  }
  return out;
}

/** What the inputs are where they arrive: tables of this keyspace. */
function standInsOf(
  { inputs, origins }: TableInputs,
  columns: Way['columns'],
  keyspace: Keyspace,
): Map<string, StandIn> {
  const out = new Map<string, StandIn>();
  for (const [i, input] of inputs.entries()) {
    const origin = origins[i]!.of as Occurrence;
    const name = nameOf(i);
    const keyColumns = [columns.get(origin.entry)!.name];
    const table: Table = {
      type: 'sharded',
      keyspace,
      schema: 'pg_temp',
      name,
      keyColumns,
      vindex: byValue,
    };
    out.set(name, { relation: relationOf(name, input, origin), table });
  }
  return out;
}
