import type { BackendConnection } from '../backend/postgres/connection.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import type { Shard } from '../keyspace/topology.js';
import type { ManyShards, SourceQuery } from '../planner/plan.js';
import type { Outcome } from '../transaction/operation.js';
import { assert } from '../util/assert.js';
import { GatherRun } from './gather-run.js';
import { withinGatherTime } from './gather-time.js';
import { MergeRun } from './merge-run.js';
import type { Session } from './session.js';
import type { BackendsOf } from './source-inputs.js';
import type { Opened, RunRequest, StatementRun } from './statement-run.js';

/** A run over relations that were made for it, prepared. */
export interface OverRun {
  readonly run: StatementRun;
  readonly backends: readonly BackendConnection[];
  readonly types: readonly number[];
}

/** Makes the relations, and then what runs over them; exactly one of the two is called. */
export type MakeOver = (
  onFailed: (outcome: Outcome) => void,
  then: (over: OverRun) => void,
) => void;

/**
 * The run of a statement over relations that are made for it: a merge, or an aggregation in two steps.
 * The client has its RowDescription, or has it before the rows come.
 */
export function runOver(
  session: Session,
  request: RunRequest,
  statement: SourceQuery,
  many: ManyShards,
  shards: readonly Shard[],
): StatementRun {
  const values = request.values.inText(statement);
  const own = { ...request, values, describe: false, endsWithSync: false };
  if (many.kind === 'gather') return new GatherRun(session, own, many.gather);
  assert(many.kind === 'merge', 'the planner makes nothing else');
  return new MergeRun(session, own, many.merge, shards);
}

/** Prepares a run that needs to learn nothing any more. */
export function readyOver(
  first: StatementRun,
  backendsOf: BackendsOf,
  types: readonly number[],
): OverRun {
  let run = first;
  for (;;) {
    const ready = run.prepare(backendsOf(run.shards), types, () => undefined);
    assert(ready !== 'wait', 'what runs over the relations is known');
    if (ready === 'ready') return { run, backends: backendsOf(run.shards), types };
    run = ready;
  }
}

/** `StatementRun.start` of a run that makes relations first. `description`: the client's RowDescription. */
export function startOver(
  session: Session,
  { host = session, describe }: RunRequest,
  description: Buffer,
  onDone: (outcome: Outcome) => void,
  make: MakeOver,
): void {
  const done = withinGatherTime(session, onDone);
  make(done, ({ run, backends, types }) => {
    if (describe) host.passToClient(null, description, 0, description.length);
    run.start(backends, types, done);
  });
}

/** `StatementRun.open` of such a run. */
export function openOver(
  session: Session,
  partOf: (backend: BackendConnection, position: number) => PortalPart,
  onOpen: (opened: Opened) => void,
  make: MakeOver,
): void {
  const opened = withinGatherTime(session, onOpen);
  const failed = (outcome: Outcome): void => {
    if (!outcome.ok) opened(outcome);
  };
  make(failed, ({ run, backends, types }) => {
    run.open!(backends, types, partOf, opened);
  });
}
