import type { BackendError } from '../backend/backend-error.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { PASS } from '../backend/postgres/expected-replies.js';
import { whenAllDelivered } from '../backend/postgres/pending-cancels.js';
import { endTimer } from '../backend/postgres/statement-timer.js';
import type { SqlError } from '../errors/sql-error.js';
import { sqlError } from '../errors/sql-error.js';
import { cancelError } from '../executor/gather-errors.js';
import type { Shard } from '../keyspace/topology.js';
import type { Transport, TransportHandler } from '../net/transport.js';
import type { SettingEffect } from '../planner/plan.js';
import { readSqlState, writeReadyForQuery } from '../protocol/backend-messages.js';
import { Backend, Frontend, TxStatus } from '../protocol/codes.js';
import { Writer } from '../protocol/writer.js';
import { ShardTargets, ValueSource } from '../executor/shard-targets.js';
import { Literals } from '../sql/literals.js';
import type { Operation, OperationHost, Outcome } from '../transaction/operation.js';
import type { CrossShardPolicy } from '../transaction/participants.js';
import { UnitOfWork } from '../transaction/unit-of-work.js';
import { unknownOutcome } from '../transaction/unknown-outcome.js';
import type { Logger } from '../util/logger.js';
import { abandonAll, endAtFault } from './abandon.js';
import { writeClientError } from './client-error.js';
import { ClientInput, type CopyTarget, type InputHandler } from './client-input.js';
import { Dispatcher } from './dispatcher.js';
import { ExtendedQuery } from './extended-query.js';
import { HeldBackends } from './held-backends.js';
import { Leases, type LeaseHost } from './leases.js';
import { Listening } from './listening.js';
import { Pins } from './pins.js';
import { Ride } from './ride.js';
import type { SessionContext } from './session-context.js';
import { SessionSettings } from './session-settings.js';
import { SessionPlanning } from './session-planning.js';
import { SessionTimers } from './session-timers.js';
import { crossShardOf, isolationOf } from './shard-use.js';
import { applyEffects, nameOnly, restoreSettings } from './setting-effects.js';
import { SimpleQuery } from './simple-query.js';
import { startPassThroughCopy } from './pass-through-copy.js';
import { ToldParameters } from './told-parameters.js';
import { endTorn, TransactionControl } from './transaction-control.js';
import { Welcome } from './welcome.js';

/**
 * One client after login. Its messages are handled strictly in order: `pump` hands them out while the session is not
 * `busy`; whoever must wait (for a backend, an answer, a plan) sets `busy` and the pump goes on where it stopped.
 *
 *   client bytes -> pump -> SimpleQuery | ExtendedQuery -> lease -> backend.out -> flush (one write a chunk)
 *   backend bytes -> connection.walk -> pass -> client, untouched; ready -> release -> pump
 */
export class Session implements TransportHandler, InputHandler, LeaseHost, OperationHost {
  readonly context: SessionContext;
  readonly work = new UnitOfWork();
  readonly control = new TransactionControl(this.work);
  readonly settings = new SessionSettings();
  readonly user: string;
  readonly logger: Logger;
  /** Messages of our own for the client; sent before anything that passes through. */
  readonly local = new Writer(512);
  readonly told = new ToldParameters(this.work, () => this.startup!.parameters);
  readonly hears = this.told.passes.bind(this.told);
  readonly source = new ValueSource();
  readonly targets: ShardTargets;
  readonly literals = new Literals();
  /** True while the next client message must wait. */
  busy = false;
  /** The several-answer step that runs now. */
  operation: Operation | null = null;
  copyTarget: CopyTarget | null = null;
  /** Applied when the statement that passes through now has succeeded. */
  pendingEffects: readonly SettingEffect[] | null = null;
  /** Settings as they were at BEGIN. */
  settingsAtBegin: ReadonlyMap<string, string> | null = null;
  /** DDL ran since the catalog was loaded by this session. */
  catalogStale = false;
  readonly transport: Transport;
  private readonly dispatcher: Dispatcher;
  readonly simple: SimpleQuery;
  readonly extended: ExtendedQuery;
  readonly input: ClientInput;
  readonly leases: Leases = new Leases(this);
  over = false;
  /** Grows whenever the session goes on, which makes void what was waited for before. */
  turn = 0;
  private readonly held = new HeldBackends();
  readonly planning = new SessionPlanning(this);
  readonly pins = new Pins(this);
  readonly ride = new Ride(this);
  readonly listening = new Listening(this);
  /** The client has been told of a shard's error since the session went on. */
  statementFailed = false;
  /** Null: before `welcome`. */
  startup: Welcome | null = null;
  private readonly timers = new SessionTimers(this);
  private readonly onClosed: () => void;

