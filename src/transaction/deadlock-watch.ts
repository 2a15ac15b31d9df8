import type { ShardQuery } from '../backend/shard-query.js';
import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError } from '../errors/sql-error.js';
import type { Shard, Topology } from '../keyspace/topology.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Logger } from '../util/logger.js';
import type { UnitOfWork } from './unit-of-work.js';
import { SharedWaits } from './shared-waits.js';
import { lastingWaits, processKey, WaitGraph, type LockWait } from './wait-graph.js';

export interface DeadlockServices {
  topology(): Topology;
  /** What every session has open. */
  units(): Iterable<UnitOfWork>;
  readonly query: ShardQuery;
  readonly logger: Logger;
}

/** A unit of work of this proxy, or the name of one of another proxy, or of a process that is no proxy's. */
type Party = UnitOfWork | string;

/** Units of work of other proxies, by their processes. */
type Strangers = ReadonlyMap<string, string>;

/** A cycle, and who is to leave it. */
interface Deadlock {
  readonly cycle: readonly LockWait[];
  /** The wait that ends. */
  readonly wait: LockWait;
  /** Who waits there; null: another proxy's, which ends it. */
  readonly victim: BackendConnection | null;
}

/** Until the shards have said theirs: PostgreSQL's default of deadlock_timeout. */
const PATIENCE_MS = 1000;
const PATIENCE_MAX_AGE_MS = 60_000;
/** Looks at the sessions this often within the patience. */
const TICKS = 4;
const TICK_MIN_MS = 20;
/** Statements that go on and on are looked at no more often than this, */
const LOOK_AGAIN_MS = 1000;
/** and this where they wait for clients of other proxies, of which only these tell. */
const LOOK_AGAIN_AT_OTHERS_MS = 400;
const QUERY_TIMEOUT_MS = 2000;

const PATIENCE_SQL = "SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'";
/** The application_name of a process of ours that soon gives up what it waits for: it is no part of a deadlock. */
export const GIVES_UP = 'shardgate gives up';
/** Waiting processes of this database, each with those that it waits for. */
const WAITS_SQL = `
SELECT w.pid, array_to_string(pg_blocking_pids(w.pid), ',')
  FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) w
  JOIN pg_stat_activity a ON a.pid = w.pid AND a.datname = current_database()
   AND a.application_name <> '${GIVES_UP}'`;

