import type { BackendConnection } from '../../backend/postgres/connection.js';
import { Backend } from '../../protocol/codes.js';
import { readInt32 } from '../../protocol/framing.js';
import type { OperationHost } from '../../transaction/operation.js';

/** What one Execute gets. */
export interface StoredPiece {
  /** Whole messages: rows, and what stood between them. */
  readonly bytes: Buffer;
  readonly rows: number;
}

/**
 * The answer of a statement that must run to its end before its first row is handed out, as one that writes must: the
 * messages are kept, and handed out so many rows at a time.
 */
export class StoredRows implements OperationHost {
  private chunks: Buffer[] = [];
  private size = 0;
  private at = 0;
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** There was more than may be kept: it is of no use. */
  get overflowed(): boolean {
    return this.size > this.bytesMax;
  }

  passToClient(
    _backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    this.size += end - start;
    if (this.overflowed) this.chunks = [];
    else this.chunks.push(Buffer.from(buffer.subarray(start, end)));
    return true;
  }

  clientStreamBroken(): void {
    // Nobody has got half a row: the error of the statement is the answer.
    this.chunks = [];
  }

  /** Everything has been handed out. */
  get exhausted(): boolean {
    return this.at === this.content().length;
  }

  /** The next rows, and what stands in front of them; less than `rowsMax` of them: these were the last. */
  take(rowsMax: number): StoredPiece {
    const content = this.content();
    const start = this.at;
    let at = start;
    let rows = 0;
    while (at < content.length) {
      const isRow = content[at] === Backend.dataRow;
      if (isRow && rows === rowsMax) break;
      if (isRow) rows++;
      at += 1 + readInt32(content, at + 1);
    }
    this.at = at;
    return { bytes: content.subarray(start, at), rows };
  }

  /** Everything in one piece. */
  private content(): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0]!;
  }
}
