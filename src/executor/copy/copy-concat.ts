import { readInt32, readUint16 } from '../../protocol/framing.js';
import { HEADER_BYTES } from './binary-rows.js';

type Emit = (buffer: Buffer, start: number, end: number) => void;

/** Type byte and length. */
const FRAME_BYTES = 5;
const TRAILER = 0xffff;

/**
 * Joins the COPY TO STDOUT streams of several shards, taken one after the other: one header line, or one binary header
 * and trailer. Postgres sends a header line as a CopyData message of its own, the binary header in front of the first
 * tuple (or of the trailer) in one message, and the trailer in the last.
 */
export class CopyConcat {
  private readonly binary: boolean;
  private readonly header: boolean;
  private readonly last: number;
  private position = 0;
  private firstMessage = true;
  /** The beginning of a message that decides what becomes of it. */
  private head: Buffer = Buffer.alloc(0);
  private remaining = 0;
  private dropping = false;

  constructor(format: 'text' | 'csv' | 'binary', header: boolean, shardCount: number) {
    this.binary = format === 'binary';
    this.header = header;
    this.last = shardCount - 1;
  }

  /** Takes wire bytes of the shard at `position`, cut anywhere; hands out wire bytes for the client. */
  push(position: number, buffer: Buffer, start: number, end: number, emit: Emit): void {
    if (!this.binary && !this.header) {
      emit(buffer, start, end);
      return;
    }
    if (position !== this.position) {
      this.position = position;
      this.firstMessage = true;
    }
    let at = start;
    while (at < end) {
      if (this.remaining > 0) {
        const take = Math.min(this.remaining, end - at);
        if (!this.dropping) emit(buffer, at, at + take);
        this.remaining -= take;
        at += take;
        continue;
      }
      const take = Math.min(end - at, this.headBytes() - this.head.length);
      this.head = Buffer.concat([this.head, buffer.subarray(at, at + take)]);
      at += take;
      if (this.head.length === this.headBytes()) this.decide(emit);
    }
  }

  /** How much of a message must be seen to decide on it. */
  private headBytes(): number {
    if (this.head.length < FRAME_BYTES) return FRAME_BYTES;
    const payload = readInt32(this.head, 1) - 4;
    if (!this.binary) return FRAME_BYTES;
    if (this.firstMessage) return FRAME_BYTES + Math.min(payload, HEADER_BYTES + 2);
    return FRAME_BYTES + (payload === 2 ? 2 : 0);
  }

  private decide(emit: Emit): void {
    const { head, firstMessage, position } = this;
    const payload = readInt32(head, 1) - 4;
    this.head = Buffer.alloc(0);
    this.firstMessage = false;
    this.remaining = FRAME_BYTES + payload - head.length;
    this.dropping = false;
    if (!this.binary) {
      this.dropping = firstMessage && position > 0;
      if (!this.dropping) emit(head, 0, head.length);
      return;
    }
    let from = FRAME_BYTES;
    let to = head.length;
    if (firstMessage && position > 0) from += HEADER_BYTES;
    const body = firstMessage ? FRAME_BYTES + HEADER_BYTES : FRAME_BYTES;
    const isTrailer = payload === body - FRAME_BYTES + 2 && readUint16(head, body) === TRAILER;
    if (isTrailer && position < this.last) to -= 2;
    if (from === to && this.remaining === 0) return;
    const out = Buffer.concat([head.subarray(0, FRAME_BYTES), head.subarray(from, to)]);
    out.writeInt32BE(out.length - 1 + this.remaining, 1);
    emit(out, 0, out.length);
  }
}
