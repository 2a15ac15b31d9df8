import { relationsOf } from '../backend/catalog-loader.js';
import { columnsQuery, relationsQuery } from '../backend/catalog-queries.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { sqlError } from '../errors/sql-error.js';
import { Ask, textRows } from '../executor/ask.js';
import { NO_VALUES } from '../executor/bind-parts.js';
import type { CatalogRelation } from '../keyspace/catalog.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import type { TemporaryTables } from '../planner/names.js';
import type { Plan, SessionState } from '../planner/plan.js';
import type { Outcome } from '../transaction/operation.js';
import { noteCursor } from './cursor-shards.js';
import { Pin } from './pin.js';
import type { Session } from './session.js';

/**
 * The backends that a session keeps beyond its units of work. One is pinned before a statement runs that may leave
 * something behind; when the unit of work is over, the server says whether it did.
 */
export class Pins {
  private readonly session: Session;
  private readonly pins: Pin[] = [];
  /** The session's temporary tables; null: none. */
  temporary: TemporaryTables | null = null;
  /** They may have changed since they were read. */
  unread = false;

  constructor(session: Session) {
    this.session = session;
  }

  get none(): boolean {
    return this.pins.length === 0;
  }

  /** The idle pinned backend of a shard, which is idle no more; null: there is none. */
  take(shard: Shard): BackendConnection | null {
    if (this.pins.length === 0) return null;
    const pin = this.pins.find(({ backend, idle }) => idle && backend.shard === shard);
    if (pin === undefined) return null;
    pin.idle = false;
    return pin.backend;
  }

  /**
   * Before a statement is sent. `commits`: it leaves something that the transaction's commit is about; `declares`: it
   * is run as something that tells of its cursor itself.
   */
  noteUse(backend: BackendConnection, plan: Plan, commits: boolean, declares = false): void {
    const { touches } = plan;
    if (plan.kind === 'route' && plan.cursor !== null && !declares) {
      noteCursor(this.session, plan, plan.cursor, backend);
    }
    if (commits) this.session.work.noteWrite(backend);
    if (touches === undefined) return;
    if (touches.includes('nextval') || touches.includes('setval')) {
      this.session.planning.ids.sequences.lose();
      if (touches.includes('setval')) this.session.context.ids.disturb();
    }
    const { catalogShard } = this.session.context.config.topology;
    if (backend.shard !== catalogShard) return;
    if (touches.includes('notify')) this.session.listening.noteNotify(backend);
    const makesTables = touches.includes('temporaryDdl');
    if (makesTables) this.assertRoom(backend);
    if (makesTables || touches.includes('advisoryLock')) {
      const pin = this.keep(backend);
      if (makesTables) {
        pin.hasTables = true;
        this.unread = true;
      }
    }
    if (touches.includes('advisoryUnlock')) this.noteEnd(backend);
    // It cannot be prepared any more, so it decides the transaction's commit.
    if (touches.some((state) => UNPREPARABLE.has(state))) this.session.work.noteScratch(backend);
  }

  /** Throws SqlError 53000 where sessions that keep a backend would leave none for others. */
  private assertRoom(backend: BackendConnection): void {
    const { count, max } = backend.owner.pins;
    if (count < max || backend.owner instanceof Pin) return;
    const { name } = backend.shard;
    throw sqlError(
      'insufficient_resources',
      `no more sessions may keep a backend of shard "${name}" for themselves: ${count} do`,
      {
        hint:
          'Drop temporary tables and close cursors WITH HOLD sooner, use ON COMMIT DROP,' +
          ' or raise pool.size.',
      },
    );
  }

  private keep(backend: BackendConnection): Pin {
    const pin = this.pins.find((known) => known.backend === backend) ?? this.pin(backend);
    pin.stale = true;
    return pin;
  }

  /**
   * Before a cursor WITH HOLD is declared there: its rows are kept by the commit of its transaction, which cannot be
   * prepared any more. Throws SqlError 0A000 where another backend decides that commit already; 53000.
   */
  keepCursor(backend: BackendConnection): void {
    const { work } = this.session;
    const { scratchHome } = work;
    if (scratchHome !== null && scratchHome !== backend && work.writers.has(scratchHome)) {
      throw sqlError(
        'feature_not_supported',
        `a cursor WITH HOLD on shard "${backend.shard.name}" is not supported in a transaction that has one,` +
          ` or temporary tables, on shard "${scratchHome.shard.name}"`,
        { hint: 'Declare it in a transaction of its own.' },
      );
    }
    this.assertRoom(backend);
    this.keep(backend).hasCursors = true;
    work.noteScratch(backend);
    work.noteWrite(backend);
  }

  /** A cursor is closed there, or locks are released: nothing may be left of the session then. */
  noteEnd(backend: BackendConnection): void {
    const pin = this.pins.find((known) => known.backend === backend);
    if (pin !== undefined) pin.stale = true;
  }

  private pin(backend: BackendConnection): Pin {
    const pin: Pin = new Pin(backend, (error) => {
      this.forget(pin);
      const reason = error === null ? 'its connection is gone' : error.message;
      const what = `shard "${backend.shard.name}" was lost with what this session had there: ${reason}`;
      this.session.fatal('connection_failure', what);
    });
    this.pins.push(pin);
    return pin;
  }

