import { RouteKind, verbIndex, type Metrics } from '../metrics/metrics.js';
import type { Plan } from '../planner/plan.js';

/** Counts a statement by the way it took; `shards` is how many it ran on. */
export function countRoute(metrics: Metrics, plan: Plan, shards: number): void {
  countRun(metrics, plan, routeKind(plan, shards));
}

/** Counts a statement whose way is known. */
export function countRun(metrics: Metrics, plan: Plan, route: RouteKind): void {
  metrics.statementsByRoute[route]!++;
  metrics.statementsByVerb[verbIndex(plan.verb)]!++;
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
