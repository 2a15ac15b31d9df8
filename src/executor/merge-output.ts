import type { RowCursor } from '../merger/row-cursor.js';
import { Backend } from '../protocol/codes.js';

/** As much as a shard's read buffer holds: one write to the client for one read from a shard. */
const BUFFER_BYTES = 64 * 1024;
const HEAD_BYTES = 7;

/** Bytes for the client; false: they are in use until the client has drained. */
type Pass = (buffer: Buffer, start: number, end: number) => boolean;

/**
 * What a merge sends to the client: whole messages, collected in one buffer. While the client has not
 * taken what it was sent (`congested`), nothing may be added and the last row must stay where it is;
 * messages from between rows wait aside.
 */
export class MergeOutput {
  congested = false;
  private readonly pass: Pass;
  private readonly columns: number;
  private readonly buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  private size = 0;
  private waiting: Buffer[] = [];

  constructor(columns: number, pass: Pass) {
    this.columns = columns;
    this.pass = pass;
  }

  get empty(): boolean {
    return this.size === 0;
  }

  /** Adds the row that the cursor is at, without its hidden fields. */
  addRow(cursor: RowCursor): void {
    const { row, visibleStart, visibleEnd } = cursor;
    const length = HEAD_BYTES + visibleEnd - visibleStart;
    // Bytes of the buffer are the client's until it has drained: too little room ends a round.
    if (length > BUFFER_BYTES - this.size) this.flush();
    if (this.congested || length > BUFFER_BYTES) {
      this.addLarge(cursor, length);
      return;
    }
    this.writeHead(this.buffer, this.size, length);
    row.copy(this.buffer, this.size + HEAD_BYTES, visibleStart, visibleEnd);
    this.size += length;
  }

  /** A message of a shard that may stand between rows. */
  addMessage(buffer: Buffer, start: number, end: number): void {
    const message = Buffer.from(buffer.subarray(start, end));
    if (this.congested) {
      this.waiting.push(message);
      return;
    }
    this.flush();
    this.send(message, 0, message.length);
  }

  /** Sends what was collected. */
  flush(): void {
    if (this.size === 0) return;
    const { size } = this;
    this.size = 0;
    this.send(this.buffer, 0, size);
  }

  /** The client has taken everything. */
  drained(): void {
    this.congested = false;
    this.passWaiting();
  }

  /** Nothing will be added any more: everything leaves, whether the client is slow or not. */
  end(): void {
    this.flush();
    this.passWaiting();
  }

  private passWaiting(): void {
    if (this.waiting.length === 0) return;
    for (const message of this.waiting.splice(0)) this.send(message, 0, message.length);
  }

  /** The row leaves in a buffer of its own, or where it lies if that is its own too. */
  private addLarge({ row, visibleStart, visibleEnd, ownsRow }: RowCursor, length: number): void {
    this.flush();
    const bytes = Buffer.allocUnsafeSlow(ownsRow ? HEAD_BYTES : length);
    this.writeHead(bytes, 0, length);
    if (!ownsRow) row.copy(bytes, HEAD_BYTES, visibleStart, visibleEnd);
    this.send(bytes, 0, bytes.length);
    if (ownsRow) this.send(row, visibleStart, visibleEnd);
  }

  private writeHead(buffer: Buffer, at: number, length: number): void {
    buffer[at] = Backend.dataRow;
    buffer.writeInt32BE(length - 1, at + 1);
    buffer.writeInt16BE(this.columns, at + 5);
  }

  private send(buffer: Buffer, start: number, end: number): void {
    if (start < end && !this.pass(buffer, start, end)) this.congested = true;
  }
}
