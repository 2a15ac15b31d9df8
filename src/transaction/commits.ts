import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { Operation, Outcome } from './operation.js';
import { RunOnAll } from './run-on-all.js';
import type { UnitOfWork } from './unit-of-work.js';

/** What committing needs of a session. */
export interface CommitHost {
  readonly work: UnitOfWork;
  readonly local: { bytes(source: Uint8Array, start: number, end: number): unknown };
}

export type CrossShardPolicy = 'two_phase' | 'best_effort' | 'refuse';

/** How a transaction over several shards is committed. */
export class Commits {
  private readonly policy: () => CrossShardPolicy;

  constructor(policy: () => CrossShardPolicy) {
    this.policy = policy;
  }

  /** Whether a transaction that wrote on these shards can be committed as configured. */
  possible(_shards: ReadonlySet<Shard>): boolean {
    return this.policy() === 'best_effort';
  }

  /** Why it cannot. */
  refusal(shards: ReadonlySet<Shard>): SqlError {
    const names = [...shards].map((shard) => `"${shard.name}"`).join(', ');
    return sqlError(
      'feature_not_supported',
      `a transaction cannot write on several shards (${names})`,
      {
        hint:
          'Keep the writes of a transaction on one shard key, or set transactions.cross_shard: best_effort, ' +
          'which commits shard by shard.',
      },
    );
  }

  /** Commits all participants; the operation becomes the session's. */
  commit(host: CommitHost, done: (outcome: Outcome) => void): Operation {
    const { participants } = host.work;
    return new RunOnAll(
      participants as readonly BackendConnection[],
      'COMMIT',
      (buffer, start, end) => {
        host.local.bytes(buffer, start, end);
      },
      done,
    );
  }
}
