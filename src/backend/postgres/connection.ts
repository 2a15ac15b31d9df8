import { assert } from '../../util/assert.js';
import type { ServerAddress } from '../../config/config.js';
import type { ShapeUsage } from '../../metrics/shape-usage.js';
import type { Shard } from '../../keyspace/topology.js';
import type { SocketTransport, TransportHandler } from '../../net/transport.js';
import { readErrorFields, readParameterStatus } from '../../protocol/backend-messages.js';
import { Backend, Frontend, MESSAGE_BYTES_MAX, TxStatus } from '../../protocol/codes.js';
import { withPosition } from '../../protocol/error-position.js';
import { dataRunEnd, Framer, isReadyForQuery, readInt32, tagRows } from '../../protocol/framing.js';
import { Writer } from '../../protocol/writer.js';
import { BackendError } from '../backend-error.js';
import type { SharedBatch } from '../shared-batch.js';
import { mapParameterDescription, mapRowDescription } from '../oids/oid-messages.js';
import { mappedColumns, mapRow, type MappedColumn } from '../oids/row-values.js';
import {
  CAPTURE,
  DROP,
  Expect,
  ExpectedReplies,
  PASS,
  type ReplyAction,
} from './expected-replies.js';
import { cancelBackend, type BackendLogin } from './login.js';
import { lookupNotice, type LookupNotices } from './lookup-notices.js';
import { PendingCancels } from './pending-cancels.js';
import { tellCrash, type BackendOwner, type BackendSink } from './backend-sink.js';
import { BackendStatements } from './backend-statements.js';

/** A message that is neither a row nor copy data and larger than this comes from no sane server. */
const MESSAGE_BYTES_SANE = 64 * 1024 * 1024;
const CANCEL_TIMEOUT_MS = 5000;
const QUERY_CANCELED = '57014';

/**
 * One logged-in connection to a shard. Requests are written to `out` and announced with `expect`; `flush` sends them
 * in one write. Answers are walked message by message and go where the announced action says:
 *
 *   chunk:   | 1 | 2 | D D D D | C | Z |
 *   expected:  parse/DROP  bind/PASS  execute/PASS  sync/PASS
 *   client:      | 2 | D D D D | C | Z |       (one write: the run between dropped messages)
 */
export class BackendConnection implements TransportHandler {
  shard: Shard;
  /** Who lends it: its pool, which a reload may have retired meanwhile, or a session that keeps it. */
  owner: BackendOwner;
  /** It holds what was one session's: closed when it comes back, not lent again. */
  isSpent = false;
  readonly pid: number;
  readonly out = new Writer(undefined, true);
  /** ParameterStatus values as they are now, and as the server gave them at login. */
  readonly parameters: Map<string, string>;
  readonly loginParameters: ReadonlyMap<string, string>;
  readonly createdAt = Date.now();
  sink: BackendSink;
  /** What the last error came as the answer to, an `Expect`; 0: to a Parse of our own. */
  failedWhile = 0;
  /** Status of the last ReadyForQuery. */
  status: number = TxStatus.idle;
  /** Session settings that differ from the connection's start, as the key of whoever set them; null: unknown. */
  settingsKey: string | null = '';
  settings: ReadonlyMap<string, string> = NO_SETTINGS;
  /** Settings that sessions made up (`my.var`) and that it has had: the server knows them as long as it lives. */
  readonly madeNames = new Set<string>();
  /** What it has prepared. */
  readonly statements: BackendStatements;
  idleSince = 0;
  /**
   * The Query that passes through is not quite the client's text: where in that one a position is. Until
   * ReadyForQuery.
   */
  positionOf: ((position: number) => number) | null = null;
  /** Set by whoever leases it: the statement's start, for the latency metric. */
  startedAt = 0;
  /** Of the one statement that was sent then; null: nobody counts it. */
  timed: ShapeUsage | null = null;
  /** Takes what triggers tell of changes in columns with lookups; null: nobody is told. */
  lookups: LookupNotices | null = null;
  /** In which it runs statements of several sessions; null: it never has. */
  batch: SharedBatch | null = null;
  readonly transport: SocketTransport;
  private readonly address: ServerAddress;
  private readonly secret: Buffer;
  private readonly expected = new ExpectedReplies();
  private readonly framer = new Framer();
  private buffer: Buffer = NO_BYTES;
  private at = 0;
  /** Where the bytes begin that are to be passed in one piece. */
  private runStart = 0;
  private end = 0;
  /** What is to be mapped in the rows that come, until the next Bind or description; null: nothing. */
  private mapped: readonly MappedColumn[] | null = null;
  /** Bytes of a data message that are still to come; they follow the action of the message's head. */
  private dataRemaining = 0;
  private walking = false;
  private paused = false;
  private closed = false;
  /** ReadyForQuery has been passed on and waits, with everybody's next step, for the client to read. */
  private readyHeld = false;
  private settleWanted = false;
  /** Something was sent through the extended protocol that no Sync or Query has ended: a transaction may be open. */
  private unsynced = false;
  private skipping = false;
  readonly cancels = new PendingCancels();
  private cancelReason: Buffer | null = null;

