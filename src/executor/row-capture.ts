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
 * parameters go on to the client, descriptions do not. Pieces of several backends may come in turns.
 */
export class RowCapture implements OperationHost {
  private readonly client: OperationHost;
  private readonly take: TakeRow;
  private readonly described: TakeRow | null;
  /** Messages that have not come to their end, by who sends them. */
  private readonly open = new Map<BackendConnection | null, OpenMessage>();

  /** `described` gets each RowDescription, as `take` gets rows. */
  constructor(client: OperationHost, take: TakeRow, described: TakeRow | null = null) {
    this.client = client;
    this.take = take;
    this.described = described;
  }

  /** Takes everything at once: the bytes are the caller's again. */
  passToClient(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): boolean {
    const open = this.open.get(backend);
    const at = open === undefined ? start : this.complete(backend, open, buffer, start, end);
    const rest = this.messages(backend, buffer, at, end);
    if (rest < end)
      this.open.set(backend, { pieces: [copyOf(buffer, rest, end)], size: end - rest });
    return true;
  }

  clientStreamBroken(): void {
    // The client has seen nothing of it.
  }

  /** Adds what a message was cut off from; answers where the next one begins. */
  private complete(
    backend: BackendConnection | null,
    open: OpenMessage,
    buffer: Buffer,
    start: number,
    end: number,
  ): number {
    let at = start;
    if (open.size < HEAD_BYTES) {
      at = Math.min(end, start + HEAD_BYTES - open.size);
      add(open, buffer, start, at);
      if (open.size < HEAD_BYTES) return end;
      open.pieces = [Buffer.concat(open.pieces)];
    }
    const size = 1 + readInt32(open.pieces[0]!, 1);
    const next = Math.min(end, at + size - open.size);
    add(open, buffer, at, next);
    if (open.size < size) return end;
    const message = Buffer.concat(open.pieces);
    this.open.delete(backend);
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
    else if (type === Backend.rowDescription) this.described?.(backend, buffer, start, end);
    else if (type === Backend.noticeResponse) {
      this.client.passToClient(null, Buffer.from(buffer.subarray(start, end)), 0, end - start);
    }
  }
}

interface OpenMessage {
  pieces: Buffer[];
  size: number;
}

function add(open: OpenMessage, buffer: Buffer, start: number, end: number): void {
  open.pieces.push(copyOf(buffer, start, end));
  open.size += end - start;
}

function copyOf(buffer: Buffer, start: number, end: number): Buffer {
  return Buffer.from(buffer.subarray(start, end));
}
