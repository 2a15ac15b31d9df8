import type net from 'node:net';
import { sqlError } from '../errors/sql-error.js';
import { acceptTransport, type TransportHandler } from '../net/transport.js';
import type { UnitOfWork } from '../transaction/unit-of-work.js';
import { isConsole } from '../config/config.js';
import { connectionLogger } from '../util/logger.js';
import type { ClientInfo, ListedClient } from './client-info.js';
import { ClientLogin, type LoginHost } from './client-login.js';
import { ClientTls } from './client-tls.js';
import type { ConsoleClient, OpenConsole } from './console-door.js';
import { ListenSockets } from './listen-sockets.js';
import type { Session } from './session.js';
import type { SessionContext } from './session-context.js';

/** How often a drain looks for sessions that have become idle. */
const DRAIN_POLL_MS = 50;
/** So many clients above limits.max_clients are told that they are too many, at a time. */
const REFUSED_AT_A_TIME = 500;

/** So many consoles there may be when limits.max_clients is reached. */
const CONSOLES_BEYOND_MAX = 10;

/** Accepts clients and keeps count of them. */
export class Listener {
  private readonly context: SessionContext;
  private readonly sockets: ListenSockets;
  private readonly openConsole: OpenConsole;
  private readonly sessions = new Map<Session, ClientInfo>();
  private readonly consoles = new Map<ConsoleClient, ClientInfo>();
  /** No new clients to the database; consoles still get in. */
  disabled = false;
  private connections = 0;
  private nextId = 1;
  private draining = false;
  private readonly tls = new ClientTls();

  private readonly loginHost: LoginHost;

  constructor(context: SessionContext, openConsole: OpenConsole) {
    this.context = context;
    this.openConsole = openConsole;
    this.loginHost = this.makeLoginHost();
    this.sockets = new ListenSockets((socket, local) => this.accept(socket, local), context.logger);
  }

  /** Resolves to the port in use. Rejects where an address cannot be had. */
  listen(): Promise<number> {
    return this.sockets.open(this.context.config.listen);
  }

  /** What every session has open. */
  *units(): Iterable<UnitOfWork> {
    for (const session of this.sessions.keys()) yield session.work;
  }

  /** Everybody who is logged in. */
  *clients(): Iterable<ListedClient> {
    for (const [session, info] of this.sessions) yield { info, session, target: session };
    for (const [client, info] of this.consoles) yield { info, session: null, target: client };
  }

  /** No new clients. Resolves when those who are there have left by themselves. */
  async emptied(): Promise<void> {
    this.draining = true;
    this.sockets.close();
    while (this.sessions.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }

  /** No new clients; idle sessions end now, others when their transaction is over, all after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.draining = true;
    this.sockets.close();
    const deadline = Date.now() + timeoutMs;
    while (this.sessions.size > 0) {
      const over = Date.now() >= deadline;
      for (const session of [...this.sessions.keys()]) if (over || session.idle) session.shutDown();
      if (this.sessions.size > 0) {
        await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
      }
    }
    for (const client of [...this.consoles.keys()]) client.shutDown();
  }

  private accept(socket: net.Socket, local: boolean): void {
    const { metrics, logger, config } = this.context;
    // Enough room to tell some of those who are too many; a flood of them is not listened to.
    const flood = this.connections >= config.limits.maxClients + REFUSED_AT_A_TIME;
    // Gone already: where it came from cannot be told any more.
    const gone = !local && socket.remoteAddress === undefined;
    if (flood || gone) {
      metrics.clientsRefused++;
      socket.destroy();
      return;
    }
    const id = this.nextId++;
    const connection = {
      id,
      address: local ? null : socket.remoteAddress!,
      port: socket.remotePort ?? 0,
      localAddress: socket.localAddress ?? null,
      localPort: socket.localPort ?? 0,
      connectedAt: Date.now(),
    };
    metrics.clientsAccepted++;
    metrics.clientsConnected++;
    this.connections++;
    const log = connectionLogger(logger, id);
    const transport = acceptTransport(socket, NOBODY);
    transport.handler = new ClientLogin(transport, connection, this.loginHost, log);
  }

  private makeLoginHost(): LoginHost {
    return {
      context: this.context,
      tls: () => this.tls.offerOf(this.context.config.listen.tls),
      openConsole: this.openConsole,
      refusal: (database) => {
        if (this.draining)
          return sqlError('cannot_connect_now', 'the database system is shutting down');
        const toConsole = isConsole(database, this.context.config);
        if (this.disabled && !toConsole) {
          return sqlError('cannot_connect_now', `database "${database}" is disabled`);
        }
        if (this.connections <= this.context.config.limits.maxClients) return null;
        // Whoever wants to see what is wrong must get in.
        if (toConsole && this.consoles.size < CONSOLES_BEYOND_MAX) return null;
        return sqlError('too_many_connections', 'sorry, too many clients already', {
          hint: 'Raise limits.max_clients.',
        });
      },
      userRefusal: (user) => {
        const max = this.context.config.auth.users.get(user)?.maxClients ?? null;
        if (max === null || this.sessionsOf(user) < max) return null;
        return sqlError('too_many_connections', `too many connections for role "${user}"`);
      },
      onSession: (session, info) => {
        this.sessions.set(session, info);
      },
      onSessionClosed: (session) => {
        if (this.sessions.delete(session)) this.gone();
      },
      onConsole: (client, info) => {
        this.consoles.set(client, info);
      },
      onConsoleClosed: (client) => {
        if (this.consoles.delete(client)) this.gone();
      },
      onClosed: (refused) => {
        if (refused) this.context.metrics.clientsRefused++;
        this.gone();
      },
    };
  }

  /** Counted when it is asked for: few users have a limit. */
  private sessionsOf(user: string): number {
    let count = 0;
    for (const session of this.sessions.keys()) if (session.user === user) count++;
    return count;
  }

  private gone(): void {
    this.connections--;
    this.context.metrics.clientsConnected--;
  }
}

const NOBODY: TransportHandler = { onBytes() {}, onDrain() {}, onClose() {} };
