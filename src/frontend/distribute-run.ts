import { sqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { DistributeSpec } from '../planner/plan.js';
import type { Session } from './session.js';
import type { RunRequest, StatementRun } from './statement-run.js';

/** A statement whose rows are read first, and then go each to the shard that it belongs to. */
export class DistributeRun implements StatementRun {
  readonly shards: readonly Shard[] = [];
  readonly route = RouteKind.distribute;
  readonly needsTypes = true;

  constructor(_session: Session, _request: RunRequest, _spec: DistributeSpec) {
    throw sqlError('feature_not_supported', 'writing rows of other shards is not supported');
  }

  prepare(): 'ready' {
    return 'ready';
  }

  start(): void {
    // Never constructed.
  }
}
