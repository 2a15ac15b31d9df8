import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import type { Shard, Topology } from '../keyspace/topology.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Logger } from '../util/logger.js';
import type { ShardQuery } from './two-phase-shards.js';
import type { UnitOfWork } from './unit-of-work.js';
import { lastingWaits, WaitGraph, type LockWait } from './wait-graph.js';

export interface DeadlockServices {
  topology(): Topology;
  /** What every session has open. */
  units(): Iterable<UnitOfWork>;
  readonly query: ShardQuery;
  readonly logger: Logger;
}

/** A unit of work of this proxy, or the name of a process that is none of its own. */
type Party = UnitOfWork | string;

/** Until the shards have said theirs: PostgreSQL's default of deadlock_timeout. */
const PATIENCE_MS = 1000;
const PATIENCE_MAX_AGE_MS = 60_000;
/** Looks at the sessions this often within the patience. */
const TICKS = 4;
const TICK_MIN_MS = 20;
/** Statements that go on and on are looked at no more often than this. */
const LOOK_AGAIN_MS = 1000;
const QUERY_TIMEOUT_MS = 2000;

const PATIENCE_SQL = "SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'";
/** Waiting processes of this database, each with those that it waits for. */
const WAITS_SQL = `
SELECT w.pid, array_to_string(pg_blocking_pids(w.pid), ',')
  FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) w
  JOIN pg_stat_activity a ON a.pid = w.pid AND a.datname = current_database()`;

/**
 * Ends deadlocks over several shards, which none of them can see. Costs nothing while statements are quick: a timer
 * looks for units of work over several shards that have waited for an answer as long as PostgreSQL waits before it
 * looks for a deadlock, and only then asks the shards who waits for whom. A cycle must stand in two looks, since those
 * of different shards are not of one moment. The member that has waited least is cancelled, and told 40P01.
 */
export class DeadlockWatch {
  private readonly services: DeadlockServices;
  private patienceMs = PATIENCE_MS;
  private patienceAskedAt = -Infinity;
  /** Backends of units over several shards that owe an answer, and since when. */
  private busySince = new Map<BackendConnection, number>();
  /** Those that were overdue at the last look. */
  private looked: ReadonlySet<BackendConnection> = new Set();
  private lookedAt = -Infinity;
  private looking = false;
  private timer: NodeJS.Timeout | null = null;

  constructor(services: DeadlockServices) {
    this.services = services;
  }

