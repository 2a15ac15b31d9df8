import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { Expect, PASS } from '../backend/postgres/expected-replies.js';
import { startTimer } from '../backend/postgres/statement-timer.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import type { ExecuteCommand, LocalPlan, Plan } from '../planner/plan.js';
import { ready, writeCommandComplete } from '../protocol/backend-messages.js';
import { Frontend } from '../protocol/codes.js';
import { keptPart } from '../protocol/framing.js';
import { readExecute, readTarget } from '../protocol/frontend-messages.js';
import { answerLost, answerSync, endBatchOn, needsAnswers } from './batch-end.js';
import { assertValueCount, runnable, type ClientStatement } from './client-statement.js';
import { withBoundEffect } from './bound-effect.js';
import { ClientStatements } from './client-statements.js';
import { BoundExecutions, caught } from './bound-executions.js';
import { Describer, isWithoutRows } from './describer.js';
import { isOneAnswer, isShardPlan, refusalError } from './shard-choice.js';
import { onlyPlan, ParseQueue } from './parse-queue.js';
import { Pipeline } from './pipeline.js';
import { PortalRoom } from './portal-room.js';
import { PortalRunner } from './portal-runner.js';
import { Portals } from './portals.js';
import { ResultTypes } from './result-types.js';
import { countRoute } from './route-metrics.js';
import { applyEffects, restoreSettings } from './setting-effects.js';
import type { Session } from './session.js';
import { SqlStatements } from './sql-statements.js';
import { StatementFactory } from './statement-factory.js';

/**
 * The extended protocol. What goes to one shard is passed on as it comes, with statement names replaced by the shared
 * names of the backend; Parse is sent lazily, to the backend that the Bind behind it chooses.
 *
 *   client:  Parse(s1) Bind(s1) Execute Sync
 *   backend: [Parse(sg_7)] Bind(sg_7) Execute Sync        Parse only where the backend does not know the text
 *
 * Every handler answers false where something must be waited for; it is then called again with the same message, so
 * nothing may change before the last wait.
 */
export class ExtendedQuery {
  /** After an error: everything up to Sync is dropped. */
  skipping = false;
  /** Something of a pipeline has been handled since the last Sync. */
  inBatch = false;
  private readonly session: Session;
  readonly sqlStatements: SqlStatements;
  readonly statements: ClientStatements;
  readonly factory: StatementFactory;
  readonly portals = new Portals();
  readonly pipeline: Pipeline;
  private readonly parses: ParseQueue;
  private readonly runner: PortalRunner;
  private readonly room: PortalRoom;
  private readonly describer: Describer;
  private readonly executions: BoundExecutions;
  private readonly resultTypes: ResultTypes;
  /** COMMIT, ROLLBACK or a setting has been passed on: its effect must be known before anything but Sync. */
  private awaitsControl = false;
  /** An error of our own that earlier answers of the pipeline go before. */
  private refusal: SqlError | null = null;
  /** A backend that had answered was lost, and with it what the pipeline did there; told at Sync. */
  private loss: SqlError | null = null;
  /** The session's settings when the pipeline's implicit transaction began: an error brings them back. */
  settingsBefore: ReadonlyMap<string, string> | null = null;

  constructor(session: Session) {
    this.session = session;
    this.factory = new StatementFactory(session);
    this.pipeline = new Pipeline(session);
    this.parses = new ParseQueue(session, this.pipeline);
    this.runner = new PortalRunner(session, this.pipeline, this.parses);
    this.room = new PortalRoom(session, this, this.runner);
    this.describer = new Describer(this.pipeline, this.parses, this.portals);
    this.executions = new BoundExecutions(session, this, this.parses);
    this.resultTypes = new ResultTypes(session, this, this.pipeline, this.parses);
    const { context } = session;
    this.statements = new ClientStatements(() => context.config.limits.preparedStatementsPerClient);
    this.sqlStatements = new SqlStatements(session, this.statements, this.factory);
  }

  // ---------------------------------------------------------------- messages

  parse(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    if (!this.controlSettled()) return false;
    const statement = this.factory.parse(this.statements, buffer, start, end);
    if (statement === null) return false;
    if (!this.parses.mayAdd(statement)) return false;
    this.enter();
    this.statements.add(statement);
    this.parses.add(statement);
    return true;
  }

