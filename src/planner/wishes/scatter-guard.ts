import { keyList } from '../../keyspace/key-columns.js';
import type { Names } from '../names.js';
import type { ManyShards, Plan, ShardSelector } from '../plan.js';
import { refuse } from '../refusals.js';

/**
 * Lets no statement pass that would look for rows on all shards, since no key names them, where the session, the
 * configuration or one of its tables forbids that. Throws Refused.
 */
export function assertMayScatter(plan: Plan, { wish, used, topology }: Names): void {
  const forbidden = !(wish.scatter ?? topology.scatter);
  const table = [...used].find((each) => each.type === 'sharded' && each.requireKey === true);
  if (!forbidden && table === undefined) return;
  if (!scatters(plan)) return;
  if (table?.type === 'sharded') {
    refuse(
      `a statement on table "${table.name}" that does not name its shard key is not allowed`,
      `Compare "${keyList(table)}" with a value; the configuration says require_key.`,
    );
  }
  refuse(
    'a statement over all shards is not allowed: shardgate.scatter is off',
    'Compare the shard key with a value, or SET shardgate.scatter = on for such statements.',
  );
}

/** Whether it runs on shards that no key, range of keys or lookup has named. */
function scatters(plan: Plan): boolean {
  if (plan.kind !== 'route') return false;
  const { shards, many } = plan;
  // Nothing is run but on request.
  if (many.kind === 'explain' && !many.explain.analyze) return false;
  return isAll(shards) || (shards.kind === 'nowhere' && collects(many));
}

function isAll(selector: ShardSelector): boolean {
  if (selector.kind !== 'all') return false;
  return selector.within === undefined && selector.keyspace.shards.length > 1;
}

/** Of a statement without shards of its own. */
function collects(many: ManyShards): boolean {
  switch (many.kind) {
    case 'gather':
      return many.gather.inputs.some(({ shards }) => isAll(shards));
    case 'ship': {
      const { inputs, statement } = many.ship;
      return scatters(statement.plan) || inputs.some(({ source }) => scatters(source.plan));
    }
    case 'deal':
      return many.deal.inputs.some(({ shards }) => isAll(shards));
    case 'spread': {
      const { inputs, shards } = many.spread;
      return isAll(shards) || inputs.some(({ source }) => scatters(source.plan));
    }
    case 'move':
      return isAll(many.move.shards);
    case 'distribute':
      return scatters(many.distribute.source.plan);
    case 'copyRows':
      return scatters(many.source.plan);
    case 'explain':
      return collects(many.explain.of);
    default:
      return false;
  }
}
