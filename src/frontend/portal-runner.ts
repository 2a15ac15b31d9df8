import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP, Expect } from '../backend/postgres/expected-replies.js';
import { sqlError } from '../errors/sql-error.js';
import { DescribeParameters } from '../executor/describe-parameters.js';
import { ready, writeCommandComplete } from '../protocol/backend-messages.js';
import { Frontend } from '../protocol/codes.js';
import { Writer } from '../protocol/writer.js';
import type { Outcome } from '../transaction/operation.js';
import type { ClientStatement, Portal } from './client-statement.js';
import { runLocal } from './local-commands.js';
import type { ShardPlan } from './shard-choice.js';
import type { Pipeline } from './pipeline.js';
import { countRoute, countRun } from './route-metrics.js';
import { statementRun } from './run-choice.js';
import type { Session } from './session.js';
import type { StatementRun } from './statement-run.js';

/** Executes portals that no single backend holds: commands of the session, and statements of several shards. */
export class PortalRunner {
  private readonly session: Session;
  private readonly pipeline: Pipeline;
  /** What the Execute that was started has come to. */
  private finished: Outcome | null = null;
  /** A shard could not tell the parameter types of the Execute that is being handled. */
  private inferFailure: Buffer | null = null;
  /** The Execute that waits for something. */
  private pending: { readonly portal: Portal; readonly run: StatementRun } | null = null;

  constructor(session: Session, pipeline: Pipeline) {
    this.session = session;
    this.pipeline = pipeline;
  }

  /** False: a backend must be waited for, call again. Else it has been started; `takeOutcome` tells the end. */
  run(portal: Portal, rowsMax: number): boolean {
    const { session } = this;
    const { plan, statement } = portal;
    if (!this.pipeline.settled()) return false;
    if (plan.kind === 'empty') {
      session.local.bytes(ready.emptyQueryResponse);
      return true;
    }
    if (plan.kind === 'local') {
      countRoute(session.context.metrics, plan, 0);
      return runLocal(session, plan.command, statement.text.toString('utf8'), this.finish);
    }
    if (rowsMax > 0) {
      throw sqlError('feature_not_supported', 'row limits over several shards are not supported', {
        hint: 'Fetch all rows, or add a condition on the shard key.',
      });
    }
    if (portal.done) {
      writeCommandComplete(session.local, 'SELECT 0');
      return true;
    }
    return this.runOnShards(portal);
  }

  /** The outcome of what was started, once; null: none yet. */
  takeOutcome(): Outcome | null {
    const { finished } = this;
    this.finished = null;
    return finished;
  }

  private readonly finish = (outcome: Outcome): void => {
    this.finished = outcome;
  };

  private runOnShards(portal: Portal): boolean {
    const { session } = this;
    const { plan, statement } = portal;
    if (this.inferFailure !== null) {
      this.finish({ ok: false, error: this.inferFailure });
      this.inferFailure = null;
      return true;
    }
    for (;;) {
      const run = this.runOf(portal);
      session.assertMayUse(run.shards, plan);
      const backends = session.leaseAll(run.shards);
      if (backends === null) return false;
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
        this.start(portal, run, backends, types);
        return true;
      }
      this.pending = { portal, run: prepared };
    }
  }

  /** The run of a portal, the same one for as long as it waits. */
  private runOf(portal: Portal): StatementRun {
    const { session, pending } = this;
    if (pending?.portal === portal) return pending.run;
    const { plan, statement, bind } = portal;
    const { source } = session;
    if (bind !== null) this.rebind(bind);
    source.text = statement.text;
    source.textStart = 0;
    source.literals = statement.literals;
    const run = statementRun(session, {
      plan: plan as ShardPlan,
      text: statement.text,
      from: 0,
      to: statement.text.length,
      literals: statement.literals,
      bind,
      describe: false,
      endsWithSync: false,
    });
    this.pending = { portal, run };
    return run;
  }

  private inferTypes(statement: ClientStatement, backend: BackendConnection): void {
    const { session } = this;
    this.pipeline.execute(backend);
    backend.statements.parseUnnamed(statement.prepared, DROP);
    backend.out.begin(Frontend.describe).byte(0x53).byte(0).end();
    backend.expect(Expect.describeStatement, CAPTURE);
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
    run: StatementRun,
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
  ): void {
    const { session } = this;
    const plan = portal.plan as ShardPlan;
    countRun(session.context.metrics, plan, run.route);
    if (plan.writes) for (const backend of backends) session.noteWrite(backend);
    if (plan.kind === 'broadcast' && plan.ddl) session.catalogStale = true;
    portal.done = true;
    this.pending = null;
    run.start(backends, paramTypes, (outcome) => {
      this.finish(outcome);
      session.resumeSoon();
    });
  }

  /** Points the value source at the copy of the Bind message that the portal keeps. */
  private rebind(bind: Buffer): void {
    const { source } = this.session;
    const writer = new Writer(bind.length + 16);
    const message = writer.begin(Frontend.bind).byte(0).byte(0).bytes(bind).end().take();
    source.layout.read(message, 0, message.length);
    source.bind = message;
  }
}
