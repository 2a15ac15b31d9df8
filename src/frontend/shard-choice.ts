import { sqlError, type SqlError } from '../errors/sql-error.js';
import { isDirectoryMiss } from '../executor/directories/directory-miss.js';
import { shardsWithin } from '../executor/range-shards.js';
import { splitRows } from '../executor/insert-split.js';
import type { ValueSource } from '../executor/shard-targets.js';
import type { Shard } from '../keyspace/topology.js';
import type {
  BroadcastPlan,
  CopyFromPlan,
  InsertSplitPlan,
  ManyShards,
  Plan,
  Refusal,
  RoutePlan,
  SettingEffect,
  ShardSelector,
} from '../planner/plan.js';
import { cursorShards } from './cursor-shards.js';
import { TRANSACTION_SETTINGS } from '../planner/setting-rules.js';
import { serverShards } from './server-shards.js';
import type { Session } from './session.js';
import { refusedSetting } from './session-settings.js';

/** Plans that may need several shards. */
export type ShardPlan = RoutePlan | InsertSplitPlan | CopyFromPlan | BroadcastPlan;

export function isShardPlan(plan: Plan): plan is ShardPlan {
  return (
    plan.kind === 'route' ||
    plan.kind === 'insertSplit' ||
    plan.kind === 'copyFrom' ||
    plan.kind === 'broadcast'
  );
}

/** Whether a statement uses temporary tables, of which only the catalog shard knows. */
export function usesTemporary({ touches }: ShardPlan): boolean {
  return touches?.includes('temporary') === true;
}

const VALUED: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge']);

/** Whether shards judge the values of a statement over several of them when they bind it to run it. */
export function isBoundByShards(plan: ShardPlan): boolean {
  if (plan.kind === 'route') return plan.cursor === null && plan.copy === 'none';
  // Utility commands have no values.
  return plan.kind === 'insertSplit' || (plan.kind === 'broadcast' && VALUED.has(plan.verb));
}

/** Whether one shard's answer to its text, as it stands, is all there is to do. */
export function passesThrough(plan: ShardPlan): boolean {
  if (plan.maintains !== undefined) return false;
  return plan.kind === 'insertSplit' || (plan.kind === 'route' && plan.hidden === undefined);
}

/**
 * Whether a statement that tells the time of its transaction runs elsewhere than where that has
 * begun: that shard's time is then to be filled in.
 */
export function isAwayFromBegin(
  { work }: Session,
  { tellsTime }: ShardPlan,
  shards: readonly Shard[],
): boolean {
  if (tellsTime !== true || !work.explicit) return false;
  const [first] = work.participants;
  return first !== undefined && !(shards.length === 1 && shards[0] === first.shard);
}

/** Whether the statement as it stands goes to one of these shards, whose answer passes to the client. */
export function isOneAnswer(session: Session, plan: ShardPlan, shards: readonly Shard[]): boolean {
  return shards.length === 1 && passesThrough(plan) && !isAwayFromBegin(session, plan, shards);
}

/** Whether a shard must accept the statement's text before its client is told that it is well. */
export function isJudgedByShard(plan: Plan): boolean {
  return isShardPlan(plan) || plan.kind === 'fill';
}

export function refusalError(refusal: Refusal): SqlError {
  return sqlError(refusal.state, refusal.message, { detail: refusal.detail, hint: refusal.hint });
}

/**
 * The shards of a plan with these values, in order of their index. None: its rows are gathered from
 * shards of their own. Throws SqlError: the refusal for several shards, or a key that cannot be read.
 * The array is reused by the next call.
 */
export function shardsOf(session: Session, plan: ShardPlan, values: ValueSource): readonly Shard[] {
  const { topology } = session.context.config;
  switch (plan.kind) {
    case 'route': {
      if (plan.effects !== null) return settingShards(session, plan, plan.effects, values);
      if (plan.cursor === null) return shardsOfRoute(session, plan, values);
      return cursorShards(session, plan.cursor, () => shardsOfRoute(session, plan, values));
    }
    case 'insertSplit':
      return splitRows(plan, values, session.targets).shards;
    case 'copyFrom':
      return plan.keyspace.shards;
    case 'broadcast':
      if (plan.servers !== undefined) return serverShards(session.context, plan.servers);
      return plan.keyspace === null ? topology.shards : plan.keyspace.shards;
  }
}

/** The shards among which a selector chooses where it names none by itself. */
export function candidatesOf(
  session: Session,
  selector: ShardSelector,
  values: ValueSource,
): readonly Shard[] {
  const { topology } = session.context.config;
  switch (selector.kind) {
    case 'shard':
      return [selector.shard];
    case 'catalog':
      return [topology.catalogShard];
    case 'keys':
      try {
        session.targets.resolve(selector.keyspace, selector.groups, values);
      } catch (error) {
        if (!isDirectoryMiss(error)) throw error;
        // Their rows are somewhere.
        return selector.keyspace.shards;
      }
      return [...session.targets.shards];
    case 'any':
      return selector.keyspace?.shards ?? topology.shards;
    case 'agreed':
      return agreedShard(session, selector, values);
    case 'all':
      return shardsWithin(selector, values, session.targets);
    case 'lookup':
      return session.planning.lookups.shardsOf(selector, values);
    case 'nowhere':
      return topology.shards;
  }
}

