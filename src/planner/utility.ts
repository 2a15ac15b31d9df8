import type {
  ClosePortalStmt,
  DiscardStmt,
  FetchStmt,
  LockStmt,
  Node,
  RangeVar,
  TruncateStmt,
} from '@pgsql/types';
import type { Keyspace, Table } from '../keyspace/topology.js';
import { kindOf, rangeVarText } from './ast.js';
import type { CursorUse, Plan, RoutePlan } from './plan.js';
import { anyPlan, broadcastPlan, localPlan, routePlan } from './plans.js';
import { refusal, refuse } from './refusals.js';
import { CATALOG_ROUTE, type Route } from './routing.js';
import type { StatementContext } from './statement-context.js';
import { writeProblem } from './triggers/table-triggers.js';

/** FETCH and MOVE follow their cursor. */
export function planFetch(statement: FetchStmt, context: StatementContext): Plan {
  const { direction = 'FETCH_FORWARD', howMany = 0, ismove: move = false } = statement;
  // The count is a literal of the text.
  context.constants.dependOnAll();
  const count = Number(howMany);
  return cursorPlan({
    action: 'fetch',
    name: statement.portalname ?? '',
    move,
    direction: DIRECTIONS[direction],
    // FETCH_ALL is the largest long.
    count: count > Number.MAX_SAFE_INTEGER ? Infinity : count,
  });
}

const DIRECTIONS = {
  FETCH_FORWARD: 'forward',
  FETCH_BACKWARD: 'backward',
  FETCH_ABSOLUTE: 'absolute',
  FETCH_RELATIVE: 'relative',
} as const;

export function planClose(statement: ClosePortalStmt): Plan {
  return cursorPlan({ action: 'close', name: statement.portalname ?? null });
}

/** Runs where its cursor is, which the session knows. */
function cursorPlan(cursor: CursorUse): RoutePlan {
  return { ...anyPlan('cursor'), many: { kind: 'concat' }, cursor };
}

export function planDiscard(statement: DiscardStmt): Plan {
  switch (statement.target ?? 'DISCARD_ALL') {
    case 'DISCARD_PLANS':
      return localPlan('utility', { kind: 'discard', what: 'plans' });
    case 'DISCARD_SEQUENCES':
      return localPlan('utility', { kind: 'discard', what: 'sequences' });
    case 'DISCARD_TEMP':
      return localPlan('utility', { kind: 'discard', what: 'temp' });
    default:
      return localPlan('utility', { kind: 'discard', what: 'all' });
  }
}

/** LOCK TABLE: on every copy and part of the tables; as a run of its own, which sees to it that there is a block. */
export function planLock(statement: LockStmt, context: StatementContext): Plan {
  return planTables('lock', statement.relations, context, (keyspace) =>
    broadcastPlan('lock', keyspace, { ddl: false, transactional: true }),
  );
}

/**
 * TRUNCATE: on every shard of the tables' keyspace; CASCADE may reach tables of other keyspaces, RESTART IDENTITY
 * sequences that are counted there.
 */
export function planTruncate(statement: TruncateStmt, context: StatementContext): Plan {
  // Their sequences are counted elsewhere, and what was reserved of them is void.
  const restarts = statement.restart_seqs === true;
  const cascade = statement.behavior === 'DROP_CASCADE' || restarts;
  const broadcast = (keyspace: Keyspace | null): Plan =>
    broadcastPlan('truncate', cascade ? null : keyspace, { ddl: restarts, transactional: true });
  const plan = planTables('truncate', statement.relations, context, broadcast);
  const cluster = cascade && plan.kind === 'route' && plan.shards.kind === 'shard';
  return cluster ? broadcastPlan('truncate', null, { ddl: restarts, transactional: true }) : plan;
}

/**
 * A command on whole tables: where those of one unsharded keyspace are, else on every shard of their keyspace. Those of
 * several keyspaces (null) are on all shards of the cluster, and empty where their rows are not.
 */