  bind(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    if (!this.controlSettled()) return false;
    const { session } = this;
    const { layout } = session.source;
    layout.read(buffer, start, end);
    const statement = this.statements.named(
      buffer.toString('utf8', layout.statementStart, layout.statementEnd),
    );
    const { portalStart: from, portalEnd: to } = layout;
    const portalName = from === to ? '' : buffer.toString('utf8', from, to);
    assertValueCount(statement, layout.valueCount);
    if (layout.fault !== null) {
      this.room.refuseFault(layout.fault, onlyPlan(statement.planned), portalName);
    }
    if (!this.factory.refresh(statement)) return false;
    if (!this.room.make(portalName, onlyPlan(statement.planned))) return false;
    if (statement.inDoubt && !this.resultTypes.hold(statement, false)) return this.skipping;
    if (statement.filled === null) return this.bindStatement(statement, portalName, buffer, end);
    session.control.refuseWhereFailed(onlyPlan(statement.planned));
    const runs = statement.filled.statement;
    const filled = caught(() => session.planning.ids.bindMessage(statement.filled!, buffer, end));
    if (filled === null) return false;
    if (filled instanceof SqlError) {
      const rest = keptPart(buffer, layout.restStart, end);
      return this.executions.addFailing(portalName, statement, rest, filled);
    }
    layout.read(filled, 0, filled.length);
    const bound = this.bindStatement(runs, portalName, filled, filled.length);
    if (bound) session.planning.ids.reset();
    return bound;
  }

  /** `buffer`: holds the Bind message that the session's layout is of. */
  private bindStatement(
    statement: ClientStatement,
    portalName: string,
    buffer: Buffer,
    end: number,
  ): boolean {
    const { session } = this;
    const { layout } = session.source;
    const plan = onlyPlan(statement.planned);
    session.control.refuseBind(plan);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    this.enter();
    if (!isShardPlan(plan)) {
      if (plan.kind === 'local' && plan.command.kind === 'execute') {
        return this.bindExecution(plan, plan.command, statement, portalName, buffer, end);
      }
      const participant = plan.kind === 'local' ? session.control.backendFor(plan.command) : null;
      if (participant !== null) {
        return this.bindOn(participant, statement, plan, portalName, buffer, end);
      }
      return this.bindLocal(portalName, statement, plan);
    }
    session.source.pointAt(statement.text, statement.literals, buffer);
    const bound = withBoundEffect(plan, session.source);
    const shards = session.planning.lookups.shardsFor(bound, session.source);
    if (shards === null) return false;
    if (isOneAnswer(session, plan, shards)) {
      const { parses, pipeline } = this;
      const backend = pipeline.backendToBind(shards[0]!, bound, statement, parses, buffer, end);
      if (backend === null) return false;
      return this.bindOn(backend, statement, bound, portalName, buffer, end);
    }
    const bind = keptPart(buffer, layout.restStart, end);
    if (!this.parses.answer()) return false;
    this.portals.addScattered(portalName, statement, plan, shards, bind, session.work);
    this.parses.addBound(this.portals.named(portalName));
    return true;
  }

  private bindLocal(portalName: string, statement: ClientStatement, plan: Plan): boolean {
    if (!this.parses.answer()) return false;
    this.portals.addLocal(portalName, statement, plan, this.session.work);
    this.pipeline.reply(ready.bindComplete);
    return true;
  }

  /** A pipeline of one statement is to be handled again, from its Bind on. */
  runAgain(parse: ClientStatement | null): void {
    this.portals.remove('');
    if (parse !== null) this.parses.add(parse);
  }

  describe(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    const { session } = this;
    const { kind, name } = readTarget(buffer, start, end);
    if (!this.controlSettled(kind === 'portal' ? name : null)) return false;
    if (kind === 'portal') {
      const portal = this.portals.named(name);
      this.enter();
      if (!session.work.failed) return this.describer.portal(portal, buffer, start, end);
      if (!isWithoutRows(portal.plan)) session.control.refuseWhereFailed(portal.plan);
      // Its backend may have rolled back by itself, and the portal with it.
      return this.describer.nothing();
    }
    const statement = this.statements.named(name);
    if (!this.factory.refresh(statement)) return false;
    if (statement.inDoubt && !this.resultTypes.hold(statement, true)) return this.skipping;
    const plan = onlyPlan(runnable(statement).planned);
    if (!isWithoutRows(plan)) session.control.refuseWhereFailed(plan);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    this.enter();
    if (plan.kind === 'local' && plan.command.kind === 'execute') {
      if (!this.statements.has(plan.command.name)) return this.describer.statement(statement, plan);
      const execution = this.executions.unbound(plan.command);
      return typeof execution === 'boolean' ? execution : this.describer.execution(execution);
    }
    return this.describer.statement(statement, plan);
  }

