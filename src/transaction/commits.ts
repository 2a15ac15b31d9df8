import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { CommitKind } from '../metrics/metrics.js';
import type { Outcome } from './operation.js';
import { OrderedCommit } from './ordered-commit.js';
import { Participants, type CommitHost } from './participants.js';
import { TwoPhaseCommit, type TwoPhaseServices } from './two-phase-commit.js';
import type { ShardProblem } from './two-phase-shards.js';
import type { UnitOfWork } from './unit-of-work.js';

export type CrossShardPolicy = 'two_phase' | 'best_effort' | 'refuse';

export interface CommitServices extends TwoPhaseServices {
  /** As configured now; transactions that run keep to what it is when they commit. */
  policy(): CrossShardPolicy;
  /** Why a shard cannot take part in two-phase commit; null: it can. */
  problem(shard: Shard): ShardProblem | null;
}

/** How a transaction over several shards is committed. */
export class Commits {
  private readonly services: CommitServices;

  constructor(services: CommitServices) {
    this.services = services;
  }

  /** Whether a transaction that wrote on these shards can be committed as configured. */
  possible(shards: ReadonlySet<Shard>): boolean {
    if (shards.size < 2) return true;
    const policy = this.services.policy();
    if (policy !== 'two_phase') return policy === 'best_effort';
    for (const shard of shards) if (this.services.problem(shard) !== null) return false;
    return true;
  }

  /** Why it cannot. */
  refusal(shards: ReadonlySet<Shard>): SqlError {
    const names = [...shards].map((shard) => `"${shard.name}"`).join(', ');
    const message = `a transaction cannot write on several shards (${names})`;
    if (this.services.policy() === 'two_phase') {
      for (const shard of shards) {
        const problem = this.services.problem(shard);
        if (problem === null) continue;
        return sqlError('feature_not_supported', message, {
          detail: `Shard "${shard.name}" cannot take part in two-phase commit: ${problem.message}.`,
          hint: problem.hint,
        });
      }
    }
    return sqlError('feature_not_supported', message, {
      hint:
        'Keep the writes of a transaction on one shard key, or set transactions.cross_shard: two_phase' +
        ' (or best_effort, which commits shard by shard).',
    });
  }

  /** How this transaction would be committed now. */
  kindOf(work: UnitOfWork): CommitKind {
    if (work.writers.size < 2) return CommitKind.oneShard;
    return this.services.policy() === 'two_phase' ? CommitKind.twoPhase : CommitKind.bestEffort;
  }

  /**
   * Commits all participants. Until `done`, which is called once and never before this returns, their answers are no
   * business of the session; a session that closes meanwhile must leave backends alone whose sink it is not.
   */
  commit(host: CommitHost, done: (outcome: Outcome) => void): void {
    const { work } = host;
    const participants = new Participants(host);
    const writers = participants.all.filter((backend) => work.writers.has(backend));
    // The first one decides, and is never prepared, which temporary tables forbid.
    const scratch = writers.findIndex((backend) => backend === work.scratchHome);
    if (scratch > 0) writers.unshift(...writers.splice(scratch, 1));
    const finish = (outcome: Outcome): void => {
      queueMicrotask(() => {
        participants.giveBack();
        done(outcome);
      });
    };
    if (this.kindOf(work) === CommitKind.twoPhase) {
      TwoPhaseCommit.run(participants, writers, this.services, finish);
    } else OrderedCommit.run(participants, writers, finish);
  }
}