const HAS_PARTS: ReadonlySet<ShardSelector['kind']> = new Set(['keys', 'all', 'lookup']);

/** The shards that a selector means; one of them where each has all the rows. */
export function readersOf(
  session: Session,
  selector: ShardSelector,
  values: ValueSource,
): readonly Shard[] {
  const candidates = candidatesOf(session, selector, values);
  return HAS_PARTS.has(selector.kind) ? candidates : [chooseShard(session, candidates, [])];
}

/**
 * One of these shards: the one that has this transaction's temporary tables, which cannot be
 * prepared; else one that takes part already, in what is gathered if possible.
 */
export function chooseShard(
  session: Session,
  candidates: readonly Shard[],
  sources: readonly Shard[],
): Shard {
  const { work, context } = session;
  const { participants, scratchHome } = work;
  if (scratchHome !== null && participants.includes(scratchHome)) {
    const { shard } = scratchHome;
    if (candidates.includes(shard)) return shard;
  }
  const near = candidates.filter((shard) => sources.includes(shard));
  const isHeld = (shard: Shard): boolean => work.participant(shard) !== null;
  return (
    near.find(isHeld) ??
    candidates.find(isHeld) ??
    context.cluster.pickAny(near.length > 0 ? near : candidates)
  );
}

/**
 * A setting that a SELECT makes is made on every shard of the transaction, and told to those that
 * join later.
 */
function settingShards(
  session: Session,
  plan: RoutePlan,
  effects: readonly SettingEffect[],
  values: ValueSource,
): readonly Shard[] {
  for (const { name, value } of effects) {
    const refusal = refusedSetting(name, value);
    if (refusal !== null) throw refusal;
    if (TRANSACTION_SETTINGS.has(name)) {
      throw sqlError('feature_not_supported', `set_config of "${name}" is not supported`, {
        hint: 'Use SET TRANSACTION, in front of the first query.',
      });
    }
  }
  const { work, context } = session;
  const shards = shardsOfRoute(session, plan, values);
  const others = work.participants.some(({ shard }) => !shards.includes(shard));
  if (!others) return shards;
  if (plan.shards.kind !== 'any') {
    throw sqlError(
      'feature_not_supported',
      'set_config beside what only one shard tells is not supported where others take part',
      { hint: 'Run SELECT set_config(...) as a statement of its own.' },
    );
  }
  return context.config.topology.shards.filter((shard) => work.participant(shard) !== null);
}

function shardsOfRoute(session: Session, plan: RoutePlan, values: ValueSource): readonly Shard[] {
  const { shards: selector, many } = plan;
  const { targets, work, context } = session;
  let shards: readonly Shard[];
  if (selector.kind === 'keys') {
    const agreed = targets.resolve(selector.keyspace, selector.groups, values);
    shards = targets.shards;
    if (!agreed) {
      if (findsShards.has(many.kind)) return NONE;
      if (many.kind !== 'refuse') throw disagreement();
    }
  } else if (selector.kind === 'all') {
    shards = shardsWithin(selector, values, targets);
  } else if (selector.kind === 'lookup') {
    shards = session.planning.lookups.shardsOf(selector, values);
  } else if (selector.kind === 'agreed') {
    shards = agreedShard(session, selector, values);
  } else if (selector.kind === 'nowhere') {
    shards = NONE;
  } else {
    if (selector.kind === 'shard') targets.setOne(selector.shard);
    else if (selector.kind === 'catalog') targets.setOne(context.config.topology.catalogShard);
    else {
      const candidates = selector.keyspace?.shards ?? context.config.topology.shards;
      // A backend that is held already costs nothing.
      const held = work.participants.find((backend) => candidates.includes(backend.shard));
      targets.setOne(held?.shard ?? session.leases.pickAny(candidates));
    }
    shards = targets.shards;
  }
  if (shards.length > 1 && many.kind === 'refuse') throw refusalError(many.refusal);
  return shards;
}

/** The shard that is wished for, to which the statement's own key values must lead too. */
function agreedShard(
  { targets }: Session,
  { keyspace, shard, groups }: Extract<ShardSelector, { kind: 'agreed' }>,
  values: ValueSource,
): readonly Shard[] {
  targets.resolve(keyspace, groups, values);
  const stranger = targets.shards.find((each) => each !== shard);
  if (stranger === undefined) return targets.shards;
  throw sqlError(
    'feature_not_supported',
    `the statement belongs to shard "${stranger.name}", and shard "${shard.name}" is wished for`,
    { hint: 'RESET shardgate.shard and shardgate.key: keys choose shards by themselves.' },
  );
}

/** Ways over several shards that need not be those of the plan's own keys. */
const findsShards: ReadonlySet<ManyShards['kind']> = new Set([
  'explain',
  'gather',
  'merge',
  'ship',
  'deal',
  'spread',
  'move',
  'replan',
  'distribute',
]);

function disagreement(): Error {
  return sqlError(
    'feature_not_supported',
    'the tables of this statement are bound to different shards',
    { hint: 'Compare their shard keys with the same value.' },
  );
}

const NONE: readonly Shard[] = [];
