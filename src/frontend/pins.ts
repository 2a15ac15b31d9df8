import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE } from '../backend/postgres/expected-replies.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { Ask } from '../executor/ask.js';
import { NO_VALUES } from '../executor/bind-parts.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan } from '../planner/plan.js';
import type { Outcome } from '../transaction/operation.js';
import { Pin } from './pin.js';
import type { Session } from './session.js';

/**
 * The backends that a session keeps beyond its units of work. One is pinned before a statement runs that may leave
 * something behind; when the unit of work is over, the server says whether it did.
 */
export class Pins {
  private readonly session: Session;
  private readonly pins: Pin[] = [];

  constructor(session: Session) {
    this.session = session;
  }

  /** The idle pinned backend of a shard, which is idle no more; null: there is none. */
  take(shard: Shard): BackendConnection | null {
    if (this.pins.length === 0) return null;
    const pin = this.pins.find(({ backend, idle }) => idle && backend.shard === shard);
    if (pin === undefined) return null;
    pin.idle = false;
    return pin.backend;
  }

  /** Before a statement is sent. `commits`: it leaves something that the transaction's commit is about. */
  noteUse(backend: BackendConnection, { touches }: Plan, commits: boolean): void {
    if (commits) this.session.work.noteWrite(backend);
    if (
      touches === undefined ||
      backend.shard !== this.session.context.config.topology.catalogShard
    )
      return;
    if (touches.includes('advisoryLock')) this.keep(backend);
  }

  private keep(backend: BackendConnection): void {
    const known = this.pins.find((pin) => pin.backend === backend);
    if (known !== undefined) {
      known.stale = true;
      return;
    }
    const pin: Pin = new Pin(backend, (error) => {
      this.forget(pin);
      const reason = error === null ? 'its connection is gone' : error.message;
      const what = `shard "${backend.shard.name}" was lost with what this session had there: ${reason}`;
      this.session.fatal('connection_failure', what);
    });
    this.pins.push(pin);
  }

  /** The unit of work is over. False: a backend is asked first what it still holds of the session. */
  settled(): boolean {
    const pin = this.pins.find(({ stale }) => stale);
    if (pin === undefined) return true;
    const { session } = this;
    const { backend } = pin;
    pin.stale = false;
    backend.sink = session;
    session.busy = true;
    backend.query(HOLDINGS, CAPTURE);
    const ask = new Ask(backend, (answered) => {
      session.operation = null;
      if (pin.idle) backend.sink = pin;
      const row = answered.ok ? answered.results[0]?.[0] : undefined;
      // Where nothing is known it may hold anything.
      if (row === undefined) pin.stale = true;
      else if (row[0]?.toString() === '0') {
        this.forget(pin);
        pin.letGo();
      }
      session.finishUnit();
    });
    session.operation = ask;
    backend.flush();
    return false;
  }

  /** Runs statements without rows on the backends that are pinned. False: wait, call again. */
  run(statements: readonly string[], done: (outcome: Outcome) => void): boolean {
    const { session } = this;
    const [pin] = this.pins;
    if (pin === undefined) {
      done({ ok: true, tag: '' });
      return true;
    }
    const backend = session.lease(pin.backend.shard);
    if (backend === null) return false;
    pin.stale = true;
    const { inPipeline } = session;
    for (const sql of statements) {
      backend.statements.runUnnamed(unnamedText(sql, []), NO_VALUES, false);
    }
    if (inPipeline) session.touch([backend]);
    session.busy = true;
    const ask = new Ask(backend, (answered) => {
      done(answered.ok ? { ok: true, tag: '' } : answered);
      session.resumeSoon();
    });
    session.operation = ask;
    ask.start(!inPipeline);
    return true;
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

/** How many session-level locks the backend holds; outside of transactions there are no others. */
const HOLDINGS = `SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks
  WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()`;
