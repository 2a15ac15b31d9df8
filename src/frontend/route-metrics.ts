import { RouteKind, verbIndex, type Metrics } from '../metrics/metrics.js';
import { performance } from 'node:perf_hooks';
import type { Outcome } from '../transaction/operation.js';
import type { StatementRun } from './statement-run.js';
import type { Plan } from '../planner/plan.js';

/** Counts a statement by the way it took; `shards` is how many it ran on. */
export function countRoute(metrics: Metrics, plan: Plan, shards: number): void {
  count(metrics, plan, routeKind(plan, shards), shards);
}

function count(metrics: Metrics, plan: Plan, route: RouteKind, shards: number): void {
  metrics.statementsByRoute[route]!++;
  metrics.statementsByVerb[verbIndex(plan.verb)]!++;
  plan.usage?.count(route, shards);
}

/** Counts a statement that begins to run on several shards; its time, once its outcome is given. */
export function countRun(
  metrics: Metrics,
  plan: Plan,
  { route, shards }: Pick<StatementRun, 'route' | 'shards'>,
): (outcome: Outcome) => void {
  count(metrics, plan, route, shards.length);
  const { usage } = plan;
  if (usage === undefined) return ignore;
  const startedAt = performance.now();
  return (outcome) => {
    usage.took(Math.round((performance.now() - startedAt) * 1000));
    if (outcome.ok) usage.rows += Number(/ (\d+)$/.exec(outcome.tag)?.[1] ?? 0);
  };
}

function ignore(): void {
  // Nobody counts it.
}

/** The way of a plan that runs on this many shards, where its rows are neither merged nor gathered. */
export function routeKind(plan: Plan, shards: number): RouteKind {
  switch (plan.kind) {
    case 'route': {
      if (shards > 1) return RouteKind.scatter;
      const { kind } = plan.shards;
      return kind === 'any' || kind === 'catalog' ? RouteKind.any : RouteKind.oneShard;
    }
    case 'insertSplit':
      return shards > 1 ? RouteKind.insertSplit : RouteKind.oneShard;
    case 'copyFrom':
      return RouteKind.copy;
    case 'broadcast':
      return RouteKind.broadcast;
    case 'fill':
      // What it is filled to is counted.
      return RouteKind.empty;
    case 'local':
      return RouteKind.local;
    case 'refuse':
      return RouteKind.refused;
    case 'empty':
      return RouteKind.empty;
  }
}