  execute(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    const { portal: name, rowsMax } = readExecute(buffer, start, end);
    if (!this.controlSettled(name)) return false;
    const portal = this.portals.named(name);
    const { plan, backend, statement } = portal;
    this.enter();
    const { session } = this;
    // Its backend need not know: it may have failed by our own word.
    const isOurs = session.work.failed && session.control.refuseExecute(portal);
    if (backend === null || isOurs) {
      const started = this.runner.run(portal, rowsMax);
      if (started && plan.kind !== 'empty') this.pipeline.noteRun(plan);
      this.goOn();
      return started;
    }
    if (!this.pipeline.switchToHolder(backend)) return false;
    this.parses.sendTo(backend);
    countRoute(session.context.metrics, plan, 1);
    session.pins.noteUse(backend, plan, plan.writes);
    backend.out.bytes(buffer, start, end);
    backend.expect(Expect.execute, PASS);
    startTimer(backend, plan.usage);
    this.pipeline.execute(backend);
    this.pipeline.noteRun(plan);
    if (plan.kind === 'route') {
      if (plan.effects !== null) {
        session.pendingEffects = plan.effects;
        this.awaitsControl = true;
      }
      // The client may have sent Sync already, which copy-in ignores: nothing goes on before COPY has begun.
      if (plan.copy === 'in') session.busy = true;
    }
    if (plan.kind === 'local') {
      this.awaitsControl = true;
      session.control.passed(plan.command, () => statement!.text.toString('utf8'));
    }
    return true;
  }

  close(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    if (!this.controlSettled()) return false;
    const { kind, name } = readTarget(buffer, start, end);
    this.enter();
    if (kind === 'statement') {
      if (!this.parses.answer()) return false;
      this.statements.close(name);
    } else {
      const portal = this.portals.find(name);
      const backend = portal?.backend ?? null;
      const { parses, pipeline } = this;
      if (!(backend === null ? parses.answer() : pipeline.switchToHolder(backend))) return false;
      if (!this.runner.close(portal)) return false;
      this.portals.remove(name);
      this.statements.noteClosedPortal();
      if (backend !== null) {
        if (portal!.hold !== 'no') this.session.pins.noteEnd(backend);
        parses.sendTo(backend);
        backend.out.bytes(buffer, start, end);
        backend.expect(Expect.close, PASS);
        return true;
      }
    }
    this.pipeline.reply(ready.closeComplete);
    return true;
  }

  flush(): boolean {
    if (this.skipping) return true;
    if (!this.parses.answer()) return false;
    this.pipeline.flush();
    return true;
  }

  sync(): boolean {
    const { session } = this;
    if (!this.skipping && !this.parses.answer()) return false;
    // A participant may have begun anew behind the error of another one, which its own ReadyForQuery would hide.
    // And its changes of parameters may take back what is due to be told.
    const aside = (session.work.failed && !this.awaitsControl) || session.told.isDue;
    const only = aside || session.listening.mustEndByItself ? null : this.pipeline.only;
    if (only !== null && !this.skipping && this.loss === null) {
      // Its own ReadyForQuery tells what has become of it.
      this.startBatch();
      session.busy = true;
      only.sync(PASS);
      session.ride.sync();
      return true;
    }
    const { backends } = this.pipeline;
    if (!this.skipping && this.loss !== null) {
      if (!this.pipeline.settled()) return false;
      this.skipping = true;
      session.writeFailure(this.loss);
    }
    if (!this.skipping && !this.controlSettled()) return false;
    // The client gets all answers before the commit has the backends.
    if (!this.skipping && needsAnswers(session) && !this.pipeline.settled()) return false;
    const skipped = this.skipping;
    if (skipped) this.restoreSettings();
    this.startBatch();
    if (backends.length === 0) {
      answerSync(session);
      if (session.work.explicit) return true;
      this.endPortals(true);
      session.releaseAll();
      return true;
    }
    session.busy = true;
    // It knows that the pipeline has failed, and undoes it.
    if (backends.length === 1 && backends[0]!.skipsToSync) {
      backends[0]!.sync(PASS);
      return true;
    }
    const done = (error: Buffer | null): void => {
      session.operation = null;
      if (error !== null) {
        this.restoreSettings();
        session.writeFailure(error);
      }
      session.listening.endBatch();
      session.endBatch();
    };
    endBatchOn(session, backends, skipped, done);
    return true;
  }

