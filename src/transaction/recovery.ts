import type { ShardQuery } from '../backend/shard-query.js';
import { BackendError } from '../backend/backend-error.js';
import type { Shard, Topology } from '../keyspace/topology.js';
import type { Logger } from '../util/logger.js';
import type { CrashHook } from './crash-points.js';
import {
  finishSql,
  forgetSql,
  legsSql,
  oldDecisionsSql,
  settleSql,
  type Decision,
} from './decisions.js';
import { parseLeg, type Leg } from './transaction-ids.js';
import type { TwoPhaseShards } from './two-phase-shards.js';

export interface RecoveryOptions {
  /** Prepared transactions younger than this are left to the proxy that runs them. */
  readonly ageMs: number;
  readonly intervalMs: number;
}

/**
 * More than a commit over several shards takes on a bad day; then somebody has crashed. Both together are the bound of
 * how long the locks of a crashed commit may stay, once a proxy runs.
 */
export const RECOVERY_DEFAULTS: RecoveryOptions = { ageMs: 5000, intervalMs: 2000 };

export interface RecoveryServices {
  topology(): Topology;
  /** Whether transactions are committed in two phases now: only then are tables created. */
  enabled(): boolean;
  readonly query: ShardQuery;
  readonly shards: TwoPhaseShards;
  readonly logger: Logger;
  readonly crashPoint: CrashHook;
}

const QUERY_TIMEOUT_MS = 5000;
/** How long to wait on a shard for a decider that is still in flight; the next pass waits again. */
const SETTLE_WAIT_MS = 2000;
/** A shard that restarts is back within this; longer, and the client should know that the outcome is open. */
const LEARN_MS = 10_000;
const LEARN_PAUSE_MS = 200;
/** Decisions are kept this long: see PHASE_ONE_MAX_MS for the lower bound. */
const DECISION_AGE_MS = 60 * 60 * 1000;
const COLLECT_INTERVAL_MS = 5 * 60 * 1000;
/** "undefined_object": no such prepared transaction; somebody else was faster. */
const UNDEFINED_OBJECT = '42704';

interface FoundLeg {
  readonly where: Shard;
  readonly leg: Leg;
  readonly old: boolean;
  readonly ageMs: number;
}

/** Transactions that somebody has left prepared, as of the last look. */
export interface LeftBehind {
  readonly transactions: number;
  /** Of the one that has been prepared first; 0: there is none. */
  readonly oldestMs: number;
}

/**
 * Ends transactions over several shards that their proxy left behind. Keeps no state: what is prepared stands in each
 * shard's pg_prepared_xacts, what was decided on the shard that the name tells. Any number of proxies may do this at
 * the same time, each step may be repeated, and each may be the last before a crash.
 */
export class Recovery {
  private readonly services: RecoveryServices;
  private readonly options: RecoveryOptions;
  private timer: NodeJS.Timeout | null = null;
  private running: Promise<void> | null = null;
  private collectAt = 0;
  private stopped = false;
  private readonly strangers = new Set<string>();
  leftBehind: LeftBehind = { transactions: 0, oldestMs: 0 };

  constructor(services: RecoveryServices, options: RecoveryOptions = RECOVERY_DEFAULTS) {
    this.services = services;
    this.options = options;
  }

  /** Makes shards ready for two-phase commit, as far as they can be reached; then looks for what was left, for ever. */
  async start(): Promise<void> {
    await this.setUp();
    this.schedule(0);
  }

