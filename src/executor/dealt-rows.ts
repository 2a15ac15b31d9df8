import { Frontend } from '../protocol/codes.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { COPY_HEADER } from './gather-feed.js';
import type { GatherRows } from './gather-rows.js';

/** Type byte, length, and the number of columns. */
const HEAD_BYTES = 7;
/** The last column: its length, and an int4. */
const PLACE_BYTES = 8;
/** A CopyData message's type byte and length. */
const DATA_HEAD_BYTES = 5;
/** One write each. Buffers that grow would be copied, and make the garbage collector run. */
const CHUNK_BYTES = 64 * 1024;
/** The end of the rows, and that of the COPY. */
const END = Buffer.from([Frontend.copyData, 0, 0, 0, 6, 0xff, 0xff, Frontend.copyDone, 0, 0, 0, 4]);

/**
 * Rows of one input, in binary, whose last column says where each goes: they are kept without it, by
 * place, as the data of a binary COPY. Each message has as many as fit, since the server takes few
 * large ones in half the time of many small ones.
 *
 *   shard:     | D len n | fields | 4 place | D len n | fields | 4 place |
 *   to place:  | d len | n-1 | fields | n-1 | fields | ... |
 */
export class DealtRows {
  rowCount = 0;
  private readonly places: readonly CopyChunks[];

  /** @param places how many there are */
  constructor(places: number) {
    this.places = Array.from({ length: places }, () => new CopyChunks());
  }

  /**
   * Adds a piece of a shard's rows: the rest of a row, or rows of which the last may be cut off.
   * @param open keeps what is cut off, one for each shard
   */
  push(open: GatherRows, buffer: Buffer, start: number, end: number): void {
    let at = start;
    if (open.missing > 0) {
      open.push(buffer, start, end);
      if (open.missing > 0) return;
      const row = open.content();
      this.add(row, 0, row.length);
      open.clear();
      at = end;
    }
    while (at < end) {
      const next = at + 1 + readInt32(buffer, at + 1);
      if (next > end) {
        open.push(buffer, at, end);
        return;
      }
      this.add(buffer, at, next);
      at = next;
    }
  }

  /** Adds the row whose message goes from `start` to `end`. */
  private add(buffer: Buffer, start: number, end: number): void {
    const columns = readUint16(buffer, start + HEAD_BYTES - 2);
    const place = this.places[readInt32(buffer, end - 4)]!;
    place.row(columns - 1, buffer, start + HEAD_BYTES, end - PLACE_BYTES);
    this.rowCount++;
  }

  /** The data of a COPY of the rows with this place, to its end. */
  content(place: number): readonly Buffer[] {
    return [...this.places[place]!.take(), END];
  }
}

/** Rows in CopyData messages, which are written one after the other. */
class CopyChunks {
  private readonly full: Buffer[] = [];
  private chunk: Buffer;
  private length = DATA_HEAD_BYTES;

  constructor() {
    this.chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.chunk.set(COPY_HEADER, this.length);
    this.length += COPY_HEADER.length;
  }

  row(columns: number, source: Buffer, start: number, end: number): void {
    const bytes = 2 + end - start;
    if (this.length + bytes > this.chunk.length) this.begin(bytes);
    const { chunk } = this;
    let to = this.length;
    chunk[to++] = columns >>> 8;
    chunk[to++] = columns & 255;
    if (bytes > 128) source.copy(chunk, to, start, end);
    // A call out of JavaScript costs more than these.
    else for (let from = start; from < end; from++) chunk[to++] = source[from]!;
    this.length += bytes;
  }

  take(): readonly Buffer[] {
    this.finish();
    return this.full;
  }

  private begin(rowBytes: number): void {
    this.finish();
    this.chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, DATA_HEAD_BYTES + rowBytes));
    this.length = DATA_HEAD_BYTES;
  }

  private finish(): void {
    this.chunk[0] = Frontend.copyData;
    this.chunk.writeInt32BE(this.length - 1, 1);
    this.full.push(this.chunk.subarray(0, this.length));
  }
}