function planTables(
  verb: string,
  relations: readonly Node[] | undefined,
  context: StatementContext,
  broadcast: (keyspace: Keyspace | null) => Plan,
): Plan {
  let first: Table | null = null;
  let several = false;
  for (const node of relations ?? []) {
    if (!('RangeVar' in node)) continue;
    const found = context.names.relation(node.RangeVar);
    if (found.kind === 'unknown') {
      const { defaultKeyspace: home } = context.names.topology;
      // That there is no block is said first.
      if (verb === 'lock' && home?.sharded === false) return broadcast(home);
      return unknownTable(verb, node.RangeVar, context);
    }
    if (found.kind === 'system') {
      refuse(
        `${verb} of system catalog "${found.relation.name}" is not supported`,
        'Leave it out.',
      );
    }
    first ??= found.table;
    if (first.keyspace !== found.table.keyspace) several = true;
    const problem =
      verb === 'truncate'
        ? writeProblem(found.relation, found.table, context.names, context.parser)
        : null;
    if (problem !== null) refuse(problem, 'Drop it, or write to its tables in the application.');
    if (verb === 'truncate') context.names.changed.add(found);
  }
  if (first === null) refuse(`${verb} without a table is not supported`, 'Name a table.');
  if (several) return broadcast(null);
  if (first.keyspace.sharded || verb === 'lock') return broadcast(first.keyspace);
  const route: Route = {
    shards: { kind: 'shard', shard: first.keyspace.shards[0]! },
    many: { kind: 'refuse', refusal: refusal(`${verb} runs on one shard`, 'Name one table.') },
  };
  return routePlan(verb, true, route);
}

/**
 * PostgreSQL itself says that the table does not exist, on a shard where it may be looked for in
 * safety.
 */
export function unknownTable(verb: string, range: RangeVar, context: StatementContext): Plan {
  const home = context.names.topology.defaultKeyspace;
  if (home?.sharded === false) {
    const many = CATALOG_ROUTE.many;
    return routePlan(verb, true, { shards: { kind: 'shard', shard: home.shards[0]! }, many });
  }
  return refuse(
    `relation "${rangeVarText(range)}" does not exist`,
    'A table that was made past Shardgate is seen within a minute, or at once after SIGHUP.',
    'undefined_table',
  );
}

/** Why a statement kind is refused, and what to do instead. */
const refusedKinds: Readonly<Record<string, readonly [construct: string, hint: string]>> = {
  CheckPointStmt: ['CHECKPOINT', 'Run it on a direct connection to each server.'],
  LoadStmt: ['LOAD', 'Set shared_preload_libraries or session_preload_libraries on the servers.'],
  CreatedbStmt: ['CREATE DATABASE', 'Create it on each server.'],
  DropdbStmt: ['DROP DATABASE', 'Drop it on each server.'],
  AlterDatabaseStmt: ['ALTER DATABASE', 'Run it on each server.'],
  AlterDatabaseSetStmt: [
    'ALTER DATABASE ... SET',
    'Run it in each database; or give users these settings in the configuration (auth.users).',
  ],
  CreateTableSpaceStmt: ['CREATE TABLESPACE', 'Run it on each server.'],
  DropTableSpaceStmt: ['DROP TABLESPACE', 'Run it on each server.'],
  AlterSystemStmt: ['ALTER SYSTEM', 'Run it on a direct connection to each server.'],
  CreateSubscriptionStmt: ['CREATE SUBSCRIPTION', 'Run it on a direct connection.'],
  AlterSubscriptionStmt: ['ALTER SUBSCRIPTION', 'Run it on a direct connection.'],
  DropSubscriptionStmt: ['DROP SUBSCRIPTION', 'Run it on a direct connection.'],
  CreateForeignTableStmt: ['CREATE FOREIGN TABLE', 'Use ordinary tables.'],
  ImportForeignSchemaStmt: ['IMPORT FOREIGN SCHEMA', 'Use ordinary tables.'],
  CreateEventTrigStmt: ['CREATE EVENT TRIGGER', 'Create it on each server.'],
  RuleStmt: [
    'CREATE RULE',
    'Use a trigger that only computes, or a view; else do it in the application.',
  ],
};

export function refuseStatement(node: Node): never {
  const known = refusedKinds[kindOf(node)];
  if (known !== undefined) refuse(`${known[0]} is not supported`, known[1]);
  const words = kindOf(node)
    .replace(/Stmt$/, '')
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ');
  return refuse(
    `this kind of statement (${words}) is not supported`,
    'Run it on a direct connection to the servers.',
  );
}
