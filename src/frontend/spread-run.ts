import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { SqlError } from '../errors/sql-error.js';
import { areApart } from '../executor/apart-keys.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import { FanOut } from '../executor/fan-out.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { SpreadSpec } from '../planner/plan.js';
import type { Outcome } from '../transaction/operation.js';
import { withinGatherTime } from './gather-time.js';
import type { Session } from './session.js';
import { readersOf, refusalError, usesTemporary } from './shard-choice.js';
import {
  inputColumns,
  inputRelations,
  leasedFor,
  SourceInputs,
  type BackendsOf,
  type InputColumns,
} from './source-inputs.js';
import { lossOf, withoutPlace, type ChooseRun } from './source-reader.js';
import {
  describeFor,
  startOperation,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** How the inputs' columns travel, by the plan's own specification, which is made anew when the schema changes. */
const learntOf = new WeakMap<SpreadSpec, InputColumns | SqlError>();

/**
 * A statement whose inputs are read first, one after the other, and which every shard of its target
 * then runs over them. They are kept in between, within limits.gather_memory.
 */
export class SpreadRun implements StatementRun {
  shards: readonly Shard[] = [];
  writers: readonly Shard[] = [];
  readonly route = RouteKind.distribute;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: SpreadSpec;
  private readonly choose: ChooseRun;
  private readonly targets: readonly Shard[];
  private readonly bind: BindParts;
  /** Null: the inputs' columns must be learnt first. */
  private readonly inputs: SourceInputs | null;

  constructor(session: Session, request: RunRequest, spec: SpreadSpec, choose: ChooseRun) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.choose = choose;
    for (const { refusal, ...keys } of spec.apart) {
      if (!areApart(keys, request.values, session.targets)) throw refusalError(refusal);
    }
    this.targets = readersOf(session, spec.shards, request.values);
    const learnt = learntOf.get(spec) ?? null;
    if (learnt instanceof SqlError) throw learnt;
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    this.inputs =
      learnt === null ? null : new SourceInputs(session, request, spec.inputs, learnt, choose);
    this.findShards();
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, request, spec, choose, inputs } = this;
    if (inputs === null) {
      if (learntOf.has(spec)) return new SpreadRun(session, request, spec, choose);
      const made = spec.inputs.map(({ source }) => Buffer.from(source.sql).toString());
      const [judge] = this.backendsOf(backends)(this.judges());
      const backend = judge ?? backends[0]!;
      describeFor(session, request, backend, made, paramTypes, onFailed, ([, ...inputs]) => {
        learntOf.set(spec, inputColumns(inputs, session.planning.planner.catalog));
      });
      return 'wait';
    }
    const prepared = inputs.prepare(this.backendsOf(backends), paramTypes, onFailed);
    if (prepared !== 'moved') return prepared;
    this.findShards();
    return this;
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const inputs = this.inputs!;
    const done = withinGatherTime(this.session, onDone);
    inputs.read(this.backendsOf(backends), paramTypes, (failed) => {
      if (failed !== null) done(failed);
      else this.apply(inputs, backends, paramTypes, done);
    });
  }

  private findShards(): void {
    const { targets, spec } = this;
    const sources = this.inputs?.shards ?? [];
    const judges = this.inputs === null ? this.judges() : [];
    this.shards = [...new Set([...sources.flat(), ...targets, ...judges])].sort(byIndex);
    const writing = sources.filter((_, input) => spec.inputs[input]!.source.plan.writes);
    this.writers = [...new Set([...writing.flat(), ...(spec.writes ? targets : [])])];
  }

  /** The shard that alone can tell what the inputs give; none: any can. */
  private judges(): readonly Shard[] {
    const { topology } = this.session.context.config;
    return usesTemporary(this.request.plan) ? [topology.catalogShard] : [];
  }

  private backendsOf(backends: readonly BackendConnection[]): BackendsOf {
    return leasedFor(this.shards, backends);
  }

  private apply(
    inputs: SourceInputs,
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, spec, request } = this;
    const columns = learntOf.get(spec) as InputColumns;
    const { relations, types } = inputRelations(spec.inputs, columns, paramTypes);
    const sql = spec.apply.map((piece) =>
      typeof piece === 'string' ? piece : relations[piece.input]!,
    );
    const text = unnamedText(sql.join(''), types);
    const bind = this.bind.withValues(inputs.values());
    const targets = this.backendsOf(backends)(this.targets);
    const loss = lossOf(targets);
    if (loss !== null) {
      onDone(loss);
      return;
    }
    const fanOut = new FanOut(request.host ?? session, targets, {
      merge: { kind: 'concat' },
      send: (backend) => {
        backend.statements.runUnnamed(text, bind, request.describe);
        backend.requestFlush();
      },
      firstLeads: true,
      describesLate: spec.writes && request.host === undefined,
      endsWithSync: false,
      onDone: (outcome) => {
        if (outcome.ok && spec.writes) {
          for (const backend of fanOut.changed) session.work.writers.add(backend);
        }
        onDone(withoutPlace(outcome));
      },
    });
    startOperation(session, fanOut);
  }
}
