import type { BackendConnection } from '../backend/postgres/connection.js';
import type { SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { TxStatus, type TxStatusByte } from '../protocol/codes.js';

/** Replayed on a backend that joins later; savepoints by name, so that ROLLBACK TO can cut the list. */
interface PreambleEntry {
  readonly sql: string;
  readonly savepoint: { readonly name: string; readonly settings: Settings } | null;
}

type Settings = ReadonlyMap<string, string>;

/**
 * What a session has open: an explicit transaction (BEGIN .. COMMIT), or the implicit one of a statement or pipeline.
 * A backend joins at its first statement; BEGIN is lazy, so that a transaction of one shard costs one backend.
 */
export class UnitOfWork {
  /** Backends that this session holds now, in the order they joined. */
  readonly participants: BackendConnection[] = [];
  /** Those that have something to commit. */
  readonly writers = new Set<BackendConnection>();
  /** Inside BEGIN .. COMMIT, as the client sees it. */
  explicit = false;
  /** In lower case; null: the default. */
  isolation: string | null = null;
  private beginSql = 'BEGIN';
  private preamble: PreambleEntry[] = [];
  private hasFailed = false;
  private isTorn = false;
  private untold: SqlError | null = null;

  /** The explicit transaction has failed: only ROLLBACK helps. */
  get failed(): boolean {
    return this.hasFailed || this.isTorn;
  }

  set failed(failed: boolean) {
    this.hasFailed = failed;
  }

  /** A participant is lost with all it did: not even ROLLBACK TO a savepoint makes this transaction whole again. */
  get torn(): boolean {
    return this.isTorn;
  }

  /** `untold`: the client has not heard of it and must, with its next statement. */
  tear(untold: SqlError | null): void {
    this.isTorn = true;
    this.untold = untold;
  }

  /** The loss that the client must hear of; only once. */
  takeUntold(): SqlError | null {
    const { untold } = this;
    this.untold = null;
    return untold;
  }

  get status(): TxStatusByte {
    if (!this.explicit) return TxStatus.idle;
    return this.failed ? TxStatus.failed : TxStatus.inTransaction;
  }

  begin(sql: string, isolation: string | null): void {
    this.explicit = true;
    this.mend();
    this.beginSql = sql;
    this.isolation = isolation;
    this.preamble = [];
  }

  /** The explicit transaction is over; participants are the session's to release. */
  end(): void {
    this.explicit = false;
    this.mend();
    this.isolation = null;
    // Emptying a list or set makes a new one, which every statement would pay for.
    if (this.preamble.length > 0) this.preamble = [];
    if (this.writers.size > 0) this.writers.clear();
  }

  private mend(): void {
    this.hasFailed = false;
    this.isTorn = false;
    this.untold = null;
  }

  participant(shard: Shard): BackendConnection | null {
    // By name too: a statement planned before a reload has the shard's value of then.
    for (const backend of this.participants) {
      const { shard: own } = backend;
      if (own === shard || (own.name === shard.name && own.keyspace === shard.keyspace)) {
        return backend;
      }
    }
    return null;
  }

  /** The backend is no longer part of this. */
  drop(backend: BackendConnection): void {
    const at = this.participants.indexOf(backend);
    if (at >= 0) this.participants.splice(at, 1);
    this.writers.delete(backend);
  }

  /** The statement that began it. */
  get beginText(): string {
    return this.beginSql;
  }

  /** What a joining backend must run first. */
  joinSql(): string {
    return [this.beginSql, ...this.preamble.map((entry) => entry.sql)].join(';');
  }

  /** A statement without rows that every later participant must run too (SET LOCAL, SET TRANSACTION). */
  remember(sql: string): void {
    this.preamble.push({ sql, savepoint: null });
  }

  /** `settings`: the session's at this point, for a ROLLBACK TO it. */
  rememberSavepoint(sql: string, name: string, settings: Settings): void {
    this.preamble.push({ sql, savepoint: { name, settings } });
  }

  hasSavepoint(name: string): boolean {
    return this.lastSavepoint(name) >= 0;
  }

  /** ROLLBACK TO: what came behind the savepoint is void, the savepoint stays. Answers the settings it had. */
  rollBackTo(name: string): Settings | null {
    const at = this.lastSavepoint(name);
    if (at < 0) return null;
    this.preamble.length = at + 1;
    return this.preamble[at]!.savepoint!.settings;
  }

  /** RELEASE: the savepoint and later ones are forgotten, settings behind them stay. */
  release(name: string): void {
    const at = this.lastSavepoint(name);
    if (at < 0) return;
    this.preamble = this.preamble.filter((entry, i) => i < at || entry.savepoint === null);
  }

  private lastSavepoint(name: string): number {
    return this.preamble.findLastIndex((entry) => entry.savepoint?.name === name);
  }
}
