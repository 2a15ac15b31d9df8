import type { ShardQuery } from '../backend/shard-query.js';
import type { Shard, Topology } from '../keyspace/topology.js';
import type { Logger } from '../util/logger.js';
import { CAPABILITY_SQL, SET_UP_SQL } from './decisions.js';

/** Why a shard cannot take part in two-phase commit, and what to do about it. */
export interface ShardProblem {
  readonly message: string;
  readonly hint: string;
}

const SET_UP_TIMEOUT_MS = 5000;
/** Prepared transactions are disabled; no such schema, table or column; no right to it. */
const DOUBTFUL: ReadonlySet<string> = new Set(['55000', '3F000', '42P01', '42703', '42501']);

/** Which shards can take part in two-phase commit; creates the table of decisions where it is missing. */
export class TwoPhaseShards {
  private readonly query: ShardQuery;
  private readonly logger: Logger;
  private readonly ready = new Set<string>();
  private readonly problems = new Map<string, ShardProblem>();

  constructor(query: ShardQuery, logger: Logger) {
    this.query = query;
    this.logger = logger;
  }

  /** Null: it can. */
  problem(shard: Shard): ShardProblem | null {
    if (this.ready.has(keyOf(shard))) return null;
    return this.problems.get(keyOf(shard)) ?? NOT_ASKED;
  }

  /** Looks at every shard that is not ready yet and sets it up. Never rejects: what went wrong is its problem. */
  async setUp(topology: Topology): Promise<void> {
    const pending = topology.shards.filter((shard) => !this.ready.has(keyOf(shard)));
    await Promise.all(pending.map((shard) => this.setUpOne(shard)));
  }

  /**
   * A shard has failed a vote: where it says what it would say of a table or a setting that is gone, it is looked at
   * again, since its server may have been started with other settings, or the table been dropped.
   */
  doubt(shard: Shard, sqlState: string): void {
    if (DOUBTFUL.has(sqlState)) void this.setUpOne(shard);
  }

  private async setUpOne(shard: Shard): Promise<void> {
    const key = keyOf(shard);
    const problem = await this.findProblem(shard);
    if (problem === null) {
      this.ready.add(key);
      this.problems.delete(key);
      return;
    }
    this.ready.delete(key);
    const known = this.problems.get(key);
    this.problems.set(key, problem);
    if (known?.message === problem.message) return;
    this.logger.warn(
      { shard: shard.name, reason: problem.message, hint: problem.hint },
      'a shard cannot take part in two-phase commit',
    );
  }

  private async findProblem(shard: Shard): Promise<ShardProblem | null> {
    try {
      let [preparedMax, exists, usable] = await this.capability(shard);
      if (preparedMax === '0') return NO_PREPARED;
      if (exists !== 't') {
        await this.query(shard, SET_UP_SQL, SET_UP_TIMEOUT_MS);
        [preparedMax, exists, usable] = await this.capability(shard);
      }
      return exists === 't' && usable === 't' ? null : NO_RIGHTS;
    } catch (error) {
      return { message: (error as Error).message, hint: SET_UP_HINT };
    }
  }

  private async capability(shard: Shard): Promise<readonly (string | null)[]> {
    const rows = await this.query(shard, CAPABILITY_SQL, SET_UP_TIMEOUT_MS);
    return rows[0] ?? [];
  }
}

function keyOf(shard: Shard): string {
  return `${shard.keyspace}/${shard.name}`;
}

const SET_UP_HINT =
  'Let the user of the shard create the schema "shardgate", or create shardgate.decisions(gid text primary key,' +
  ' outcome text not null, decided_at timestamptz not null default clock_timestamp()) and grant it' +
  ' SELECT, INSERT and DELETE.';
const NOT_ASKED: ShardProblem = {
  message: 'it has not been reached yet',
  hint: 'Try again when the shard is up.',
};
export const NO_PREPARED: ShardProblem = {
  message: 'max_prepared_transactions is 0 there',
  hint:
    'Set max_prepared_transactions on the shard to at least its max_connections and restart it, or set' +
    ' transactions.cross_shard: best_effort, which commits shard by shard.',
};
export const NO_RIGHTS: ShardProblem = {
  message: 'the table shardgate.decisions cannot be used there',
  hint: SET_UP_HINT,
};