  start(): void {
    this.timer = setTimeout(() => {
      this.tick(performance.now());
      this.start();
    }, this.tickMs);
    this.timer.unref();
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private get tickMs(): number {
    return Math.max(TICK_MIN_MS, this.patienceMs / TICKS);
  }

  private tick(now: number): void {
    const busySince = new Map<BackendConnection, number>();
    const overdue = new Set<BackendConnection>();
    let spanning = false;
    for (const { participants } of this.services.units()) {
      if (participants.length < 2) continue;
      spanning = true;
      for (const backend of participants) {
        if (backend.quiet) continue;
        const since = this.busySince.get(backend) ?? now;
        busySince.set(backend, since);
        // It may have begun to wait a tick before it was seen.
        if (now - since >= this.patienceMs - this.tickMs) overdue.add(backend);
      }
    }
    this.busySince = busySince;
    if (spanning && now - this.patienceAskedAt > PATIENCE_MAX_AGE_MS) void this.askPatience(now);
    if (overdue.size === 0 || this.looking) return;
    const isNew = [...overdue].some((backend) => !this.looked.has(backend));
    if (!isNew && now - this.lookedAt < LOOK_AGAIN_MS) return;
    this.looked = overdue;
    this.lookedAt = now;
    void this.look();
  }

  private async askPatience(now: number): Promise<void> {
    this.patienceAskedAt = now;
    const answers = await this.askAll(PATIENCE_SQL);
    const told = answers.map(([, rows]) => Number(rows[0]?.[0])).filter((ms) => ms > 0);
    if (told.length > 0) this.patienceMs = Math.min(...told);
  }

  /** Never rejects. */
  private async look(): Promise<void> {
    this.looking = true;
    try {
      const before = await this.waits();
      if (this.victim(before) === null) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(100, this.tickMs)));
      let waits = lastingWaits(before, await this.waits());
      for (;;) {
        const found = this.victim(waits);
        if (found === null) return;
        this.end(found.victim, found.cycle);
        // There may be another cycle that goes without it.
        waits = waits.filter((wait) => !isOf(found.victim, wait));
      }
    } finally {
      this.looking = false;
    }
  }

  /** A cycle, and the backend in it that began to wait last; null: there is none. */
  private victim(
    waits: readonly LockWait[],
  ): { readonly victim: BackendConnection; readonly cycle: readonly LockWait[] } | null {
    const backends = new Map<string, BackendConnection>();
    const parties = new Map<string, Party>();
    for (const unit of this.services.units()) {
      for (const backend of unit.participants) {
        const key = processKey(backend.shard, backend.pid);
        backends.set(key, backend);
        parties.set(key, unit);
      }
    }
    const graph = new WaitGraph<Party>(waits, (shard, pid) => {
      const key = processKey(shard, pid);
      return parties.get(key) ?? key;
    });
    for (const unit of new Set(parties.values())) {
      const cycle = graph.cycleThrough(unit);
      if (cycle === null) continue;
      const own = cycle
        .map(({ shard, pid }) => backends.get(processKey(shard, pid)))
        .filter((backend) => backend !== undefined);
      const since = (backend: BackendConnection): number => this.busySince.get(backend) ?? 0;
      return { victim: own.reduce((a, b) => (since(b) > since(a) ? b : a)), cycle };
    }
    return null;
  }

  private end(victim: BackendConnection, cycle: readonly LockWait[]): void {
    const lines = cycle.map(
      ({ shard, pid, blocker }) =>
        `Process ${pid} of shard "${shard.name}" waits for process ${blocker} of that shard.`,
    );
    const error = sqlError('deadlock_detected', 'deadlock detected', {
      detail: lines.join('\n'),
      hint: 'Repeat the transaction.',
    });
    const { shard, pid } = victim;
    this.services.logger.info({ shard: shard.name, pid, cycle: lines }, 'ended a deadlock');
    victim.cancel(errorBytes(error));
  }

  private async waits(): Promise<readonly LockWait[]> {
    const waits: LockWait[] = [];
    for (const [shard, rows] of await this.askAll(WAITS_SQL)) {
      for (const [pid, blockers] of rows) {
        for (const blocker of (blockers ?? '').split(',')) {
          // 0 is a prepared transaction: it waits for nobody.
          if (Number(blocker) > 0) {
            waits.push({ shard, pid: Number(pid), blocker: Number(blocker) });
          }
        }
      }
    }
    return waits;
  }

  /** The answers of the shards that can be asked. */
  private async askAll(
    sql: string,
  ): Promise<readonly (readonly [Shard, readonly (string | null)[][]])[]> {
    const { query, logger } = this.services;
    const answers = await Promise.all(
      this.services.topology().shards.map(async (shard) => {
        try {
          return [shard, await query(shard, sql, QUERY_TIMEOUT_MS)] as const;
        } catch (error) {
          const reason = (error as Error).message;
          logger.debug({ shard: shard.name, reason }, 'a shard cannot be asked for its locks');
          return null;
        }
      }),
    );
    return answers.filter((answer) => answer !== null);
  }
}

function isOf({ shard, pid }: BackendConnection, wait: LockWait): boolean {
  return processKey(shard, pid) === processKey(wait.shard, wait.pid);
}

function processKey(shard: Shard, pid: number): string {
  return `${shard.keyspace}/${shard.name}/${pid}`;
}
