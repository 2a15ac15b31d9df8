import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP, Expect } from '../backend/postgres/expected-replies.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { LocalCommand } from '../planner/plan.js';
import { DescribeParameters } from '../executor/describe-parameters.js';
import { ready } from '../protocol/backend-messages.js';
import { Frontend } from '../protocol/codes.js';
import { memoryError } from '../executor/gather-errors.js';
import { CloseParts } from '../executor/portal/close-parts.js';
import { newPart } from '../executor/portal/portal-part.js';
import type { RowsRequest } from '../executor/portal/rows-request.js';
import type { ScatterPortal } from '../executor/portal/scatter-portal.js';
import { StoredRows } from '../executor/portal/stored-rows.js';
import { ValueSource } from '../executor/shard-targets.js';
import { errorBytes } from '../protocol/error-bytes.js';
import { Tokens } from '../sql/tokens.js';
import type { Outcome } from '../transaction/operation.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import { assert } from '../util/assert.js';
import type { ClientStatement, Portal, PortalResult } from './client-statement.js';
import { BoundAnswer } from './bound-answer.js';
import { runLocal } from './local-commands.js';
import { onlyPlan, type ParseQueue } from './parse-queue.js';
import { isShardPlan, refusalError, type ShardPlan } from './shard-choice.js';
import type { Pipeline } from './pipeline.js';
import { countRoute, countRun } from './route-metrics.js';
import { statementRun } from './run-choice.js';
import { applyEffectsOf } from './setting-effects.js';
import type { Session } from './session.js';
import { assertMayUse, noteRun } from './shard-use.js';
import { startOperation, type Opened, type StatementRun } from './statement-run.js';

interface PendingRun {
  readonly portal: Portal;
  readonly run: StatementRun;
  /** It has got all its backends: from then on it goes its way. */
  readonly leased: boolean;
  /** Who gets its rows; null: the client. */
  readonly stored: StoredRows | null;
  /** Null: the client knows that the portal is bound. */
  readonly bound: BoundAnswer | null;
}

/** Executes portals that no single backend holds: commands of the session, and statements of several shards. */
export class PortalRunner {
  private readonly session: Session;
  private readonly pipeline: Pipeline;
  private readonly parses: ParseQueue;
  /** What the Execute that was started has come to. */
  private finished: Outcome | 'suspended' | null = null;
  /** A shard could not tell the parameter types of the Execute that is being handled. */
  private inferFailure: Buffer | null = null;
  /** The Execute that waits for something. */
  private pending: PendingRun | null = null;

  constructor(session: Session, pipeline: Pipeline, parses: ParseQueue) {
    this.session = session;
    this.pipeline = pipeline;
    this.parses = parses;
  }

  /** False: a backend must be waited for, call again. Else it has been started; `takeOutcome` tells the end. */
  run(portal: Portal, rowsMax: number): boolean {
    const { session } = this;
    const { plan } = portal;
    const waits = portal.result?.kind === 'failed' || !this.parses.empty;
    if (waits && !this.parses.answer()) return false;
    if (!this.pipeline.settled()) return false;
    if (plan.kind === 'empty') {
      session.local.bytes(ready.emptyQueryResponse);
      return true;
    }
    if (plan.kind === 'local') {
      if (portal.result !== null) {
        session.control.refuseFailed();
        throw cannotRun(portal.name);
      }
      countRoute(session.context.metrics, plan, 0);
      return this.runCommand(portal, plan.command);
    }
    const { result } = portal;
    if (result?.kind === 'failed') {
      this.finish({ ok: false, error: result.error });
      return true;
    }
    if (result?.kind === 'open') {
      this.takeRows(portal, result.portal, rowsMax);
      return true;
    }
    if (result !== null) {
      this.finish(this.runAgain(portal, result, rowsMax));
      return true;
    }
    return this.runOnShards(portal, rowsMax);
  }

  private runCommand(portal: Portal, command: LocalCommand): boolean {
    const { session } = this;
    const over: PortalResult = { kind: 'over', tag: null };
    try {
      return runLocal(session, command, portal.statement!.text.toString('utf8'), (outcome) => {
        portal.result = over;
        this.finish(outcome);
      });
    } catch (error) {
      portal.result = over;
      throw error;
    }
  }

  /** Closes what a portal has open on its shards; false: it must be waited for, call again. */
  close(portal: Portal | null): boolean {
    const { session, pipeline } = this;
    const result = portal?.result;
    if (result?.kind !== 'open' || result.portal.closed) return true;
    if (!pipeline.settled()) return false;
    const { participants } = session.work;
    // What another client may have by now has ended its portals.
    const parts = result.portal.parts.filter(({ backend }) => participants.includes(backend));
    if (parts.length === 0) return true;
    for (const { backend } of parts) pipeline.execute(backend);
    const close = new CloseParts(parts, () => {
      result.portal.closed = true;
      session.resumeSoon();
    });
    startOperation(session, close);
    return false;
  }

  /** The outcome of what was started, once; 'suspended': there may be more rows; null: none yet. */
  takeOutcome(): Outcome | 'suspended' | null {
    const { finished } = this;
    this.finished = null;
    return finished;
  }

