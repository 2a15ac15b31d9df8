import type {
  CreateTableAsStmt,
  IntoClause,
  RangeVar,
  RefreshMatViewStmt,
  SelectStmt,
} from '@pgsql/types';
import type { Table } from '../keyspace/topology.js';
import { Tokens } from '../sql/tokens.js';
import { quoteIdentifier, quoteQualified } from '../sql/quote.js';
import { contains, rangeVarText } from './ast.js';
import type { BroadcastPlan, Plan } from './plan.js';
import { broadcastPlan, routePlan } from './plans.js';
import { refuse } from './refusals.js';
import { checkReserved } from './reserved-schema.js';
import { CATALOG_ROUTE } from './routing.js';
import { planQuery } from './select-plans.js';
import type { StatementContext } from './statement-context.js';
import { intoTable, queryEnd, selectAs } from './temporary-tables.js';

/**
 * CREATE TABLE AS, and SELECT INTO: the table is made without rows on every shard, by the text of
 * the client, so that its columns are what PostgreSQL makes of the query; then the rows come as by
 * INSERT ... SELECT.
 */
export function planTableAs(statement: CreateTableAsStmt, context: StatementContext): Plan {
  checkReserved({ CreateTableAsStmt: statement }, context.names);
  const { into = {}, query, if_not_exists } = statement;
  const select = selectAs(query);
  const { tokens, from, to } = queryOf(context);
  const head = tokens.text(context.start, from);
  const body = tokens.text(from, to);
  if (statement.objtype === 'OBJECT_MATVIEW') return planView(into, select, from, to, context);
  const ddl = `${head} ${body} WITH NO DATA`;
  return createdFrom(into, select, ddl, body, if_not_exists === true, context);
}

/** SELECT ... INTO, for tables that are not temporary. */
export function planIntoTable(select: SelectStmt, context: StatementContext): Plan {
  const { intoClause = {}, ...query } = select;
  checkReserved({ SelectStmt: select }, context.names);
  const { target, body } = intoTable(select, context);
  const unlogged = intoClause.rel?.relpersistence === 'u' ? 'UNLOGGED ' : '';
  const ddl = `CREATE ${unlogged}TABLE ${target} AS ${body} WITH NO DATA`;
  return createdFrom(intoClause, query, ddl, body, false, context);
}

/** Where the query of CREATE ... AS begins and ends. */
function queryOf({ bytes, textStart, start, end }: StatementContext): {
  readonly tokens: Tokens;
  readonly from: number;
  readonly to: number;
} {
  const tokens = new Tokens(bytes, textStart, start, end);
  let as = 0;
  while (as < tokens.count && !tokens.is(as, 'as')) as++;
  return { tokens, from: tokens.start(as + 1), to: queryEnd(tokens, end) };
}

function createdFrom(
  { rel = {}, skipData }: IntoClause,
  select: SelectStmt,
  ddl: string,
  body: string,
  ifNotExists: boolean,
  context: StatementContext,
): BroadcastPlan {
  const { names } = context;
  const { relname = '', schemaname } = rel;
  const plan = broadcastPlan('ddl', null, { ddl: true, transactional: true });
  const exists = names.find(schemaname ?? names.creationSchema(), relname) !== null;
  if (skipData === true || exists) return { ...plan, created: { ddl, insert: null, ifNotExists } };
  assertPlaced(rel, context);
  if (schemaname === undefined && namesTable(select, relname)) {
    refuse(
      `CREATE TABLE AS of a query that reads another table "${relname}" is not supported`,
      'Write the tables with their schemas.',
    );
  }
  const target =
    schemaname === undefined ? quoteIdentifier(relname) : quoteQualified(schemaname, relname);
  return { ...plan, created: { ddl, insert: `INSERT INTO ${target} ${body}`, ifNotExists } };
}

/** Where the rows of a new table will be. Refuses what no keyspace takes. */
function assertPlaced(range: RangeVar, { names }: StatementContext): Table {
  const name = range.relname ?? '';
  const schema = range.schemaname ?? names.creationSchema();
  const table = names.topology.tables.get(`${schema}.${name}`);
  const keyspace = names.topology.defaultKeyspace;
  if (table !== undefined) return table;
  if (keyspace !== null) return { type: 'unsharded', keyspace, schema, name };
  return refuse(
    `table "${rangeVarText(range)}" belongs to no keyspace`,
    'Name it under "tables" of a keyspace in the configuration, or set a default keyspace.',
  );
}

/** Whether a query names a table of this name without its schema. */
function namesTable(select: SelectStmt, name: string): boolean {
  return contains(select, 'RangeVar', (node) => {
    if (!('RangeVar' in node)) return false;
    return node.RangeVar.relname === name && node.RangeVar.schemaname === undefined;
  });
}

/**
 * A materialized view of tables of one unsharded keyspace, in which it is itself: there the server
 * fills it; on all others its tables are empty shells, and so is it.
 */
function planView(
  { rel = {} }: IntoClause,
  select: SelectStmt,
  start: number,
  end: number,
  context: StatementContext,
): BroadcastPlan {
  const { keyspace } = assertPlaced(rel, context);
  const [shard] = keyspace.shards;
  const { shards, effects, writes } = planQuery(select, {
    ...context,
    start,
    end,
    scatters: false,
  });
  const here =
    (shards.kind === 'shard' && shards.shard === shard) ||
    (shards.kind === 'any' && shards.keyspace === null);
  if (keyspace.sharded || !here || effects !== null || writes) {
    refuse(
      `materialized view "${rel.relname ?? ''}" is not supported: it would read what is not on its own shard`,
      'Materialized views can be made of tables of the unsharded keyspace that they are in; else use CREATE TABLE ... AS.',
    );
  }
  const plan = broadcastPlan('ddl', null, { ddl: true, transactional: true });
  return { ...plan, answers: shard! };
}

/** REFRESH MATERIALIZED VIEW: where it has rows. */
export function planRefresh(
  { relation = {} }: RefreshMatViewStmt,
  { names }: StatementContext,
): Plan {
  const found = names.find(relation.schemaname ?? null, relation.relname ?? '');
  // PostgreSQL says what it is instead.
  if (found?.kind !== 'm') return routePlan('ddl', true, CATALOG_ROUTE);
  const { keyspace } = names.tableOf(found);
  if (!keyspace.sharded) {
    const shards = { kind: 'shard', shard: keyspace.shards[0]! } as const;
    return routePlan('ddl', true, { ...CATALOG_ROUTE, shards });
  }
  return refuse(
    `materialized view "${found.name}" is not supported: its keyspace is sharded`,
    'Use an ordinary table.',
  );
}
