import type { Config } from '../config/config.js';
import type { Logger } from '../util/logger.js';
import type { Topology } from '../keyspace/topology.js';
import { Commits } from './commits.js';
import { crashHook } from './crash-points.js';
import { Recovery, RECOVERY_DEFAULTS, type LeftBehind, type RecoveryOptions } from './recovery.js';
import { inDoubtLegs, type InDoubtLeg } from './in-doubt.js';
import { OwnLinks } from './own-links.js';
import { DeadlockWatch } from './deadlock-watch.js';
import { TwoPhaseShards } from './two-phase-shards.js';
import type { UnitOfWork } from './unit-of-work.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Commits over several shards, the recovery of those that were cut off, and the watch for deadlocks among them:
 * everything wired together.
 */
export class TwoPhase {
  readonly commits: Commits;
  private readonly recovery: Recovery;
  private readonly links: OwnLinks;
  private readonly deadlocks: DeadlockWatch;
  /** All transactions that are prepared now; see `inDoubtLegs`. */
  readonly inDoubt: () => Promise<readonly InDoubtLeg[]>;

  /**
   * `units`: what every session has open. `env`, for tests: SHARDGATE_CRASH_POINT (see crash-points.ts),
   * SHARDGATE_RECOVERY_AGE_MS and SHARDGATE_RECOVERY_INTERVAL_MS (see RecoveryOptions).
   */
  constructor(
    config: () => Config,
    units: () => Iterable<UnitOfWork>,
    logger: Logger,
    env: Environment,
  ) {
    const crashPoint = crashHook(env);
    const links = new OwnLinks(config, logger, 'recovery');
    const query: OwnLinks['query'] = (shard, sql, timeoutMs) => links.query(shard, sql, timeoutMs);
    const shards = new TwoPhaseShards(query, logger);
    let wanted = false;
    const topology = (): Topology => config().topology;
    const recovery = new Recovery(
      {
        topology,
        enabled: () => wanted || config().transactions.crossShard === 'two_phase',
        query,
        shards,
        logger,
        crashPoint,
      },
      recoveryOptions(env),
    );
    this.links = links;
    this.inDoubt = () => inDoubtLegs(topology(), query);
    this.deadlocks = new DeadlockWatch({ topology, units, query, logger });
    this.recovery = recovery;
    this.commits = new Commits({
      problem: (shard) => shards.problem(shard),
      doubt: (shard, sqlState) => {
        shards.doubt(shard, sqlState);
      },
      want: (then) => {
        wanted = true;
        void shards.setUp(topology()).then(then);
      },
      logger,
      crashPoint,
      learn: (deciding, transaction) => recovery.learn(deciding, transaction),
      finishElsewhere: async (shard, gid, decision) => {
        await recovery.finish(shard, gid, decision);
      },
    });
  }

  get leftBehind(): LeftBehind {
    return this.recovery.leftBehind;
  }

  /** Resolves when the shards that can be reached are ready; recovery goes on from there. */
  start(): Promise<void> {
    this.deadlocks.start();
    return this.recovery.start();
  }

  stop(): void {
    this.deadlocks.stop();
    this.recovery.stop();
    this.links.close();
  }
}

function recoveryOptions(env: Environment): RecoveryOptions {
  const { ageMs, intervalMs } = RECOVERY_DEFAULTS;
  return {
    ageMs: millisecondsOf(env, 'SHARDGATE_RECOVERY_AGE_MS', ageMs),
    intervalMs: millisecondsOf(env, 'SHARDGATE_RECOVERY_INTERVAL_MS', intervalMs),
  };
}

function millisecondsOf(env: Environment, name: string, otherwise: number): number {
  const text = env[name];
  if (text === undefined || text === '') return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${name}: ${text} is no number of milliseconds`);
  return Number(text);
}
