import type { BackendConnection } from '../backend/postgres/connection.js';
import { Backend } from '../protocol/codes.js';
import { readInt32 } from '../protocol/framing.js';
import type { OperationHost } from '../transaction/operation.js';

/** Takes one whole DataRow, `[start, end)` with its head, which stays valid for this call only. */
export type TakeRow = (
  backend: BackendConnection | null,
  buffer: Buffer,
  start: number,
  end: number,
) => void;

/** Type and length of a message. */
const HEAD_BYTES = 5;

/**
 * Stands in the client's place for an operation whose rows are the proxy's own. Notices and changed
 * parameters go on to the client, descriptions do not.
 */
export class RowCapture implements OperationHost {
  private readonly client: OperationHost;
  private readonly take: TakeRow;
  /** Of a message that has not come to its end. */
  private pieces: Buffer[] = [];
  private pending = 0;

  constructor(client: OperationHost, take: TakeRow) {
    this.client = client;
    this.take = take;
  }

  /** Takes everything at once: the bytes are the caller's again. */
  passToClient(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    const at = this.pending === 0 ? start : this.complete(backend, buffer, start, end);
    const rest = this.messages(backend, buffer, at, end);
    if (rest < end) this.keep(buffer, rest, end);
    return true;
  }

  clientStreamBroken(): void {
    // The client has seen nothing of it.
  }

  /** Adds what a message was cut off from; answers where the next one begins. */
  private complete(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): number {
    let at = start;
    if (this.pending < HEAD_BYTES) {
      at = Math.min(end, start + HEAD_BYTES - this.pending);
      this.keep(buffer, start, at);
      if (this.pending < HEAD_BYTES) return end;
      this.pieces = [Buffer.concat(this.pieces)];
    }
    const size = 1 + readInt32(this.pieces[0]!, 1);
    const next = Math.min(end, at + size - this.pending);
    this.keep(buffer, at, next);
    if (this.pending < size) return end;
    const message = Buffer.concat(this.pieces);
    this.pieces = [];
    this.pending = 0;
    this.messages(backend, message, 0, message.length);
    return next;
  }

  /** Handles whole messages; answers where one begins that is cut off. */
  private messages(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): number {
    let at = start;
    while (at + HEAD_BYTES <= end) {
      const next = at + 1 + readInt32(buffer, at + 1);
      if (next > end) break;
      this.message(backend, buffer, at, next);
      at = next;
    }
    return at;
  }

  private message(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const type = buffer[start];
    if (type === Backend.dataRow) this.take(backend, buffer, start, end);
    else if (type === Backend.noticeResponse || type === Backend.parameterStatus) {
      this.client.passToClient(null, Buffer.from(buffer.subarray(start, end)), 0, end - start);
    }
  }

  private keep(buffer: Buffer, start: number, end: number): void {
    this.pieces.push(Buffer.from(buffer.subarray(start, end)));
    this.pending += end - start;
  }
}
