import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { sqlError } from '../errors/sql-error.js';
import { memoryError } from '../executor/gather-errors.js';
import type { OrderedMerge } from '../executor/ordered-merge.js';
import { StoredRows } from '../executor/portal/stored-rows.js';
import type { Shard } from '../keyspace/topology.js';
import type { RouteKind } from '../metrics/metrics.js';
import type { MergeSpec } from '../planner/plan.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Outcome } from '../transaction/operation.js';
import { runInPipeline } from './fan-out-run.js';
import { MergeRun } from './merge-run.js';
import type { Session } from './session.js';
import type { RunRequest, StatementRun } from './statement-run.js';

/** Of our own, for the time of one statement. */
const SAVEPOINT = '"shardgate locks"';

/**
 * SELECT ... LIMIT ... FOR UPDATE. Each shard locks as many rows as the whole result may have. In a transaction, where
 * locks last, those that are not in the result are given back: what the shards have locked is undone, and each locks
 * as many rows as the result has of its own.
 *
 *   SAVEPOINT, LIMIT n on each --> how many of each are in the result --> ROLLBACK TO, LIMIT its own on each
 */
export class LockingRun implements StatementRun {
  readonly route: RouteKind;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly locking: string;
  private readonly inner: MergeRun;

  /** Throws SqlError as MergeRun does. */
  constructor(session: Session, request: RunRequest, merge: MergeSpec, shards: readonly Shard[]) {
    this.session = session;
    this.request = request;
    this.locking = merge.locking!;
    this.inner = new MergeRun(session, request, merge, shards);
    this.route = this.inner.route;
  }

  get shards(): readonly Shard[] {
    return this.inner.shards;
  }

  /** Throws SqlError 0A000 where the sort keys cannot be compared here. */
  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' {
    const prepared = this.inner.prepare(backends, paramTypes, onFailed);
    if (typeof prepared === 'string') return prepared;
    throw sqlError(
      'feature_not_supported',
      'row locks with LIMIT, OFFSET or FETCH over several shards cannot be sorted by a column of this type or collation',
      { hint: 'Sort by a number, time, uuid or text COLLATE "C", or bind the shard key.' },
    );
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, inner } = this;
    // Locks end with the statement.
    if (!session.work.explicit) {
      inner.start(backends, paramTypes, onDone);
      return;
    }
    const { gatherMemoryBytes } = session.context.config.limits;
    const rows = new StoredRows(gatherMemoryBytes);
    const text = inner.text(paramTypes);
    this.run(`SAVEPOINT ${SAVEPOINT}`, backends, onDone, () => {
      inner.merged(
        rows,
        backends,
        () => text,
        (outcome, counts) => {
          if (!outcome.ok) onDone(outcome);
          else if (rows.overflowed) {
            onDone({ ok: false, error: errorBytes(memoryError(gatherMemoryBytes)) });
          } else this.settle(backends, paramTypes, rows, outcome, counts, onDone);
        },
      );
    });
  }

  /** Keeps the locks where all that were taken are wanted; else takes those that are once more. */
  private settle(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    rows: StoredRows,
    outcome: Outcome,
    counts: OrderedMerge['counts'],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { inner, request, session, locking } = this;
    const host = request.host ?? session;
    const release = (then: () => void): void => {
      this.run(`RELEASE SAVEPOINT ${SAVEPOINT}`, backends, onDone, then);
    };
    const tooMany = backends.filter((_, place) => counts[place]!.given > counts[place]!.taken);
    if (tooMany.length === 0) {
      release(() => {
        const { bytes } = rows.take(Infinity);
        if (bytes.length > 0) host.passToClient(null, bytes, 0, bytes.length);
        onDone(outcome);
      });
      return;
    }
    const wanted = counts.map(({ taken }) => taken);
    const used = backends.filter((_, place) => wanted[place]! > 0);
    const texts = wanted
      .filter((taken) => taken > 0)
      .map((taken) => unnamedText(`${locking} LIMIT ${taken}`, paramTypes));
    this.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`, tooMany, onDone, () => {
      release(() => inner.merged(host, used, (position) => texts[position]!, onDone));
    });
  }

  private run(
    sql: string,
    backends: readonly BackendConnection[],
    onFailed: (outcome: Outcome) => void,
    then: () => void,
  ): void {
    runInPipeline(this.session, sql, backends, (outcome) => {
      if (outcome.ok) then();
      else onFailed(outcome);
    });
  }
}
