import { BackendError } from '../backend/backend-error.js';
import { Pool } from '../backend/pool.js';
import type { BackendWaiter } from '../backend/waiting-line.js';
import type { BackendSink } from '../backend/postgres/backend-sink.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE } from '../backend/postgres/expected-replies.js';
import type { Config } from '../config/config.js';
import { ShardMetrics } from '../metrics/metrics.js';
import { readErrorFields } from '../protocol/backend-messages.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { Logger } from '../util/logger.js';

/** A session that hears notifications. */
export interface Hearer {
  /** A NotificationResponse message for the client. */
  hear(message: Buffer): void;
}

interface Channel {
  readonly hearers: Set<Hearer>;
  /** The server has taken the LISTEN, or refused it. */
  ready: Promise<void>;
}

interface Request {
  readonly sql: string | null;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  error: Error | null;
}

/** How soon a lost connection is opened again. */
const RETRY_MS = 250;
/** How long a connection that does not answer goes unnoticed, at most twice. */
const HEARTBEAT_MS = 15_000;
/** Process ids remembered; servers use them again in the end. */
const NOTIFIERS_MAX = 10_000;

/**
 * LISTEN for all sessions of this proxy: one connection of its own to the catalog shard, where all NOTIFYs run, hears
 * every channel that some session listens to, and hands on what comes. What is notified while the connection is being
 * opened again is lost.
 */
export class Notifications implements BackendSink, BackendWaiter {
  readonly mustGoOn = true;
  private readonly config: () => Config;
  private readonly logger: Logger;
  private readonly channels = new Map<string, Channel>();
  /** The client that last notified through a backend, by its process id. */
  private readonly notifiers = new Map<number, number>();
  private pool: Pool | null = null;
  private poolKey = '';
  private backend: BackendConnection | null = null;
  private connecting = false;
  /** Not sent yet, since there is no connection. */
  private waiting: Request[] = [];
  /** Sent, in order. */
  private sent: Request[] = [];
  /** The one that had no answer at the last heartbeat; null: all had. */
  private overdue: Request | null = null;
  private retry: NodeJS.Timeout | undefined;
  private readonly heartbeat: NodeJS.Timeout;
  private isClosed = false;

  constructor(config: () => Config, logger: Logger) {
    this.config = config;
    this.logger = logger;
    this.heartbeat = setInterval(() => this.beat(), HEARTBEAT_MS);
    this.heartbeat.unref();
  }

  /** Some session listens. */
  get active(): boolean {
    return this.channels.size > 0;
  }

  /** From when it resolves on, what is notified is heard. Rejects with BackendError. */
  async listen(channel: string, hearer: Hearer): Promise<void> {
    const known = this.channels.get(channel);
    if (known !== undefined) {
      known.hearers.add(hearer);
      return known.ready;
    }
    const ready = this.ask(`LISTEN ${quoteIdentifier(channel)}`);
    const made: Channel = { hearers: new Set([hearer]), ready };
    this.channels.set(channel, made);
    try {
      await ready;
    } catch (error) {
      if (this.channels.get(channel) === made) this.channels.delete(channel);
      throw error;
    }
  }

  unlisten(channel: string, hearer: Hearer): void {
    const known = this.channels.get(channel);
    if (known === undefined || !known.hearers.delete(hearer) || known.hearers.size > 0) return;
    this.channels.delete(channel);
    if (this.backend !== null) {
      void this.ask(`UNLISTEN ${quoteIdentifier(channel)}`).catch(() => undefined);
    }
  }

  /** A client is about to notify through this backend. */
  noteNotifier(backend: BackendConnection, pid: number): void {
    if (this.notifiers.size >= NOTIFIERS_MAX) this.notifiers.clear();
    this.notifiers.set(backend.pid, pid);
  }

  /** Resolves when everything that was committed before has been heard, or cannot be. */
  async caughtUp(): Promise<void> {
    if (this.backend === null) return;
    await this.ask(null).catch(() => undefined);
  }

