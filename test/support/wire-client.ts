import { connect, type Socket } from 'node:net';
import * as bytes from './frontend-bytes.js';
import type { BindOptions } from './frontend-bytes.js';
import type { WireMessage } from './wire-messages.js';

export interface WireOptions {
  readonly host?: string;
  readonly port: number;
  readonly user?: string;
  readonly database?: string;
  /** Further startup parameters. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Default 3.0. */
  readonly protocol?: { readonly major: number; readonly minor: number };
}

const NEXT_MS = 15_000;

/** A client that sends whatever bytes a test wants and sees every message that comes back. */
export class WireClient {
  readonly socket: Socket;
  #pending = Buffer.alloc(0);
  readonly #messages: WireMessage[] = [];
  #ended = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      this.#cut();
      this.#wake();
    });
    // A reset is an end like any other here; tests ask `closed()`.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** A connected socket; nothing has been sent. */
  static open(options: { host?: string; port: number } | { path: string }): Promise<WireClient> {
    return new Promise((resolve, reject) => {
      const socket = connect('path' in options ? options : { host: '127.0.0.1', ...options });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new WireClient(socket));
      });
    });
  }

  /** Logged in without a password and ready for a query; the messages of the login are dropped. */
  static async login(options: WireOptions): Promise<WireClient> {
    const client = await WireClient.open(options);
    client.startup(options);
    await client.until('Z');
    return client;
  }

  send(...messages: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  startup(options: WireOptions): void {
    const { major, minor } = options.protocol ?? { major: 3, minor: 0 };
    const parameters = {
      user: options.user ?? 'postgres',
      ...(options.database === undefined ? {} : { database: options.database }),
      ...options.parameters,
    };
    const pairs = Object.entries(parameters).flat();
    this.send(bytes.startup((major << 16) | minor, ...pairs));
  }

  query(sql: string): void {
    this.send(bytes.query(sql));
  }

  parse(sql: string, statement = '', typeOids: readonly number[] = []): void {
    this.send(bytes.parse(sql, statement, typeOids));
  }

  bind(options: BindOptions = {}): void {
    this.send(bytes.bind(options));
  }

  describe(kind: 'S' | 'P', name = ''): void {
    this.send(bytes.describe(kind, name));
  }

  /** @param rowsMax 0: all */
  execute(portal = '', rowsMax = 0): void {
    this.send(bytes.execute(portal, rowsMax));
  }

  closeNamed(kind: 'S' | 'P', name = ''): void {
    this.send(bytes.close(kind, name));
  }

  sync(): void {
    this.send(bytes.sync());
  }

  flush(): void {
    this.send(bytes.flush());
  }

  copyData(data: string | Buffer): void {
    this.send(bytes.copyData(data));
  }

  copyDone(): void {
    this.send(bytes.copyDone());
  }

  copyFail(reason: string): void {
    this.send(bytes.copyFail(reason));
  }

  terminate(): void {
    this.socket.end(bytes.terminate());
  }

  /** Cuts the connection as a vanished client does, without Terminate. */
  destroy(): void {
    this.socket.destroy();
  }

  /** The next message; fails where none comes in time or the connection ends. */
  async next(timeoutMs = NEXT_MS): Promise<WireMessage> {
    await this.#waitFor(() => this.#messages.length > 0 || this.#ended, timeoutMs, 'a message');
    const message = this.#messages.shift();
    if (message === undefined) throw new Error('the server closed the connection');
    return message;
  }

  /** Messages up to and with the first of a type. */
  async until(type: string, timeoutMs = NEXT_MS): Promise<WireMessage[]> {
    const messages: WireMessage[] = [];
    for (;;) {
      try {
        messages.push(await this.next(timeoutMs));
      } catch (error) {
        const seen = messages.map((message) => message.type).join('');
        throw new Error(`no ${type} behind "${seen}": ${String(error)}`, { cause: error });
      }
      if (messages.at(-1)!.type === type) return messages;
    }
  }

  /** Messages up to the end of the connection. */
  async closed(timeoutMs = NEXT_MS): Promise<WireMessage[]> {
    await this.#waitFor(() => this.#ended, timeoutMs, 'the end of the connection');
    return this.#messages.splice(0);
  }

  /** What came behind the last message and is none, such as an error in the style of protocol 2. */
  get rest(): Buffer {
    return this.#pending;
  }

  /** What came without a complete message: the one-byte answers to SSLRequest and GSSENCRequest. */
  async nextByte(timeoutMs = NEXT_MS): Promise<string> {
    await this.#waitFor(() => this.#pending.length > 0 || this.#ended, timeoutMs, 'a byte');
    const byte = this.#pending.toString('latin1', 0, 1);
    this.#pending = this.#pending.subarray(1);
    this.#cut();
    return byte;
  }

  /** True where nothing comes for that long. */
  async silentFor(ms: number): Promise<boolean> {
    try {
      await this.#waitFor(() => this.#messages.length > 0 || this.#ended, ms, 'anything');
      return false;
    } catch {
      return true;
    }
  }

  #cut(): void {
    while (this.#pending.length >= 5) {
      const end = 1 + this.#pending.readUInt32BE(1);
      if (this.#pending.length < end) return;
      const type = this.#pending.toString('latin1', 0, 1);
      this.#messages.push({ type, body: Buffer.from(this.#pending.subarray(5, end)) });
      this.#pending = this.#pending.subarray(end);
    }
  }

  #waitFor(isThere: () => boolean, timeoutMs: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = () => undefined;
        reject(new Error(`${what} did not come within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#wake = () => {
        if (!isThere()) return;
        clearTimeout(timer);
        this.#wake = () => undefined;
        resolve();
      };
      this.#wake();
    });
  }
}
