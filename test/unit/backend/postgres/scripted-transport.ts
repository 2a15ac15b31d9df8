import { BackendConnection } from '../../../../src/backend/postgres/connection.js';
import type { Shard } from '../../../../src/keyspace/topology.js';
import type { SocketTransport, TransportHandler } from '../../../../src/net/transport.js';
import type { RecordingSink } from './recording-sink.js';

export const shard: Shard = { index: 0, name: 's0', keyspace: 'shop', ranges: [] };

/**
 * Hands a backend the bytes that a server sends, cut exactly as a test wants them (a real socket cuts as it likes), out
 * of one read buffer behind a headroom, and nothing while reading is paused.
 */
export class ScriptedTransport {
  handler!: TransportHandler;
  readonly writable = true;
  readonly congested = false;
  paused = false;
  destroyed = false;
  written = '';
  private readonly headroom: number;
  private buffer: Buffer;

  constructor(headroom: number) {
    this.headroom = headroom;
    this.buffer = Buffer.alloc(headroom + 64);
  }

  /** A backend over this transport, as if just logged in. */
  backend(sink: RecordingSink, preparedMax = 100): BackendConnection {
    const login = {
      transport: this as unknown as SocketTransport,
      pid: 1,
      secret: Buffer.alloc(4),
      parameters: new Map<string, string>(),
      rest: Buffer.alloc(0),
    };
    const address = {
      host: '127.0.0.1',
      port: 1,
      database: 'shop',
      user: 'app',
      password: null,
      sslmode: 'disable',
      sslRootCert: null,
      sslCert: null,
      sslKey: null,
      channelBinding: 'prefer',
    } as const;
    return new BackendConnection(shard, address, login, preparedMax, sink);
  }

  /** One read. */
  deliver(chunk: Buffer): void {
    if (this.paused) throw new Error('a read although reading is paused');
    if (chunk.length > this.buffer.length - this.headroom) {
      this.buffer = Buffer.alloc(this.headroom + chunk.length);
    }
    // What an earlier read left there must not matter.
    this.buffer.fill(0xee);
    chunk.copy(this.buffer, this.headroom);
    this.handler.onBytes(this.buffer, this.headroom, this.headroom + chunk.length);
  }

  write(bytes: Uint8Array): boolean {
    this.written += Buffer.from(bytes).toString('latin1');
    return true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.destroyed = true;
  }

  destroy(): void {
    this.destroyed = true;
  }
}
