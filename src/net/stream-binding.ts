/** Parts of Node's binding to libuv streams, the same that node:net uses. */
export interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  /** What the last call or callback had to say, at the places named below. */
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

/** A libuv write request; may be reused when a write has finished at once. */
export interface WriteRequest {
  oncomplete: (status: number) => void;
  /** Keeps the bytes alive while libuv writes them. */
  buffer: Uint8Array | null;
}

/** Null: this version of Node does not give it away, and sockets must be used as streams. */
export const streamBinding: StreamBinding | null = loadBinding();

function loadBinding(): StreamBinding | null {
  try {
    const { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = (
      process as unknown as { binding(name: string): Partial<StreamBinding> }
    ).binding('stream_wrap');
    if (WriteWrap === undefined || streamBaseState === undefined) return null;
    if (kReadBytesOrError === undefined || kLastWriteWasAsync === undefined) return null;
    return { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync };
  } catch {
    return null;
  }
}