  constructor(
    shard: Shard,
    address: ServerAddress,
    login: BackendLogin,
    preparedMax: number,
    owner: BackendOwner,
  ) {
    this.shard = shard;
    this.owner = owner;
    this.address = address;
    this.transport = login.transport;
    this.pid = login.pid;
    this.secret = login.secret;
    this.parameters = login.parameters;
    this.loginParameters = new Map(login.parameters);
    this.statements = new BackendStatements(this, preparedMax);
    this.sink = owner;
    if (login.rest.length > 0) this.framer.keep(login.rest, 0, login.rest.length);
    this.transport.handler = this;
  }

  /** Nothing is expected any more: between statements. */
  get quiet(): boolean {
    return this.expected.empty;
  }

  /** The client waits for something of it. */
  get owesClient(): boolean {
    return this.expected.passes;
  }

  /**
   * Between statements and outside of any transaction, also of one that only a Sync would end, with nothing left to
   * write: anybody may have it.
   */
  get free(): boolean {
    const between = this.expected.empty && !this.unsynced && !this.transport.congested;
    return between && this.status === TxStatus.idle;
  }

  /** A part of a pipeline has failed: the server ignores everything, queries too, until a Sync. */
  get skipsToSync(): boolean {
    return this.skipping;
  }

  get alive(): boolean {
    return !this.closed && this.transport.writable;
  }

  get congested(): boolean {
    return this.transport.congested;
  }

  /** The backend waits for copy data that nobody has ended yet. */
  copyingIn = false;

  /** Sends CopyFail: the COPY ends in 57014 with this reason. */
  failCopy(reason: string): void {
    this.out.begin(Frontend.copyFail).cstring(reason).end();
    this.copyingIn = false;
  }

  expect(kind: Parameters<ExpectedReplies['push']>[0], action: ReplyAction): void {
    if (kind < Expect.sync) this.unsynced = true;
    // It destroys the unnamed statement before it comes to what is sent behind it.
    else if (kind === Expect.query) this.statements.unnamed = null;
    this.expected.push(kind, action);
  }

  /** Bytes that the client gets behind what is expected so far; at once where nothing is. */
  synthesize(payload: Buffer): void {
    assert(!this.expected.empty, 'a synthetic reply needs a reply in front of it');
    this.expected.pushSynthetic(payload);
  }

  /** Writes a simple query and announces its answer. */
  query(text: Uint8Array | string, action: ReplyAction): void {
    this.out.begin(Frontend.query);
    if (typeof text === 'string') this.out.cstring(text);
    else this.out.bytes(text).byte(0);
    this.out.end();
    this.expect(Expect.query, action);
  }

  sync(action: ReplyAction): void {
    this.out.begin(Frontend.sync).end();
    this.expect(Expect.sync, action);
  }

  /**
   * Makes what no Sync has ended fail, so that a Sync does not commit it: executes a portal that does not exist. A
   * server that skips to Sync already ignores it.
   */
  breakPipeline(): void {
    if (!this.unsynced) return;
    this.out.begin(Frontend.execute).cstring(NO_PORTAL).int32(0).end();
    this.expect(Expect.execute, DROP);
  }

  /** Sends Flush, so that answers come without a Sync. */
  requestFlush(): void {
    this.out.begin(Frontend.flush).end();
  }

  /** Sends what was written. False: the server is slow, stop feeding it until `drained`. */
  flush(): boolean {
    if (this.out.size === 0) return !this.transport.congested;
    this.owner.traffic.bytesOut += this.out.size;
    if (this.out.hasPieces) {
      for (const piece of this.out.takePieces()) this.transport.write(piece);
    }
    const done = this.transport.write(this.out.view());
    this.out.sent(done);
    return done;
  }

  /** Sends bytes of someone else's buffer behind what was written. False: still in use until `drained`. */
  writeThrough(bytes: Uint8Array): boolean {
    this.flush();
    this.owner.traffic.bytesOut += bytes.length;
    return this.transport.write(bytes);
  }

