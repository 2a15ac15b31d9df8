import { readDataRow, readErrorFields } from '../protocol/backend-messages.js';
import { Backend } from '../protocol/codes.js';
import { BackendError } from './backend-error.js';
import type { Pool } from './pool.js';
import type { BackendWaiter } from './waiting-line.js';
import type { BackendSink } from './postgres/backend-sink.js';
import type { BackendConnection } from './postgres/connection.js';
import { CAPTURE } from './postgres/expected-replies.js';

/** A query of our own (catalog, health) on a pooled backend; the one place where promises meet backends. */
export class InternalQuery implements BackendSink, BackendWaiter {
  readonly mustGoOn = true;
  private readonly pool: Pool;
  private readonly sql: string | null;
  private readonly resolve: (backend: BackendConnection, rows: (string | null)[][]) => void;
  private readonly reject: (error: Error) => void;
  private readonly rows: (string | null)[][] = [];
  private readonly timer: NodeJS.Timeout;
  private failure: Error | null = null;
  private backend: BackendConnection | null = null;
  private pending: Buffer = Buffer.alloc(0);
  /** Whoever asked goes on with the backend. */
  private readonly keeps: boolean;

  private constructor(
    pool: Pool,
    sql: string | null,
    timeoutMs: number,
    resolve: (backend: BackendConnection, rows: (string | null)[][]) => void,
    reject: (error: Error) => void,
    lent: BackendConnection | null = null,
    keeps = false,
  ) {
    this.keeps = keeps;
    this.pool = pool;
    this.sql = sql;
    this.resolve = resolve;
    this.reject = reject;
    this.timer = setTimeout(() => this.timeOut(timeoutMs), timeoutMs);
    if (lent !== null) {
      this.onBackend(lent);
      return;
    }
    const backend = pool.tryLease();
    if (backend === null) pool.wait(this, true);
    else this.onBackend(backend);
  }

  /** Rows of one statement, values as text. */
  static run(pool: Pool, sql: string, timeoutMs: number): Promise<(string | null)[][]> {
    return new Promise((resolve, reject) => {
      new InternalQuery(pool, sql, timeoutMs, (_backend, rows) => resolve(rows), reject);
    });
  }

  /**
   * The same on a backend of the pool that nobody has, which is released behind the callback: what
   * comes next finds what the callback has made of the rows.
   */
  static runOn(
    pool: Pool,
    backend: BackendConnection,
    sql: string,
    timeoutMs: number,
    on: {
      readonly onRows: (rows: (string | null)[][]) => void;
      readonly onFailed: (error: Error) => void;
    },
  ): void {
    const onRows = (_backend: BackendConnection, rows: (string | null)[][]): void => {
      on.onRows(rows);
    };
    new InternalQuery(pool, sql, timeoutMs, onRows, on.onFailed, backend);
  }

  /**
   * Several queries on one backend of the pool, so that a transaction may span them. Where it ends
   * inside of one, the backend is closed.
   */
  static async session<T>(
    pool: Pool,
    timeoutMs: number,
    act: (query: (sql: string) => Promise<(string | null)[][]>) => Promise<T>,
  ): Promise<T> {
    const backend = await new Promise<BackendConnection>((resolve, reject) => {
      new InternalQuery(pool, null, timeoutMs, resolve, reject, null, true);
    });
    const query = (sql: string): Promise<(string | null)[][]> =>
      new Promise((resolve, reject) => {
        const done = (_: BackendConnection, rows: (string | null)[][]): void => resolve(rows);
        new InternalQuery(pool, sql, timeoutMs, done, reject, backend, true);
      });
    try {
      return await act(query);
    } finally {
      if (backend.alive && backend.free) pool.release(backend);
      else if (backend.alive) pool.discard(backend);
    }
  }

  /** The parameters that a backend of the pool reported at its login. */
  static parameters(pool: Pool, timeoutMs: number): Promise<ReadonlyMap<string, string>> {
    return new Promise((resolve, reject) => {
      const copy = (backend: BackendConnection): void => resolve(backend.loginParameters);
      new InternalQuery(pool, null, timeoutMs, copy, reject);
    });
  }

  onBackend(backend: BackendConnection): void {
    this.backend = backend;
    backend.sink = this;
    if (this.sql === null) {
      this.finish(backend);
      return;
    }
    backend.query(this.sql, CAPTURE);
    backend.flush();
  }

  onBackendError(error: BackendError): void {
    clearTimeout(this.timer);
    this.reject(error);
  }

  captured(): void {
    // Row description and tag: the caller knows what it asked for.
  }

  capturedData(backend: BackendConnection, buffer: Buffer, start: number, end: number): boolean {
    // Off the hot path: pieces are joined, then cut into rows.
    let bytes = Buffer.concat([this.pending, buffer.subarray(start, end)]);
    while (bytes.length >= 5 && bytes.length >= bytes.readInt32BE(1) + 1) {
      const length = bytes.readInt32BE(1) + 1;
      if (bytes[0] === Backend.dataRow && !this.addRow(backend, bytes, length)) return true;
      bytes = bytes.subarray(length);
    }
    this.pending = bytes;
    return true;
  }

  /** False: the row is malformed, the backend was closed. */
  private addRow(backend: BackendConnection, bytes: Buffer, length: number): boolean {
    try {
      this.rows.push(readDataRow(bytes, 0, length));
      return true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      clearTimeout(this.timer);
      this.pool.discard(backend);
      const { name } = this.pool.shard;
      this.reject(
        new BackendError(name, 'connection_failure', `protocol violation: ${error.message}`),
      );
      return false;
    }
  }

  failed(
    backend: BackendConnection,
    _action: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const fields = readErrorFields(buffer, start, end);
    const message = fields.get('M') ?? 'the server reported an error';
    this.failure = new BackendError(backend.shard.name, 'internal_error', message, fields);
  }

  ready(backend: BackendConnection): void {
    this.finish(backend);
  }

  closed(backend: BackendConnection, error: BackendError): void {
    clearTimeout(this.timer);
    this.pool.lost(backend);
    this.reject(error);
  }

  pass(): boolean {
    return true;
  }

  copyInStarted(backend: BackendConnection): void {
    backend.failCopy('not asked for');
    backend.flush();
  }

  drained(): void {
    // One small statement.
  }

  settled(): void {
    // ReadyForQuery says it.
  }

  private finish(backend: BackendConnection): void {
    clearTimeout(this.timer);
    const { failure } = this;
    const done = (): void => this.resolve(backend, this.rows);
    if (failure === null) done();
    else this.reject(failure);
    if (!this.keeps) this.pool.release(backend);
  }

  private timeOut(timeoutMs: number): void {
    if (this.backend === null) this.pool.giveUp(this);
    else this.pool.discard(this.backend);
    this.reject(
      new BackendError(
        this.pool.shard.name,
        'insufficient_resources',
        `no answer within ${timeoutMs} ms`,
      ),
    );
  }
}