  /**
   * Ends the pipeline before a simple query in its middle, without a ReadyForQuery; false: wait. Throws SqlError 0A000
   * where the query would have to share its implicit transaction.
   */
  endBeforeQuery(): boolean {
    if (!this.room.make('', null)) return false;
    if (!this.inBatch) return true;
    const { loss } = this;
    if (loss === null && !this.controlSettled()) return false;
    if (!this.parses.answer() || !this.pipeline.settled()) return false;
    if (!this.session.work.explicit) {
      if (loss !== null || this.pipeline.holds || this.pipeline.hasRun) {
        this.restoreSettings();
        this.startBatch();
        if (loss !== null) throw loss;
        throw sqlError(
          'feature_not_supported',
          'a simple query in the middle of a pipeline that has done something is not supported',
          { hint: 'Send Sync before it.' },
        );
      }
      if (!this.pipeline.giveBackIdle()) return false;
    }
    this.startBatch();
    return true;
  }

  /** The client has sent nothing more for now: what Postgres would have answered must not wait for the next message. */
  endOfInput(): void {
    if (this.parses.empty || this.skipping || this.session.busy) return;
    try {
      this.parses.answer();
    } catch (error) {
      this.refuse(error as SqlError);
    }
  }

  // ---------------------------------------------------------------- errors

  /** An error of our own: the client skips to Sync, and so do we. */
  refuse(error: SqlError): boolean {
    this.enter();
    this.skipping = true;
    this.session.planning.ids.reset();
    this.refusal = error;
    this.goOn();
    return true;
  }

  /** Earlier answers come first, and an earlier error would make this one void. */
  private finishRefusal(error: SqlError): void {
    try {
      if (!this.parses.answer() || !this.pipeline.settled()) return;
    } catch (earlier) {
      if (!(earlier instanceof SqlError)) throw earlier;
      this.parses.clear();
      this.refusal = earlier;
      this.goOn();
      return;
    }
    this.refusal = null;
    this.session.writeFailure(error);
  }

  onBackendError({ failedWhile, statements: { skippedAnswers } }: BackendConnection): void {
    const { session } = this;
    this.statements.undo(skippedAnswers + this.parses.count, failedWhile === Expect.parse);
    if (!this.inBatch) {
      // Its Sync has been sent already.
      this.restoreSettings();
      return;
    }
    this.skipRest();
    // What waited for this backend's answers, or for another backend, goes on and is dropped.
    if (session.busy && !session.leases.stopWaiting()) session.resumeSoon();
  }

  private skipRest(): void {
    this.awaitsControl = false;
    this.skipping = true;
    this.session.planning.ids.reset();
    this.parses.clear();
    this.refusal = null;
  }

  onBackendLost(backend: BackendConnection): void {
    const { session } = this;
    this.forget(backend);
    this.statements.doubt();
    if (this.inBatch) {
      this.skipRest();
      if (!session.leases.stopWaiting()) session.goOn();
      return;
    }
    this.restoreSettings();
    // A simple query, or a pipeline whose Sync had been sent.
    answerLost(session);
  }

  /** A backend is gone that had answered everything, outside an explicit transaction. */
  lost(backend: BackendConnection, error: BackendError): void {
    if (this.inBatch && this.pipeline.needs(backend)) this.loss ??= error.toSqlError();
  }

  /** The backend is gone, and its portals with it. */
  forget(backend: BackendConnection): void {
    this.pipeline.lost(backend);
    this.portals.dropAllOf(backend);
  }

  onSettled(_backend: BackendConnection): void {
    if (this.awaitsControl) this.controlDone();
    this.pipeline.goOn();
  }

  /** The unnamed portal does not outlive a Query of so many statements. */
  onSimpleQuery(count: number): void {
    this.portals.onQuery(count, this.session.work.failed);
    this.settingsBefore = null;
  }

  endPortals(transactionOver: boolean): void {
    this.portals.end(transactionOver, this.session.work.failed);
    if (!transactionOver) return;
    this.pipeline.hasRun = false;
    // Settings made so far stay.
    this.settingsBefore = this.inBatch ? this.session.settings.current : null;
  }