  pauseReading(): void {
    if (this.paused) return;
    this.paused = true;
    this.transport.pause();
  }

  /** Goes on with the bytes that are left, then reads again. */
  resumeReading(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.walking) {
      // Paused and resumed by one call of the sink: the walk goes on, reading too.
      this.transport.resume();
      return;
    }
    this.walk();
    // The walk may have paused again.
    if (!this.isPaused()) this.transport.resume();
  }

  private isPaused(): boolean {
    return this.paused;
  }

  /**
   * Cancels what runs.
   * @param reason an ErrorResponse message that is told in place of the server's own, if that is what ends it
   */
  cancel(reason: Buffer | null = null): void {
    this.cancelReason = reason;
    this.cancels.send(cancelBackend(this.address, this.pid, this.secret, CANCEL_TIMEOUT_MS));
  }

  /** Says goodbye and closes. */
  terminate(): void {
    if (this.closed) return;
    this.closed = true;
    this.out.begin(Frontend.terminate).end();
    this.flush();
    this.transport.end();
  }

  /** Closes without a word, as when its state is unknown. The sink hears nothing. */
  destroy(): void {
    this.closed = true;
    this.transport.destroy();
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.closed) return;
    this.owner.traffic.bytesIn += end - start;
    let from = this.framer.join(buffer, start);
    this.buffer = buffer;
    this.end = end;
    if (from < 0) {
      from = start + this.framer.assemble(buffer, start, end, 5);
      const whole = this.framer.complete(5);
      if (whole === null) return;
      this.walkOne(whole);
    }
    this.at = from;
    this.walk();
  }

  onDrain(): void {
    this.sink.drained(this);
  }

  onClose(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    const reason = error === null ? 'the server closed the connection' : error.message;
    this.sink.closed(
      this,
      this.fatal ?? new BackendError(this.shard.name, 'connection_failure', reason),
    );
  }

  private fatal: BackendError | null = null;

  /** A message that did not fit the headroom is walked in its own buffer. */
  private walkOne(message: Buffer): void {
    const { buffer, end } = this;
    this.buffer = message;
    this.at = 0;
    this.end = message.length;
    this.walk();
    this.buffer = buffer;
    this.end = end;
  }

  /** A fault in what is done with an answer ends who it was for, not everybody. */
  private walk(): void {
    try {
      this.walkAll();
    } catch (error) {
      this.closed = true;
      this.transport.destroy();
      tellCrash(this.sink, this, error);
    }
  }

  /** Walks whole messages, and data messages as far as they are there; what passes leaves in runs. */
  private walkAll(): void {
    this.walking = true;
    this.runStart = this.at;
    if (this.readyHeld) {
      this.readyHeld = false;
      this.onReady(this.buffer[this.at - 1]!);
    }
    while (this.at < this.end && !this.paused && !this.closed) if (!this.walkMessage()) break;
    this.walking = false;
    if (this.closed) return;
    this.passRun(this.at);
    if (this.at < this.end && !this.paused) {
      this.framer.keep(this.buffer, this.at, this.end);
      this.at = this.end;
    }
    if (this.settleWanted && this.expected.empty && !this.paused) {
      this.settleWanted = false;
      this.sink.settled(this);
    }
  }

  /** One message, or a run of rows; false: it is not whole yet. */
  private walkMessage(): boolean {
    const { buffer, at, end } = this;
    if (this.dataRemaining > 0) {
      this.walkData(Math.min(at + this.dataRemaining, end));
      return true;
    }
    if (end - at < 5) return false;
    const type = buffer[at]!;
    const length = readInt32(buffer, at + 1);
    if (length < 4 || length > MESSAGE_BYTES_MAX) {
      this.violation(`message length ${length}`);
      return false;
    }
    const next = at + 1 + length;
    if (type === Backend.dataRow && this.mapped !== null) {
      if (next > end) return false;
      mapRow(buffer, at, this.mapped, this.owner.oids!);
      this.dataRemaining = next - at;
      this.walkData(next);
      return true;
    }
    if (type === Backend.dataRow || type === Backend.copyData) {
      // The sink gets contiguous rows in one piece; a row that is cut off goes as far as it came.
      const whole = this.expected.headAction === CAPTURE ? dataRunEnd(buffer, at, end) : next;
      this.dataRemaining = whole - at;
      this.walkData(Math.min(whole, end));
      return true;
    }
    if (next > end) {
      if (length > MESSAGE_BYTES_SANE) this.violation(`message length ${length}`);
      return false;
    }
    if (type === Backend.readyForQuery) {
      this.walkReady(next);
      return true;
    }
    const action = this.onMessage(type, at, next);
    this.at = next;
    if (action !== PASS) this.leaveOut(at);
    if (this.expected.headKind === Expect.synthetic) this.passSynthetics();
    return true;
  }

  /** Row or copy data up to `to`, of which `dataRemaining` bytes are still to come. */
  private walkData(to: number): void {
    const { at } = this;
    const action = this.expected.headAction;
    if (action === CAPTURE) {
      this.passRun(at);
      if (!this.sink.capturedData(this, this.buffer, at, to)) {
        this.pauseReading();
        return;
      }
    }
    this.dataRemaining -= to - at;
    this.at = to;
    if (action !== PASS) this.leaveOut(at);
  }

  /** Whoever is told of the end may lease this backend to somebody else: everything before goes out first. */
  private walkReady(next: number): void {
    const { at } = this;
    const kind = this.expected.headKind;
    if (
      (kind !== Expect.sync && kind !== Expect.query) ||
      !isReadyForQuery(this.buffer, at, next)
    ) {
      this.unexpected(Backend.readyForQuery);
      return;
    }
    this.at = next;
    if (this.expected.headAction === PASS) this.passRun(next);
    else this.leaveOut(at);
    // The client has not taken the bytes yet and they lie in our buffer: not over before it has.
    if (this.paused) this.readyHeld = true;
    else this.onReady(this.buffer[next - 1]!);
  }

  /** Bytes still to come of the row or copy data that was handed out last, before the piece now handed out. */
  get dataBytesRemaining(): number {
    return this.dataRemaining;
  }

  /** Asks for `settled` once all answers that are expected now are there; sends Flush to get them. */
  notifyWhenSettled(): void {
    this.settleWanted = true;
    this.requestFlush();
  }

  /** Passes the run that ends at `to`. */
  private passRun(to: number): void {
    const { runStart } = this;
    this.runStart = to;
    if (runStart < to && !this.sink.pass(this, this.buffer, runStart, to)) this.pauseReading();
  }

  /** The bytes from `from` to where the walk is now are not passed: the run before them goes out. */
  private leaveOut(from: number): void {
    this.passRun(from);
    this.runStart = this.at;
  }

  private passSynthetics(): void {
    this.passRun(this.at);
    while (this.expected.headKind === Expect.synthetic) {
      const payload = this.expected.popSynthetic();
      if (!this.sink.pass(this, payload, 0, payload.length)) this.pauseReading();
    }
  }

  /** Bookkeeping for one whole message that is neither data nor ReadyForQuery; answers what becomes of it. */
  private onMessage(type: number, start: number, end: number): number {
    const { expected, buffer } = this;
    const action = expected.headAction;
    const kind = expected.headKind;
    switch (type) {
      case Backend.parseComplete:
        if (kind !== Expect.parse) return this.unexpected(type);
        expected.pop();
        this.statements.parsed();
        break;
      case Backend.bindComplete:
        if (kind !== Expect.bind) return this.unexpected(type);
        expected.pop();
        this.mapped = null;
        break;
      case Backend.closeComplete:
        if (kind !== Expect.close) return this.unexpected(type);
        expected.pop();
        if (action === DROP) this.statements.closed();
        break;
      case Backend.rowDescription:
      case Backend.noData:
        if (kind === Expect.describe || kind === Expect.describeNoted) expected.pop();
        else if (kind !== Expect.query) return this.unexpected(type);
        if (this.owner.oids !== null && type === Backend.rowDescription) {
          this.mapped = mappedColumns(buffer, start, end, this.owner.oids);
          mapRowDescription(buffer, start, end, this.owner.oids);
        }
        if (kind === Expect.describeNoted) this.statements.described(type, buffer, start, end);
        break;
      case Backend.parameterDescription:
        if (this.owner.oids !== null) mapParameterDescription(buffer, start, end, this.owner.oids);
        if (kind === Expect.describeNoted) this.statements.parameters(buffer, start, end);
        break;
      case Backend.commandComplete:
      case Backend.emptyQueryResponse:
      case Backend.portalSuspended:
        if (kind === Expect.execute) expected.pop();
        else if (kind !== Expect.query) return this.unexpected(type);
        if (this.timed !== null && action === PASS) this.timed.rows += tagRows(buffer, start, end);
        break;
      case Backend.errorResponse:
        return this.onError(action, kind, start, end);
      case Backend.copyInResponse:
        this.copyingIn = true;
        if (action !== CAPTURE) this.sink.copyInStarted(this);
        break;
      case Backend.notificationResponse:
        this.sink.notified?.(this, buffer, start, end);
        break;
      case Backend.parameterStatus: {
        const status = readParameterStatus(buffer, start, end);
        if (status === null) break;
        const { name, value } = status;
        this.parameters.set(name, value);
        if (action === PASS && this.sink.hears?.(name, value) === false) return DROP;
        break;
      }
      case Backend.noticeResponse: {
        const what = lookupNotice(this.lookups, buffer, start, end);
        if (what === 'taken') return DROP;
        if (what === 'lost') return this.unexpected(type);
        break;
      }
      case Backend.copyOutResponse:
      case Backend.copyDone:
      case Backend.functionCallResponse:
        break;
      default:
        return this.unexpected(type);
    }
    if (action === CAPTURE) this.sink.captured(this, type, buffer, start, end);
    return action;
  }

  /** Answers what becomes of the error: a client that awaits answers behind one of our own Parse gets to know. */
  private onError(action: number, kind: number, start: number, end: number): number {
    const { expected } = this;
    this.copyingIn = false;
    const fields = readErrorFields(this.buffer, start, end);
    // A Bind that was cancelled, for what has failed elsewhere, says nothing of its values.
    const isCancel = fields.get('C') === QUERY_CANCELED;
    const isOwn = action === DROP && kind === Expect.parse;
    this.failedWhile = isOwn || (isCancel && kind === Expect.bind) ? 0 : kind;
    const severity = fields.get('V') ?? fields.get('S');
    if (expected.empty || severity === 'FATAL' || severity === 'PANIC') {
      // The server says why it closes the connection (57P01 and the like). It is the backend that ends, not the
      // client's session: what the client is told comes with the end of the connection.
      this.fatal = BackendError.fromServer(this.shard.name, fields);
      return DROP;
    }
    this.skipping = kind !== Expect.sync && kind !== Expect.query;
    let concerns = action;
    this.statements.skippedAnswers = 0;
    while (
      !expected.empty &&
      expected.headKind !== Expect.sync &&
      expected.headKind !== Expect.query
    ) {
      if (concerns === DROP && expected.headAction === PASS) concerns = PASS;
      this.skipReply();
    }
    const { cancelReason } = this;
    // The error gives way to another one.
    const reason = isCancel ? cancelReason : null;
    if (reason !== null) this.cancelReason = null;
    const [told, from, to] =
      reason === null ? [this.buffer, start, end] : [reason, 0, reason.length];
    this.sink.failed(this, concerns, told, from, to);
    if (concerns === CAPTURE) this.sink.captured(this, Backend.errorResponse, told, from, to);
    if (concerns !== PASS || (reason === null && this.positionOf === null)) return concerns;
    const own = reason ?? withPosition(this.buffer, start, end, this.positionOf!);
    this.passRun(start);
    if (!this.sink.pass(this, own, 0, own.length)) this.pauseReading();
    return DROP;
  }

  /** What is expected next will not be answered, as the server did not do it. */
  private skipReply(): void {
    const { expected } = this;
    if (expected.headKind === Expect.synthetic) {
      this.statements.skippedReply(expected.popSynthetic());
      return;
    }
    const ours = expected.headAction === DROP;
    this.statements.skipped(expected.pop(), ours);
  }

  private onReady(status: number): void {
    const { expected } = this;
    const action = expected.headAction;
    expected.pop();
    this.status = status;
    // What began the transaction in front of a statement is not that one's end.
    if (expected.empty) this.positionOf = null;
    this.skipping = false;
    this.cancelReason = null;
    // What is expected behind it has begun something new.
    this.unsynced = !expected.empty;
    this.sink.ready(this, status, action);
    if (this.expected.headKind !== Expect.synthetic) return;
    this.passSynthetics();
    if (expected.empty) this.unsynced = false;
  }

  private unexpected(type: number): number {
    this.violation(`unexpected message ${JSON.stringify(String.fromCharCode(type))}`);
    return DROP;
  }

  /** The server does not follow the protocol: nothing it says can be trusted any more. */
  private violation(what: string): void {
    if (this.closed) return;
    // What came before it is sound; behind `closed` the sink must hear nothing.
    this.passRun(this.at);
    this.closed = true;
    this.transport.destroy();
    this.sink.closed(this, BackendError.violation(this.shard.name, what));
  }
}

const NO_SETTINGS: ReadonlyMap<string, string> = new Map();
const NO_BYTES: Buffer = Buffer.alloc(0);
/** Shows in a server's log when a client has vanished in the middle of a pipeline. */
const NO_PORTAL = 'shardgate: the client has gone';
