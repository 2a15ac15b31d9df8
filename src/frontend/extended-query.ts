import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP, Expect, PASS } from '../backend/postgres/expected-replies.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan, PlannedText } from '../planner/plan.js';
import { ready, writeCommandComplete } from '../protocol/backend-messages.js';
import { Frontend } from '../protocol/codes.js';
import { readExecute, readParse, readTarget } from '../protocol/frontend-messages.js';
import { Writer } from '../protocol/writer.js';
import { Literals } from '../sql/literals.js';
import { EndBatch } from '../transaction/end-batch.js';
import type { Outcome } from '../transaction/operation.js';
import { DescribeParameters } from '../executor/describe-parameters.js';
import type { ClientStatement, Portal } from './client-statement.js';
import { ClientStatements } from './client-statements.js';
import { endsFailedTransaction, runLocal } from './local-commands.js';
import {
  isShardPlan,
  place,
  refusalError,
  shardsOf,
  startMultiRun,
  type ShardPlan,
} from './multi-run.js';
import { Pipeline } from './pipeline.js';
import { Portals } from './portals.js';
import { countRoute } from './route-metrics.js';
import type { Session } from './session.js';

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
  private readonly statements: ClientStatements;
  private readonly portals = new Portals();
  private readonly pipeline: Pipeline;
  /** Parsed by the client, not yet answered: the next Bind or Describe decides where it goes. */
  private unsent: ClientStatement[] = [];
  /** A transaction command has been passed on: its effect must be known before anything follows but Sync. */
  private awaitsControl = false;
  /** The pass-through COMMIT of this pipeline, for what ReadyForQuery means. */
  committing = false;
  beginSql: string | null = null;
  /** A local or several-shard Execute has finished with this. */
  private finished: Outcome | null = null;
  /** A shard could not tell the parameter types of the Execute that is being handled. */
  private inferFailure: Buffer | null = null;
  /** An error of our own that earlier answers of the pipeline go before. */
  private refusal: SqlError | null = null;

  constructor(session: Session) {
    this.session = session;
    this.pipeline = new Pipeline(session);
    const { context } = session;
    this.statements = new ClientStatements(() => context.config.limits.preparedStatementsPerClient);
  }

  // ---------------------------------------------------------------- messages

  parse(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    if (!this.controlSettled()) return false;
    const message = readParse(buffer, start, end);
    const { name, textStart, textEnd, paramTypes } = message;
    this.statements.assertFree(name);
    const { session } = this;
    const planned = session.plan(buffer, textStart, textEnd, paramTypes, session.literals);
    if (planned === null) return false;
    this.inBatch = true;
    if (planned.statements.length > 1) {
      throw sqlError('syntax_error', 'cannot insert multiple commands into a prepared statement');
    }
    const plan = onlyPlan(planned);
    this.refuseWhereFailed(plan);
    if (plan.kind === 'refuse') {
      if (session.seesFreshCatalog(plan.refusal)) return false;
      throw refusalError(plan.refusal);
    }
    const rest = buffer.subarray(textStart, end);
    const { searchPathKey } = session.contextFor(NO_TYPES);
    const statement: ClientStatement = {
      name,
      text: Buffer.from(buffer.subarray(textStart, textEnd)),
      paramTypes,
      planned,
      literals: copyLiterals(session.literals),
      prepared: session.context.texts.intern(rest, `${planned.catalogVersion}\0${searchPathKey}`),
      inferredTypes: null,
    };
    this.statements.add(statement);
    if (isShardPlan(plan)) this.unsent.push(statement);
    else this.pipeline.reply(ready.parseComplete);
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
    const portalName =
      layout.portalStart === layout.portalEnd
        ? ''
        : buffer.toString('utf8', layout.portalStart, layout.portalEnd);
    const { paramCount } = statement.planned;
    const expected = Math.max(paramCount, statement.paramTypes.length);
    if (layout.valueCount !== expected) {
      throw sqlError(
        'protocol_violation',
        `bind message supplies ${layout.valueCount} parameters, but prepared statement ` +
          `"${statement.name}" requires ${expected}`,
      );
    }
    if (!this.refresh(statement)) return false;
    const plan = onlyPlan(statement.planned);
    this.refuseWhereFailed(plan);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    this.inBatch = true;
    if (!isShardPlan(plan)) {
      const participant = this.controlParticipant(plan);
      if (participant !== null) {
        return this.bindOn(participant, statement, plan, portalName, buffer, end);
      }
      this.portals.addLocal({
        name: portalName,
        statement,
        plan,
        backend: null,
        shards: [],
        bind: null,
        done: false,
      });
      this.pipeline.reply(ready.bindComplete);
      return true;
    }
    const { source } = session;
    source.text = statement.text;
    source.textStart = 0;
    source.literals = statement.literals;
    source.bind = buffer;
    const shards = shardsOf(session, plan);
    if (shards.length === 1 && !(plan.kind === 'copyFrom')) {
      const backend = this.pipeline.backendFor(shards[0]!, plan);
      if (backend === null) return false;
      return this.bindOn(backend, statement, plan, portalName, buffer, end);
    }
    const bind = Buffer.from(buffer.subarray(layout.restStart, end));
    if (!this.answerUnsent()) return false;
    this.portals.addLocal({
      name: portalName,
      statement,
      plan,
      backend: null,
      shards: [...shards],
      bind,
      done: false,
    });
    this.pipeline.reply(ready.bindComplete);
    return true;
  }

  describe(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    if (!this.controlSettled()) return false;
    const { kind, name } = readTarget(buffer, start, end);
    return kind === 'statement' ? this.describeStatement(name) : this.describePortal(name);
  }

  execute(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    if (!this.controlSettled()) return false;
    const { portal: name, rowsMax } = readExecute(buffer, start, end);
    const portal = this.portals.named(name);
    const { plan, backend, statement } = portal;
    this.inBatch = true;
    const { session } = this;
    if (backend === null) return this.executeHere(portal, rowsMax);
    if (!this.pipeline.switchTo(backend)) return false;
    countRoute(session.context.metrics, plan, 1);
    if (plan.writes) session.noteWrite(backend);
    backend.out.bytes(buffer, start, end);
    backend.expect(Expect.execute, PASS);
    if (backend.startedAt === 0) backend.startedAt = performance.now();
    this.pipeline.execute(backend);
    if (plan.kind === 'route') {
      if (plan.effect !== null) session.pendingEffect = plan.effect;
      // The client may have sent Sync already, which copy-in ignores: nothing goes on before COPY has begun.
      if (plan.copy === 'in') session.busy = true;
    }
    if (plan.kind === 'local') {
      this.awaitsControl = true;
      this.committing = plan.command.kind === 'commit' && !session.work.failed;
      if (plan.command.kind === 'begin') this.beginSql = statement.text.toString('utf8');
    }
    return true;
  }

  close(buffer: Buffer, start: number, end: number): boolean {
    if (this.skipping) return true;
    if (!this.controlSettled()) return false;
    const { kind, name } = readTarget(buffer, start, end);
    this.inBatch = true;
    if (kind === 'statement') {
      if (!this.answerUnsent()) return false;
      this.statements.close(name);
    } else {
      const backend = this.portals.backendOf(name);
      if (backend !== null && !this.pipeline.switchTo(backend)) return false;
      this.portals.close(name);
      if (backend !== null) {
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
    if (!this.answerUnsent()) return false;
    this.pipeline.flush();
    return true;
  }

  sync(): boolean {
    const { session } = this;
    if (!this.skipping && !this.answerUnsent()) return false;
    const { backends } = this.pipeline;
    const failed = new Set(this.pipeline.failed);
    const skipped = this.skipping;
    this.startBatch();
    if (backends.length === 0) {
      session.writeReady();
      if (!session.work.explicit) session.releaseAll();
      return true;
    }
    session.busy = true;
    // One backend: its own ReadyForQuery is the client's, unless it must undo what it does not know to have failed.
    if (backends.length === 1 && !(skipped && !failed.has(backends[0]!))) {
      backends[0]!.sync(PASS);
      return true;
    }
    const done = (error: Buffer | null): void => {
      session.operation = null;
      if (error !== null) session.writeFailure(error);
      session.endBatch();
    };
    if (!skipped) session.operation = EndBatch.sync(backends, done);
    else {
      const succeeded = backends.filter((backend) => !failed.has(backend));
      const undo = new Set(session.work.explicit ? [] : succeeded);
      session.operation = EndBatch.rollBack(backends, undo, () => done(null));
    }
    return true;
  }

  /** The client has sent nothing more for now: what Postgres would have answered must not wait for the next message. */
  endOfInput(): void {
    if (this.unsent.length === 0 || this.skipping || this.session.busy) return;
    try {
      this.answerUnsent();
    } catch (error) {
      this.refuse(error as SqlError);
    }
  }

  // ---------------------------------------------------------------- errors

  /** An error of our own: the client skips to Sync, and so do we. */
  refuse(error: SqlError): boolean {
    this.inBatch = true;
    this.skipping = true;
    this.refusal = error;
    this.goOn();
    return true;
  }

  /** Earlier answers come first, and an earlier error would make this one void. */
  private finishRefusal(error: SqlError): void {
    try {
      if (!this.answerUnsent() || !this.pipeline.settled()) return;
    } catch (earlier) {
      if (!(earlier instanceof SqlError)) throw earlier;
      this.unsent = [];
      this.refusal = earlier;
      this.goOn();
      return;
    }
    this.refusal = null;
    this.session.writeFailure(error);
  }

  onBackendError(backend: BackendConnection): void {
    if (!this.inBatch) return;
    this.pipeline.failed.add(backend);
    this.awaitsControl = false;
    this.skipping = true;
    this.unsent = [];
    // What waited for this backend's answers goes on, and is dropped.
    this.refusal = null;
    if (this.session.busy) this.session.resumeSoon();
  }

  onBackendLost(backend: BackendConnection): void {
    const { session } = this;
    this.pipeline.lost(backend);
    this.portals.dropAllOf(backend);
    if (this.inBatch) {
      this.skipping = true;
      session.goOn();
      return;
    }
    // A simple query, or a pipeline whose Sync had been sent.
    session.writeReady();
    session.finishUnit();
  }

  onSettled(_backend: BackendConnection): void {
    const { session } = this;
    if (this.awaitsControl) this.controlDone();
    session.resumeSoon();
  }

  takeBack(backend: BackendConnection): boolean {
    return this.pipeline.takeBack(backend);
  }

  /** The session ends. */
  abandon(): void {
    this.pipeline.abandon();
  }

  /** The unnamed statement and portal do not outlive a simple query. */
  onSimpleQuery(): void {
    this.statements.close('');
    this.portals.close('');
  }

  endPortals(transactionOver: boolean): void {
    this.portals.end(transactionOver);
  }

  deallocate(name: string | null): void {
    this.statements.deallocate(name);
  }

  // ---------------------------------------------------------------- statements and portals

  /** Plans again what was planned under another schema or topology; false: wait. */
  private refresh(statement: ClientStatement): boolean {
    const { session } = this;
    const { planner } = session.context;
    const { planned } = statement;
    if (
      planned.catalogVersion === planner.catalogVersion &&
      planned.topologyVersion === planner.topologyVersion
    ) {
      return true;
    }
    const { text, paramTypes, literals } = statement;
    const again = session.plan(text, 0, text.length, paramTypes, literals);
    if (again === null) return false;
    statement.planned = again;
    return true;
  }

  private refuseWhereFailed(plan: Plan): void {
    const { work } = this.session;
    if (!work.failed || plan.kind === 'empty') return;
    if (plan.kind === 'local' && endsFailedTransaction(plan.command)) return;
    throw abortedError();
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
    this.sendUnsent(backend);
    const serverName = this.ensureParsed(backend, statement);
    const { layout } = this.session.source;
    backend.out
      .begin(Frontend.bind)
      .bytes(buffer, layout.portalStart, layout.portalEnd + 1)
      .bytes(serverName)
      .bytes(buffer, layout.statementEnd, end)
      .end();
    backend.expect(Expect.bind, PASS);
    this.portals.addRemote({
      name: portalName,
      statement,
      plan,
      backend,
      shards: ONE,
      bind: null,
      done: false,
    });
    return true;
  }

  /** The statement's name on the backend, parsed there now if need be. */
  private ensureParsed(backend: BackendConnection, statement: ClientStatement): Buffer {
    const { prepared } = statement;
    const { metrics } = this.session.context;
    if (statement.name === '') {
      if (backend.statements.unnamed !== prepared) backend.statements.parseUnnamed(prepared, DROP);
      return NO_NAME;
    }
    if (backend.statements.knows(prepared)) {
      metrics.preparedHits++;
      backend.statements.touch(prepared);
    } else {
      metrics.preparedMisses++;
      backend.statements.parse(prepared, DROP);
    }
    return prepared.name;
  }

  /** Sends the Parse messages that wait, so that the client sees their answers in its order. */
  private sendUnsent(backend: BackendConnection): void {
    if (this.unsent.length === 0) return;
    for (const statement of this.unsent) {
      const { prepared } = statement;
      if (statement.name === '') backend.statements.parseUnnamed(prepared, PASS);
      else if (backend.statements.knows(prepared)) this.pipeline.reply(ready.parseComplete);
      else backend.statements.parse(prepared, PASS);
    }
    this.unsent = [];
  }

  /** Answers the Parse messages that wait: known texts at once, others by any backend that may judge them. */
  private answerUnsent(): boolean {
    const { unsent, session } = this;
    if (unsent.length === 0) return true;
    if (unsent.every((statement) => statement.prepared.validated)) {
      for (let i = 0; i < unsent.length; i++) this.pipeline.reply(ready.parseComplete);
      this.unsent = [];
      return true;
    }
    const plan = onlyPlan(unsent.at(-1)!.planned);
    const backend = this.pipeline.backendFor(
      homeShard(session, plan as ShardPlan, this.pipeline.current),
      null,
    );
    if (backend === null || !this.pipeline.switchTo(backend)) return false;
    this.sendUnsent(backend);
    return true;
  }

  private describeStatement(name: string): boolean {
    const statement = this.statements.named(name);
    if (!this.refresh(statement)) return false;
    const plan = onlyPlan(statement.planned);
    this.refuseWhereFailed(plan);
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    this.inBatch = true;
    if (!isShardPlan(plan)) {
      this.pipeline.reply(NO_PARAMETERS);
      this.pipeline.reply(ready.noData);
      return true;
    }
    const backend = this.pipeline.backendFor(
      homeShard(this.session, plan, this.pipeline.current),
      null,
    );
    if (backend === null || !this.pipeline.switchTo(backend)) return false;
    this.sendUnsent(backend);
    const serverName = this.ensureParsed(backend, statement);
    backend.out.begin(Frontend.describe).byte(0x53).bytes(serverName).byte(0).end();
    backend.expect(Expect.describeStatement, PASS);
    return true;
  }

  private describePortal(name: string): boolean {
    const portal = this.portals.named(name);
    const { backend, plan, statement, bind } = portal;
    this.refuseWhereFailed(plan);
    if (backend !== null) {
      if (!this.pipeline.switchTo(backend)) return false;
      backend.out.begin(Frontend.describe).byte(0x50).cstring(name).end();
      backend.expect(Expect.describePortal, PASS);
      return true;
    }
    if (!isShardPlan(plan) || bind === null) {
      this.pipeline.reply(ready.noData);
      return true;
    }
    // Any of its shards describes the rows: bound there for this only.
    const shard = portal.shards[0]!;
    const backendHere = this.pipeline.backendFor(shard, null);
    if (backendHere === null || !this.pipeline.switchTo(backendHere)) return false;
    const serverName = this.ensureParsed(backendHere, statement);
    backendHere.out.begin(Frontend.bind).byte(0).bytes(serverName).byte(0).bytes(bind).end();
    backendHere.expect(Expect.bind, DROP);
    backendHere.out.begin(Frontend.describe).byte(0x50).byte(0).end();
    backendHere.expect(Expect.describePortal, PASS);
    return true;
  }

  // ---------------------------------------------------------------- executed by the session

  private executeHere(portal: Portal, rowsMax: number): boolean {
    const { session } = this;
    const { plan, statement } = portal;
    if (!this.pipeline.settled()) return false;
    if (plan.kind === 'empty') {
      session.local.bytes(ready.emptyQueryResponse);
      return true;
    }
    this.refuseWhereFailed(plan);
    const finish = (outcome: Outcome): void => {
      this.finished = outcome;
    };
    if (plan.kind === 'local') {
      countRoute(session.context.metrics, plan, 0);
      const sql = statement.text.toString('utf8');
      if (!runLocal(session, plan.command, sql, finish)) return false;
      this.goOn();
      return true;
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
    return this.executeOnShards(portal, finish);
  }

  private executeOnShards(portal: Portal, finish: (outcome: Outcome) => void): boolean {
    const { session } = this;
    const { statement, bind } = portal;
    const plan = portal.plan as ShardPlan;
    session.assertMayUse(portal.shards, plan);
    const { source } = session;
    if (bind !== null && plan.kind === 'insertSplit') this.rebind(bind);
    source.text = statement.text;
    source.textStart = 0;
    source.literals = statement.literals;
    if (this.inferFailure !== null) {
      this.finished = { ok: false, error: this.inferFailure };
      this.inferFailure = null;
      this.goOn();
      return true;
    }
    const placement = place(session, plan, portal.shards, statement.text, statement.literals);
    const backends = session.leaseAll(placement.shards);
    if (backends === null) return false;
    if (placement.texts.length > 1 && statement.planned.paramCount > 0) {
      // A shard's text may lack some parameters, whose types it could not infer.
      if (statement.inferredTypes === null) {
        this.inferTypes(statement, backends[0]!);
        return false;
      }
      return this.runPlacement(portal, placement, backends, statement.inferredTypes, finish);
    }
    return this.runPlacement(portal, placement, backends, statement.paramTypes, finish);
  }

  private inferTypes(statement: ClientStatement, backend: BackendConnection): void {
    const { session } = this;
    this.touch(backend);
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

  /** The backend executes something within this pipeline. */
  touch(backend: BackendConnection): void {
    this.pipeline.execute(backend);
  }

  private runPlacement(
    portal: Portal,
    placement: ReturnType<typeof place>,
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    finish: (outcome: Outcome) => void,
  ): boolean {
    const { session } = this;
    const { plan } = placement;
    countRoute(session.context.metrics, plan, backends.length);
    for (const backend of backends) {
      this.touch(backend);
      if (plan.writes) session.noteWrite(backend);
    }
    if (plan.kind === 'broadcast' && plan.ddl) session.catalogStale = true;
    portal.done = true;
    startMultiRun(
      session,
      placement,
      backends,
      { bind: portal.bind, paramTypes, describe: false, endsWithSync: false },
      (outcome, succeeded) => {
        if (!outcome.ok) {
          for (const backend of backends) {
            if (!succeeded.includes(backend)) this.pipeline.failed.add(backend);
          }
        }
        finish(outcome);
        session.resumeSoon();
      },
    );
    return true;
  }

  /** Points the value source at the copy of the Bind message that the portal keeps. */
  private rebind(bind: Buffer): void {
    const { source } = this.session;
    const writer = new Writer(bind.length + 16);
    const message = writer.begin(Frontend.bind).byte(0).byte(0).bytes(bind).end().take();
    source.layout.read(message, 0, message.length);
    source.bind = message;
  }

  /** Ends an Execute that took several steps, once its outcome is there. */
  goOn(): void {
    const { session, finished: outcome, refusal } = this;
    if (refusal !== null) this.finishRefusal(refusal);
    if (outcome === null) return;
    this.finished = null;
    if (outcome.ok) writeCommandComplete(session.local, outcome.tag);
    else {
      this.skipping = true;
      this.unsent = [];
      session.writeFailure(outcome.error);
    }
  }

  // ---------------------------------------------------------------- transaction control in a pipeline

  /** A transaction command goes to the one backend of the transaction as it is, which is the fast way. */
  private controlParticipant(plan: Plan): BackendConnection | null {
    const { work } = this.session;
    if (plan.kind !== 'local' || !work.explicit || work.participants.length !== 1) return null;
    const { kind } = plan.command;
    const [participant] = work.participants;
    // Failed by our own word: the backend does not know, so the session must do it.
    if (work.failed && participant!.status !== 0x45) return null;
    return kind === 'commit' || kind === 'rollback' ? participant! : null;
  }

  /** False: a transaction command is on its way, and what follows depends on it. */
  private controlSettled(): boolean {
    if (!this.awaitsControl) return true;
    if (!this.pipeline.settled()) return false;
    this.controlDone();
    return true;
  }

  /** A passed-on COMMIT or ROLLBACK has succeeded in the middle of a pipeline. */
  private controlDone(): void {
    this.awaitsControl = false;
    const { session } = this;
    session.onTransactionEnd(this.committing);
    session.work.end();
    this.committing = false;
    this.pipeline.forgetExecuted();
  }

  /** Everything so far is answered by the Sync that is being handled. */
  private startBatch(): void {
    this.skipping = false;
    this.inBatch = false;
    this.awaitsControl = false;
    this.unsent = [];
    this.pipeline.reset();
  }
}

/** Where a statement can be parsed and described: any shard that has its tables. */
function homeShard(session: Session, plan: ShardPlan, current: BackendConnection | null): Shard {
  const { topology } = session.context.config;
  let candidates: readonly Shard[];
  if (plan.kind === 'route') {
    const { shards } = plan;
    if (shards.kind === 'shard') return shards.shard;
    if (shards.kind === 'catalog') return topology.catalogShard;
    candidates = shards.keyspace?.shards ?? topology.shards;
  } else candidates = plan.keyspace?.shards ?? topology.shards;
  if (current !== null && candidates.includes(current.shard)) return current.shard;
  const held = session.work.participants.find((backend) => candidates.includes(backend.shard));
  return held?.shard ?? session.context.cluster.pickAny(candidates);
}

export function abortedError(): SqlError {
  return sqlError(
    'in_failed_sql_transaction',
    'current transaction is aborted, commands ignored until end of transaction block',
  );
}

function onlyPlan(planned: PlannedText): Plan {
  return planned.whole ?? planned.statements[0]!.plan;
}

function copyLiterals(from: Literals): Literals {
  if (from.count === 0) return NO_LITERALS;
  const copy = new Literals();
  for (let i = 0; i < from.count; i++) {
    copy.push(from.kinds[i]! as Parameters<Literals['push']>[0], from.starts[i]!, from.ends[i]!);
  }
  return copy;
}

const NO_LITERALS = new Literals();
const NO_TYPES: readonly number[] = [];
const NO_NAME: Buffer = Buffer.alloc(0);
const ONE: readonly Shard[] = [];
/** ParameterDescription of a statement without parameters. */
const NO_PARAMETERS = new Writer(16).begin(0x74).int16(0).end().take();
