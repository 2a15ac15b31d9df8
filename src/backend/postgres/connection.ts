import { assert } from '../../util/assert.js';
import type { ServerAddress } from '../../config/config.js';
import type { Shard } from '../../keyspace/topology.js';
import type { LatencyHistogram } from '../../metrics/metrics.js';
import type { SocketTransport, TransportHandler } from '../../net/transport.js';
import { readErrorFields, readParameterStatus } from '../../protocol/backend-messages.js';
import { Backend, Frontend, MESSAGE_BYTES_MAX, TxStatus } from '../../protocol/codes.js';
import { Framer, readInt32 } from '../../protocol/framing.js';
import { Writer } from '../../protocol/writer.js';
import { BackendError } from '../backend-error.js';
import {
  CAPTURE,
  DROP,
  Expect,
  ExpectedReplies,
  PASS,
  type ReplyAction,
} from './expected-replies.js';
import { cancelBackend, type BackendLogin } from './login.js';
import { writeParse, type PreparedText } from './prepared-text.js';

/** Whoever leases a backend gets its answers through this. */
export interface BackendSink {
  /** Bytes for the client, whole or partial messages. False: they are still in use, stop reading until resumed. */
  pass(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean;
  /** A message whose action is CAPTURE, whole; data rows and copy data come through `capturedData`. */
  captured(
    backend: BackendConnection,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** DataRow or CopyData bytes under CAPTURE, whole or partial. False: not taken, offer them again on resume. */
  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean;
  /** An ErrorResponse arrived, whatever its action; everything up to the next Sync is void. */
  failed(
    backend: BackendConnection,
    action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** The backend waits for copy data. */
  copyInStarted(backend: BackendConnection): void;
  /** Nothing is expected any more, though no ReadyForQuery came: `notifyWhenSettled` asked for this. */
  settled(backend: BackendConnection): void;
  /** ReadyForQuery answered a Sync or Query. */
  ready(backend: BackendConnection, status: number, action: number): void;
  /** What was written has left; `congested` turned false. */
  drained(backend: BackendConnection): void;
  /** The connection is gone; it belongs to nobody any more. */
  closed(backend: BackendConnection, error: BackendError): void;
}

/** The pool behind a backend: its sink while nobody leases it, and where it goes back to. */
export interface BackendOwner extends BackendSink {
  readonly latency: LatencyHistogram;
  readonly traffic: { bytesIn: number; bytesOut: number };
  /** Takes back a backend that is between statements, outside a transaction. */
  release(backend: BackendConnection): void;
  /** Takes back a backend in whatever state it is: cancelled, rolled back, drained. */
  abandon(backend: BackendConnection): void;
  /** Closes a backend whose state cannot be trusted. */
  discard(backend: BackendConnection): void;
  /** A leased backend broke off. */
  lost(backend: BackendConnection): void;
}

/** A message that is neither a row nor copy data and larger than this comes from no sane server. */
const MESSAGE_BYTES_SANE = 64 * 1024 * 1024;
const CANCEL_TIMEOUT_MS = 5000;

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
  /** Who lends it; a reload may have retired that pool meanwhile. */
  readonly owner: BackendOwner;
  readonly pid: number;
  readonly out = new Writer();
  readonly parameters: Map<string, string>;
  readonly createdAt = Date.now();
  sink: BackendSink;
  /** Status of the last ReadyForQuery. */
  status: number = TxStatus.idle;
  /** Session settings that differ from the connection's start, as the key of whoever set them; null: unknown. */
  settingsKey: string | null = '';
  settings: ReadonlyMap<string, string> = NO_SETTINGS;
  /** What the unnamed statement holds. */
  unnamed: PreparedText | null = null;
  idleSince = 0;
  /** Set by whoever leases it: the statement's start, for the latency metric. */
  startedAt = 0;
  private readonly transport: SocketTransport;
  private readonly address: ServerAddress;
  private readonly secret: number;
  private readonly expected = new ExpectedReplies();
  private readonly prepared = new Set<PreparedText>();
  private readonly preparedMax: number;
  /** Texts of the Parse entries that are still expected, in order. */
  private readonly parsing: PreparedText[] = [];
  private readonly framer = new Framer();
  private buffer: Buffer = NO_BYTES;
  private at = 0;
  private end = 0;
  /** Bytes of a data message that are still to come; they follow the action of the message's head. */
  private dataRemaining = 0;
  private walking = false;
  private paused = false;
  private closed = false;
  /** ReadyForQuery has been passed on and waits, with everybody's next step, for the client to read. */
  private readyHeld = false;
  private settleWanted = false;
  private cancelsInFlight = 0;
  private afterCancels: (() => void) | null = null;

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
    this.preparedMax = preparedMax;
    this.sink = owner;
    this.transport.handler = this;
  }

  /** Nothing is expected any more: between statements. */
  get quiet(): boolean {
    return this.expected.empty;
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

  /** Sends Flush, so that answers come without a Sync. */
  requestFlush(): void {
    this.out.begin(Frontend.flush).end();
  }

  knows(text: PreparedText): boolean {
    return this.prepared.has(text);
  }

  /** Marks as recently used, so that it is closed last. */
  touch(text: PreparedText): void {
    if (this.prepared.size < this.preparedMax / 2) return;
    this.prepared.delete(text);
    this.prepared.add(text);
  }

  /** Parses the text under its shared name, closing the least recently used one where there are too many. */
  parse(text: PreparedText, action: ReplyAction): void {
    if (this.prepared.size >= this.preparedMax) {
      const oldest = this.prepared.values().next().value!;
      this.prepared.delete(oldest);
      this.out.begin(Frontend.close).byte(0x53).bytes(oldest.name).byte(0).end();
      this.expect(Expect.close, DROP);
    }
    this.prepared.add(text);
    this.parsing.push(text);
    writeParse(this.out, text.name, text.parseRest);
    this.expect(Expect.parse, action);
  }

  parseUnnamed(text: PreparedText, action: ReplyAction): void {
    this.unnamed = text;
    this.parsing.push(text);
    writeParse(this.out, NO_BYTES, text.parseRest);
    this.expect(Expect.parse, action);
  }

  /** All prepared statements are gone (DEALLOCATE ALL, DISCARD ALL ran on it). */
  forgetPrepared(): void {
    this.prepared.clear();
    this.unnamed = null;
  }

  /** Sends what was written. False: the server is slow, stop feeding it until `drained`. */
  flush(): boolean {
    if (this.out.size === 0) return !this.transport.congested;
    this.owner.traffic.bytesOut += this.out.size;
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
    if (this.walking) return;
    this.walk();
    // The walk may have paused again.
    if (!this.isPaused()) this.transport.resume();
  }

  private isPaused(): boolean {
    return this.paused;
  }

  /** Cancels what runs. `whenSafe` of the pool waits until the signal can no longer hit a later statement. */
  cancel(): void {
    this.cancelsInFlight++;
    void cancelBackend(this.address, this.pid, this.secret, CANCEL_TIMEOUT_MS).then(() => {
      this.cancelsInFlight--;
      if (this.cancelsInFlight > 0) return;
      const then = this.afterCancels;
      this.afterCancels = null;
      then?.();
    });
  }

  /** Calls back at once, or when the last cancel request has been delivered. */
  whenNoCancelInFlight(then: () => void): void {
    if (this.cancelsInFlight === 0) then();
    else this.afterCancels = then;
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

  /** Walks whole messages, and data messages as far as they are there. */
  private walk(): void {
    const { buffer, end } = this;
    let at = this.at;
    let runStart = at;
    this.walking = true;
    if (this.readyHeld) {
      this.readyHeld = false;
      this.onReady(buffer[at - 1]!);
    }
    while (at < end && !this.paused && !this.closed) {
      if (this.dataRemaining > 0) {
        const take = Math.min(this.dataRemaining, end - at);
        const action = this.expected.headAction;
        if (action === CAPTURE && !this.sink.capturedData(this, buffer, at, at + take)) {
          this.pauseReading();
          break;
        }
        this.dataRemaining -= take;
        at += take;
        if (action !== PASS) runStart = at;
        continue;
      }
      if (end - at < 5) break;
      const type = buffer[at]!;
      const length = readInt32(buffer, at + 1);
      if (length < 4 || length > MESSAGE_BYTES_MAX) {
        this.violation(`message length ${length}`);
        break;
      }
      const next = at + 1 + length;
      if (type === Backend.dataRow || type === Backend.copyData) {
        // Contiguous rows are one piece for the sink; a row that is cut off passes as far as it came.
        const action = this.expected.headAction;
        if (action === PASS) {
          this.dataRemaining = Math.max(0, next - end);
          at = Math.min(next, end);
          continue;
        }
        if (action === CAPTURE) {
          const stop = this.dataRunEnd(at);
          if (!this.sink.capturedData(this, buffer, at, stop)) {
            this.dataRemaining = 0;
            this.pauseReading();
            break;
          }
          at = stop;
          runStart = at;
          continue;
        }
        this.dataRemaining = Math.max(0, next - end);
        runStart = this.passRun(runStart, at, Math.min(next, end));
        at = runStart;
        continue;
      }
      if (next > end) {
        if (length > MESSAGE_BYTES_SANE) this.violation(`message length ${length}`);
        break;
      }
      if (type === Backend.readyForQuery) {
        // Whoever is told of the end may lease this backend to somebody else: everything before goes out first.
        if (this.expected.headAction === PASS) {
          at = next;
          if (runStart < at) this.passRun(runStart, at, at);
        } else {
          at = this.passRun(runStart, at, next);
        }
        runStart = at;
        if (this.paused) {
          // The client has not taken the bytes yet and they lie in our buffer: not over before it has.
          this.readyHeld = true;
          break;
        }
        this.at = at;
        this.onReady(buffer[at - 1]!);
        continue;
      }
      const verdict = this.onMessage(type, at, next);
      if (verdict !== PASS) runStart = this.passRun(runStart, at, next);
      at = next;
      if (this.expected.headKind === Expect.synthetic) {
        runStart = this.passRun(runStart, at, at);
        this.passSynthetics();
      }
    }
    this.walking = false;
    if (this.closed) return;
    if (runStart < at) this.passRun(runStart, at, at);
    this.at = at;
    if (at < end && !this.paused) this.keepRest(at, end);
    if (this.settleWanted && this.expected.empty && !this.paused) {
      this.settleWanted = false;
      this.sink.settled(this);
    }
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

  private keepRest(at: number, end: number): void {
    this.framer.keep(this.buffer, at, end);
    this.at = end;
  }

  /** Passes `[from, to)`; answers where the next run starts. */
  private passRun(from: number, to: number, next: number): number {
    if (from < to && !this.sink.pass(this, this.buffer, from, to)) this.pauseReading();
    return next;
  }

  /** End of the contiguous data messages at `at`; sets `dataRemaining` where the last one is cut off. */
  private dataRunEnd(at: number): number {
    const { buffer, end } = this;
    let stop = at;
    while (end - stop >= 5) {
      const type = buffer[stop]!;
      if (type !== Backend.dataRow && type !== Backend.copyData) return stop;
      const length = readInt32(buffer, stop + 1);
      if (length < 4 || length > MESSAGE_BYTES_MAX) return stop;
      const next = stop + 1 + length;
      if (next > end) {
        this.dataRemaining = next - end;
        return end;
      }
      stop = next;
    }
    return stop;
  }

  private passSynthetics(): void {
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
        this.parsing.shift()!.validated = true;
        break;
      case Backend.bindComplete:
        if (kind !== Expect.bind) return this.unexpected(type);
        expected.pop();
        break;
      case Backend.closeComplete:
        if (kind !== Expect.close) return this.unexpected(type);
        expected.pop();
        break;
      case Backend.rowDescription:
      case Backend.noData:
        if (kind === Expect.describePortal || kind === Expect.describeStatement) expected.pop();
        else if (kind !== Expect.query) return this.unexpected(type);
        break;
      case Backend.commandComplete:
      case Backend.emptyQueryResponse:
      case Backend.portalSuspended:
        if (kind === Expect.execute) expected.pop();
        else if (kind !== Expect.query) return this.unexpected(type);
        break;
      case Backend.errorResponse:
        this.onError(action, start, end);
        break;
      case Backend.copyInResponse:
        this.copyingIn = true;
        if (action !== CAPTURE) this.sink.copyInStarted(this);
        break;
      case Backend.parameterStatus: {
        const status = readParameterStatus(buffer, start, end);
        if (status !== null) this.parameters.set(status.name, status.value);
        break;
      }
      case Backend.noticeResponse:
      case Backend.notificationResponse:
      case Backend.copyOutResponse:
      case Backend.copyDone:
      case Backend.parameterDescription:
      case Backend.functionCallResponse:
        break;
      default:
        return this.unexpected(type);
    }
    if (action === CAPTURE) this.sink.captured(this, type, buffer, start, end);
    return action;
  }

  private onError(action: number, start: number, end: number): void {
    const { expected } = this;
    this.copyingIn = false;
    if (expected.empty) {
      // Unasked: the server says why it will close the connection (57P01 and the like).
      const fields = readErrorFields(this.buffer, start, end);
      this.fatal = new BackendError(
        this.shard.name,
        'connection_failure',
        fields.get('M') ?? 'the server closed the connection',
        fields,
      );
      return;
    }
    while (
      !expected.empty &&
      expected.headKind !== Expect.sync &&
      expected.headKind !== Expect.query
    ) {
      if (expected.headKind === Expect.synthetic) expected.popSynthetic();
      else if (expected.pop() === Expect.parse) {
        const text = this.parsing.shift()!;
        this.prepared.delete(text);
        if (this.unnamed === text) this.unnamed = null;
      }
    }
    this.sink.failed(this, action, this.buffer, start, end);
  }

  private onReady(status: number): void {
    const { expected } = this;
    const action = expected.headAction;
    const kind = expected.headKind;
    if (kind !== Expect.sync && kind !== Expect.query) {
      this.unexpected(Backend.readyForQuery);
      return;
    }
    expected.pop();
    this.status = status;
    // A simple query destroys the unnamed statement.
    if (kind === Expect.query) this.unnamed = null;
    this.sink.ready(this, status, action);
    if (this.expected.headKind === Expect.synthetic) this.passSynthetics();
  }

  private unexpected(type: number): number {
    this.violation(`unexpected message ${JSON.stringify(String.fromCharCode(type))}`);
    return DROP;
  }

  /** The server does not follow the protocol: nothing it says can be trusted any more. */
  private violation(what: string): void {
    if (this.closed) return;
    this.closed = true;
    this.transport.destroy();
    const error = new BackendError(
      this.shard.name,
      'connection_failure',
      `protocol violation: ${what}`,
    );
    this.sink.closed(this, error);
  }
}

const NO_SETTINGS: ReadonlyMap<string, string> = new Map();
const NO_BYTES: Buffer = Buffer.alloc(0);
