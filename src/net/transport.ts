import net from 'node:net';
import tls from 'node:tls';
import { HandleWriter } from './handle-writer.js';
import { streamBinding } from './stream-binding.js';

/**
 * Free bytes in front of every chunk that a backend's transport hands out: the tail of a message that the last chunk
 * cut off is copied there, so that a message is parsed in one contiguous piece and passed on in one write.
 */
const HEADROOM_BYTES = 8192;

/** Backends stream results: 64 KB per read halves the system calls against 16 KB. */
const BACKEND_READ_BYTES = 64 * 1024;
/** Clients mostly send statements; a read that fills the buffer makes it grow once, to the backend's size. */
const CLIENT_READ_BYTES = 4 * 1024;
/** A client's cut-off message is usually one small statement; larger ones are assembled apart. */
const CLIENT_HEADROOM_BYTES = 1024;
/**
 * Of a client that must wait this much is read ahead: the end of a connection is seen only behind
 * everything that was sent before it, and whoever has gone must not keep backends for as long as its statement takes.
 */
const CLIENT_AHEAD_BYTES = 256 * 1024;

export interface TransportHandler {
  /**
   * Bytes `[start, end)` arrived; the bytes in front of `start` are free to write to. They are the handler's until it
   * returns, or until it resumes reading where it paused before returning.
   */
  onBytes(buffer: Buffer, start: number, end: number): void;
  /** Every write that answered false has reached the kernel. */
  onDrain(): void;
  /** The connection is gone; called once. */
  onClose(error: Error | null): void;
}

/**
 * A byte stream to one peer. Hides whether the socket is plain (one preallocated read buffer, no allocation per read)
 * or TLS, and may hide raw handles later.
 */
