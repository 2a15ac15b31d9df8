import type { BackendConnection } from '../backend/postgres/connection.js';
import type { SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { SettingEffect } from '../planner/plan.js';
import { TxStatus, type TxStatusByte } from '../protocol/codes.js';

/** Replayed on a backend that joins later; savepoints by name, so that ROLLBACK TO can cut the list. */
interface PreambleEntry {
  readonly sql: string;
  readonly savepoint: ({ readonly name: string } & SavepointState) | null;
  /** The setting that it changes; null: it is a savepoint, or must stand as it is. */
  readonly effect: SettingEffect | null;
}

/** What ROLLBACK TO brings back. */
export interface SavepointState {
  /** The session's settings when the savepoint was made. */
  readonly settings: Settings;
  /** What the client knew of parameters then. */
  readonly told: Settings;
}

type Settings = ReadonlyMap<string, string>;

/**
 * What a session has open: an explicit transaction (BEGIN .. COMMIT), or the implicit one of a statement or pipeline.
 * A backend joins at its first statement; BEGIN is lazy, so that a transaction of one shard costs one backend.
 */
export class UnitOfWork {
  /** Backends that this session holds now, in the order they joined. */
  readonly participants: BackendConnection[] = [];
  /** Grows with every statement that may write, also beyond the end of this. */
  writes = 0;
  /** Those that have something to commit. */
  readonly writers = new Set<BackendConnection>();
  /**
   * The backend that made temporary tables or cursors WITH HOLD in this transaction: it can commit but not prepare,
   * so there is one at most that also writes. Another unit of work may have left it; then it means nothing.
   */
  scratchHome: BackendConnection | null = null;
  /** What runs outside BEGIN has set for its implicit transaction only, and then: no further shard has it. */
  private localEffects: SettingEffect[] = [];
  /** Inside BEGIN .. COMMIT, as the client sees it. */
  explicit = false;
  /** How many explicit transactions there have been. */
  begun = 0;
  /** In lower case; null: the default. */
  isolation: string | null = null;
  /** The shard whose snapshot it reads by, under a level that promises one; null: it has read nothing yet. */
  snapshotOf: Shard | null = null;
  /** READ ONLY or READ WRITE, as the transaction has said it; null: it has not. */
  readOnly: boolean | null = null;
  private beginSql = 'BEGIN';
  /** SET TRANSACTION behind it, outside savepoints: a chained transaction begins like that too. */
  private characteristics: string[] = [];
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

  /** `untold`: the client has not heard of it and must, with its next statement, unless that has failed anyway. */
  tear(untold: SqlError | null): void {
    this.isTorn = true;
    this.untold = this.hasFailed ? null : untold;
  }

  /** The loss that the client must hear of; only once. */
  takeUntold(): SqlError | null {
    const { untold } = this;
    this.untold = null;
    return untold;
  }

  /** As the client knows it: a loss that it has not heard of fails its next statement, not the one before. */
  get status(): TxStatusByte {
    if (!this.explicit) return TxStatus.idle;
    return this.failed && this.untold === null ? TxStatus.failed : TxStatus.inTransaction;
  }

  begin(sql: string, isolation: string | null, readOnly: boolean | null = null): void {
    this.explicit = true;
    this.begun++;
    this.mend();
    this.beginSql = sql;
    this.isolation = isolation;
    this.readOnly = readOnly;
    this.snapshotOf = null;
    this.preamble = [];
    this.characteristics = [];
  }

  /** The explicit transaction is over; participants are the session's to release. */
  end(): void {
    this.explicit = false;
    this.mend();
    this.isolation = null;
    this.readOnly = null;
    // Emptying a list or set makes a new one, which every statement would pay for.
    if (this.preamble.length > 0) this.preamble = [];
    if (this.writers.size > 0) this.writers.clear();
    this.scratchHome = null;
    this.forgetLocal();
  }

  /** No further shard may join what runs outside BEGIN. */
  get staysWhereItIs(): boolean {
    return this.localEffects.length > 0;
  }

  /** A setting for the implicit transaction only, or one behind such. */
  noteLocal(effect: SettingEffect): void {
    this.localEffects.push(effect);
  }

  /** The implicit transaction is over. */
  forgetLocal(): void {
    if (this.localEffects.length > 0) this.localEffects = [];
  }

  private mend(): void {
    this.hasFailed = false;
    this.isTorn = false;
    this.untold = null;
  }

  noteWrite(backend: BackendConnection): void {
    this.writes++;
    this.writers.add(backend);
  }

  /** The backend cannot prepare any more. */
  noteScratch(backend: BackendConnection): void {
    const { scratchHome, writers } = this;
    if (scratchHome === null || !writers.has(scratchHome)) this.scratchHome = backend;
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

  /** What begins a transaction that is chained to this one. */
  get chainSql(): string {
    return [this.beginSql, ...this.characteristics].join(';');
  }

  /** Nothing is open in it that an error would leave: no savepoint, no setting. */
  get plain(): boolean {
    return this.preamble.length === 0;
  }

  /** What a joining backend must run first. */
  joinSql(): string {
    return [this.beginSql, ...this.preamble.map((entry) => entry.sql)].join(';');
  }

  /**
   * A statement without rows that every later participant must run too (SET LOCAL, SET TRANSACTION). `effect`: the one
   * setting that it changes, by which a later change of it takes its place.
   */
  remember(sql: string, effect: SettingEffect | null = null): void {
    const { preamble } = this;
    for (let at = preamble.length - 1; at >= 0 && effect !== null; at--) {
      const entry = preamble[at]!;
      if (entry.savepoint !== null || entry.effect === null) break;
      if (entry.effect.name !== effect.name || entry.effect.local !== effect.local) continue;
      preamble.splice(at, 1);
      break;
    }
    preamble.push({ sql, savepoint: null, effect });
  }

  /** SET TRANSACTION and its like. */
  rememberCharacteristic(sql: string): void {
    if (this.savepointDepth === 0) this.characteristics.push(sql);
    this.remember(sql);
  }

  /** Whether this transaction may have changed settings. */
  get changesSettings(): boolean {
    return this.preamble.length > 0 || this.localEffects.length > 0;
  }

  /** The last change of a setting in this transaction, RESET ALL included; null: none. */
  lastEffect(name: string): SettingEffect | null {
    const { preamble, localEffects } = this;
    for (let at = preamble.length - 1; at >= 0; at--) {
      const { effect } = preamble[at]!;
      if (effect !== null && changes(effect, name)) return effect;
    }
    return localEffects.findLast((effect) => changes(effect, name)) ?? null;
  }

  /** `state`: the session's at this point, for a ROLLBACK TO it. */
  rememberSavepoint(sql: string, name: string, state: SavepointState): void {
    this.preamble.push({ sql, savepoint: { name, ...state }, effect: null });
  }

  hasSavepoint(name: string): boolean {
    return this.lastSavepoint(name) >= 0;
  }

  /** How many savepoints there are. */
  get savepointDepth(): number {
    let depth = 0;
    for (const { savepoint } of this.preamble) if (savepoint !== null) depth++;
    return depth;
  }

  /** What the session was like when the last savepoint was made; null: there is none. */
  get innermostSavepoint(): SavepointState | null {
    return this.preamble.findLast(({ savepoint }) => savepoint !== null)?.savepoint ?? null;
  }

  /** ROLLBACK TO: what came behind the savepoint is void, the savepoint stays. Null: there is none. */
  rollBackTo(name: string): SavepointState | null {
    const at = this.lastSavepoint(name);
    if (at < 0) return null;
    this.preamble.splice(at + 1);
    return this.preamble[at]!.savepoint;
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

/** RESET ALL leaves the role alone (PostgreSQL 18, guc_tables.c, GUC_NO_RESET_ALL). */
function changes(effect: SettingEffect, name: string): boolean {
  return effect.name === name || (effect.name === '*' && name !== 'role');
}
