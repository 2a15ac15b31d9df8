import type { BackendConnection } from '../backend/postgres/connection.js';
import { Frontend } from '../protocol/codes.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';
import { COPY_HEADER } from './gather-feed.js';

/** Type byte and length. */
const HEAD_BYTES = 5;
/** The last column: its length, and an int4. */
const PLACE_BYTES = 8;

/**
 * Rows of one input, in binary, whose last column says where each goes: they are kept without it, by
 * place, as the data of a binary COPY.
 *
 *   shard:     | D len n | fields | 4 place |
 *   to place:  | d len-8 n-1 | fields |
 */
export class DealtRows {
  rowCount = 0;
  private readonly places: readonly Writer[];
  /** The beginnings of rows that were cut off, by who sends them. */
  private readonly open = new Map<BackendConnection, Buffer>();

  /** @param places how many there are */
  constructor(places: number) {
    this.places = Array.from({ length: places }, () => {
      return new Writer().begin(Frontend.copyData).bytes(COPY_HEADER).end();
    });
  }

  /** Adds a piece of a backend's rows, of whatever size. */
  push(backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const begun = this.open.get(backend);
    if (begun === undefined) {
      this.keep(backend, buffer, this.rows(buffer, start, end), end);
      return;
    }
    // As much as completes the row, or its head, which tells how much that is.
    const size = begun.length < HEAD_BYTES ? HEAD_BYTES : 1 + readInt32(begun, 1);
    const next = Math.min(end, start + size - begun.length);
    const row = Buffer.concat([begun, buffer.subarray(start, next)]);
    this.open.delete(backend);
    this.keep(backend, row, this.rows(row, 0, row.length), row.length);
    if (next < end) this.push(backend, buffer, next, end);
  }

  /** The data of a COPY of the rows with this place, to its end. */
  content(place: number): Buffer {
    const writer = this.places[place]!;
    writer.begin(Frontend.copyData).int16(-1).end();
    return writer.begin(Frontend.copyDone).end().view();
  }

  private keep(backend: BackendConnection, buffer: Buffer, at: number, end: number): void {
    if (at < end) this.open.set(backend, Buffer.from(buffer.subarray(at, end)));
  }

  /** Takes the whole rows; answers where one begins that is cut off. */
  private rows(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at + HEAD_BYTES <= end) {
      const next = at + 1 + readInt32(buffer, at + 1);
      if (next > end) break;
      const fields = next - PLACE_BYTES;
      this.places[readInt32(buffer, next - 4)]!.begin(Frontend.copyData)
        .int16(readUint16(buffer, at + HEAD_BYTES) - 1)
        .bytes(buffer, at + HEAD_BYTES + 2, fields)
        .end();
      this.rowCount++;
      at = next;
    }
    return at;
  }
}
