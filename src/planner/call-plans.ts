import type { CallStmt } from '@pgsql/types';
import { visitExpression } from './expressions.js';
import { bodyReach } from './function-reach.js';
import { useReach } from './function-use.js';
import type { Plan } from './plan.js';
import { routePlan } from './plans.js';
import { newLevel } from './queries.js';
import { refuse } from './refusals.js';
import { routeQuery } from './routing.js';
import { analyse, type StatementContext } from './statement-context.js';

/** CALL: where the tables are that the procedure uses. */
export function planCall({ funccall }: CallStmt, context: StatementContext): Plan {
  if (funccall === undefined) refuse('CALL without a procedure is not supported', 'Name one.');
  const [analysis, level] = analyse(context, (walk) => {
    const top = newLevel(null, walk);
    const place = { scope: { level: top, items: [], parent: null }, ctes: null };
    visitExpression({ FuncCall: funccall }, place, walk);
    return top;
  });
  return routePlan('utility', true, routeQuery(level, analysis, null));
}

/** A DO block where the tables are that it uses; null: they are not in one place, or not known. */
export function planBlock(source: string, context: StatementContext): Plan | null {
  const reach = bodyReach(source, context.names.catalog, null);
  // What defines tables must do so on all shards.
  if (typeof reach === 'string' || reach.hidden !== null) return null;
  let problem: string | null = null;
  const [analysis, level] = analyse(context, (walk) => {
    const top = newLevel(null, walk);
    problem = useReach(reach, true, 'this DO block', top, walk);
    return top;
  });
  if (problem !== null) return null;
  return routePlan('utility', true, routeQuery(level, analysis, null));
}