/**
 * Ends deadlocks over several shards, which none of them can see. Costs nothing while statements are quick: a timer
 * looks for units of work over several shards that have waited for an answer as long as PostgreSQL waits before it
 * looks for a deadlock, and only then asks the shards who waits for whom. A cycle must stand in two looks, since those
 * of different shards are not of one moment. The member that has waited least is cancelled, and told 40P01.
 *
 * A transaction of another proxy is seen as a process on each of its shards that have nothing to do with each other; so
 * where waits lead to such, the proxies tell each other (`SharedWaits`). All see the same cycle then, and the one whose
 * unit of work has the last name ends that.
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
  private lookAgainMs = LOOK_AGAIN_MS;
  private readonly shared: SharedWaits;
  private looking = false;
  private timer: NodeJS.Timeout | null = null;

  constructor(services: DeadlockServices) {
    this.services = services;
    const { query, logger } = services;
    const catalogShard = (): Shard => services.topology().catalogShard;
    this.shared = new SharedWaits({ catalogShard, query, logger });
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
    if (this.looking) return;
    if (overdue.size === 0) {
      this.shared.withdraw();
      return;
    }
    const isNew = [...overdue].some((backend) => !this.looked.has(backend));
    if (!isNew && now - this.lookedAt < this.lookAgainMs) return;
    this.looked = overdue;
    this.lookedAt = now;
    void this.look(overdue);
  }

  private async askPatience(now: number): Promise<void> {
    this.patienceAskedAt = now;
    const answers = await this.askAll(PATIENCE_SQL);
    const told = answers.map(([, rows]) => Number(rows[0]?.[0])).filter((ms) => ms > 0);
    if (told.length > 0) this.patienceMs = Math.min(...told);
  }

  /** Never rejects. */
  private async look(overdue: ReadonlySet<BackendConnection>): Promise<void> {
    this.looking = true;
    this.lookAgainMs = LOOK_AGAIN_MS;
    try {
      const before = await this.waits();
      let strangers = await this.strangersIn(before, overdue);
      if (this.deadlock(before, strangers) === null) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(100, this.tickMs)));
      let waits = lastingWaits(before, await this.waits());
      strangers = await this.strangersIn(waits, overdue);
      for (;;) {
        const found = this.deadlock(waits, strangers);
        if (found === null) return;
        const { wait, victim, cycle } = found;
        if (victim !== null) this.end(victim, cycle);
        // There may be another cycle that goes without it.
        const key = processKey(wait.shard, wait.pid);
        waits = waits.filter(({ shard, pid }) => processKey(shard, pid) !== key);
      }
    } finally {
      this.looking = false;
    }
  }

  /** Units of other proxies, asked for where those that are overdue here wait for any process of theirs. */
  private async strangersIn(
    waits: readonly LockWait[],
    overdue: ReadonlySet<BackendConnection>,
  ): Promise<Strangers> {
    const { nodeOf } = this.parties(NO_STRANGERS);
    const graph = new WaitGraph<Party>(waits, nodeOf);
    const units = [...this.services.units()].filter(({ participants }) => {
      return participants.length > 1 && participants.some((backend) => overdue.has(backend));
    });
    const leaves = units.some((unit) =>
      [...graph.reachableFrom(unit)].some((party) => typeof party === 'string'),
    );
    if (!leaves) return NO_STRANGERS;
    this.lookAgainMs = LOOK_AGAIN_AT_OTHERS_MS;
    return this.shared.exchange(units);
  }

  private parties(strangers: Strangers): {
    readonly backends: ReadonlyMap<string, BackendConnection>;
    readonly units: readonly UnitOfWork[];
    readonly nodeOf: (shard: Shard, pid: number) => Party;
  } {
    const backends = new Map<string, BackendConnection>();
    const owners = new Map<string, UnitOfWork>();
    for (const unit of this.services.units()) {
      for (const backend of unit.participants) {
        const key = processKey(backend.shard, backend.pid);
        backends.set(key, backend);
        owners.set(key, unit);
      }
    }
    const nodeOf = (shard: Shard, pid: number): Party => {
      const key = processKey(shard, pid);
      return owners.get(key) ?? strangers.get(key) ?? key;
    };
    return { backends, units: [...new Set(owners.values())], nodeOf };
  }

  /** A cycle in which units of this proxy are; null: there is none. */
  private deadlock(waits: readonly LockWait[], strangers: Strangers): Deadlock | null {
    const { backends, units, nodeOf } = this.parties(strangers);
    const graph = new WaitGraph<Party>(waits, nodeOf);
    const others = new Set(strangers.values());
    const nameOf = (party: Party): string =>
      typeof party === 'string' ? party : this.shared.keyOf(party);
    // In one order for all proxies, so that they see the same cycle where there are several.
    const parties = [...units, ...others].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    for (const party of parties) {
      const cycle = graph.cycleThrough(party);
      if (cycle === null) continue;
      const members = cycle.map((wait) => {
        const backend = backends.get(processKey(wait.shard, wait.pid)) ?? null;
        return { wait, backend, party: nodeOf(wait.shard, wait.pid) };
      });
      const own = members.filter(({ backend }) => backend !== null);
      if (own.length === 0) continue;
      const spanning = members.filter(({ party: member }) =>
        typeof member === 'string' ? others.has(member) : member.participants.length > 1,
      );
      const shared = spanning.some(({ party: member }) => typeof member === 'string');
      const { wait, backend } = shared
        ? spanning.reduce((a, b) => (nameOf(b.party) > nameOf(a.party) ? b : a))
        : own.reduce((a, b) => (this.since(b.backend!) > this.since(a.backend!) ? b : a));
      return { cycle, wait, victim: backend };
    }
    return null;
  }

  private since(backend: BackendConnection): number {
    return this.busySince.get(backend) ?? 0;
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

const NO_STRANGERS: Strangers = new Map();
