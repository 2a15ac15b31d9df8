import type { DeclareCursorStmt, ExplainStmt, Node, SelectStmt } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { defElemText } from './ast.js';
import type { KeyTerm, Plan, RoutePlan } from './plan.js';
import { routePlan } from './plans.js';
import { analyseQuery } from './queries.js';
import { refusal, refuse } from './refusals.js';
import { routeQuery, type Route } from './routing.js';
import { ScatteredSelect } from './scatter/scattered-select.js';
import { analyse, type StatementContext } from './statement-context.js';
import { checkSetting } from './settings.js';

/** Plans a SELECT, VALUES or TABLE statement. */
export function planSelect(statement: SelectStmt, context: StatementContext): RoutePlan {
  const [analysis, level] = analyse(context, (walk) =>
    analyseQuery(statement, null, null, null, walk),
  );
  level.countsOnly = countsOnly(statement, context);
  const together = new ScatteredSelect(statement, level, analysis, context);
  const route = routeQuery(level, analysis, context.scatters ? together : null);
  if (analysis.effect !== null) checkSetting(analysis.effect);
  return { ...routePlan('select', writesOf(analysis), route), effect: analysis.effect };
}

/**
 * Whether every output is `count(...)` as it stands: the one aggregate whose partial results simply
 * add up.
 */
function countsOnly(statement: SelectStmt, context: StatementContext): boolean {
  const targets = statement.targetList ?? [];
  if (targets.length === 0 || context.names.catalog.functions.has('count')) return false;
  return targets.every((target) => {
    const value = 'ResTarget' in target ? target.ResTarget.val : undefined;
    if (value === undefined || !('FuncCall' in value)) return false;
    const { funcname, agg_distinct, agg_within_group, over, func_variadic } = value.FuncCall;
    if (over !== undefined || agg_distinct || agg_within_group || func_variadic) return false;
    const name = (funcname ?? []).map((part) => ('String' in part ? part.String.sval : ''));
    return name.join('.') === 'count' || name.join('.') === 'pg_catalog.count';
  });
}

function writesOf(analysis: Analysis): boolean {
  return analysis.writes || analysis.nestedWrites > 0;
}

/** PostgreSQL 18, parsenodes.h CURSOR_OPT_HOLD. */
const CURSOR_HOLD = 0x20;

/** DECLARE: the cursor lives on the one shard that its query runs on. */
export function planDeclare(statement: DeclareCursorStmt, context: StatementContext): Plan {
  const name = statement.portalname ?? '';
  if (((statement.options ?? 0) & CURSOR_HOLD) !== 0) {
    refuse(
      `cursor "${name}" WITH HOLD is not supported: it outlives the transaction, and so does no server session here`,
      'Declare it without HOLD inside a transaction.',
    );
  }
  const query = statement.query;
  if (query === undefined || !('SelectStmt' in query)) {
    refuse(`cursor "${name}" over this statement is not supported`, 'Declare it for a SELECT.');
  }
  const plan = planSelect(query.SelectStmt, { ...context, scatters: false });
  refuseEffect(plan, 'a cursor');
  return {
    ...onlyOneShard(plan, 'a cursor'),
    verb: 'cursor',
    cursor: { action: 'declare', name },
  };
}

/** EXPLAIN runs where its statement would, if that is one shard. `inner` plans that statement. */
export function planExplain(
  statement: ExplainStmt,
  context: StatementContext,
  inner: (node: Node, context: StatementContext) => Plan,
): Plan {
  const query = statement.query;
  const kinds = ['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'];
  if (query === undefined || !kinds.some((kind) => kind in query)) {
    refuse(
      'EXPLAIN of this kind of statement is not supported',
      'Explain a SELECT, INSERT, UPDATE or DELETE.',
    );
  }
  const analyze = isAnalyze(statement);
  const plan = inner(query, context);
  switch (plan.kind) {
    case 'route':
      refuseEffect(plan, 'EXPLAIN');
      return {
        ...onlyOneShard(plan, 'EXPLAIN'),
        verb: 'explain',
        writes: analyze && plan.writes,
      };
    case 'insertSplit': {
      const groups: KeyTerm[][] = [plan.rows.map((row) => row.key)];
      const route: Route = {
        shards: { kind: 'keys', keyspace: plan.keyspace, groups },
        many: { kind: 'refuse', refusal: severalShards('EXPLAIN') },
      };
      return routePlan('explain', analyze, route);
    }
    case 'broadcast': {
      if (analyze) {
        refuse(
          'EXPLAIN ANALYZE of a write to every shard is not supported',
          'Use EXPLAIN without ANALYZE.',
        );
      }
      const many = { kind: 'refuse', refusal: severalShards('EXPLAIN') } as const;
      return routePlan('explain', false, {
        shards: { kind: 'any', keyspace: plan.keyspace },
        many,
      });
    }
    case 'refuse':
      return { ...plan, verb: 'explain' };
    default:
      return refuse('EXPLAIN of this statement is not supported', 'Run the statement itself.');
  }
}

function isAnalyze(statement: ExplainStmt): boolean {
  let analyze = false;
  for (const node of statement.options ?? []) {
    if (!('DefElem' in node) || node.DefElem.defname !== 'analyze') continue;
    const text = defElemText(node.DefElem);
    analyze = text === null || !/^(off|false|0)$/i.test(text);
  }
  return analyze;
}

function refuseEffect(plan: RoutePlan, construct: string): void {
  if (plan.effect === null) return;
  refuse(`set_config in ${construct} is not supported`, 'Run it as a statement of its own.');
}

function severalShards(construct: string): ReturnType<typeof refusal> {
  return refusal(
    `${construct} over several shards is not supported`,
    'Bind the shard key to a value, so that one shard can answer.',
  );
}

/** The same route where only one shard will do. */
function onlyOneShard(plan: RoutePlan, construct: string): RoutePlan {
  if (plan.shards.kind === 'all' || plan.shards.kind === 'nowhere') {
    const { message, hint } = severalShards(construct);
    refuse(message, hint);
  }
  if (plan.many.kind === 'refuse') return plan;
  return { ...plan, many: { kind: 'refuse', refusal: severalShards(construct) } };
}
