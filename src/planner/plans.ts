import type { Keyspace } from '../keyspace/topology.js';
import type {
  BroadcastPlan,
  LocalCommand,
  LocalPlan,
  RefusePlan,
  Refusal,
  RoutePlan,
} from './plan.js';
import { ANYWHERE, type Route } from './routing.js';

/** A route without cursor, COPY or effect on settings. */
export function routePlan(verb: string, writes: boolean, route: Route): RoutePlan {
  const { shards, many } = route;
  return { kind: 'route', verb, writes, shards, many, effects: null, cursor: null, copy: 'none' };
}

export function anyPlan(verb: string): RoutePlan {
  return routePlan(verb, false, ANYWHERE);
}

export function refusePlan(verb: string, refusal: Refusal): RefusePlan {
  return { kind: 'refuse', verb, writes: false, refusal };
}

export function localPlan(verb: string, command: LocalCommand): LocalPlan {
  return { kind: 'local', verb, writes: false, command };
}

/** `keyspace` null: every shard of the cluster. */
export function broadcastPlan(
  verb: string,
  keyspace: Keyspace | null,
  options: { readonly ddl: boolean; readonly transactional: boolean },
): BroadcastPlan {
  return { kind: 'broadcast', verb, writes: true, keyspace, ...options };
}