  /** After a reload the catalog shard may be on another server. */
  follow(): void {
    const { backend } = this;
    if (backend === null || this.poolKey === poolKey(this.config())) return;
    const { shard } = backend;
    this.pool?.destroy();
    this.lose(new BackendError(shard.name, 'connection_failure', 'its server has changed'));
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.retry);
    clearInterval(this.heartbeat);
    this.pool?.destroy();
  }

  // ---------------------------------------------------------------- the connection

  /** `sql` null: nothing but an answer. */
  private ask(sql: string | null): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ sql, resolve, reject, error: null });
      this.send();
    });
  }

  private send(): void {
    const { backend } = this;
    if (backend === null) {
      this.connect();
      return;
    }
    for (const request of this.waiting.splice(0)) {
      this.sent.push(request);
      if (request.sql === null) backend.sync(CAPTURE);
      else backend.query(request.sql, CAPTURE);
    }
    backend.flush();
  }

  private connect(): void {
    if (this.connecting || this.isClosed) return;
    this.connecting = true;
    const config = this.config();
    const shard = config.topology.catalogShard;
    const { primary } = config.servers[shard.index]!;
    const key = poolKey(config);
    if (this.pool === null || this.poolKey !== key) {
      this.pool?.destroy();
      const settings = { application_name: 'shardgate notifications', client_encoding: 'UTF8' };
      const options = { ...config.pool, size: 1, settings };
      this.pool = new Pool(shard, primary, options, new ShardMetrics(shard.name), this.logger);
      this.poolKey = key;
    }
    this.pool.wait(this);
  }

  onBackend(backend: BackendConnection): void {
    this.connecting = false;
    this.backend = backend;
    backend.sink = this;
    const wanted = new Set(this.waiting.map(({ sql }) => sql));
    for (const channel of this.channels.keys()) {
      const sql = `LISTEN ${quoteIdentifier(channel)}`;
      if (!wanted.has(sql)) void this.ask(sql).catch(() => undefined);
    }
    this.send();
  }

  onBackendError(error: BackendError): void {
    this.connecting = false;
    for (const request of this.waiting.splice(0)) request.reject(error);
    this.retryLater();
  }

  closed(backend: BackendConnection, error: BackendError): void {
    backend.owner.lost(backend);
    this.lose(error);
  }

  /** A server that does not answer any more may never say so. */
  private beat(): void {
    const { backend } = this;
    if (backend === null || !this.active) return;
    const { overdue } = this;
    if (this.sent.length === 0) void this.caughtUp();
    this.overdue = this.sent[0] ?? null;
    // What has just been sent may be answered yet.
    if (overdue === null || overdue !== this.overdue) return;
    backend.owner.discard(backend);
    this.lose(new BackendError(backend.shard.name, 'connection_failure', 'it does not answer'));
  }

  private lose(error: BackendError): void {
    this.backend = null;
    for (const request of this.sent.splice(0)) request.reject(error);
    if (this.isClosed || !this.active) return;
    this.logger.warn(
      { reason: error.message },
      'notifications may be lost: opening the connection',
    );
    this.connect();
  }

  private retryLater(): void {
    if (!this.active || this.isClosed) return;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.connect(), RETRY_MS);
    this.retry.unref();
  }

  // ---------------------------------------------------------------- what it says

  notified(_backend: BackendConnection, buffer: Buffer, start: number, end: number): void {
    const message = Buffer.from(buffer.subarray(start, end));
    const client = this.notifiers.get(message.readInt32BE(5));
    if (client !== undefined) message.writeInt32BE(client, 5);
    const channel = message.toString('utf8', 9, message.indexOf(0, 9));
    for (const hearer of this.channels.get(channel)?.hearers ?? []) hearer.hear(message);
  }

  failed(
    backend: BackendConnection,
    _action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const fields = readErrorFields(buffer, start, end);
    const request = this.sent[0];
    if (request !== undefined) request.error = BackendError.fromServer(backend.shard.name, fields);
  }

  ready(): void {
    const request = this.sent.shift();
    if (request === undefined) return;
    if (request.error === null) request.resolve();
    else request.reject(request.error);
  }

  pass(): boolean {
    return true;
  }

  captured(): void {
    // Tags.
  }

  capturedData(): boolean {
    return true;
  }

  copyInStarted(): void {
    // Not asked for.
  }

  settled(): void {
    // ReadyForQuery says it.
  }

  drained(): void {
    // Small statements.
  }
}

function poolKey({ topology, servers, pool }: Config): string {
  return JSON.stringify([servers[topology.catalogShard.index]!.primary, pool]);
}
