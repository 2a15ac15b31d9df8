import { performance } from 'node:perf_hooks';
import type { Transport } from '../net/transport.js';
import { Frontend, MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX } from '../protocol/codes.js';
import { Framer, readInt32 } from '../protocol/framing.js';
import { assert } from '../util/assert.js';

/** Where the bytes of a COPY FROM STDIN go. */
export interface CopyTarget {
  /** True: `data` wants CopyData messages as they are; false: their payload only. */
  readonly raw: boolean;
  /** Bytes, whole messages or pieces of one; raw ones stay in use while the handler is `congested`. */
  data(buffer: Buffer, start: number, end: number): void;
  done(): void;
  /** The client's CopyFail. */
  fail(message: Buffer, start: number, end: number): void;
  /** The protocol was broken off: the COPY must not succeed. */
  abort(): void;
  /** Context of errors that end it (field W), where the proxy knows the line. */
  where(): string | undefined;
  /** The COPY has failed; `missing` bytes of the message that was handed on last are not to come any more. */
  cutOff(missing: number): void;
}

/** Whoever handles the messages of a client. */
export interface InputHandler {
  /** True while the next message must wait. */
  readonly busy: boolean;
  readonly over: boolean;
  /** A backend has not taken yet what it was sent: nothing more is for it to come. `pump` is called when it has. */
  readonly congested: boolean;
  readonly messageBytesMax: number;
  readonly copyTarget: CopyTarget | null;
  /** A whole message. False: it must wait, which made `busy` true; it is handed out again afterwards. */
  onMessage(type: number, buffer: Buffer, start: number, end: number): boolean;
  /** A piece of copy data for `copyTarget`. */
  onCopyData(buffer: Buffer, start: number, end: number): void;
  /** Everything that came has been handled. */
  onInputEnd(): void;
  /** The pump has stopped: what it caused to be written is due. */
  onPumped(): void;
  /** A message that cannot be one: where the next begins is not known. */
  onOutOfSync(): void;
  /** A message larger than `messageBytesMax`. */
  onTooLarge(bytes: number): void;
}

/**
 * The bytes of one client, cut into messages and handed out strictly in order, one at a time. While the handler is
 * busy nothing is handed out, and when more has come than that the socket is not read: the bytes stay where they are.
 *
 *   socket -> | Q...... | P B D E S |  pump: Q -> busy ... pump: P B D E S -> busy ...
 */
export class ClientInput {
  private readonly handler: InputHandler;
  private readonly transport: Transport;
  private readonly framer = new Framer();
  private buffer: Buffer = NO_BYTES;
  private at = 0;
  private end = 0;
  /** The chunk behind a large message that was assembled apart. */
  private rest: { readonly buffer: Buffer; readonly at: number; readonly end: number } | null =
    null;
  /** Bytes of copy data still to come. */
  private copyRemaining = 0;
  private pumping = false;
  private paused = false;
  /** The next message waits until all others have had a turn of the event loop. */
  private yielding = false;

  constructor(handler: InputHandler, transport: Transport) {
    this.handler = handler;
    this.transport = transport;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const from = this.framer.join(buffer, start);
    if (from < 0) {
      const taken = this.framer.assemble(buffer, start, end, 5);
      const whole = this.framer.complete(5);
      if (whole === null) return;
      this.rest = { buffer, at: start + taken, end };
      this.set(whole, 0, whole.length);
    } else {
      this.set(buffer, from, end);
    }
    this.pump();
  }

  /** Hands out messages while nothing must be waited for. */
  pump(): void {
    const { handler } = this;
    if (this.pumping || handler.over) return;
    this.pumping = true;
    let handled = 0;
    let began = 0;
    try {
      while (!this.blocked()) {
        if (this.at < this.end) {
          if (!this.step()) break;
          if (++handled % MESSAGES_A_LOOK === 0) {
            const now = performance.now();
            if (began === 0) began = now;
            else if (now - began > TURN_MS) this.yield();
          }
        } else if (this.rest !== null) {
          const { buffer, at, end } = this.rest;
          this.rest = null;
          this.set(buffer, at, end);
        } else {
          handler.onInputEnd();
          break;
        }
      }
    } finally {
      this.pumping = false;
    }
    if (handler.over) return;
    handler.onPumped();
    if (!this.blocked()) {
      if (this.paused) this.resume();
    } else if (this.at < this.end || this.rest !== null || this.mustNotRead()) this.pause();
  }

  /** Messages are handed out before everything that waits. They were its own, or what of them has no answer yet. */
  replay(messages: Buffer): void {
    if (this.at < this.end) {
      assert(this.rest === null, 'two chunks wait');
      this.rest = { buffer: this.buffer, at: this.at, end: this.end };
    }
    this.set(messages, 0, messages.length);
  }

  /**
   * Whether what `replay` would get could be handed out again, and where a pipeline ends that goes on at `at` with
   * Execute and Sync for the unnamed portal, maybe Describe before them, and then with nothing more; -1: it is none.
   */
  endOfPipeline(buffer: Buffer, at: number): number {
    const { end } = this;
    if (this.rest !== null || buffer !== this.buffer) return -1;
    let from = at;
    if (end - from === DESCRIBE.length + EXECUTE.length + SYNC.length) {
      if (!startsWith(buffer, from, DESCRIBE)) return -1;
      from += DESCRIBE.length;
    } else if (end - from !== EXECUTE.length + SYNC.length) return -1;
    if (!startsWith(buffer, from, EXECUTE)) return -1;
    return startsWith(buffer, from + EXECUTE.length, SYNC) ? end : -1;
  }

