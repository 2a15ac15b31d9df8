import type { DeclareCursorStmt, SelectStmt } from '@pgsql/types';
import type { Analysis } from './analysis.js';
import { queryStart } from './inner-query.js';
import { planListedSetting } from './listed-settings.js';
import type { Level } from './model.js';
import type { Plan, RoutePlan } from './plan.js';
import { routePlan } from './plans.js';
import { analyseQuery } from './queries.js';
import { planReferenceLocks } from './reference-locks.js';
import { refusal, refuse } from './refusals.js';
import { routeQuery } from './routing.js';
import { checkSettingCalls } from './setting-calls.js';
import { ScatteredSelect } from './scatter/scattered-select.js';
import { analyse, wholeText, type StatementContext } from './statement-context.js';
import { Pace } from '../util/pace.js';

/** Plans a SELECT, VALUES or TABLE statement that stands by itself. */
export function planSelect(statement: SelectStmt, context: StatementContext): Plan {
  const listed = planListedSetting(statement, context);
  if (listed !== null) return listed;
  const [analysis, level] = analyseRead(statement, context);
  const locks = planReferenceLocks(statement, analysis, context);
  if (locks !== null) return locks;
  const plan = planRead(statement, level, analysis, context, true);
  return isShort(plan, analysis) ? { ...plan, pace: new Pace() } : plan;
}

/** Plans the query of another statement. */
export function planQuery(statement: SelectStmt, context: StatementContext): RoutePlan {
  const [analysis, level] = analyseRead(statement, context);
  return planRead(statement, level, analysis, context, false);
}

function analyseRead(statement: SelectStmt, context: StatementContext): [Analysis, Level] {
  return analyse(context, (walk) => analyseQuery(statement, null, null, null, walk));
}

function planRead(
  statement: SelectStmt,
  level: Level,
  analysis: Analysis,
  context: StatementContext,
  putsOff: boolean,
): RoutePlan {
  const told = context.cursor === undefined && context.standsIn === undefined;
  const adds = told && isUngrouped(level);
  level.countsOnly = adds && countsOnly(statement, context);
  const together = new ScatteredSelect(statement, level, analysis, context, putsOff);
  const route = routeQuery(level, analysis, context.scatters ? together : null);
  checkSettingCalls(statement, analysis);
  const effects = analysis.effects.length === 0 ? null : analysis.effects;
  return { ...routePlan('select', writesOf(analysis), route), effects };
}

/** It reads what one key value has of one table, or no table, and does nothing else. */
function isShort({ writes, effects, shards }: RoutePlan, analysis: Analysis): boolean {
  const { levels, names, views, cteRanges, unknownRelations } = analysis;
  const [level] = levels;
  if (level === undefined || levels.length > 1 || writes || effects !== null) return false;
  if (analysis.volatileFunction !== null || analysis.readsCatalog || analysis.meetsOthers) {
    return false;
  }
  if (views.size > 0 || cteRanges.size > 0 || unknownRelations.length > 0) return false;
  if (names.touched.size > 0 || level.entries.some(({ kind }) => kind !== 'table')) return false;
  if (shards.kind === 'any') return level.entries.length === 0;
  const [group, ...groups] = shards.kind === 'keys' ? shards.groups : [];
  return group?.length === 1 && groups.length === 0 && level.entries.length === 1;
}

/** One row comes out, and nothing is done with it. */
function isUngrouped(level: Level): boolean {
  const { grouped, having, windows, distinct, ordered, limited } = level;
  return !(grouped || having || windows || distinct || ordered || limited);
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

/** PostgreSQL 18, parsenodes.h, CURSOR_OPT_*. */
const CURSOR_BINARY = 0x01;
const CURSOR_SCROLL = 0x02;
const CURSOR_NO_SCROLL = 0x04;
const CURSOR_HOLD = 0x20;

/** What stands in front of the query. */
const DECLARE_HEADS = [
  /^declare\s+(?:"(?:[^"]|"")*"|[^\s"]+)\s+(?:(?:binary|asensitive|insensitive|no\s+scroll|scroll)\s+)*cursor\s+(?:with(?:out)?\s+hold\s+)?for\s*/i,
];

/** DECLARE: the cursor lives where its query runs, on one shard or several. */
export function planDeclare(statement: DeclareCursorStmt, context: StatementContext): Plan {
  const name = statement.portalname ?? '';
  const options = statement.options ?? 0;
  const query = statement.query;
  if (query === undefined || !('SelectStmt' in query)) {
    refuse(`cursor "${name}" over this statement is not supported`, 'Declare it for a SELECT.');
  }
  const start = queryStart(DECLARE_HEADS, query, context);
  const scrolls = (options & CURSOR_SCROLL) !== 0;
  const hold = (options & CURSOR_HOLD) !== 0;
  const atHome = scrolls || hold;
  const plan = planQuery(query.SelectStmt, {
    ...context,
    start: start ?? context.start,
    scatters: start !== null,
    knowsValues: true,
    cursor: atHome ? 'home' : 'forward',
  });
  refuseEffect(plan, 'a cursor');
  if (plan.many.kind === 'spread') {
    refuse(
      'DECLARE CURSOR must not contain data-modifying statements in WITH',
      'Run them as a statement of their own.',
    );
  }
  // So the plan is good for these literals only.
  context.constants.dependOnAll();
  return {
    ...(start === null ? onlyOneShard(plan, 'a cursor whose DECLARE has comments') : plan),
    verb: 'cursor',
    // What the server keeps of it comes with the commit.
    writes: plan.writes || hold,
    cursor: {
      action: 'declare',
      name,
      source: wholeText(context),
      query: start === null ? null : context.constants.position(start),
      binary: (options & CURSOR_BINARY) !== 0,
      scroll: scrolls ? 'yes' : (options & CURSOR_NO_SCROLL) !== 0 ? 'no' : null,
      hold,
      atHome,
    },
  };
}

function refuseEffect(plan: RoutePlan, construct: string): void {
  if (plan.effects === null) return;
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
