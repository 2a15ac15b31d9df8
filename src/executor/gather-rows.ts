import { Frontend } from '../protocol/codes.js';
import { readInt32 } from '../protocol/framing.js';

/**
 * Rows of one input from one shard, kept as they came. A DataRow's content is byte for byte a row of
 * binary COPY, so they are kept as CopyData messages: only the type byte differs.
 */
export class GatherRows {
  rowCount = 0;
  /** Of the last row, still to come. */
  missing = 0;
  private chunks: Buffer[] = [];

  /** Adds a piece of the stream: what was missing of a row, or rows of which the last may be cut off. */
  push(buffer: Buffer, start: number, end: number): void {
    const chunk = Buffer.from(buffer.subarray(start, end));
    this.chunks.push(chunk);
    if (this.missing > 0) {
      this.missing -= chunk.length;
      return;
    }
    let at = 0;
    while (at < chunk.length) {
      chunk[at] = Frontend.copyData;
      at += 1 + readInt32(chunk, at + 1);
      this.rowCount++;
    }
    this.missing = at - chunk.length;
  }

  /** All rows in one piece, whole. */
  content(): Buffer {
    const { chunks } = this;
    if (chunks.length > 1) this.chunks = [Buffer.concat(chunks)];
    return this.chunks[0] ?? NO_BYTES;
  }

  clear(): void {
    this.chunks = [];
    this.rowCount = 0;
    this.missing = 0;
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0);
