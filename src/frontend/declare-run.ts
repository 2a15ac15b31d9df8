import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import { DeclaredPart } from '../executor/portal/declared-part.js';
import { PortalPart } from '../executor/portal/portal-part.js';
import type { Shard } from '../keyspace/topology.js';
import type { RouteKind } from '../metrics/metrics.js';
import type { CursorUse, RoutePlan } from '../planner/plan.js';
import { offsetOf } from '../sql/position.js';
import type { Outcome } from '../transaction/operation.js';
import type { Session } from './session.js';
import type { RunRequest, StatementRun } from './statement-run.js';

type Declaration = Extract<CursorUse, { readonly action: 'declare' }>;

/** DECLARE of a cursor over several shards: each part is bound at once, so that later writes are not seen. */
export class DeclareRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route: RouteKind;
  readonly needsTypes: boolean;
  readonly declares = true;
  readonly writers?: readonly Shard[];
  private readonly session: Session;
  private readonly plan: RoutePlan;
  private readonly cursor: Declaration;
  /** Of the query. */
  private readonly inner: StatementRun;

  constructor(session: Session, plan: RoutePlan, cursor: Declaration, inner: StatementRun) {
    this.session = session;
    this.plan = plan;
    this.cursor = cursor;
    this.inner = inner;
    this.shards = inner.shards;
    this.route = inner.route;
    this.needsTypes = inner.needsTypes;
    // What it keeps comes with the commit of that shard.
    if (inner.home !== undefined && cursor.hold) this.writers = [inner.home];
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, plan, cursor, inner } = this;
    const prepared = inner.prepare(backends, paramTypes, onFailed);
    if (prepared === 'ready' || prepared === 'wait') return prepared;
    return new DeclareRun(session, plan, cursor, prepared);
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, plan, cursor, inner } = this;
    const { portals } = session.extended;
    const partOf = (backend: BackendConnection, position: number): PortalPart => {
      if (!cursor.atHome) return new PortalPart(backend, position);
      if (cursor.hold) session.pins.keepCursor(backend);
      return new DeclaredPart(backend, cursor);
    };
    inner.open!(backends, paramTypes, partOf, (opened) => {
      if (!opened.ok) {
        onDone(opened);
        return;
      }
      const { savepointDepth } = session.work;
      const { portal } = opened;
      if (cursor.atHome) {
        portals.addDeclared(cursor, plan, portal.parts[0]!.backend, savepointDepth);
      } else portals.addOpen(cursor.name, plan, portal, cursor.binary, savepointDepth);
      onDone({ ok: true, tag: 'DECLARE CURSOR' });
    });
  }
}

/** The request of the query that a cursor is declared for. Throws SqlError 25P01 and 0A000 outside of transactions. */
export function queryOf(session: Session, request: RunRequest, cursor: Declaration): RunRequest {
  if (!cursor.hold && !session.work.explicit) refuseOutsideBlocks(session);
  const bind = new BindParts(request.bind ?? NO_VALUES);
  return {
    ...request,
    plan: { ...(request.plan as RoutePlan), cursor: null },
    from: offsetOf(cursor.query!, request.values.literals),
    bind: bind.withResults(cursor.binary ? 'binary' : 'text'),
    describe: false,
    endsWithSync: false,
  };
}

/** A pipeline that has run something counts as a block, but its backends would not keep the cursor's portals. */
function refuseOutsideBlocks({ hasRun, extended }: Session): void {
  if (!hasRun) {
    throw sqlError(
      'warning_no_active_transaction',
      'DECLARE CURSOR can only be used in transaction blocks',
    );
  }
  if (extended.inBatch) {
    throw sqlError(
      'feature_not_supported',
      'DECLARE CURSOR in a pipeline, outside BEGIN, is not supported',
      { hint: 'Say BEGIN first.' },
    );
  }
}