export interface Transport {
  handler: TransportHandler;
  /** True: the kernel has the bytes, the caller may reuse them. False: they are referenced until `onDrain`. */
  write(bytes: Uint8Array): boolean;
  /** Stops handing out bytes; chunks already handed out stay valid until `resume`. */
  pause(): void;
  resume(): void;
  /** Flushes what was written, then closes. */
  end(): void;
  destroy(): void;
  /** Whether what has been read while paused ends with these bytes; null: nothing has. */
  aheadEndsWith(bytes: Buffer): boolean | null;
  readonly writable: boolean;
  /** True while written bytes wait for the peer. */
  readonly congested: boolean;
  readonly remote: string;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export class SocketTransport implements Transport {
  handler: TransportHandler;
  readonly remote: string;
  private readonly socket: net.Socket;
  /** Null: written to as a stream (TLS). */
  private readonly writer: HandleWriter | null;
  private waitsForDrain = false;
  private closed = false;
  private paused = false;
  /** How many bytes may be read while paused. */
  private readonly aheadMax: number;
  /** Read while paused, to be handed out first. */
  private ahead: Chunk | null = null;
  /** The buffer that the handler got last: it may still be in use while paused. */
  private lent: Buffer | null = null;
  private catchingUp = false;

  constructor(socket: net.Socket, handler: TransportHandler, aheadMax = 0) {
    this.socket = socket;
    this.handler = handler;
    this.aheadMax = aheadMax;
    this.remote = `${socket.remoteAddress ?? 'local'}:${socket.remotePort ?? 0}`;
    socket.setNoDelay(true);
    this.writer =
      socket instanceof tls.TLSSocket ? null : HandleWriter.of(socket, () => this.drained());
    let failure: Error | null = null;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      if (this.closed) return;
      this.closed = true;
      this.waitsForDrain = false;
      this.handler.onClose(failure);
    });
  }

  /** For sockets that cannot read into a given buffer (TLS): copies each chunk behind a headroom. */
  readByEvents(): void {
    this.socket.on('data', (chunk: Buffer) => {
      const buffer = Buffer.allocUnsafe(HEADROOM_BYTES + chunk.length);
      chunk.copy(buffer, HEADROOM_BYTES);
      this.arrived(buffer, HEADROOM_BYTES, buffer.length);
    });
  }

  /** Bytes were read; the buffer is not read into again while it is held (`holds`). */
  arrived(buffer: Buffer, start: number, end: number): void {
    if (!this.paused || this.aheadMax === 0) {
      this.lent = buffer;
      this.handler.onBytes(buffer, start, end);
      return;
    }
    this.keepAhead(buffer, start, end);
    if (this.aheadBytes >= this.aheadMax) this.socket.pause();
  }

  /** Copied, since a client may send a byte at a time. */
  private keepAhead(buffer: Buffer, start: number, end: number): void {
    const { ahead } = this;
    const needed = (ahead?.end ?? CLIENT_HEADROOM_BYTES) + end - start;
    if (ahead !== null && needed <= ahead.buffer.length) {
      buffer.copy(ahead.buffer, ahead.end, start, end);
      ahead.end = needed;
      return;
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * (ahead?.buffer.length ?? 0)));
    ahead?.buffer.copy(grown, 0, 0, ahead.end);
    buffer.copy(grown, needed - (end - start), start, end);
    this.ahead = { buffer: grown, end: needed };
  }

  aheadEndsWith(bytes: Buffer): boolean | null {
    const { ahead } = this;
    if (ahead === null) return null;
    const from = Math.max(CLIENT_HEADROOM_BYTES, ahead.end - bytes.length);
    return bytes.equals(ahead.buffer.subarray(from, ahead.end));
  }

  private get aheadBytes(): number {
    return this.ahead === null ? 0 : this.ahead.end - CLIENT_HEADROOM_BYTES;
  }

  /** What has been read into this buffer may still be needed: the next read takes another one. */
  holds(buffer: Buffer): boolean {
    return this.paused && this.aheadMax > 0 && this.lent === buffer;
  }

  write(bytes: Uint8Array): boolean {
    // Nobody is there any more to whom it could matter.
    if (this.closed) return true;
    if (this.writer !== null) {
      if (this.writer.write(bytes)) return true;
    } else {
      this.socket.write(bytes, this.onWritten);
      if (this.socket.writableLength === 0) return true;
    }
    this.waitsForDrain = true;
    return false;
  }

  pause(): void {
    this.paused = true;
    if (this.aheadMax === 0) this.socket.pause();
  }

  resume(): void {
    this.paused = false;
    // The handler of a chunk that was read ahead resumed: the loop below goes on by itself.
    if (this.catchingUp) return;
    this.catchingUp = true;
    try {
      while (!this.isPaused()) {
        const { ahead } = this;
        if (ahead === null) break;
        this.ahead = null;
        this.lent = ahead.buffer;
        this.handler.onBytes(ahead.buffer, CLIENT_HEADROOM_BYTES, ahead.end);
      }
    } finally {
      this.catchingUp = false;
    }
    const mayRead = !this.isPaused() || this.aheadBytes < this.aheadMax;
    if (mayRead && !this.closed) this.socket.resume();
  }

  private isPaused(): boolean {
    return this.paused;
  }

  end(): void {
    if (this.closed) return;
    this.socket.end();
    // A peer that neither reads nor closes must not keep the socket.
    this.socket.setTimeout(5000, () => this.socket.destroy());
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Common name of the peer's TLS certificate; null where it has shown none that the given authorities signed. */
  peerCertificateName(): string | null {
    if (!(this.socket instanceof tls.TLSSocket)) return null;
    const name = this.socket.getPeerCertificate().subject?.CN;
    if (typeof name !== 'string' || name.includes('\0')) return null;
    // Sockets that no tls.Server made leave `authorized` false, whatever OpenSSL has found.
    const { _handle: handle } = this.socket as unknown as VerifiedSocket;
    return handle?.verifyError() === null ? name : null;
  }

  /** The certificate that the peer has shown, verified or not, in DER; null: none, or no TLS. */
  peerCertificate(): Buffer | null {
    if (!(this.socket instanceof tls.TLSSocket)) return null;
    // An empty object stands for none.
    return (this.socket.getPeerCertificate() as { raw?: Buffer }).raw ?? null;
  }

  /** What the peer has agreed to speak inside TLS (ALPN); null: nothing was said about it. */
  alpnProtocol(): string | null {
    const { socket } = this;
    const agreed = socket instanceof tls.TLSSocket ? socket.alpnProtocol : null;
    return typeof agreed === 'string' ? agreed : null;
  }

  /** This end, and the encryption; of a Unix socket, or one that is closed, there is no address and port 0. */
  get localEnd(): { readonly address: string; readonly port: number; readonly tls: string | null } {
    const { localAddress: address = '', localPort: port = 0 } = this.socket;
    return { address, port, tls: this.encryption() };
  }

  /** Version and cipher of TLS, as `TLSv1.3/TLS_AES_256_GCM_SHA384`; null: there is none. */
  encryption(): string | null {
    const { socket } = this;
    if (!(socket instanceof tls.TLSSocket)) return null;
    return `${socket.getProtocol() ?? 'TLS'}/${socket.getCipher().standardName}`;
  }

  /** Gives up the socket to a TLS layer above it: this transport reports nothing any more. */
  release(): net.Socket {
    this.handler = released;
    return this.socket;
  }

  get writable(): boolean {
    return !this.closed && this.socket.writable;
  }

  get congested(): boolean {
    return this.waitsForDrain;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  /** One function for all writes: Node batches equal callbacks and no closure is made per write. */
  private readonly onWritten = (): void => {
    // Of a destroyed socket the bytes went nowhere.
    if (this.socket.writableLength === 0) this.drained();
  };

  private drained(): void {
    // Of a destroyed socket the bytes went nowhere.
    if (!this.waitsForDrain || this.socket.destroyed) return;
    this.waitsForDrain = false;
    if (!this.closed) this.handler.onDrain();
  }
}

/** Bytes behind a client's headroom. */
interface Chunk {
  readonly buffer: Buffer;
  end: number;
}

interface VerifiedSocket {
  readonly _handle: { verifyError(): Error | null } | null;
}

const released: TransportHandler = { onBytes() {}, onDrain() {}, onClose() {} };

interface ReadHandle {
  /** Called with the bytes that were read, or the error; answers the buffer for the next read, if it is another one. */
  onread: (bytes: unknown) => Uint8Array | undefined;
}

/** A preallocated read buffer behind a headroom, in the shape that net.Socket's `onread` wants. */
class ReadBuffer {
  transport: SocketTransport | null = null;
  private bytes: Buffer;
  /** What is read into: `bytes`, or `spare` while that is held. */
  private current: Buffer;
  private spare: Buffer | null = null;
  private readonly headroom: number;
  private readonly size: number;
  private handedOut = false;
  private wasFull = false;

  constructor(size: number, headroom: number) {
    this.headroom = headroom;
    this.size = size;
    this.bytes = Buffer.allocUnsafeSlow(headroom + size);
    this.current = this.bytes;
  }

  get onread(): net.OnReadOpts {
    return {
      // Asked once at first and then after every read: anything but a buffer means "keep the one you have".
      buffer: (() => this.next()) as () => Uint8Array,
      callback: (length) => {
        this.onRead(length);
        return true;
      },
    };
  }

  /** Takes the bytes straight from the handle where that is possible; its stream sees the end and errors only. */
  readFrom(socket: net.Socket): void {
    const handle = (socket as unknown as { _handle: ReadHandle | null })._handle;
    if (streamBinding === null || handle === null) return;
    const { streamBaseState, kReadBytesOrError } = streamBinding;
    const { onread } = handle;
    handle.onread = (bytes) => {
      const length = streamBaseState[kReadBytesOrError]!;
      if (length <= 0 || socket.destroyed) return onread.call(handle, bytes);
      this.onRead(length);
      return this.next();
    };
  }

  private onRead(length: number): void {
    const { current, headroom } = this;
    this.wasFull = headroom + length === current.length;
    this.transport?.arrived(current, headroom, headroom + length);
  }

  private next(): Uint8Array | undefined {
    if (!this.handedOut) {
      this.handedOut = true;
      return this.readInto(this.bytes);
    }
    if (this.transport?.holds(this.current) === true) {
      this.spare ??= Buffer.allocUnsafeSlow(this.headroom + this.size);
      return this.readInto(this.current === this.bytes ? this.spare : this.bytes);
    }
    // Still paused, or busy with what was read ahead: the other buffer may be in use.
    if (this.transport?.holds(this.bytes) === true) return undefined;
    if (this.wasFull && this.bytes.length < BACKEND_READ_BYTES) {
      this.bytes = Buffer.allocUnsafeSlow(this.headroom + BACKEND_READ_BYTES);
    }
    return this.current === this.bytes ? undefined : this.readInto(this.bytes);
  }

  private readInto(buffer: Buffer): Uint8Array {
    this.current = buffer;
    return buffer.subarray(this.headroom);
  }
}

/**
 * Takes over a socket that a server accepted with `pauseOnConnect`. Node lets only the creator of a socket choose its
 * read buffer, so the socket is made anew around the same handle; where that fails it is read by events.
 */
export function acceptTransport(accepted: net.Socket, handler: TransportHandler): SocketTransport {
  const inner = accepted as unknown as AcceptedSocket;
  const handle = inner._handle;
  if (handle === null || handle === undefined) {
    const transport = new SocketTransport(accepted, handler, CLIENT_AHEAD_BYTES);
    transport.readByEvents();
    return transport;
  }
  const buffer = new ReadBuffer(CLIENT_READ_BYTES, CLIENT_HEADROOM_BYTES);
  inner._handle = null;
  const socket = new net.Socket({ handle, onread: buffer.onread } as net.SocketConstructorOpts);
  // The server counts its connections through the socket: hand that over too, so that `close` waits for this one.
  (socket as unknown as AcceptedSocket)._server = inner._server;
  inner._server = null;
  const transport = new SocketTransport(socket, handler, CLIENT_AHEAD_BYTES);
  buffer.transport = transport;
  buffer.readFrom(socket);
  return transport;
}

interface AcceptedSocket {
  _handle: object | null | undefined;
  _server: net.Server | null;
}

/** Opens a connection to a server. The handler gets `onClose` where it fails; `connected` is called once it stands. */
export function connectTransport(
  address: { readonly host: string; readonly port: number },
  handler: TransportHandler,
  connected: () => void,
): SocketTransport {
  const buffer = new ReadBuffer(BACKEND_READ_BYTES, HEADROOM_BYTES);
  const path = address.host.startsWith('/')
    ? { path: `${address.host}/.s.PGSQL.${address.port}` }
    : { host: address.host, port: address.port };
  const socket = net.connect({ ...path, noDelay: true, keepAlive: true, onread: buffer.onread });
  socket.once('connect', () => {
    buffer.readFrom(socket);
    connected();
  });
  const transport = new SocketTransport(socket, handler);
  buffer.transport = transport;
  return transport;
}

/**
 * Answers a client's request for TLS: the plain transport is given up, the encrypted one reports to the handler.
 * `early`: what has been read already of a handshake that began without a request.
 */
export function secureServerTransport(
  plain: SocketTransport,
  options: tls.TLSSocketOptions,
  early: Buffer | null = null,
): SocketTransport {
  const handler = plain.handler;
  const raw = plain.release();
  if (early !== null) raw.unshift(early);
  const socket = new tls.TLSSocket(raw, { ...options, isServer: true });
  const transport = new SocketTransport(socket, handler, CLIENT_AHEAD_BYTES);
  transport.readByEvents();
  return transport;
}

/** Starts TLS towards a server that agreed to it. Certificate failures reach `onClose`. */
export function secureClientTransport(
  plain: SocketTransport,
  options: tls.ConnectionOptions,
  connected: () => void,
): SocketTransport {
  const handler = plain.handler;
  const socket = tls.connect({ ...options, socket: plain.release() }, connected);
  const transport = new SocketTransport(socket, handler);
  transport.readByEvents();
  return transport;
}
