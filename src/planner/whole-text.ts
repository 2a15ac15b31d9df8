import type { BroadcastPlan, Plan } from './plan.js';
import { broadcastPlan, routePlan } from './plans.js';

/**
 * One plan that carries a text of several statements as it stands, exactly as one Postgres would
 * run it. Null where they do not provably all go to one and the same place.
 */
export function wholePlan(plans: readonly Plan[]): Plan | null {
  if (plans.length === 0) return { kind: 'empty', verb: 'empty', writes: false };
  if (plans.length === 1) return plans[0]!;
  if (plans.some(({ maintains }) => maintains !== undefined)) return null;
  return wholeBroadcast(plans) ?? wholeRoute(plans);
}

/**
 * DDL scripts: every statement on every shard of the same keyspace or cluster, in one transaction
 * each.
 */
function wholeBroadcast(plans: readonly Plan[]): Plan | null {
  const first = plans[0]!;
  if (first.kind !== 'broadcast') return null;
  let ddl = false;
  for (const plan of plans) {
    if (plan.kind !== 'broadcast' || !plan.transactional || plan.servers !== undefined) return null;
    if (plan.keyspace !== first.keyspace || !runsAsItStands(plan)) return null;
    ddl ||= plan.ddl;
  }
  return broadcastPlan(first.verb, first.keyspace, { ddl, transactional: true });
}

/** Whether its shards run the client's text, and nothing more. */
export function runsAsItStands({ created, instead, added, answers }: BroadcastPlan): boolean {
  return (created ?? instead ?? added ?? answers) === undefined;
}

/** Statements of one shard, in a transaction block that begins and ends in the text, or in none. */
function wholeRoute(plans: readonly Plan[]): Plan | null {
  let route: Extract<Plan, { kind: 'route' }> | null = null;
  let place = '';
  let writes = false;
  for (const [index, plan] of plans.entries()) {
    if (isTransactionEdge(plan, index, plans.length)) continue;
    if (plan.kind !== 'route' || plan.effects !== null || plan.cursor !== null) return null;
    if (plan.copy !== 'none' || plan.touches !== undefined) return null;
    const here = fixedPlace(plan);
    if (here === null || (route !== null && here !== place)) return null;
    place = here;
    writes ||= plan.writes;
    route ??= plan;
  }
  if (route === null || !edgesMatch(plans)) return null;
  return routePlan(route.verb, writes, route);
}

function isTransactionEdge(plan: Plan, index: number, count: number): boolean {
  if (plan.kind !== 'local') return false;
  const { command } = plan;
  if (index === 0) return command.kind === 'begin';
  if (index !== count - 1) return false;
  return (command.kind === 'commit' || command.kind === 'rollback') && !command.chain;
}

function edgesMatch(plans: readonly Plan[]): boolean {
  return (plans[0]!.kind === 'local') === (plans.at(-1)!.kind === 'local');
}

/** A shard that is the same whatever the values; keys may turn out to be anywhere. */
function fixedPlace(plan: Extract<Plan, { kind: 'route' }>): string | null {
  const { shards } = plan;
  switch (shards.kind) {
    case 'shard':
      return `shard ${shards.shard.index}`;
    case 'catalog':
      return 'catalog';
    case 'any':
      return `any ${shards.keyspace?.name ?? ''}`;
    default:
      return null;
  }
}
