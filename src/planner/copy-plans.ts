import type { CopyStmt, Node } from '@pgsql/types';
import { keyColumnMapper } from '../keyspace/key-columns.js';
import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis } from './analysis.js';
import { stringsOf } from './ast.js';
import { checkDefaults, defaultKind } from './column-defaults.js';
import { copiedIds, copyFill } from './copy-fills.js';
import { copyFormat } from './copy-options.js';
import { copyOutFormat } from './copy-out-options.js';
import { sourceQuery, sourceText } from './distribute/source-query.js';
import { visitExpression } from './expressions.js';
import { baseTable } from './from-clause.js';
import type { IdColumn } from './id-sources.js';
import type { Occurrence } from './model.js';
import { Params } from './params.js';
import { placementOf, type Placement, type ShardedOccurrence } from './placement.js';
import type {
  CopyFormat,
  CopyFromPlan,
  ManyShards,
  Plan,
  RoutePlan,
  StoredColumn,
  StoredKey,
} from './plan.js';
import { routePlan } from './plans.js';
import { newLevel } from './queries.js';
import { refusal, Refused, refuse } from './refusals.js';
import { routeQuery } from './routing.js';
import { analyse, type StatementContext } from './statement-context.js';
import { planQuery } from './select-plans.js';
import { unknownTable } from './utility.js';
import { storedKey } from './stored-key.js';

/**
 * COPY ... FROM STDIN and COPY ... TO STDOUT; files and programs belong to a server, not to the
 * cluster.
 */
export function planCopy(statement: CopyStmt, context: StatementContext): Plan {
  const from = statement.is_from === true;
  if (statement.filename !== undefined || statement.is_program === true) {
    refuse(
      `COPY ${from ? 'FROM' : 'TO'} a file or program is not supported: files belong to one server`,
      `Use COPY ... ${from ? 'FROM STDIN' : 'TO STDOUT'}, or \\copy in psql.`,
    );
  }
  if (statement.query !== undefined) return copyQuery(statement, statement.query, context);
  const range = statement.relation;
  if (range === undefined) refuse('COPY without a table is not supported', 'Name a table.');
  if (context.names.relation(range).kind === 'unknown') {
    return { ...(unknownTable('copy', range, context) as RoutePlan), copy: from ? 'in' : 'out' };
  }
  return from ? copyFrom(statement, context) : copyTable(statement, context);
}

function copyQuery(statement: CopyStmt, query: Node, context: StatementContext): Plan {
  if (!('SelectStmt' in query)) {
    if (!hasReturning(query)) {
      refuse('COPY query must have a RETURNING clause', 'Add RETURNING to the statement.');
    }
    return { ...copyRows(statement, query, context), writes: true };
  }
  let plan: RoutePlan;
  try {
    plan = planQuery(query.SelectStmt, { ...context, scatters: false });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return copyRows(statement, query, context);
  }
  if (plan.effects !== null) {
    refuse('set_config in COPY is not supported', 'Run it as a statement of its own.');
  }
  return { ...plan, verb: 'copy', copy: 'out', many: manyCopies(plan.many, statement, context) };
}

/** The query is answered as by itself, and its rows are written as copy data. Throws Refused. */
function copyRows(statement: CopyStmt, query: Node, context: StatementContext): RoutePlan {
  const format = copyOutFormat(statement.options);
  const params = new Params(context.paramTypes, context.outerParams);
  const source = sourceQuery(sourceText(query, context), params, context);
  const many = { kind: 'copyRows', source, format } as const;
  return {
    ...routePlan('copy', source.plan.writes, { shards: { kind: 'nowhere' }, many }),
    copy: 'out',
  };
}

function hasReturning(query: Node): boolean {
  const [statement] = Object.values(query) as [{ readonly returningClause?: unknown }];
  return statement.returningClause !== undefined;
}

function copyTable(statement: CopyStmt, context: StatementContext): Plan {
  const [analysis, level] = analyse(context, (walk) => {
    const top = newLevel(null, walk);
    baseTable(statement.relation!, top, walk, false);
    return top;
  });
  const route = routeQuery(level, analysis, null);
  const plan = routePlan('copy', false, route);
  return { ...plan, copy: 'out', many: together(plan.many, statement) };
}

/** What several shards do for a query that one shard could answer alone. */
function manyCopies(many: ManyShards, statement: CopyStmt, context: StatementContext): ManyShards {
  if (many.kind !== 'refuse' && many.kind !== 'counts') return together(many, statement);
  try {
    return copyRows(statement, statement.query!, context).many;
  } catch (error) {
    // One shard may still do.
    if (error instanceof Refused) return { kind: 'refuse', refusal: error.refusal };
    throw error;
  }
}

/** Copy data of several shards: one stream, with one header. */
function together(many: ManyShards, statement: CopyStmt): ManyShards {
  if (many.kind !== 'concat') return many;
  const { kind, header } = toOptions(statement);
  return { kind: 'copyConcat', format: kind, header };
}

function toOptions(statement: CopyStmt): { kind: CopyFormat['kind']; header: boolean } {
  const format = copyFormat(statement.options, []);
  return { kind: format.kind, header: format.kind !== 'binary' && format.header };
}

