import { readInt32, readUint16 } from '../../protocol/framing.js';
import { assert } from '../../util/assert.js';
import { HEADER_BYTES } from './binary-rows.js';

/** Gets wire bytes for the client. A buffer that is not the one pushed is the receiver's to keep. */
type Emit = (buffer: Buffer, start: number, end: number) => void;

/** Type byte and length. */
const FRAME_BYTES = 5;
const TRAILER_BYTES = 2;
const TRAILER = 0xffff;
/** As much of a message as decides on it: up to a trailer directly behind the header, where there are no rows. */
const HEAD_BYTES_MAX = FRAME_BYTES + HEADER_BYTES + TRAILER_BYTES;

/**
 * Joins the COPY TO STDOUT streams of several shards, taken one after the other: one header line, or one binary header
 * and trailer. All PostgreSQL versions send a header line as a CopyData message of its own, the binary header in one
 * message with the first tuple, and the trailer as the last message, or behind the header where there are no tuples.
 *
 *   shard 0: | header+tuple | tuple | trailer |     ->  | header+tuple | tuple |
 *   shard 1: | header+trailer |                     ->
 *   shard 2: | header+tuple | tuple | trailer |     ->  | tuple | tuple | trailer |
 */
export class CopyConcat {
  private readonly binary: boolean;
  private readonly header: boolean;
  private readonly last: number;
  private position = 0;
  /** The next message is the first of its shard. */
  private firstMessage = true;
  /** The beginning of a message that is not decided on. */
  private readonly head = Buffer.alloc(HEAD_BYTES_MAX);
  private headLength = 0;
  /** Bytes to come of a message that is decided on: they pass, or are dropped. */
  private remaining = 0;
  private dropping = false;

  /** `header`: the streams begin with a header line; binary ones always have their header. */
  constructor(format: 'text' | 'csv' | 'binary', header: boolean, shardCount: number) {
    this.binary = format === 'binary';
    this.header = header;
    this.last = shardCount - 1;
  }

  /**
   * Takes wire bytes of the shard at `position`, cut anywhere, frames of CopyData only. Positions must come in order,
   * each shard's stream whole.
   */
  push(position: number, buffer: Buffer, start: number, end: number, emit: Emit): void {
    if (position !== this.position) {
      this.position = position;
      this.firstMessage = true;
    }
    let at = start;
    let passStart = start;
    while (at < end) {
      if (this.remaining > 0) {
        const step = Math.min(this.remaining, end - at);
        this.remaining -= step;
        at += step;
        if (this.dropping) passStart = at;
      } else if (this.passesUnseen()) {
        at = end;
      } else if (this.isPlain(buffer, at, end)) {
        this.dropping = false;
        this.remaining = FRAME_BYTES + payloadOf(buffer, at);
      } else {
        if (at > passStart) emit(buffer, passStart, at);
        at = this.collect(buffer, at, end, emit);
        passStart = at;
      }
    }
    if (end > passStart) emit(buffer, passStart, end);
  }

  /** Nothing that this shard still sends is changed. */
  private passesUnseen(): boolean {
    const { position, firstMessage } = this;
    if (!this.binary) return !this.header || position === 0 || !firstMessage;
    return position === this.last && (position === 0 || !firstMessage);
  }

  /** The message at `at` passes as it is, and this can be seen within the chunk. */
  private isPlain(buffer: Buffer, at: number, end: number): boolean {
    if (this.headLength > 0 || this.firstMessage || end - at < FRAME_BYTES) return false;
    return payloadOf(buffer, at) !== TRAILER_BYTES;
  }

  /** Adds to the head, decides when it is whole; answers where to go on. */
  private collect(buffer: Buffer, start: number, end: number, emit: Emit): number {
    const { head } = this;
    let at = start;
    let wanted = this.headBytesWanted();
    while (this.headLength < wanted && at < end) {
      const step = Math.min(wanted - this.headLength, end - at);
      buffer.copy(head, this.headLength, at, at + step);
      this.headLength += step;
      at += step;
      wanted = this.headBytesWanted();
    }
    if (this.headLength === wanted) this.decide(emit);
    return at;
  }

  private headBytesWanted(): number {
    if (this.headLength < FRAME_BYTES || !this.binary) return FRAME_BYTES;
    const payload = payloadOf(this.head, 0);
    if (this.firstMessage) return Math.min(FRAME_BYTES + payload, HEAD_BYTES_MAX);
    return FRAME_BYTES + (payload === TRAILER_BYTES ? TRAILER_BYTES : 0);
  }

  private decide(emit: Emit): void {
    const { head, headLength, position, firstMessage } = this;
    const rest = FRAME_BYTES + payloadOf(head, 0) - headLength;
    this.headLength = 0;
    this.firstMessage = false;
    this.remaining = rest;
    // A header line of a later shard.
    this.dropping = !this.binary && firstMessage && position > 0;
    if (this.dropping) return;
    let from = FRAME_BYTES;
    let to = headLength;
    if (this.binary) {
      const body = firstMessage ? FRAME_BYTES + HEADER_BYTES : FRAME_BYTES;
      assert(headLength >= body, 'a binary COPY stream begins with its header');
      if (firstMessage && position > 0) from = body;
      const trailer = rest === 0 && headLength === body + TRAILER_BYTES;
      if (trailer && readUint16(head, body) === TRAILER && position < this.last) to = body;
      if (from === to && rest === 0) return;
    }
    const out = Buffer.allocUnsafe(FRAME_BYTES + to - from);
    head.copy(out, 0, 0, 1);
    out.writeInt32BE(4 + to - from + rest, 1);
    head.copy(out, FRAME_BYTES, from, to);
    emit(out, 0, out.length);
  }
}

function payloadOf(buffer: Buffer, at: number): number {
  return readInt32(buffer, at + 1) - 4;
}
