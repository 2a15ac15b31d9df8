import net from 'node:net';
import {
  acceptTransport,
  type SocketTransport,
  type TransportHandler,
} from '../../../src/net/transport.js';

/** Collects what a transport reports; tests await a state with `until`. */
export class Recorder implements TransportHandler {
  readonly chunks: Buffer[] = [];
  /** Free bytes in front of each chunk. */
  readonly headrooms: number[] = [];
  drains = 0;
  readonly closes: (Error | null)[] = [];
  private readonly waiting: { when: () => boolean; then: () => void }[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.headrooms.push(start);
    this.chunks.push(Buffer.from(buffer.subarray(start, end)));
    // Whatever stands in the headroom belongs to nobody.
    buffer.fill(0xee, 0, start);
    this.check();
  }

  onDrain(): void {
    this.drains++;
    this.check();
  }

  onClose(error: Error | null): void {
    this.closes.push(error);
    this.check();
  }

  /** Resolves once the condition holds; looked at after every report. */
  until(when: () => boolean): Promise<void> {
    if (when()) return Promise.resolve();
    return new Promise((then) => this.waiting.push({ when, then }));
  }

  private check(): void {
    for (const { when, then } of this.waiting) if (when()) then();
  }
}

export interface Pair {
  readonly accepted: SocketTransport;
  readonly peer: net.Socket;
  readonly close: () => void;
}

/** A transport over an accepted connection, and the plain socket at its other end. */
export async function acceptedPair(handler: TransportHandler): Promise<Pair> {
  const server = net.createServer({ pauseOnConnect: true });
  const port = await listen(server);
  const accepted = new Promise<SocketTransport>((resolve) => {
    server.once('connection', (socket) => {
      resolve(acceptTransport(socket, handler));
    });
  });
  const peer = net.connect({ host: '127.0.0.1', port, noDelay: true });
  peer.on('error', () => {
    // Tests break connections on purpose.
  });
  const transport = await accepted;
  return {
    accepted: transport,
    peer,
    close: () => {
      transport.destroy();
      peer.destroy();
      server.close();
    },
  };
}

/** Listens on a free port of the loopback interface; answers the port. */
export function listen(server: net.Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve((server.address() as net.AddressInfo).port);
    });
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Bytes whose order can be checked. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 8)) & 255;
  return bytes;
}
