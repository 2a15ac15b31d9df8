import { Backend, MESSAGE_BYTES_MAX, TxStatus } from './codes.js';

/** Big-endian signed 32 bits at `at`. */
export function readInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** Big-endian unsigned 16 bits at `at`. */
export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Index behind the zero byte that ends the string at `start`; -1 where none stands before `end`. */
export function afterCString(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === 0) return at + 1;
  return -1;
}

/** More than any read brings: a message of this size was assembled in a buffer of its own. */
const OWN_BYTES_MIN = 1024 * 1024;

/** A part of a message that is kept: a copy, but of what is so large that the message has a buffer of its own. */
export function keptPart(message: Buffer, start: number, end: number): Buffer {
  const part = message.subarray(start, end);
  return part.length >= OWN_BYTES_MIN ? part : Buffer.from(part);
}

/** Whether `buffer[start, end)` holds these bytes. */
export function equalBytes(bytes: Uint8Array, buffer: Buffer, start: number, end: number): boolean {
  const { length } = bytes;
  if (end - start !== length) return false;
  // A call out of JavaScript costs as much as some hundred bytes here.
  if (length > 256) return buffer.compare(bytes, 0, length, start, end) === 0;
  for (let i = 0; i < length; i++) if (bytes[i] !== buffer[start + i]) return false;
  return true;
}

/**
 * Keeps the cut-off tail of a stream of messages between two chunks. Small tails are copied in front of the next
 * chunk, so that every message is contiguous; a message that does not fit there is assembled in a buffer of its own
 * that grows with the bytes that really came, never with the length that the peer claims: it gets its full size when a
 * quarter of it is there.
 *
 *   chunk 1: | Q........ | Q....      tail = "Q...."
 *   chunk 2:      headroom| ....| Q   ->  "Q...." + "...." is one message again
 */
export class Framer {
  /** Assembly of one large message; `assembled` bytes of it are there. */
  private large: Buffer | null = null;
  private assembled = 0;
  private tail: Buffer = EMPTY;

  get empty(): boolean {
    return this.large === null && this.tail.length === 0;
  }

  get heldBytes(): number {
    return this.large === null ? this.tail.length : this.large.length;
  }

  /** Keeps `[start, end)`, the beginning of a message whose rest is still to come. */
  keep(buffer: Uint8Array, start: number, end: number): void {
    this.tail = Buffer.from(buffer.subarray(start, end));
  }

  /**
   * Puts the kept tail in front of the chunk. Answers where the bytes start now, or -1: the tail does not fit the
   * headroom, so `assemble` must be called instead.
   */
  join(buffer: Uint8Array, start: number): number {
    const { tail } = this;
    if (this.large !== null || tail.length > start) return -1;
    if (tail.length === 0) return start;
    buffer.set(tail, start - tail.length);
    this.tail = EMPTY;
    return start - tail.length;
  }

  /**
   * Adds chunk bytes to the large message until it is whole; `headerBytes` is 5, or 4 for a message without type.
   * Answers how many bytes were taken; `complete()` then tells whether the message is there.
   */
  assemble(buffer: Uint8Array, start: number, end: number, headerBytes: number): number {
    if (this.large === null) {
      this.large = Buffer.allocUnsafeSlow(Math.max(this.tail.length * 2, 64));
      this.large.set(this.tail);
      this.assembled = this.tail.length;
      this.tail = EMPTY;
    }
    let taken = 0;
    while (start + taken < end && this.missing(headerBytes) > 0) {
      const missing = this.missing(headerBytes);
      const step = Math.min(missing, end - start - taken);
      this.grow(this.assembled + step, this.assembled + missing);
      this.large.set(buffer.subarray(start + taken, start + taken + step), this.assembled);
      this.assembled += step;
      taken += step;
    }
    return taken;
  }

  /** The whole large message, no longer kept here; null while bytes are missing. */
  complete(headerBytes: number): Buffer | null {
    if (this.large === null || this.missing(headerBytes) > 0) return null;
    const message = this.large.subarray(0, this.assembled);
    this.large = null;
    this.assembled = 0;
    return message;
  }

  private missing(headerBytes: number): number {
    if (this.large === null) return 0;
    if (this.assembled < headerBytes) return headerBytes - this.assembled;
    const length = readInt32(this.large, headerBytes - 4);
    return Math.min(length, MESSAGE_BYTES_MAX) + headerBytes - 4 - this.assembled;
  }

  /** `whole`: what the header claims, or the header's own size. */
  private grow(needed: number, whole: number): void {
    if (this.large === null || needed <= this.large.length) return;
    const doubled = Math.max(needed, this.large.length * 2);
    const grown = Buffer.allocUnsafeSlow(needed * 4 >= whole ? Math.max(needed, whole) : doubled);
    grown.set(this.large.subarray(0, this.assembled));
    this.large = grown;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);

/** Whether a ReadyForQuery message has one status byte, of those that there are. */
export function isReadyForQuery(buffer: Buffer, start: number, end: number): boolean {
  const status = buffer[start + 5];
  const { idle, inTransaction, failed } = TxStatus;
  return end - start === 6 && (status === idle || status === inTransaction || status === failed);
}

/** End of the contiguous row or copy data messages at `at`, which may lie behind `end`, where the bytes end. */
export function dataRunEnd(buffer: Uint8Array, at: number, end: number): number {
  let stop = at;
  while (end - stop >= 5) {
    const type = buffer[stop]!;
    if (type !== Backend.dataRow && type !== Backend.copyData) break;
    const length = readInt32(buffer, stop + 1);
    if (length < 4 || length > MESSAGE_BYTES_MAX) break;
    stop += 1 + length;
  }
  return stop;
}

/** The number of rows at the end of a CommandComplete message's tag (`INSERT 0 5`); 0: it tells none. */
export function tagRows(buffer: Uint8Array, start: number, end: number): number {
  let rows = 0;
  let unit = 1;
  // In front of the zero byte.
  for (let i = end - 2; i > start + 4; i--) {
    const digit = buffer[i]! - 0x30;
    if (digit < 0 || digit > 9) break;
    rows += digit * unit;
    unit *= 10;
  }
  return rows;
}