  /** A savepoint has come back, and with it the tables of then. */
  rolledBack(): void {
    this.unread = this.pins.some(({ stale, hasTables }) => stale && hasTables);
  }

  /** Learns which temporary tables there are now. False: wait, call again. */
  read(): boolean {
    const { session } = this;
    // Only the end of the transaction can be asked for now, and that needs no names.
    if (session.work.failed) return true;
    this.unread = false;
    const pin = this.pins.find(({ hasTables }) => hasTables);
    if (pin === undefined) return true;
    this.ask(pin, session.inPipeline, () => {
      // A rollback would bring back what is dropped: the end of the transaction tells.
      pin.hasTables = true;
      session.resumeSoon();
    });
    return false;
  }

  /** The unit of work is over. False: a backend is asked first what it still holds of the session. */
  settled(): boolean {
    const pin = this.pins.find(({ stale }) => stale);
    if (pin === undefined) return true;
    pin.stale = false;
    const { session } = this;
    this.ask(pin, false, (holdsLocks) => {
      session.operation = null;
      if (holdsLocks === null) {
        // Where nothing is known it may hold anything: asked again at the next end.
        pin.stale = true;
        session.releaseAll();
        session.goOn();
        return;
      }
      if (!holdsLocks && !pin.hasTables && !pin.hasCursors) {
        this.forget(pin);
        pin.letGo();
      }
      session.finishUnit();
    });
    return false;
  }

  /** `onDone` is told whether the backend holds locks; null: it did not say. */
  private ask(pin: Pin, inPipeline: boolean, onDone: (holdsLocks: boolean | null) => void): void {
    const { session } = this;
    const { backend } = pin;
    session.busy = true;
    backend.sink = session;
    const questions = [
      LOCKS,
      ...(pin.hasCursors ? [CURSORS] : []),
      ...(pin.hasTables ? TABLES : []),
    ];
    for (const sql of questions) {
      backend.statements.runUnnamed(unnamedText(sql, []), NO_VALUES, false);
    }
    if (inPipeline) session.touch([backend]);
    const ask = new Ask(backend, (answered) => {
      if (pin.idle) backend.sink = pin;
      if (!answered.ok || answered.results.length < questions.length) {
        onDone(null);
        return;
      }
      const [locks, ...results] = answered.results.map(textRows);
      if (pin.hasCursors) {
        const names = new Set(results.shift()!.map(([name]) => name!));
        pin.hasCursors = names.size > 0;
        session.extended.portals.keepOnly(backend, names);
      }
      if (pin.hasTables) {
        this.temporary = temporaryTables(results[0]!, results[1]!);
        pin.hasTables = this.temporary !== null;
      }
      onDone(locks![0]![0] !== '0');
    });
    session.operation = ask;
    ask.start(!inPipeline);
  }

  /** Runs statements without rows on all backends that are pinned. False: wait, call again. */
  run(statements: readonly string[], done: (outcome: Outcome) => void): boolean {
    const { session } = this;
    const shards = this.pins.map(({ backend }) => backend.shard).sort(byIndex);
    const backends = session.leaseAll(shards);
    if (backends === null) return false;
    for (const pin of this.pins) pin.stale = true;
    this.runOn(backends, statements, done);
    return true;
  }

  /** One backend after the other. */
  private runOn(
    [backend, ...rest]: readonly BackendConnection[],
    statements: readonly string[],
    done: (outcome: Outcome) => void,
  ): void {
    const { session } = this;
    if (backend === undefined) {
      done({ ok: true, tag: '' });
      return;
    }
    for (const sql of statements) {
      backend.statements.runUnnamed(unnamedText(sql, []), NO_VALUES, false);
    }
    const { inPipeline } = session;
    if (inPipeline) session.touch([backend]);
    session.busy = true;
    const ask = new Ask(backend, (answered) => {
      if (answered.ok) this.runOn(rest, statements, done);
      else done(answered);
      if (!answered.ok || rest.length === 0) session.resumeSoon();
    });
    session.operation = ask;
    ask.start(!inPipeline);
  }

  /** The session ends. */
  close(): void {
    for (const pin of this.pins.splice(0)) pin.end();
  }

  private forget(pin: Pin): void {
    const at = this.pins.indexOf(pin);
    if (at >= 0) this.pins.splice(at, 1);
  }
}

/** PostgreSQL 18, PREPARE TRANSACTION, notes. */
const UNPREPARABLE: ReadonlySet<SessionState> = new Set(['temporary', 'temporaryDdl', 'notify']);
/** How many advisory locks the backend holds; outside of transactions these are the session's. */
const LOCKS = `SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks
  WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()`;
const CURSORS = 'SELECT name FROM pg_catalog.pg_cursors WHERE is_holdable';
const TABLES = [relationsQuery('temporary'), columnsQuery('temporary')];

type Row = readonly (string | null)[];

/** Null: there are none. Their schema has another name in every session. */
function temporaryTables(rows: readonly Row[], columns: readonly Row[]): TemporaryTables | null {
  if (rows.length === 0) return null;
  const relations = new Map<string, CatalogRelation>();
  for (const relation of relationsOf(rows, columns, [], null).values()) {
    relations.set(relation.name, { ...relation, schema: 'pg_temp', temporary: true });
  }
  return { key: JSON.stringify([...relations.values()]), relations };
}
