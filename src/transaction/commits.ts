import type { BackendConnection } from '../backend/postgres/connection.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { CommitKind } from '../metrics/metrics.js';
import type { Outcome } from './operation.js';
import { OrderedCommit } from './ordered-commit.js';
import { errorOf, Participants, type CommitHost, type CrossShardPolicy } from './participants.js';
import { TwoPhaseCommit, type TwoPhaseServices } from './two-phase-commit.js';
import type { ShardProblem } from './two-phase-shards.js';

export interface CommitServices extends TwoPhaseServices {
  /** Why a shard cannot take part in two-phase commit; null: it can. */
  problem(shard: Shard): ShardProblem | null;
  /** Makes the shards ready for two phases, though the configuration asks for none; `then`: when they are. */
  want(then: () => void): void;
}

/** How a transaction over several shards is committed. */
export class Commits {
  private readonly services: CommitServices;
  private wanted = false;

  constructor(services: CommitServices) {
    this.services = services;
  }

  /** A session asks for two phases: true where `then` will be called, when the shards are ready for them. */
  want(then: () => void): boolean {
    if (this.wanted) return false;
    this.wanted = true;
    this.services.want(then);
    return true;
  }

  /** Whether a transaction that wrote on these shards can be committed under a policy. */
  possible(shards: ReadonlySet<Shard>, policy: CrossShardPolicy): boolean {
    if (shards.size < 2) return true;
    if (policy !== 'two_phase') return policy === 'best_effort';
    this.want(() => undefined);
    for (const shard of shards) if (this.services.problem(shard) !== null) return false;
    return true;
  }

  /** Why it cannot. */
  refusal(shards: ReadonlySet<Shard>, policy: CrossShardPolicy): SqlError {
    const names = [...shards].map((shard) => `"${shard.name}"`).join(', ');
    const message = `a transaction cannot write on several shards (${names})`;
    if (policy === 'two_phase') {
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

  /**
   * How this transaction would be committed now. DDL may have written where nothing else could: it
   * must go everywhere, so without two phases it is as good as shard by shard can be.
   */
  kindOf({ work, crossShard }: CommitHost): CommitKind {
    if (work.writers.size < 2) return CommitKind.oneShard;
    if (crossShard !== 'two_phase') return CommitKind.bestEffort;
    const shards = new Set([...work.writers].map((backend) => backend.shard));
    return this.possible(shards, crossShard) ? CommitKind.twoPhase : CommitKind.bestEffort;
  }

  /**
   * Commits all participants: an explicit transaction, or what ran without Sync outside of one.
   * Until `done`, which is called once and never before this returns, their answers are no
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
    const commitWriters = (): void => {
      if (this.kindOf(host) === CommitKind.twoPhase) {
        TwoPhaseCommit.run(participants, writers, this.services, finish);
      } else OrderedCommit.run(participants, writers, finish);
    };
    if (host.readersDecide && writers.length > 0) {
      commitReaders(participants, writers, commitWriters, finish);
    } else commitWriters();
  }
}

/** Readers have nothing that would be lost: they may commit before anything is decided, and stop it. */
function commitReaders(
  participants: Participants,
  writers: readonly BackendConnection[],
  goOn: () => void,
  finish: (outcome: Outcome) => void,
): void {
  const readers = participants.all.filter((backend) => !writers.includes(backend));
  participants.ask(new Map(readers.map((backend) => [backend, ['COMMIT']])), (answers) => {
    for (const answer of answers.values()) {
      const error = errorOf(answer);
      if (error === null) continue;
      participants.ask(new Map(writers.map((backend) => [backend, ['ROLLBACK']])), () => {
        finish({ ok: false, error });
      });
      return;
    }
    participants.giveBack(readers);
    goOn();
  });
}