  /** No further pass; the one that runs ends with its connections. */
  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  /** One look at all shards. Never rejects. */
  pass(): Promise<void> {
    this.running ??= this.runPass().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  /** The outcome of a transaction whose decider broke off; null: not to be learnt for now. Never rejects. */
  async learn(deciding: Shard, transaction: string): Promise<Decision | null> {
    const deadline = performance.now() + LEARN_MS;
    do {
      try {
        return await this.settle(deciding, transaction);
      } catch (error) {
        const reason = (error as Error).message;
        this.services.logger.debug({ transaction, shard: deciding.name, reason }, 'no outcome yet');
        await new Promise((resolve) => setTimeout(resolve, LEARN_PAUSE_MS));
      }
    } while (performance.now() < deadline && !this.stopped);
    return null;
  }

  /** Commits or rolls back one prepared transaction; false: that was not possible now. Never rejects. */
  async finish(where: Shard, gid: string, decision: Decision): Promise<boolean> {
    const { logger, query } = this.services;
    try {
      await query(where, finishSql(decision, gid), QUERY_TIMEOUT_MS);
      return true;
    } catch (error) {
      if (sqlStateOf(error) === UNDEFINED_OBJECT) return true;
      const reason = (error as Error).message;
      logger.warn({ gid, shard: where.name, decision, reason }, 'a leg could not be ended yet');
      return false;
    }
  }

  private schedule(delayMs: number): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      void this.pass().then(() => {
        this.schedule(this.options.intervalMs);
      });
    }, delayMs);
    this.timer.unref();
  }

  private async setUp(): Promise<void> {
    const { services } = this;
    if (services.enabled()) await services.shards.setUp(services.topology());
  }

  private async runPass(): Promise<void> {
    await this.setUp();
    const { shards } = this.services.topology();
    const now = performance.now();
    const collect = now >= this.collectAt;
    // Before the legs are listed: a decision that can be seen has all its legs prepared, so that none can be missed.
    const decisions = collect ? await this.oldDecisions(shards) : null;
    const found = await Promise.all(shards.map((shard) => this.legsOn(shard)));
    const left = found.flatMap((legs) => legs ?? []).filter(({ old }) => old);
    this.leftBehind = {
      transactions: new Set(left.map(({ leg }) => leg.transaction)).size,
      oldestMs: Math.max(0, ...left.map(({ ageMs }) => ageMs)),
    };
    await this.recover(left);
    if (decisions === null || found.includes(null)) return;
    this.collectAt = now + COLLECT_INTERVAL_MS;
    const needed = new Set(found.flatMap((legs) => legs!.map(({ leg }) => leg.transaction)));
    await this.forget(decisions, needed);
  }

  /** Null: the shard could not be asked. */
  private async legsOn(where: Shard): Promise<FoundLeg[] | null> {
    const rows = await this.ask(where, legsSql(this.options.ageMs));
    if (rows === null) return null;
    const found: FoundLeg[] = [];
    for (const [gid, old, ageMs] of rows) {
      const leg = parseLeg(gid!);
      if (leg === null) this.leaveAlone(where, gid!, 'its name is none that Shardgate gives');
      else found.push({ where, leg, old: old === 't', ageMs: Number(ageMs) });
    }
    return found;
  }

  private async recover(legs: readonly FoundLeg[]): Promise<void> {
    const outcomes = new Map<string, Promise<Decision | null>>();
    await Promise.all(
      legs.map(async ({ where, leg }) => {
        let outcome = outcomes.get(leg.transaction);
        if (outcome === undefined) {
          outcome = this.outcomeOf(where, leg);
          outcomes.set(leg.transaction, outcome);
        }
        const decision = await outcome;
        if (decision === null) return;
        this.services.crashPoint('recovery-settled');
        if (!(await this.finish(where, leg.gid, decision))) return;
        this.services.logger.info(
          { gid: leg.gid, shard: where.name, decision },
          'ended a prepared transaction that was left behind',
        );
        this.services.crashPoint('recovery-finished-leg');
      }),
    );
  }

  private async outcomeOf(where: Shard, leg: Leg): Promise<Decision | null> {
    const deciding = this.services
      .topology()
      .shards.find((shard) => shard.keyspace === leg.keyspace && shard.name === leg.shard);
    if (deciding === undefined) {
      const reason = `there is no shard "${leg.shard}" in a keyspace "${leg.keyspace}" to ask`;
      this.leaveAlone(where, leg.gid, reason);
      return null;
    }
    try {
      return await this.settle(deciding, leg.transaction);
    } catch (error) {
      const reason = (error as Error).message;
      this.services.logger.warn(
        { gid: leg.gid, shard: where.name, deciding: deciding.name, reason },
        'the outcome of a prepared transaction cannot be learnt yet',
      );
      return null;
    }
  }

  /** Rejects where the shard cannot be asked, or its decider is still in flight. */
  private async settle(deciding: Shard, transaction: string): Promise<Decision> {
    const sql = settleSql(transaction, SETTLE_WAIT_MS);
    const rows = await this.services.query(deciding, sql, QUERY_TIMEOUT_MS);
    const outcome = rows[0]?.[0];
    if (outcome === 'commit' || outcome === 'abort') return outcome;
    throw new Error(`shard "${deciding.name}" has no decision of ${transaction}`);
  }

  private async oldDecisions(
    shards: readonly Shard[],
  ): Promise<ReadonlyMap<Shard, readonly string[]> | null> {
    const decisions = new Map<Shard, readonly string[]>();
    const ready = shards.filter((shard) => this.services.shards.problem(shard) === null);
    await Promise.all(
      ready.map(async (shard) => {
        const rows = await this.ask(shard, oldDecisionsSql(DECISION_AGE_MS));
        if (rows !== null && rows.length > 0)
          decisions.set(
            shard,
            rows.map(([gid]) => gid!),
          );
      }),
    );
    return decisions;
  }

  private async forget(
    decisions: ReadonlyMap<Shard, readonly string[]>,
    needed: ReadonlySet<string>,
  ): Promise<void> {
    for (const [shard, transactions] of decisions) {
      const unneeded = transactions.filter((transaction) => !needed.has(transaction));
      if (unneeded.length > 0) await this.ask(shard, forgetSql(unneeded));
    }
  }

  private async ask(shard: Shard, sql: string): Promise<(string | null)[][] | null> {
    try {
      return await this.services.query(shard, sql, QUERY_TIMEOUT_MS);
    } catch (error) {
      const reason = (error as Error).message;
      this.services.logger.debug({ shard: shard.name, reason }, 'recovery cannot ask a shard');
      return null;
    }
  }

  /** Said once for each. */
  private leaveAlone(where: Shard, gid: string, reason: string): void {
    if (this.strangers.has(gid)) return;
    this.strangers.add(gid);
    this.services.logger.error(
      { gid, shard: where.name, reason },
      'a prepared transaction must be ended by hand',
    );
  }
}

function sqlStateOf(error: unknown): string | undefined {
  return error instanceof BackendError ? error.fields?.get('C') : undefined;
}