  /** An error has undone the settings that the pipeline's implicit transaction made. */
  private restoreSettings(): void {
    const { session, settingsBefore } = this;
    if (settingsBefore === null || session.work.explicit) return;
    restoreSettings(session, settingsBefore);
    session.listening.endTransaction(false);
  }

  // ---------------------------------------------------------------- SQL EXECUTE

  /** EXECUTE as a Bind of the statement that it names, with the client's result formats. */
  private bindExecution(
    plan: LocalPlan,
    command: ExecuteCommand,
    own: ClientStatement,
    portalName: string,
    buffer: Buffer,
    end: number,
  ): boolean {
    const { layout } = this.session.source;
    const formats = Buffer.from(buffer.subarray(layout.afterNoValues, end));
    // A server looks for the statement when it is executed.
    if (!this.statements.has(command.name)) return this.bindLocal(portalName, own, plan);
    const bound = this.executions.bind(command, portalName, formats);
    if (typeof bound === 'boolean') return bound;
    const { message } = bound;
    layout.read(message, 0, message.length);
    return this.bindStatement(bound.statement, portalName, message, message.length);
  }

  // ---------------------------------------------------------------- one backend

  private bindOn(
    backend: BackendConnection,
    statement: ClientStatement,
    plan: Plan,
    portalName: string,
    buffer: Buffer,
    end: number,
  ): boolean {
    if (!this.pipeline.switchTo(backend)) return false;
    this.parses.sendTo(backend);
    const serverName = this.parses.nameOn(backend, statement);
    const { layout } = this.session.source;
    backend.out
      .begin(Frontend.bind)
      .bytes(buffer, layout.portalStart, layout.portalEnd + 1)
      .bytes(serverName)
      .bytes(buffer, layout.statementEnd, end)
      .end();
    backend.expect(Expect.bind, PASS);
    backend.statements.bound(statement.prepared, buffer, layout.portalStart, layout.portalEnd);
    this.pipeline.execute(backend);
    const { savepointDepth, failed } = this.session.work;
    this.portals.addRemote(portalName, statement, plan, backend, savepointDepth, failed);
    return true;
  }

  /** Ends an Execute that took several steps, once its outcome is there. */
  goOn(): void {
    const { session, refusal } = this;
    if (refusal !== null) this.finishRefusal(refusal);
    const outcome = this.runner.takeOutcome();
    if (outcome === null) return;
    if (outcome === 'suspended') session.local.bytes(ready.portalSuspended);
    else if (outcome.ok) writeCommandComplete(session.local, outcome.tag);
    else this.fail(outcome.error);
  }

  /** An error of a shard that was not passed on: the client skips to Sync. */
  fail(error: Buffer): void {
    this.skipping = true;
    this.parses.clear();
    this.session.writeFailure(error);
  }

  // ---------------------------------------------------------------- transaction control in a pipeline

  /**
   * False: a transaction command is on its way, and what follows depends on it; or a Bind must be answered first, but
   * for one of the portal of this name.
   */
  private controlSettled(portal: string | null = null): boolean {
    const { loss } = this;
    if (loss !== null) {
      this.loss = null;
      throw loss;
    }
    if (!this.parses.answerBindBut(portal)) return false;
    if (!this.awaitsControl) return true;
    if (!this.pipeline.settled()) return false;
    this.controlDone();
    return true;
  }

  /** A passed-on COMMIT or ROLLBACK, or set_config, has succeeded in the middle of a pipeline. */
  private controlDone(): void {
    this.awaitsControl = false;
    const { session } = this;
    if (session.pendingEffects !== null) {
      applyEffects(session, session.pendingEffects, this.pipeline.current);
      return;
    }
    session.onTransactionEnd(session.control.committing);
    session.work.end();
    session.control.reset();
    this.endPortals(true);
    this.pipeline.forgetExecuted();
  }

  /** A message of a pipeline is handled. */
  enter(): void {
    if (this.inBatch) return;
    this.inBatch = true;
    this.statements.trust();
    this.settingsBefore = this.session.settings.current;
  }

  /** Everything so far is answered by the Sync that is being handled. */
  private startBatch(): void {
    this.skipping = false;
    this.inBatch = false;
    this.awaitsControl = false;
    this.refusal = null;
    this.loss = null;
    this.parses.clear();
    this.pipeline.reset();
    this.sqlStatements.reset();
  }
}
