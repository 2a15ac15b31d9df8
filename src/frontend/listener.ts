import net from 'node:net';
import { sqlError } from '../errors/sql-error.js';
import { acceptTransport, type TransportHandler } from '../net/transport.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import { connectionLogger, errorField } from '../util/logger.js';
import { ClientLogin, type LoginHost } from './client-login.js';
import { ClientTls } from './client-tls.js';
import type { Session } from './session.js';
import type { SessionContext } from './session-context.js';

/** How often a drain looks for sessions that have become idle. */
const DRAIN_POLL_MS = 50;
/** So many clients above limits.max_clients are told that they are too many, at a time. */
const REFUSED_AT_A_TIME = 500;
/** An idle client is asked for a sign of life after this long. */
const KEEP_ALIVE_MS = 60_000;
/** Connections that the kernel keeps while the event loop is busy. */
const BACKLOG = 4096;

/** Accepts clients and keeps count of them. */
export class Listener {
  private readonly context: SessionContext;
  private readonly server: net.Server;
  private readonly sessions = new Set<Session>();
  private connections = 0;
  private nextId = 1;
  private draining = false;
  private readonly tls = new ClientTls();

  private readonly loginHost: LoginHost;

  constructor(context: SessionContext) {
    this.context = context;
    this.loginHost = this.makeLoginHost();
    const options = {
      pauseOnConnect: true,
      noDelay: true,
      // Who has vanished without a word is found out by the kernel.
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    };
    this.server = net.createServer(options, (socket) => {
      this.accept(socket);
    });
    this.server.on('error', (error) => {
      // No more files or memory for a connection: those that there are go on.
      if (this.server.listening) context.logger.error(errorField(error), 'cannot accept a client');
    });
  }

  /** Resolves to the port in use. Rejects where the address cannot be had. */
  listen(): Promise<number> {
    const { host, port } = this.context.config.listen;
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ host, port, backlog: BACKLOG }, () => {
        this.server.removeListener('error', reject);
        resolve((this.server.address() as net.AddressInfo).port);
      });
    });
  }

  /** What every session has open. */
  *units(): Iterable<UnitOfWork> {
    for (const session of this.sessions) yield session.work;
  }

  /** No new clients; idle sessions end now, others when their transaction is over, all after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.draining = true;
    this.server.close();
    const deadline = Date.now() + timeoutMs;
    while (this.sessions.size > 0) {
      const over = Date.now() >= deadline;
      for (const session of [...this.sessions]) if (over || session.idle) session.shutDown();
      if (this.sessions.size > 0) {
        await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
      }
    }
  }

  private accept(socket: net.Socket): void {
    const { metrics, logger, config } = this.context;
    // Enough room to tell some of those who are too many; a flood of them is not listened to.
    if (this.connections >= config.limits.maxClients + REFUSED_AT_A_TIME) {
      metrics.clientsRefused++;
      socket.destroy();
      return;
    }
    metrics.clientsAccepted++;
    metrics.clientsConnected++;
    this.connections++;
    const log = connectionLogger(logger, this.nextId++);
    const transport = acceptTransport(socket, NOBODY);
    transport.handler = new ClientLogin(transport, this.loginHost, log);
  }

  private makeLoginHost(): LoginHost {
    return {
      context: this.context,
      tls: () => this.tls.offerOf(this.context.config.listen.tls),
      refusal: () => {
        if (this.draining)
          return sqlError('cannot_connect_now', 'the database system is shutting down');
        if (this.connections <= this.context.config.limits.maxClients) return null;
        return sqlError('too_many_connections', 'sorry, too many clients already', {
          hint: 'Raise limits.max_clients.',
        });
      },
      onSession: (session) => {
        this.sessions.add(session);
      },
      onSessionClosed: (session) => {
        if (this.sessions.delete(session)) this.gone();
      },
      onClosed: (refused) => {
        if (refused) this.context.metrics.clientsRefused++;
        this.gone();
      },
    };
  }

  private gone(): void {
    this.connections--;
    this.context.metrics.clientsConnected--;
  }
}

const NOBODY: TransportHandler = { onBytes() {}, onDrain() {}, onClose() {} };
