import type { BackendConnection } from '../backend/postgres/connection.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { ShipSpec } from '../planner/plan.js';
import type { Outcome } from '../transaction/operation.js';
import { GatherRun } from './gather-run.js';
import { learnInputs, madeOver, type LearntInputs, type MadeOver } from './learnt-inputs.js';
import { openOver, readyOver, runOver, startOver, type OverRun } from './over-run.js';
import type { Session } from './session.js';
import { readersOf } from './shard-choice.js';
import { leasedFor, SourceInputs, type BackendsOf } from './source-inputs.js';
import { lossOf, withoutPlace, type ChooseRun } from './source-reader.js';
import type { Opened, RunRequest, StatementRun } from './statement-run.js';

/** By the plan's own specification, which is made anew when the schema changes; null: inputs cannot be sent. */
const learntOf = new WeakMap<ShipSpec, LearntInputs | null>();

/**
 * A SELECT whose small tables are read first and sent to the shards of its large one, over which a
 * merge or an aggregation in two steps then runs:
 *
 *     inputs --> rows --> arrays in the Bind of MergeRun or GatherRun
 */
export class ShipRun implements StatementRun {
  shards: readonly Shard[] = [];
  readonly route = RouteKind.scatter;
  readonly needsTypes = true;
  readonly leavesOpen = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: ShipSpec;
  private readonly choose: ChooseRun;
  private readonly learnt: LearntInputs | null;
  private readonly bind: BindParts;
  /** Null: the inputs' columns must be learnt first. */
  private readonly inputs: SourceInputs | null;
  /** What runs over the inputs, as yet without their values. */
  private over: StatementRun | null = null;

  constructor(session: Session, request: RunRequest, spec: ShipSpec, choose: ChooseRun) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.choose = choose;
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    this.learnt = learntOf.get(spec) ?? null;
    this.inputs =
      this.learnt === null
        ? null
        : new SourceInputs(session, request, spec.inputs, this.learnt.columns, choose);
    this.findShards();
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, request, spec, choose, inputs, learnt } = this;
    if (learnt === null || inputs === null) {
      const known = learntOf.get(spec);
      if (known === null) return new GatherRun(session, request, spec.otherwise);
      if (known !== undefined) return new ShipRun(session, request, spec, choose);
      const texts = spec.inputs.map(({ source }) => Buffer.from(source.sql).toString());
      learnInputs(session, request, backends[0]!, texts, paramTypes, onFailed, (found) => {
        learntOf.set(spec, found);
      });
      return 'wait';
    }
    // Backends are known by the place of their shards, so every change of these needs another lease.
    if (this.over === null) {
      this.over = this.runOver(learnt, paramTypes, this.request.bind);
      this.findShards();
      return this;
    }
    const backendsOf = this.backendsOf(backends);
    const prepared = inputs.prepare(backendsOf, paramTypes, onFailed);
    if (prepared === 'wait') return prepared;
    if (prepared === 'moved') {
      this.findShards();
      return this;
    }
    const { types } = this.made(learnt, paramTypes);
    const ready = this.over.prepare(backendsOf(this.over.shards), types, onFailed);
    if (typeof ready === 'string') return ready;
    this.over = ready;
    this.findShards();
    return this;
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    startOver(this.session, this.request, this.learnt!.description, onDone, (failed, then) => {
      this.read(backends, paramTypes, failed, then);
    });
  }

  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    partOf: (backend: BackendConnection, position: number) => PortalPart,
    onOpen: (opened: Opened) => void,
  ): void {
    openOver(this.session, partOf, onOpen, (failed, then) => {
      this.read(backends, paramTypes, failed, then);
    });
  }

  /** Reads the inputs, then makes what runs over them; it has been prepared before, with no values. */
  private read(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (outcome: Outcome) => void,
    then: (over: OverRun) => void,
  ): void {
    const inputs = this.inputs!;
    const learnt = this.learnt!;
    const backendsOf = this.backendsOf(backends);
    inputs.read(backendsOf, paramTypes, (failed) => {
      const loss = failed ?? lossOf(backends);
      if (loss !== null) {
        onFailed(withoutPlace(loss));
        return;
      }
      const { types } = this.made(learnt, paramTypes);
      const run = this.runOver(learnt, paramTypes, this.bind.withValues(inputs.values()));
      then(readyOver(run, backendsOf, types));
    });
  }

  private runOver(
    learnt: LearntInputs,
    paramTypes: readonly number[],
    bind: Buffer | null,
  ): StatementRun {
    const { session, spec } = this;
    const { many } = this.made(learnt, paramTypes);
    return runOver(session, { ...this.request, bind }, spec.statement, many, this.targets());
  }

  /** Where the statement over the inputs runs. */
  private targets(): readonly Shard[] {
    const { statement } = this.spec;
    return readersOf(this.session, statement.plan.shards, this.request.values.inText(statement));
  }

  private made(learnt: LearntInputs, paramTypes: readonly number[]): MadeOver {
    const { statement, inputs } = this.spec;
    return madeOver(learnt, statement.plan.many, inputs, paramTypes);
  }

  private findShards(): void {
    const { inputs, over } = this;
    const target = over?.shards ?? this.targets();
    this.shards = [...new Set([...(inputs?.shards.flat() ?? []), ...target])].sort(byIndex);
  }

  private backendsOf(backends: readonly BackendConnection[]): BackendsOf {
    return leasedFor(this.shards, backends);
  }
}