function copyFrom(statement: CopyStmt, context: StatementContext): Plan {
  const range = statement.relation!;
  const [analysis, target] = analyse(context, (walk): Occurrence => {
    const level = newLevel(null, walk);
    level.modifies = true;
    const { items, entries } = baseTable(range, level, walk, true);
    const scope = { level, items, parent: null };
    visitExpression(statement.whereClause, { scope, ctes: null }, walk);
    const occurrence = walk.tables.get(entries[0]!)!;
    noteDefaults(statement, occurrence, copiedIds(statement, occurrence, context), walk);
    return occurrence;
  });
  const placement = placementOf(analysis);
  const { table, relation } = target;
  if (table === null) {
    refuse(`COPY into system catalog "${relation.name}" is not supported`, 'Use DDL.');
  }
  if (!table.keyspace.sharded) {
    const shards = { kind: 'shard', shard: table.keyspace.shards[0]! } as const;
    const many = {
      kind: 'refuse',
      refusal: refusal('COPY runs on one shard', 'Name one table.'),
    } as const;
    return { ...routePlan('copy', true, { shards, many }), copy: 'in' };
  }
  return splitCopy(statement, target, placement, analysis, context);
}

/** Columns that the data does not bring. */
function noteDefaults(
  statement: CopyStmt,
  occurrence: Occurrence,
  ids: readonly IdColumn[],
  analysis: Analysis,
): void {
  if (statement.attlist === undefined) return;
  const made = ids.map(({ column }) => column.name);
  const given = new Set([...stringsOf(statement.attlist), ...made]);
  for (const column of occurrence.relation.columns) {
    if (!given.has(column.name)) analysis.defaulted.push({ occurrence, column });
  }
}

function splitCopy(
  statement: CopyStmt,
  target: Occurrence,
  placement: Placement,
  analysis: Analysis,
  context: StatementContext,
): CopyFromPlan {
  const { relation } = target;
  const ids = copiedIds(statement, target, context);
  const columns =
    statement.attlist === undefined
      ? relation.columns.filter((column) => !column.generated).map((column) => column.name)
      : [...stringsOf(statement.attlist), ...ids.map(({ column }) => column.name)];
  const sharded = placement.sharded[0];
  if (sharded === undefined) checkCopies(target, analysis);
  else checkDefaults(analysis);
  const format = copyFormat(statement.options, sharded?.table.keyColumns ?? []);
  if (sharded === undefined && format.kind !== 'binary' && format.defaultText !== null) {
    refuseDefaultOption(target);
  }
  return {
    kind: 'copyFrom',
    verb: 'copy',
    writes: true,
    keyspace: placement.keyspace!,
    table: relation.name,
    key: sharded === undefined ? null : copiedKey(sharded, columns, ids.length, format),
    columnCount: columns.length,
    format,
    ...(ids.length === 0 ? {} : { fill: copyFill(statement, ids, format, context) }),
  };
}

function copiedKey(
  target: ShardedOccurrence,
  columns: readonly string[],
  madeCount: number,
  format: CopyFormat,
): StoredKey {
  const { table } = target;
  const stored = table.keyColumns.map((name, place) => {
    const field = columns.indexOf(name);
    const made = field >= columns.length - madeCount;
    return { ...copiedColumn(target, name, place, field), ...(made ? { made } : {}) };
  });
  if (format.kind !== 'binary' && format.defaultText !== null) refuseDefaultOption(target);
  return storedKey(table, stored);
}

function copiedColumn(
  { table, relation }: ShardedOccurrence,
  key: string,
  place: number,
  field: number,
): StoredColumn {
  const column = relation.columns.find((candidate) => candidate.name === key)!;
  if (field < 0 || column.generated) {
    refuse(
      `COPY into table "${table.name}" brings no value for its shard key "${key}"`,
      `Name "${key}" among the columns.`,
    );
  }
  const name = `${table.name}.${key}`;
  const mapper = keyColumnMapper(table, place, column.type, TypeOid.unknown, column.typmod);
  if (mapper === null) {
    refuse(`shard key "${name}" cannot be read from COPY data`, 'Insert the rows instead.');
  }
  return { field, mapper, columnType: column.type, column: name };
}

function refuseDefaultOption(target: Occurrence): void {
  const changing = target.relation.columns.find(
    (column) => !column.generated && !['constant', 'changing'].includes(defaultKind(column)),
  );
  const copies = target.table?.type === 'reference';
  const moving = target.relation.columns.find(
    (column) => !column.generated && defaultKind(column) !== 'constant',
  );
  const culprit = copies ? moving : changing;
  if (culprit === undefined) return;
  refuse(
    `COPY with DEFAULT into table "${target.relation.name}" is not supported: the default of column "${culprit.name}" differs between shards`,
    'Give the values in the data.',
  );
}

/** Reference tables: every shard must store the same row. */
function checkCopies(target: Occurrence, analysis: Analysis): void {
  const { name } = target.relation;
  if (analysis.volatileFunction !== null || analysis.clockText !== null) {
    refuse(
      `COPY into reference table "${name}" with a WHERE clause that differs between shards is not supported`,
      'Use conditions on the row only.',
    );
  }
  for (const { column } of analysis.defaulted) {
    if (column.generated || defaultKind(column) === 'constant') continue;
    refuse(
      `the default of column "${name}.${column.name}" gives another value on each shard of the reference table`,
      `Give a value for "${column.name}" in the data.`,
    );
  }
}
