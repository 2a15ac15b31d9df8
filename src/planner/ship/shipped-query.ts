import type { SelectStmt } from '@pgsql/types';
import type { Keyspace, Table } from '../../keyspace/topology.js';
import type { Analysis } from '../analysis.js';
import { sourceQuery } from '../distribute/source-query.js';
import { tableInputs, type TableInputs } from '../gather/gather-query.js';
import { estimatedRows } from '../gather/home.js';
import { ROWS_FOUND } from '../gather/value-links.js';
import type { StandIn } from '../names.js';
import { tablesOf } from '../placement.js';
import type { GatherInput, GatherSpec, ManyShards, ShippedInput, ShipSpec } from '../plan.js';
import { Refused } from '../refusals.js';
import type { StatementContext } from '../statement-context.js';
import { keyOf, markOf, mayMove, nameOf, putsTogether, relationOf } from './stand-ins.js';

/** Where fewer rows would be gathered, that is quick enough. */
const GATHERED_ROWS_MIN = 10_000;
/** More rows than this are never sent, since they go through the memory of the proxy. */
const SHIPPED_ROWS_MAX = 20_000;
/** A row that is sent costs more than one that is gathered: it becomes parts of arrays. */
const SHIPPED_ROW_COST = 2;
/** What has no more rows than this is taken to lead to few rows of others. */
const FEW_VALUES = 4;
/** Sets of tables that are tried. */
const ATTEMPTS_MAX = 4;

/**
 * Plans a query that would be gathered, with its small tables sent to the shards of its largest one;
 * null where that is no gain, or not exact. Whether it is exact is judged as for reference tables,
 * which is what tables are that every shard has all rows of.
 */
export function shippedQuery(
  statement: SelectStmt,
  gather: GatherSpec,
  analysis: Analysis,
  context: StatementContext,
): ManyShards | null {
  const gathered = gatheredRows(gather.inputs);
  if (gathered === null || gathered < GATHERED_ROWS_MIN || !mayMove(analysis, context)) return null;
  const tables = tablesBySize(analysis);
  if (tables === null) return null;
  const { keyspace, others, strangers } = tables;
  const first = Math.max(1, strangers);
  for (let count = first; count <= others.length && count < first + ATTEMPTS_MAX; count++) {
    const shipped = new Set(others.slice(0, count));
    const ship = attempt(statement, gather, shipped, keyspace, analysis, context);
    if (ship === null) continue;
    const rows = ship.inputs.reduce((sum, input) => sum + input.estimatedRows, 0);
    if (rows > SHIPPED_ROWS_MAX) return null;
    const cost = rows * keyspace.shards.length * SHIPPED_ROW_COST;
    return cost <= gathered ? { kind: 'ship', ship } : null;
  }
  return null;
}

/** Rows that come to the home; null: not known, or few of those that shard keys lead to. */
function gatheredRows(inputs: readonly GatherInput[]): number | null {
  let sum = 0;
  for (const { estimatedRows, link } of inputs) {
    if (estimatedRows === null || (link?.key ?? null) !== null) return null;
    const values = link === undefined ? null : inputs[link.input]!.estimatedRows;
    const findsFew = values !== null && values <= FEW_VALUES;
    sum += findsFew ? Math.min(estimatedRows, values * ROWS_FOUND) : estimatedRows;
  }
  return sum;
}

interface BySize {
  /** Of the largest sharded table. */
  readonly keyspace: Keyspace;
  /** `schema.name` of what may be sent: first what its shards do not have at all, then the smallest. */
  readonly others: readonly string[];
  /** How many of these its shards do not have. */
  readonly strangers: number;
}

/** Null: some size is not known, or nothing is sharded. */
function tablesBySize(analysis: Analysis): BySize | null {
  const { sharded, reference, unsharded, system } = tablesOf(analysis);
  if (system.length > 0) return null;
  const rows = new Map<string, number>();
  const keyspaces = new Map<string, Keyspace>();
  for (const occurrence of [...sharded, ...reference, ...unsharded]) {
    const size = estimatedRows(occurrence);
    if (size === null || occurrence.written) return null;
    rows.set(keyOf(occurrence.table!), size);
    keyspaces.set(keyOf(occurrence.table!), occurrence.table!.keyspace);
  }
  const sizeOf = (key: string): number => rows.get(key)!;
  const bySize = (a: string, b: string): number => sizeOf(a) - sizeOf(b) || (a < b ? -1 : 1);
  const largest = sharded
    .map(({ table }) => keyOf(table))
    .sort(bySize)
    .at(-1);
  if (largest === undefined) return null;
  const keyspace = keyspaces.get(largest)!;
  const copied = new Set(
    reference.filter(({ table }) => table!.keyspace === keyspace).map(({ table }) => keyOf(table!)),
  );
  const movable = [...rows.keys()]
    .filter((key) => key !== largest && !copied.has(key))
    .sort(bySize);
  const strangers = movable.filter((key) => keyspaces.get(key) !== keyspace);
  const natives = movable.filter((key) => keyspaces.get(key) === keyspace);
  return { keyspace, others: [...strangers, ...natives], strangers: strangers.length };
}

/** The plan with these tables sent; null where the rest does not split. */
function attempt(
  statement: SelectStmt,
  otherwise: GatherSpec,
  shipped: ReadonlySet<string>,
  keyspace: Keyspace,
  analysis: Analysis,
  context: StatementContext,
): ShipSpec | null {
  try {
    const shards = { kind: 'all', keyspace } as const;
    const home = { shards, holds: (table: Table) => !shipped.has(keyOf(table)) };
    const found = tableInputs(statement, home, true, analysis, context);
    const standIns = standInsOf(found, keyspace);
    if (standIns === null) return null;
    const sql = found.text
      .map((piece) => (typeof piece === 'string' ? piece : markOf(piece.input)))
      .join('');
    const names = analysis.names.withStandIns(standIns);
    const source = sourceQuery(sql, analysis.params, { ...context, names, standsIn: true });
    if (!putsTogether(source)) return null;
    const inputs = found.inputs.map((input, i): ShippedInput => {
      const { label, columns, collations, estimatedRows } = input;
      return {
        label,
        columns,
        ...(collations === undefined ? {} : { collations }),
        source: sourceQuery(input.sql, analysis.params, context),
        mark: markOf(i),
        estimatedRows: estimatedRows!,
      };
    });
    return { inputs, statement: source, otherwise };
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** What the inputs are where they arrive; null: some are more than rows of a table. */
function standInsOf(
  { inputs, origins }: TableInputs,
  keyspace: Keyspace,
): Map<string, StandIn> | null {
  const out = new Map<string, StandIn>();
  for (const [i, input] of inputs.entries()) {
    const origin = origins[i]!.of;
    if (origin === null || !('entry' in origin) || !travels(input)) return null;
    const name = nameOf(i);
    const table: Table = { type: 'reference', keyspace, schema: 'pg_temp', name };
    out.set(name, { relation: relationOf(name, input, origin), table });
  }
  return out;
}

/** As arrays, which know no keys, and have no index for what is looked up row by row. */
function travels(input: GatherInput): boolean {
  const { primaryKey, defaultCollations, collations, lookups, estimatedRows } = input;
  const keepsText = defaultCollations || collations !== undefined;
  return primaryKey === null && keepsText && lookups === undefined && estimatedRows !== null;
}
