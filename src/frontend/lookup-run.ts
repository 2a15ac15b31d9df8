import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError } from '../errors/sql-error.js';
import { entryHomes } from '../executor/lookups/entry-homes.js';
import { keyIds, ownerOf } from '../executor/lookups/key-ids.js';
import { LookupChanges, otherLookup } from '../executor/lookups/lookup-changes.js';
import { duplicateError } from '../executor/lookups/duplicate-error.js';
import { byIndex, lookupKey, lookupShards, type Lookup, type Shard } from '../keyspace/topology.js';
import type { RouteKind } from '../metrics/metrics.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Outcome } from '../transaction/operation.js';
import { runInPipeline } from './fan-out-run.js';
import { leaseWithin } from './lease-within.js';
import type { Session } from './session.js';
import type { ShardPlan } from './shard-choice.js';
import { leasedFor } from './source-inputs.js';
import { lossOf } from './source-reader.js';
import type { StatementRun } from './statement-run.js';

/**
 * A statement that changes rows of tables with lookups. It runs as it would without them; triggers on
 * its shards tell what it has changed, and the lookups' tables are changed likewise, before the client
 * hears of its end.
 */
export class LookupRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly writers: readonly Shard[];
  readonly route: RouteKind;
  readonly needsTypes: boolean;
  readonly leavesOpen = true;
  private readonly session: Session;
  private readonly inner: StatementRun;
  private readonly plan: ShardPlan;
  private readonly lookups: readonly Lookup[];

  constructor(session: Session, inner: StatementRun, plan: ShardPlan, lookups: readonly Lookup[]) {
    const { topology } = session.context.config;
    // Of several shards with entries it is only known afterwards which ones are wanted.
    const homes = lookups.flatMap((lookup) => {
      const shards = lookupShards(topology, lookup);
      return shards.length === 1 ? shards : [];
    });
    this.session = session;
    this.inner = inner;
    this.plan = plan;
    this.lookups = lookups;
    this.shards = [...new Set([...inner.shards, ...homes])].sort(byIndex);
    this.writers = [...new Set([...(inner.writers ?? inner.shards), ...homes])];
    this.route = inner.route;
    this.needsTypes = inner.needsTypes;
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const own = this.backendsOf(backends, this.inner.shards);
    const prepared = this.inner.prepare(own, paramTypes, onFailed);
    if (typeof prepared === 'string') return prepared;
    return new LookupRun(this.session, prepared, this.plan, this.lookups);
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, inner } = this;
    const own = this.backendsOf(backends, inner.shards);
    if (inner.writers === undefined) for (const backend of own) session.work.noteWrite(backend);
    const changes = new LookupChanges(session.context.config.limits.gatherMemoryBytes);
    for (const backend of own) backend.lookups = changes;
    inner.start(own, paramTypes, (outcome) => {
      for (const backend of own) backend.lookups = null;
      if (!outcome.ok) onDone(outcome);
      else this.apply(changes, backends, outcome, onDone);
    });
  }

  private apply(
    changes: LookupChanges,
    backends: readonly BackendConnection[],
    outcome: Outcome,
    onDone: (outcome: Outcome) => void,
  ): void {
    const steps: Step[] = [];
    try {
      for (const lookup of this.lookups) steps.push(...this.stepsOf(lookup, changes));
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      onDone({ ok: false, error: errorBytes(error) });
      return;
    }
    this.runSteps(steps, backends, outcome, onDone);
  }

  private stepsOf(lookup: Lookup, changes: LookupChanges): Step[] {
    if (!changes.tell(lookup)) return [];
    const { session } = this;
    const { topology } = session.context.config;
    const { catalog } = session.planning.planner;
    const key = lookupKey(lookup);
    const known = catalog.lookups?.get(key);
    // A reload may have come since the statement was planned, and entries would mean something else.
    const homes = known === undefined ? null : entryHomes(topology, lookup, known.typeOid);
    if (known === undefined || homes === null) throw otherLookup(lookup);
    const idOf = keyIds(ownerOf(lookup, topology), catalog);
    return changes
      .statements(lookup, known.type, homes, idOf)
      .map(({ shard, sql }) => ({ lookup, sql, shard }));
  }

  /** One after the other: a value that one removes, the next may add. */
  private runSteps(
    steps: readonly Step[],
    backends: readonly BackendConnection[],
    outcome: Outcome,
    onDone: (outcome: Outcome) => void,
  ): void {
    const [step, ...rest] = steps;
    if (step === undefined) {
      onDone(outcome);
      return;
    }
    const { session } = this;
    const { lookup, sql, shard } = step;
    this.leaseFor(shard, backends, (backend) => {
      if (backend instanceof SqlError) {
        onDone({ ok: false, error: errorBytes(backend) });
        return;
      }
      // One that has changed rows may be lost while a further one is waited for.
      const loss = lossOf([...backends, backend]);
      if (loss !== null) {
        onDone(loss);
        return;
      }
      session.work.noteWrite(backend);
      runInPipeline(session, sql, [backend], (done) => {
        if (done.ok) this.runSteps(rest, backends, outcome, onDone);
        else {
          const { catalog } = session.planning.planner;
          onDone({ ok: false, error: duplicateError(done.error, lookup, catalog) });
        }
      });
    });
  }

  /** The backend of a shard with entries, or why there is none to be had. */
  private leaseFor(
    shard: Shard,
    backends: readonly BackendConnection[],
    onDone: (backend: BackendConnection | SqlError) => void,
  ): void {
    const at = this.shards.indexOf(shard);
    if (at >= 0) onDone(backends[at]!);
    else leaseWithin(this.session, shard, this.plan, onDone);
  }

  private backendsOf(
    backends: readonly BackendConnection[],
    shards: readonly Shard[],
  ): readonly BackendConnection[] {
    return leasedFor(this.shards, backends)(shards);
  }
}

interface Step {
  readonly lookup: Lookup;
  readonly sql: string;
  readonly shard: Shard;
}
