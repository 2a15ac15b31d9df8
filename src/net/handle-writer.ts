import type net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { streamBinding, type WriteRequest } from './stream-binding.js';

/*
 * Node's streams cost a request object, a tick and two passes through their state machine for every write: about 1 us
 * of the 13 that a statement costs here. What a proxy writes either leaves at once or waits in libuv's own queue, so
 * nothing of that is needed.
 */

const state = streamBinding?.streamBaseState;
const LAST_WRITE_WAS_ASYNC = streamBinding?.kLastWriteWasAsync ?? 0;

interface StreamHandle {
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
}

/** Writes to a connected TCP or Unix socket, past its stream; nobody may use `socket.write` beside it. */
export class HandleWriter {
  /** Writes that libuv has not finished. */
  private pending = 0;
  private readonly socket: net.Socket;
  private readonly onDrain: () => void;
  private spare: WriteRequest | null = null;

  /** Null: this Node does not allow it. */
  static of(socket: net.Socket, onDrain: () => void): HandleWriter | null {
    return streamBinding === null ? null : new HandleWriter(socket, onDrain);
  }

  private constructor(socket: net.Socket, onDrain: () => void) {
    this.socket = socket;
    this.onDrain = onDrain;
  }

  /** True: the kernel has the bytes. False: they are in use until `onDrain`, or the socket is about to close. */
  write(bytes: Uint8Array): boolean {
    const handle = (this.socket as unknown as { _handle: StreamHandle | null })._handle;
    // A closed socket takes no bytes, and tells so by its own events.
    if (handle === null || streamBinding === null) return false;
    const request = this.spare ?? this.request();
    const failure = handle.writeBuffer(request, bytes);
    if (failure !== 0) {
      this.fail(failure);
      return false;
    }
    if (state![LAST_WRITE_WAS_ASYNC] === 0) {
      this.spare = request;
      return this.pending === 0;
    }
    this.spare = null;
    request.buffer = bytes;
    this.pending++;
    return false;
  }

  private fail(code: number): void {
    this.socket.destroy(new Error(`write ${getSystemErrorName(code)}`));
  }

  private request(): WriteRequest {
    const request = new streamBinding!.WriteWrap();
    request.buffer = null;
    request.oncomplete = (status) => {
      request.buffer = null;
      this.pending--;
      if (status < 0) this.fail(status);
      else if (this.pending === 0) this.onDrain();
    };
    return request;
  }
}
