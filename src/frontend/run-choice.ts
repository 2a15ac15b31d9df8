import { DistributeRun } from './distribute-run.js';
import { ExplainRun } from './explain-run.js';
import { ConcatRun } from './concat-run.js';
import { FanOutRun } from './fan-out-run.js';
import { GatherRun } from './gather-run.js';
import { MergeRun } from './merge-run.js';
import { shardsOf } from './shard-choice.js';
import type { Session } from './session.js';
import type { RunRequest, StatementRun } from './statement-run.js';

/** The run of a statement, with the values of `session.source`. Throws SqlError as `shardsOf` does. */
export function statementRun(session: Session, request: RunRequest): StatementRun {
  const { plan } = request;
  const shards = shardsOf(session, plan);
  const many = plan.kind === 'route' && shards.length !== 1 ? plan.many : null;
  if (plan.kind === 'route' && many?.kind === 'explain') {
    return new ExplainRun(session, request, plan, many.explain);
  }
  if (many?.kind === 'distribute')
    return new DistributeRun(session, request, many.distribute, statementRun);
  if (many?.kind === 'gather') return new GatherRun(session, request, many.gather);
  if (many?.kind === 'merge') {
    const { merge } = many;
    // Without shards of its own: tables that are bound to different ones.
    if (shards.length === 0) return new GatherRun(session, request, merge.fallback);
    return new MergeRun(session, request, merge, shards);
  }
  if (many?.kind === 'concat') return new ConcatRun(session, request, shards);
  return new FanOutRun(session, request, shards);
}
