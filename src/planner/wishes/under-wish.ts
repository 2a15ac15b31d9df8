import type { Shard } from '../../keyspace/topology.js';
import type { Names } from '../names.js';
import type { KeyTerm, Plan, RoutePlan, ShardSelector } from '../plan.js';
import { routePlan } from '../plans.js';
import { refusal, Refused, refuse } from '../refusals.js';
import { NO_WISH, strangerOf, type Wish } from './wish.js';
import { shardOfWish } from './wished-shard.js';

/**
 * A plan as the session, or a comment, wishes it: on the shard that is named and nowhere else, or refused. What is
 * stored must belong there by its own key. `alone`: the statement is its whole text. Throws Refused.
 */
export function underWish(plan: Plan, names: Names, alone: boolean): Plan {
  const { wish, used } = names;
  if (wish === NO_WISH || plan.kind === 'refuse' || plan.kind === 'empty') return plan;
  if (plan.kind === 'local') {
    const { kind } = plan.command;
    if (wish.inComment && (kind === 'prepare' || kind === 'execute')) refuseComment();
    return plan;
  }
  if (wish.problem !== null) throw new Refused(wish.problem);
  // Its rows come of a text that is planned by itself.
  if (plan.kind === 'broadcast' && plan.created !== undefined && wish.inComment) refuseComment();
  if (plan.kind === 'fill') {
    // The text that is planned again has lost what stands in front of the first statement.
    if (wish.inComment && !alone) refuseComment();
    return plan;
  }
  if (plan.kind === 'route' && isSettled(plan)) return plan;
  const stranger = strangerOf(wish, used);
  if (stranger !== null) refuseElsewhere(`table "${stranger.name}"`, wish, stranger.keyspace.name);
  const shard = shardOfWish(used, names);
  if (shard === null) return withinKeyspace(plan, wish);
  if (plan.kind === 'route') return { ...plan, shards: selectorOn(shard, plan, names) };
  if (plan.kind !== 'insertSplit') return refuseSpreading(shard);
  const { touches, maintains, keyspace, rows } = plan;
  const shards = agreed(shard, [rows.map(({ key }) => key)], names);
  return {
    ...routePlan(plan.verb, plan.writes, {
      shards: { ...shards, keyspace },
      many: { kind: 'refuse', refusal: ELSEWHERE },
    }),
    ...(touches !== undefined && { touches }),
    ...(maintains !== undefined && { maintains }),
  };
}

/** Statements that have their place already: settings, what is about an open cursor. */
function isSettled({ effects, cursor }: RoutePlan): boolean {
  return effects !== null || (cursor !== null && cursor.action !== 'declare');
}

function withinKeyspace(plan: Plan, { keyspace }: Wish): Plan {
  if (keyspace === null || plan.kind !== 'route') return plan;
  const { shards } = plan;
  if (shards.kind !== 'any' || shards.keyspace !== null) return plan;
  return { ...plan, shards: { kind: 'any', keyspace } };
}

function selectorOn(shard: Shard, plan: RoutePlan, names: Names): ShardSelector {
  const { shards: selector } = plan;
  switch (selector.kind) {
    case 'shard':
      if (selector.shard === shard) return selector;
      return refuseElsewhere('this statement', names.wish, selector.shard.keyspace);
    case 'any': {
      const { keyspace } = selector;
      if (keyspace !== null && keyspace.name !== shard.keyspace) {
        return refuseElsewhere('this statement', names.wish, keyspace.name);
      }
      return { kind: 'shard', shard };
    }
    case 'catalog':
      // Where all sessions meet: locks, notifications.
      return selector;
    case 'keys':
      return { ...agreed(shard, selector.groups, names), keyspace: selector.keyspace };
    default:
      return refuseSpreading(shard);
  }
}

type Agreed = Extract<ShardSelector, { kind: 'agreed' }>;

function agreed(
  shard: Shard,
  groups: readonly (readonly KeyTerm[])[],
  { topology }: Names,
): Agreed {
  const keyspace = topology.keyspaces.find(({ name }) => name === shard.keyspace)!;
  return { kind: 'agreed', keyspace, shard, groups };
}

const ELSEWHERE = refusal(
  'rows of other shards than the one that is wished for are not supported',
  'RESET shardgate.shard and shardgate.key; rows go to the shard of their key by themselves.',
);

function refuseElsewhere(what: string, { shard }: Wish, keyspace: string): never {
  const wished = shard === null ? 'the keyspace' : `shard "${shard.name}"`;
  return refuse(
    `${what} belongs to keyspace "${keyspace}", not to ${wished} that is wished for`,
    'RESET shardgate.shard, shardgate.key and shardgate.keyspace, or leave the comment out.',
  );
}

function refuseSpreading({ name }: Shard): never {
  return refuse(
    `this statement is not one for shard "${name}" alone, which is wished for`,
    'RESET shardgate.shard and shardgate.key, or leave the comment out: rows go to the shard of their key.',
  );
}

function refuseComment(): never {
  return refuse(
    'a comment for Shardgate is not supported in front of this statement',
    'SET shardgate.shard or shardgate.key.',
  );
}
