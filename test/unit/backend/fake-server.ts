import net from 'node:net';
import type { ServerAddress } from '../../../src/config/config.js';
import { CANCEL_REQUEST, GSSENC_REQUEST, SSL_REQUEST } from '../../../src/protocol/codes.js';
import { listen } from '../net/loopback.js';
import { int32, message } from '../protocol/messages.js';
import { replies } from './postgres/replies.js';

export interface ClientMessage {
  /** A letter; `startup` and `ssl` have none on the wire. */
  readonly type: string;
  readonly body: Buffer;
}

/** One connection of a fake server; its script reads messages and sends whatever it wants. */
export class FakeConnection {
  readonly socket: net.Socket;
  /** Every message received, `Q select 1` as one line each. */
  readonly log: string[] = [];
  readonly pid: number;
  private buffer: Buffer = Buffer.alloc(0);
  private started = false;
  private readonly queue: ClientMessage[] = [];
  private waiting: ((message: ClientMessage) => void) | null = null;

  constructor(socket: net.Socket, pid: number) {
    this.socket = socket;
    this.pid = pid;
    socket.setNoDelay(true);
    socket.on('error', () => {
      // Clients of tests hang up as they like.
    });
    socket.on('data', (chunk: Buffer) => {
      this.buffer = Buffer.concat([this.buffer, chunk]);
      this.cut();
    });
  }

  /** The next message; never resolves where the client has gone. */
  next(): Promise<ClientMessage> {
    const ready = this.queue.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }

  send(...messages: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  /** Sends in writes of one byte, each of which leaves at once. */
  async sendByteByByte(...messages: readonly Buffer[]): Promise<void> {
    for (const byte of Buffer.concat(messages)) {
      this.socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
  }

  /** What a server says once the login is through. */
  welcome(): void {
    this.send(
      message('R', int32(0)),
      replies.parameter('server_version', '18.0'),
      message('K', int32(this.pid), int32(this.pid * 7)),
      replies.ready(),
    );
  }

  private cut(): void {
    for (;;) {
      const header = this.started ? 5 : 4;
      if (this.buffer.length < header) return;
      const length = this.buffer.readInt32BE(header - 4) + header - 4;
      if (this.buffer.length < length) return;
      const body = this.buffer.subarray(header, length);
      const type = this.started ? String.fromCharCode(this.buffer[0]!) : untypedName(body);
      if (type === 'startup') this.started = true;
      this.buffer = this.buffer.subarray(length);
      this.log.push(`${type} ${body.toString('latin1').replaceAll('\0', ' ')}`.trim());
      const take = this.waiting;
      this.waiting = null;
      if (take === null) this.queue.push({ type, body });
      else take({ type, body });
    }
  }
}

function untypedName(body: Buffer): string {
  const code = body.readInt32BE(0);
  if (code === SSL_REQUEST) return 'ssl';
  if (code === GSSENC_REQUEST) return 'gssenc';
  return code === CANCEL_REQUEST ? 'cancel' : 'startup';
}

type Script = (connection: FakeConnection) => Promise<void> | void;

/** A server on a loopback port that says what its script says. Close it in the end. */
export class FakeServer {
  readonly port: number;
  /** Logged-in or about to; cancel requests are not among them. */
  readonly connections: FakeConnection[] = [];
  /** Process ids that clients asked to cancel. */
  readonly cancels: number[] = [];
  /** Called with each cancel request before it is closed. */
  onCancel: (pid: number) => Promise<void> | void = () => {
    // Closed at once, as Postgres does when the signal is sent.
  };
  private readonly server: net.Server;
  private readonly sockets = new Set<net.Socket>();

  private constructor(server: net.Server, port: number) {
    this.server = server;
    this.port = port;
  }

  /** `login`: from the first packet to ReadyForQuery; `serve`: everything behind it. */
  static async start(serve: Script = answerQueries, login: Script = trust): Promise<FakeServer> {
    const server = net.createServer();
    const fake = new FakeServer(server, await listen(server));
    let nextPid = 100;
    server.on('connection', (socket) => {
      fake.sockets.add(socket);
      const connection = new FakeConnection(socket, nextPid++);
      void fake.run(connection, serve, login);
    });
    return fake;
  }

  get address(): ServerAddress {
    return {
      host: '127.0.0.1',
      port: this.port,
      database: 'shop',
      user: 'app',
      password: 'secret',
      sslmode: 'disable',
      sslRootCert: null,
      sslCert: null,
      sslKey: null,
      channelBinding: 'prefer',
    };
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private async run(connection: FakeConnection, serve: Script, login: Script): Promise<void> {
    const first = await connection.next();
    if (first.type === 'cancel') {
      this.cancels.push(first.body.readInt32BE(4));
      await this.onCancel(first.body.readInt32BE(4));
      connection.socket.end();
      return;
    }
    this.connections.push(connection);
    await login(connection);
    await serve(connection);
  }
}

function trust(connection: FakeConnection): void {
  connection.welcome();
}

/** Every query is `SELECT 0`; Sync gets its ReadyForQuery. */
export async function answerQueries(connection: FakeConnection): Promise<void> {
  for (;;) {
    const { type } = await connection.next();
    if (type === 'Q') connection.send(replies.complete('SELECT 0'), replies.ready());
    else if (type === 'S') connection.send(replies.ready());
    else if (type === 'X') connection.socket.end();
  }
}