  /** Terminate is the last of the messages that wait, and no copy data is awaited in front of it. */
  get endsWithTerminate(): boolean {
    if (this.handler.copyTarget !== null) return false;
    const ahead = this.transport.aheadEndsWith(TERMINATE);
    if (ahead !== null) return ahead;
    const { buffer, at, end } = this.rest ?? { buffer: this.buffer, at: this.at, end: this.end };
    const from = end - TERMINATE.length;
    return from >= at && TERMINATE.equals(buffer.subarray(from, end));
  }

  /** Bytes of the copy data message that is being handed on which have not come yet. */
  get copyBytesMissing(): number {
    return this.copyRemaining;
  }

  /** A client that does not read its answers gets no more of them, and a slow backend no more to do: messages wait. */
  private blocked(): boolean {
    const { handler } = this;
    if (handler.busy || handler.over || handler.congested || this.transport.congested) return true;
    return this.yielding;
  }

  /** Messages that wait for nothing, such as a flood of Parse, would keep the event loop to one client. */
  private yield(): void {
    this.yielding = true;
    setImmediate(() => {
      this.yielding = false;
      this.pump();
    });
  }

  /** The next read would bring more than can be taken, or overwrite copy data that a backend has not taken yet. */
  private mustNotRead(): boolean {
    const { handler } = this;
    return this.transport.congested || (handler.congested && handler.copyTarget !== null);
  }

  private pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.transport.pause();
  }

  private resume(): void {
    this.paused = false;
    this.transport.resume();
  }

  private set(buffer: Buffer, at: number, end: number): void {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  /** Handles the message at `at`; false: it is not whole yet, or must wait. */
  private step(): boolean {
    const { buffer, at, end, handler } = this;
    if (this.copyRemaining > 0) return this.copyPiece(at, Math.min(end, at + this.copyRemaining));
    const type = buffer[at]!;
    if (end - at < 5)
      return isFrontend(type) ? this.keepRest() : handler.onMessage(type, buffer, at, end);
    const length = readInt32(buffer, at + 1);
    if (length < 4 || (length > SMALL_MESSAGE_BYTES_MAX && length > bytesMaxOf(type))) {
      if (!isFrontend(type)) return handler.onMessage(type, buffer, at, end);
      handler.onOutOfSync();
      return false;
    }
    const next = at + 1 + length;
    if (type === Frontend.copyData) return this.startCopyData(at, next);
    if (next > end) {
      // What is no message is not waited for.
      if (!isFrontend(type)) return handler.onMessage(type, buffer, at, end);
      if (length > handler.messageBytesMax) {
        handler.onTooLarge(length);
        return false;
      }
      return this.keepRest();
    }
    this.at = next;
    if (handler.onMessage(type, buffer, at, next)) return true;
    assert(handler.busy || handler.over, 'a message waits for nothing');
    this.at = at;
    return false;
  }

  private keepRest(): boolean {
    this.framer.keep(this.buffer, this.at, this.end);
    this.at = this.end;
    return false;
  }

  /** CopyData may be a gigabyte: it is handed on in pieces. */
  private startCopyData(at: number, next: number): boolean {
    const { end } = this;
    if (this.handler.copyTarget?.raw === true) {
      // A run of whole messages is one write.
      let stop = next;
      while (end - stop >= 5 && this.buffer[stop] === Frontend.copyData) {
        const length = readInt32(this.buffer, stop + 1);
        if (length < 4 || length > MESSAGE_BYTES_MAX) break;
        stop += 1 + length;
      }
      this.copyRemaining = stop - at;
      return this.copyPiece(at, Math.min(stop, end));
    }
    this.copyRemaining = next - at - 5;
    this.at = at + 5;
    if (this.copyRemaining === 0 || this.at === end) return true;
    return this.copyPiece(this.at, Math.min(next, end));
  }

  private copyPiece(from: number, to: number): boolean {
    this.copyRemaining -= to - from;
    this.at = to;
    // Without a target this is left over from a COPY that has failed.
    if (this.handler.copyTarget !== null) this.handler.onCopyData(this.buffer, from, to);
    return true;
  }
}

/** How long the messages of one client are handled without a break; some ten texts are planned in that time. */
const TURN_MS = 5;
/** The clock is looked at for so many messages. */
const MESSAGES_A_LOOK = 16;

const TYPES: ReadonlySet<number> = new Set(Object.values(Frontend));

function isFrontend(type: number): boolean {
  return TYPES.has(type);
}

/** Those that hold what may be as large as a client likes. */
const LARGE: ReadonlySet<number> = new Set([
  Frontend.query,
  Frontend.parse,
  Frontend.bind,
  Frontend.functionCall,
  Frontend.copyData,
]);

/** The largest length that PostgreSQL takes for one of a message; larger ones are no messages to it. */
function bytesMaxOf(type: number): number {
  return LARGE.has(type) ? MESSAGE_BYTES_MAX : SMALL_MESSAGE_BYTES_MAX;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
/** Whole messages; portals are unnamed, and all rows are asked for. */
const TERMINATE = Buffer.from([Frontend.terminate, 0, 0, 0, 4]);
const DESCRIBE = Buffer.from([Frontend.describe, 0, 0, 0, 6, 0x50, 0]);
const EXECUTE = Buffer.from([Frontend.execute, 0, 0, 0, 9, 0, 0, 0, 0, 0]);
const SYNC = Buffer.from([Frontend.sync, 0, 0, 0, 4]);

function startsWith(buffer: Buffer, at: number, bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (buffer[at + i] !== bytes[i]) return false;
  return true;
}