  constructor(
    context: SessionContext,
    transport: Transport,
    user: string,
    logger: Logger,
    onClosed: () => void,
  ) {
    this.context = context;
    this.targets = new ShardTargets(context.keySamples);
    this.transport = transport;
    this.user = user;
    this.logger = logger;
    this.onClosed = onClosed;
    this.simple = new SimpleQuery(this);
    this.extended = new ExtendedQuery(this);
    this.dispatcher = new Dispatcher(this, this.simple, this.extended);
    this.source.literals = this.literals;
    this.input = new ClientInput(this, transport);
    transport.handler = this;
  }

  /**
   * Begins the session with the settings of its startup message. `announce` gets what the client is told of the
   * server; it comes at once, unless a backend must check the settings first.
   */
  welcome(
    settings: ReadonlyMap<string, string>,
    announce: (parameters: ReadonlyMap<string, string>) => void,
  ): void {
    this.startup = new Welcome(this, announce);
    this.startup.begin(settings);
  }

  /** In the middle of nothing: a drain may close it now. */
  get idle(): boolean {
    return !this.busy && !this.work.explicit && this.work.participants.length === 0;
  }

  // ---------------------------------------------------------------- client side

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.over) return;
    this.timers.active();
    this.context.metrics.clientBytesIn += end - start;
    this.input.onBytes(buffer, start, end);
  }

  onDrain(): void {
    this.timers.drained();
    this.held.resume();
    this.operation?.clientDrained?.();
    this.listening.deliverBetween();
    this.pump();
  }

  /** Goes on with the client's messages. */
  pump(): void {
    if (this.startup?.pending === true) {
      if (!this.busy) this.startup.goOn();
      return;
    }
    if (!this.busy && !this.over && this.copyTarget === null) {
      try {
        this.simple.goOn();
        // The messages behind a Query that has ended are handled by then: one of them may wait.
        if (!this.busy) this.extended.goOn();
      } catch (error) {
        this.dispatcher.onThrown(Frontend.query, error);
      }
    }
    this.input.pump();
  }

  get messageBytesMax(): number {
    return this.context.config.limits.messageBytesMax;
  }

  onInputEnd(): void {
    this.extended.endOfInput();
  }

  onPumped(): void {
    this.flush();
    this.timers.pumped();
  }

  onOutOfSync(): void {
    this.dispatcher.outOfSync();
  }

  onTooLarge(bytes: number): void {
    this.fatal('program_limit_exceeded', `message of ${bytes} bytes exceeds limits.message_size`);
  }

  onCopyData(buffer: Buffer, start: number, end: number): void {
    try {
      this.copyTarget!.data(buffer, start, end);
    } catch (error) {
      this.copyTarget = null;
      this.dispatcher.onThrown(Frontend.copyData, error);
    }
  }

  get congested(): boolean {
    for (const backend of this.work.participants) if (backend.congested) return true;
    return false;
  }

  onClose(): void {
    if (this.over || !this.input.endsWithTerminate) this.close();
    else {
      // It has said goodbye behind what still runs: that goes on, as on Postgres.
      this.timers.farewell();
      this.onDrain();
    }
  }

  /** Whatever still runs is broken off. */
  private close(): void {
    if (this.over) return;
    this.over = true;
    this.timers.close();
    this.leases.giveUp();
    this.ride.leave();
    this.extended.pipeline.abandon();
    this.operation = null;
    abandonAll(this, this.copyTarget?.raw === true && this.input.copyBytesMissing > 0);
    this.pins.close();
    this.listening.close();
    this.onClosed();
  }

  onMessage(type: number, buffer: Buffer, start: number, end: number): boolean {
    return this.dispatcher.dispatch(type, buffer, start, end);
  }

  /** The client says goodbye. */
  hangUp(): void {
    this.flushLocal();
    this.transport.end();
    this.close();
  }

  /** Sends what has been written for backends and for the client. */
  flush(): void {
    for (const backend of this.work.participants) {
      if (backend.out.size > 0) backend.flush();
    }
    this.flushLocal();
  }

  flushLocal(): void {
    const { local } = this;
    if (local.size === 0 || this.over) return;
    this.context.metrics.clientBytesOut += local.size;
    const taken = this.transport.write(local.view());
    local.sent(taken);
    if (!taken) this.timers.stall();
  }

  // ---------------------------------------------------------------- errors

  /** How transactions that wrote on several shards are committed. */
  get crossShard(): CrossShardPolicy {
    return crossShardOf(this);
  }

  /** A shard that was only read may still refuse to commit. */
  get readersDecide(): boolean {
    return this.work.explicit && isolationOf(this) === 'serializable';
  }

  /** Ends the session with an error. */
  fatal(state: SqlError['state'], message: string): void {
    this.sendFatal(sqlError(state, message, { severity: 'FATAL' }));
  }

  sendFatal(error: SqlError | Buffer): void {
    if (this.over) return;
    writeClientError(this, error);
    this.flushLocal();
    this.transport.end();
    this.close();
  }

  clientStreamBroken(): void {
    this.logger.warn('a shard broke off in the middle of a row; closing the client');
    this.cutOff();
  }

  /** Ends the session without a word: the client cannot be told any more. */
  cutOff(): void {
    this.transport.destroy();
    this.close();
  }

  /** The client gets an error; an explicit transaction has failed. What to do about participants is the caller's. */
  writeFailure(error: SqlError | Buffer): void {
    writeClientError(this, error);
    this.pendingEffects = null;
    this.told.fail();
    this.control.fail();
  }

  /** Answers ReadyForQuery by ourselves, when no backend does. */
  writeReady(): void {
    this.listening.deliver();
    this.told.tell(this.local);
    writeReadyForQuery(this.local, this.work.status);
  }

  // ---------------------------------------------------------------- backends

  lease(shard: Shard): BackendConnection | null {
    return this.leases.lease(shard);
  }

  leaseAll(shards: readonly Shard[]): BackendConnection[] | null {
    return this.leases.leaseAll(shards);
  }

  dropParticipant(backend: BackendConnection): void {
    this.work.drop(backend);
    this.held.forget(backend);
  }

  /** Gives back what the finished unit of work held. */
  releaseAll(): void {
    const { participants, writers } = this.work;
    if (writers.size > 0) writers.clear();
    this.work.forgetLocal();
    if (participants.length === 0) return;
    if (participants.length === 1) {
      const backend = participants.pop()!;
      backend.owner.release(backend);
      return;
    }
    for (const backend of participants.splice(0)) backend.owner.release(backend);
  }

  // ---------------------------------------------------------------- backend side

  pass(from: BackendConnection | null, bytes: Buffer, start: number, end: number): boolean {
    if (this.over) return true;
    this.flushLocal();
    this.context.metrics.clientBytesOut += end - start;
    if (this.transport.write(bytes.subarray(start, end))) return true;
    this.timers.stall();
    if (from !== null) this.held.stall(from);
    return false;
  }

  passToClient(from: BackendConnection | null, bytes: Buffer, start: number, end: number): boolean {
    return this.pass(from, bytes, start, end);
  }

  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === Backend.parameterStatus) this.told.read(buffer, start, end);
    else this.operation?.captured(backend, type, buffer, start, end);
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    return this.operation === null || this.operation.capturedData(backend, buffer, start, end);
  }

  failed(
    backend: BackendConnection,
    action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (this.leases.isPreparing(backend)) {
      this.leases.onSettingRefused(backend, buffer, start, end);
      this.startup?.refused(buffer, start, end);
      return;
    }
    if (action !== PASS) {
      this.operation?.failed(backend, buffer, start, end);
      return;
    }
    this.statementFailed = true;
    this.context.metrics.errors.add(readSqlState(buffer, start, end), 'shard');
    if (this.pendingEffects !== null) nameOnly(this, this.pendingEffects, backend);
    if (this.copyTarget !== null) {
      this.copyTarget.cutOff(this.input.copyBytesMissing);
      this.copyTarget = null;
      // ReadyForQuery is still to come; a pipeline goes on to its Sync.
      if (!this.extended.inBatch) this.busy = true;
    }
    this.control.fail();
    this.extended.onBackendError(backend);
  }

  copyInStarted(backend: BackendConnection): void {
    startPassThroughCopy(this, backend);
  }

  settled(backend: BackendConnection): void {
    if (this.operation !== null) this.operation.settled(backend);
    else this.extended.onSettled(backend);
  }

  ready(backend: BackendConnection, status: number, action: number): void {
    if (backend.congested) {
      // As after a COPY that failed early: over only when all that was written for it has left.
      this.held.overtake(backend, status, action);
      return;
    }
    if (this.leases.isPreparing(backend)) {
      this.leases.onPrepared(backend);
      return;
    }
    if (action === PASS) {
      endTimer(backend);
      this.onAnswered(backend, status);
      return;
    }
    if (this.extended.pipeline.takeBack(backend)) return;
    this.operation?.ready(backend, status);
  }

  drained(backend: BackendConnection): void {
    const ready = this.held.takeReady(backend);
    if (ready !== null) this.ready(backend, ready.status, ready.action);
    this.operation?.drained?.(backend);
    if (!this.over) this.pump();
  }

  /** The client has got its answer. `backend` null: it is not this session's any more, and has changed nothing. */
  onAnswered(backend: BackendConnection | null, status: number): void {
    const { work } = this;
    if (this.pendingEffects !== null) applyEffects(this, this.pendingEffects, backend);
    this.copyTarget = null;
    const wasExplicit = work.explicit;
    work.failed = status === TxStatus.failed;
    if (status === TxStatus.idle) {
      if (wasExplicit) this.onTransactionEnd(this.control.committing && !this.statementFailed);
      work.end();
      this.extended.endPortals(true);
      this.finishUnit();
      return;
    }
    if (!wasExplicit) {
      work.begin(this.control.beginSql ?? 'BEGIN', null);
      this.settingsAtBegin = this.settings.current;
      this.told.begin();
    }
    this.extended.endPortals(false);
    this.goOn();
  }

  /** The unit of work is over: the backends go back, the next message is due. */
  finishUnit(): void {
    if (this.catalogStale) {
      this.loadCatalog(() => this.finishUnit());
      return;
    }
    if (!this.listening.caughtUp(() => this.finishUnit()) || !this.pins.settled()) return;
    this.releaseAll();
    this.goOn();
  }

  /** Whoever is told of new tables, by us or by this client, must find them. */
  private loadCatalog(then: () => void): void {
    this.catalogStale = false;
    this.busy = true;
    void this.context.reloadCatalog().then(then);
  }

  goOn(): void {
    this.turn++;
    this.busy = false;
    this.operation = null;
    this.statementFailed = false;
    this.control.reset();
    this.ride.end();
    this.listening.deliver();
    this.pump();
  }

  /** `committed` false: settings made in the transaction are void. */
  onTransactionEnd(committed: boolean): void {
    this.listening.endTransaction(committed);
    if (!committed) this.extended.portals.rollBack();
    if (this.settingsAtBegin === null) return;
    if (!committed) restoreSettings(this, this.settingsAtBegin);
    this.settingsAtBegin = null;
  }

  closed(backend: BackendConnection, error: BackendError): void {
    const wrote = this.work.writers.has(backend);
    this.dropParticipant(backend);
    backend.owner.lost(backend);
    if (this.over) return;
    if (this.leases.isPreparing(backend)) {
      this.leases.onPreparingLost(error);
      return;
    }
    if (this.timers.endBy(error)) return;
    if (this.extended.pipeline.forgetReturning(backend)) return;
    const { operation, work } = this;
    // Its answer, where it owes one, is the error; else the client hears of it when it is told of an error next.
    const owes = operation === null && backend.owesClient;
    if (work.explicit) work.tear(owes ? null : error.toSqlError());
    else {
      this.simple.lost(backend, error);
      this.extended.lost(backend, error);
    }
    if (owes) this.onBackendLost(backend, error, wrote);
    else this.extended.forget(backend);
    operation?.lost(backend, error);
    // Nobody tells that a lost backend takes copy data again.
    this.pump();
  }

  readonly crashed = endAtFault.bind(null, this);

  /** `wrote`: something that its own commit is about. */
  private onBackendLost(backend: BackendConnection, error: BackendError, wrote: boolean): void {
    if (backend.dataBytesRemaining > 0) {
      this.clientStreamBroken();
      return;
    }
    const waitsForData = this.copyTarget !== null;
    this.copyTarget = null;
    // A shard that shuts down says so itself first: that was the statement's error.
    if (!this.statementFailed) {
      const alone = wrote && !waitsForData && !this.work.explicit && !this.inPipeline;
      const commits = this.control.committing || alone;
      this.writeFailure(commits ? unknownOutcome(error) : error.toSqlError());
    }
    if (this.control.ending) endTorn(this);
    this.extended.onBackendLost(backend);
  }

  // ---------------------------------------------------------------- cancel, timeouts, shutdown

  /** A cancel request with this session's key. */
  cancel(delivered: () => void = () => undefined): void {
    if (this.ride.cancel(delivered)) return;
    const backends = [...this.work.participants];
    if (this.leases.giveUp()) {
      this.leases.fail(cancelError());
    } else if (this.operation?.cancel !== undefined) this.operation.cancel();
    // Between two steps no backend has anything to be cancelled.
    else for (const backend of backends) if (!backend.quiet) backend.cancel();
    whenAllDelivered(backends, delivered);
  }

  /** Ends the session now, telling the client why. */
  shutDown(): void {
    this.fatal('admin_shutdown', 'terminating connection due to administrator command');
  }

  // ---------------------------------------------------------------- for the protocols and commands

  /** Messages are on their way to backends that no Sync of ours has ended. */
  get inPipeline(): boolean {
    return this.extended.inBatch || this.simple.running;
  }

  /** The settings when the Query or pipeline began that is being handled. */
  get settingsBefore(): ReadonlyMap<string, string> {
    const { extended, settings, simple } = this;
    return (extended.inBatch ? extended : simple).settingsBefore ?? settings.current;
  }

  /** A statement of a Query or pipeline has run already, or others belong to it: servers take that for a block. */
  get hasRun(): boolean {
    return this.extended.pipeline.hasRun || this.simple.isScript;
  }

  /** The same where shards know of it. */
  get isPart(): boolean {
    return this.extended.pipeline.holds || this.simple.running;
  }

  /** Goes on when the bytes that are being walked now have been passed on. */
  resumeSoon(): void {
    const turn = ++this.turn;
    queueMicrotask(() => {
      if (this.over || turn !== this.turn) return;
      this.busy = false;
      this.operation = null;
      this.pump();
    });
  }

  /** Commits every participant of the explicit transaction; whoever is told goes on with the session. */
  commitParticipants(done: (outcome: Outcome) => void): void {
    this.busy = true;
    this.operation = null;
    if (this.catalogStale && this.extended.inBatch) {
      // The Sync behind a change of the catalog must wait until that is loaded.
      this.touch(this.work.participants);
    }
    this.context.commits.commit(this, done);
  }

  /** An explicit transaction has ended by our own doing; `chained`: its participants have begun the next one. */
  endTransaction(chained: boolean): void {
    this.extended.endPortals(true);
    this.pins.rolledBack();
    if (!chained && !this.inPipeline && !this.listening.mustCatchUp) this.releaseAll();
  }

  /** The backends execute something within the pipeline that is open. */
  touch(backends: readonly BackendConnection[]): void {
    // A Query's own steps are no pipeline's.
    if (!this.extended.inBatch) return;
    for (const backend of backends) this.extended.pipeline.execute(backend);
  }

  /** A Query or pipeline that the session answered itself is over. */
  endBatch(): void {
    const { explicit } = this.work;
    if (this.catalogStale && !explicit) {
      this.loadCatalog(() => this.endBatch());
      return;
    }
    if (!explicit && !this.listening.caughtUp(() => this.endBatch())) return;
    this.extended.endPortals(!explicit);
    this.writeReady();
    if (explicit) this.goOn();
    else this.finishUnit();
  }
}
