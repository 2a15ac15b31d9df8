import type { Shard } from '../keyspace/topology.js';
import { assertRoomForInputs } from '../executor/parameter-room.js';
import type { CursorUse, ManyShards, RoutePlan } from '../planner/plan.js';
import { AddColumnsRun } from './add-columns-run.js';
import { dealRun } from './deal-run.js';
import { DeclareRun, queryOf } from './declare-run.js';
import { CloseRun, FetchRun } from './fetch-run.js';
import { Literals } from '../sql/literals.js';
import { DistributeRun } from './distribute-run.js';
import { ExplainRun } from './explain-run.js';
import { DdlStepsRun } from './ddl-steps-run.js';
import { CreateAsRun } from './create-as-run.js';
import { ConcatRun } from './concat-run.js';
import { CopyOutRun } from './copy-out-run.js';
import { FanOutRun } from './fan-out-run.js';
import { GatherRun } from './gather-run.js';
import { HiddenRun } from './hidden-run.js';
import { LockingRun } from './locking-run.js';
import { LookupRun } from './lookup-run.js';
import { MergeRun } from './merge-run.js';
import { MoveRun } from './move-run.js';
import { MomentRun } from './moment-run.js';
import { isAwayFromBegin, shardsOf, type ShardPlan } from './shard-choice.js';
import type { Session } from './session.js';
import { ShipRun } from './ship-run.js';
import { SpreadRun } from './spread-run.js';
import type { RunRequest, StatementRun } from './statement-run.js';

/** The run of a statement. Throws SqlError as `shardsOf` does. */
export function statementRun(session: Session, request: RunRequest): StatementRun {
  const { plan } = request;
  const run = chosenRun(session, request);
  if (plan.kind === 'route' && plan.hidden !== undefined) {
    return new HiddenRun(session, run, plan.hidden);
  }
  return plan.maintains === undefined ? run : new LookupRun(session, run, plan, plan.maintains);
}

function chosenRun(session: Session, request: RunRequest): StatementRun {
  const { plan } = request;
  const shards = shardsOf(session, plan, request.values);
  if (isAwayFromBegin(session, plan, shards)) return new MomentRun(session, request, statementRun);
  if (plan.kind === 'broadcast' && plan.created !== undefined) {
    return new CreateAsRun(session, request, plan.created, shards, statementRun);
  }
  if (plan.kind === 'broadcast' && plan.added !== undefined) {
    return new AddColumnsRun(session, request, plan.added, shards);
  }
  if (plan.kind === 'broadcast' && plan.steps !== undefined) {
    // Where a transaction or a statement before it holds the backends, each shard says that it cannot run there.
    const alone = !session.work.explicit && !session.isPart;
    if (alone) return new DdlStepsRun(session, request, plan.steps, shards);
  }
  if (plan.kind === 'route' && plan.cursor !== null && shards.length !== 1) {
    return cursorRun(session, request, plan, plan.cursor, shards);
  }
  const many = plan.kind === 'route' && shards.length !== 1 ? plan.many : null;
  if (plan.kind === 'route' && many?.kind === 'explain') {
    return new ExplainRun(session, request, plan, many.explain, statementRun);
  }
  if (many !== null && TAKES_INPUTS.has(many.kind)) assertRoomForInputs(request.bind);
  if (many?.kind === 'distribute')
    return new DistributeRun(session, request, many.distribute, statementRun);
  if (many?.kind === 'ship') return new ShipRun(session, request, many.ship, statementRun);
  if (many?.kind === 'deal') return dealRun(session, request, many.deal);
  if (many?.kind === 'copyRows') return new CopyOutRun(session, request, many, statementRun);
  if (many?.kind === 'spread') return new SpreadRun(session, request, many.spread, statementRun);
  if (many?.kind === 'move') return new MoveRun(session, request, many.move);
  if (many?.kind === 'replan') return replannedRun(session, request);
  if (many?.kind === 'gather') return new GatherRun(session, request, many.gather);
  if (many?.kind === 'merge') {
    const { merge } = many;
    // Without shards of its own: tables that are bound to different ones.
    if (shards.length === 0) return new GatherRun(session, request, merge.fallback);
    if (merge.locking !== undefined) return new LockingRun(session, request, merge, shards);
    return new MergeRun(session, request, merge, shards);
  }
  if (many?.kind === 'concat' || (shards.length === 1 && isSelect(plan)))
    return new ConcatRun(session, request, shards);
  return new FanOutRun(session, request, shards);
}

/** Rows of other shards come to the statement as further parameters. */
const TAKES_INPUTS: ReadonlySet<ManyShards['kind']> = new Set([
  'distribute',
  'ship',
  'spread',
  'move',
]);

/** Its rows may be left in a portal, on one shard too. */
function isSelect(plan: ShardPlan): boolean {
  return (
    plan.kind === 'route' && plan.verb === 'select' && plan.copy === 'none' && plan.cursor === null
  );
}

/** The run of the same statement with a plan for these literals alone. */
function replannedRun(session: Session, request: RunRequest): StatementRun {
  const { text, from, to } = request;
  const literals = new Literals();
  const sql = text.subarray(from, to);
  const { maintains: _, ...plan } = session.planning.planForValues(sql, literals);
  const values = request.values.inText({ sql, literals });
  return statementRun(session, { ...request, plan, values });
}

/** The run of a statement about a cursor that is not on one shard. */
function cursorRun(
  session: Session,
  request: RunRequest,
  plan: RoutePlan,
  cursor: CursorUse,
  shards: readonly Shard[],
): StatementRun {
  switch (cursor.action) {
    case 'declare': {
      const query = queryOf(session, request, cursor);
      return new DeclareRun(session, plan, cursor, statementRun(session, query));
    }
    case 'fetch':
      return new FetchRun(session, request, cursor, session.extended.portals.open(cursor.name));
    case 'close':
      if (cursor.name === null) return new FanOutRun(session, request, shards);
      return new CloseRun(session, session.extended.portals.open(cursor.name));
    case 'use':
      return new FanOutRun(session, request, shards);
  }
}