  private readonly finish = (outcome: Outcome | 'suspended'): void => {
    this.finished = outcome;
  };

  /** Executes a portal once more. Throws SqlError 55000 where Postgres would not. */
  private runAgain(
    portal: Portal,
    result: Exclude<PortalResult, { readonly kind: 'open' | 'failed' }>,
    rowsMax: number,
  ): Outcome | 'suspended' {
    if (result.kind === 'stored') return this.handOut(result.rows, result.tag, rowsMax);
    const tag = result.tag === null ? null : tagAtEnd(portal, result.tag);
    if (tag === null) throw cannotRun(portal.name);
    return { ok: true, tag };
  }

  /** The next rows of a portal that is open on its shards; 0: all. Throws SqlError 55000 behind an error of it. */
  private takeRows({ name }: Portal, portal: ScatterPortal, rowsMax: number): void {
    const { session } = this;
    if (portal.failed) throw cannotRun(name);
    portal.useBound();
    for (const { backend } of portal.parts) this.pipeline.execute(backend);
    const request: RowsRequest = {
      rowsMax: rowsMax === 0 ? Infinity : rowsMax,
      host: session,
      onDone: (error, rows) => {
        if (error !== null) this.finish({ ok: false, error });
        else if (rowsMax > 0 && rows === rowsMax) this.finish('suspended');
        else this.finish({ ok: true, tag: `SELECT ${rows}` });
        session.resumeSoon();
      },
    };
    startOperation(session, portal.rows(request, this.memoryBytesMax));
  }

  /** The next rows of an answer that is there; 0: all of them. */
  private handOut(stored: StoredRows, tag: string, rowsMax: number): Outcome | 'suspended' {
    const { bytes, rows } = stored.take(rowsMax === 0 ? Infinity : rowsMax);
    this.send(bytes);
    return rows === rowsMax && rows > 0 ? 'suspended' : { ok: true, tag: tagOf(tag, rows) };
  }

  private send(bytes: Buffer): void {
    if (bytes.length > 0) this.session.passToClient(null, bytes, 0, bytes.length);
  }

  private runOnShards(portal: Portal, rowsMax: number): boolean {
    const { session } = this;
    const { plan } = portal;
    const statement = portal.statement!;
    if (this.inferFailure !== null) {
      this.finish({ ok: false, error: this.inferFailure });
      this.inferFailure = null;
      return true;
    }
    refuseOldSnapshot(session.work, portal);
    for (;;) {
      const pending = this.pendingOf(portal, rowsMax);
      if (pending === null) return false;
      const { run } = pending;
      assertMayUse(session, run.shards, plan, run.writers);
      const backends = session.leaseAll(run.shards);
      if (backends === null) return false;
      this.pending = { ...pending, leased: true };
      const needsTypes = run.needsTypes && statement.planned.paramCount > 0;
      if (needsTypes && statement.inferredTypes === null) {
        this.inferTypes(statement, backends[0]!);
        return false;
      }
      const types = needsTypes ? statement.inferredTypes! : statement.paramTypes;
      for (const backend of backends) this.pipeline.execute(backend);
      const prepared = run.prepare(backends, types, (error) => {
        this.finish({ ok: false, error });
      });
      if (prepared === 'wait') return false;
      if (prepared === 'ready') {
        this.start(portal, rowsMax, backends, types);
        return true;
      }
      this.pending = { ...pending, run: prepared, leased: true };
    }
  }

  /**
   * The run of a portal, the same one once it has its backends; null: wait for its shards. Until then they are found
   * anew behind each wait in a line, where they may have changed: a PAUSE may have lasted while rows moved.
   */
  private pendingOf(portal: Portal, rowsMax: number): PendingRun | null {
    const { session } = this;
    const kept = this.pending?.portal === portal ? this.pending : null;
    if (kept?.leased === true) return kept;
    if (this.isOutdated(portal)) {
      if (!this.planAgain(portal)) return null;
    } else if (kept !== null && !session.planning.planner.movesKeys) return kept;
    const plan = portal.plan as ShardPlan;
    const { bind } = portal;
    const statement = portal.statement!;
    const { text, literals } = statement;
    const values = ValueSource.of({ sql: text, literals }, bind);
    if (!session.planning.lookups.ready(plan, values)) return null;
    // COPY has no rows to be counted.
    const counts = rowsMax !== 0 && !copies(plan);
    const stored = kept?.stored ?? (counts ? new StoredRows(this.memoryBytesMax) : null);
    const isBound = this.parses.takeBound(portal);
    const bound = kept?.bound ?? (isBound ? new BoundAnswer(session, portal.name) : null);
    const run = statementRun(session, {
      plan,
      text,
      from: 0,
      to: text.length,
      values,
      bind,
      describe: false,
      host: stored ?? bound ?? session,
      endsWithSync: false,
    });
    session.planning.lookups.clear();
    this.pending = { portal, run, leased: false, stored, bound };
    return this.pending;
  }

  /** A reload has come since it was bound. */
  private isOutdated({ statement, shards }: Portal): boolean {
    const { planning, context } = this.session;
    const { topology } = context.config;
    return (
      statement!.planned.topologyVersion !== planning.planner.topologyVersion ||
      shards.some((shard) => topology.shards[shard.index] !== shard)
    );
  }

  /** False: wait. Throws SqlError where its statement is refused now. */
  private planAgain(portal: Portal): boolean {
    const statement = portal.statement!;
    if (!this.session.extended.factory.refresh(statement)) return false;
    const plan = onlyPlan(statement.planned);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    assert(isShardPlan(plan), 'a statement runs on shards under every topology');
    portal.plan = plan;
    portal.shards = [];
    return true;
  }

  private inferTypes(statement: ClientStatement, backend: BackendConnection): void {
    const { session } = this;
    this.pipeline.execute(backend);
    backend.statements.parseUnnamed(statement.prepared, DROP);
    backend.out.begin(Frontend.describe).byte(0x53).byte(0).end();
    backend.expect(Expect.describe, CAPTURE);
    backend.requestFlush();
    session.busy = true;
    session.operation = new DescribeParameters((outcome) => {
      if (Buffer.isBuffer(outcome)) this.inferFailure = outcome;
      else statement.inferredTypes = outcome;
      session.resumeSoon();
    });
  }

  private start(
    portal: Portal,
    rowsMax: number,
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
  ): void {
    const { session } = this;
    const { run, stored, bound } = this.pending!;
    const plan = portal.plan as ShardPlan;
    const count = countRun(session.context.metrics, plan, run);
    noteRun(session, plan, run, backends);
    this.pending = null;
    bound?.begin(backends);
    if (rowsMax > 0 && run.open !== undefined) {
      run.open(backends, paramTypes, newPart, (opened) => {
        this.onOpen(portal, bound?.end(opened, backends) ?? opened, rowsMax);
      });
      return;
    }
    run.start(backends, paramTypes, (ended) => {
      const outcome = bound?.end(ended, backends) ?? ended;
      count(outcome);
      if (outcome.ok) applyEffectsOf(session, plan);
      if (stored === null) this.finish(this.ran(portal, outcome));
      else this.finish(this.store(portal, stored, outcome, rowsMax));
      session.resumeSoon();
    });
  }

  private onOpen(portal: Portal, opened: Opened, rowsMax: number): void {
    if (!opened.ok) {
      this.finish(opened);
      this.session.resumeSoon();
      return;
    }
    portal.result = { kind: 'open', portal: opened.portal };
    this.takeRows(portal, opened.portal, rowsMax);
  }

  private get memoryBytesMax(): number {
    return this.session.context.config.limits.gatherMemoryBytes;
  }

  /** The client has got the whole answer. */
  private ran(portal: Portal, outcome: Outcome): Outcome {
    portal.result = { kind: 'over', tag: outcome.ok ? outcome.tag : null };
    return outcome;
  }

  /** The answer is there, and the client wants so many rows of it for now. */
  private store(
    portal: Portal,
    rows: StoredRows,
    outcome: Outcome,
    rowsMax: number,
  ): Outcome | 'suspended' {
    if (!outcome.ok) return outcome;
    if (rows.overflowed) return { ok: false, error: errorBytes(memoryError(this.memoryBytesMax)) };
    this.send(rows.take(0).bytes);
    if (rows.exhausted) return this.ran(portal, outcome);
    portal.result = { kind: 'stored', rows, tag: outcome.tag };
    return this.handOut(rows, outcome.tag, rowsMax);
  }
}

function cannotRun(portal: string): SqlError {
  return sqlError('object_not_in_prerequisite_state', `portal "${portal}" cannot be run`);
}

/** Postgres takes a portal's snapshot at Bind, shards take theirs when it is executed. */
function refuseOldSnapshot({ writes }: UnitOfWork, { plan, writesBefore }: Portal): void {
  if (plan.writes || writes === writesBefore) return;
  throw sqlError(
    'feature_not_supported',
    'a portal of several shards that was bound before another statement wrote is not supported',
    { hint: 'Send Execute behind its Bind.' },
  );
}

/** COPY has no rows that a limit could count. */
function copies(plan: ShardPlan): boolean {
  return plan.kind === 'copyFrom' || (plan.kind === 'route' && plan.copy !== 'none');
}

/** What an Execute behind the last row answers; null: the statement had no rows, and is not run again. */
function tagAtEnd({ plan, statement }: Portal, tag: string): string | null {
  if (!COUNTED.test(tag)) return plan.kind === 'route' && plan.copy === 'none' ? tag : null;
  const { text } = statement!;
  const tokens = new Tokens(text, 0, 0, text.length);
  const outside = tokens.outsideParentheses();
  const gives = tag.startsWith('SELECT') || outside.some((token) => tokens.is(token, 'returning'));
  return gives ? tagOf(tag, 0) : null;
}

/** COPY counts too, but is not run again. */
const COUNTED = /^(?!COPY ).* \d+$/;

/** The tag of an Execute that gave so many of the statement's rows. */
function tagOf(tag: string, rows: number): string {
  return tag.replace(/\d+$/, String(rows));
}
