import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { BindParts, NO_VALUES, type ValuesOf } from '../executor/bind-parts.js';
import { Deal, type DealingInput } from '../executor/deal.js';
import { DealtRows } from '../executor/dealt-rows.js';
import { EndHashJoins } from '../executor/end-hash-joins.js';
import { GatheredSize } from '../executor/gather-limits.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { DealSpec } from '../planner/plan.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { Outcome } from '../transaction/operation.js';
import { GatherRun, mayPreferHashJoins } from './gather-run.js';
import { learnInputs, madeOver, type LearntInputs, type MadeOver } from './learnt-inputs.js';
import { openOver, readyOver, runOver, startOver, type OverRun } from './over-run.js';
import type { Session } from './session.js';
import { readersOf } from './shard-choice.js';
import { isText, leasedFor, type BackendsOf } from './source-inputs.js';
import { lossOf } from './source-reader.js';
import {
  startOperation,
  type Opened,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';
import { keepsTexts } from './text-settings.js';

/** By the plan's own specification, which is made anew when the schema changes; null: inputs cannot be dealt. */
const learntOf = new WeakMap<DealSpec, LearntInputs | null>();

export function dealRun(session: Session, request: RunRequest, spec: DealSpec): StatementRun {
  const learnt = learntOf.get(spec);
  const travels = learnt !== null && (!hasTexts(learnt) || keepsTexts(session));
  if (travels) return new DealRun(session, request, spec);
  return new GatherRun(session, request, spec.otherwise);
}

function hasTexts(learnt: LearntInputs | undefined): boolean {
  return learnt?.columns.flat().some(isText) === true;
}

/**
 * A SELECT whose tables are dealt to the shards by the values that join them, over which a merge or
 * an aggregation in two steps then runs:
 *
 *     inputs --> rows by place --> arrays, other ones in each shard's Bind of MergeRun or GatherRun
 *
 * Shards prefer joins by hash meanwhile.
 */
class DealRun implements StatementRun {
  shards: readonly Shard[] = [];
  readonly route = RouteKind.gather;
  readonly needsTypes = true;
  readonly leavesOpen = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: DealSpec;
  private readonly learnt: LearntInputs | null;
  private readonly bind: BindParts;
  /** The shards of each input. */
  private readonly sources: readonly (readonly Shard[])[];
  /** What is to run over the rows, as yet without them. */
  private over: StatementRun | null = null;

  constructor(session: Session, request: RunRequest, spec: DealSpec) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    this.learnt = learntOf.get(spec) ?? null;
    this.sources = spec.inputs.map(({ shards }) => readersOf(session, shards, request.values));
    this.findShards();
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, request, spec, learnt } = this;
    const may = backends.every((backend) => mayPreferHashJoins(session, backend));
    if (!may) return new GatherRun(session, request, spec.otherwise);
    if (learnt === null) {
      if (learntOf.has(spec)) return dealRun(session, request, spec);
      const texts = spec.inputs.map(({ sql }) => sql);
      learnInputs(session, request, backends[0]!, texts, paramTypes, onFailed, (found) => {
        learntOf.set(spec, found);
      });
      return 'wait';
    }
    // Backends are known by the place of their shards, so every change of these needs another lease.
    if (this.over === null) {
      this.over = this.runOver(learnt, paramTypes, null);
      this.findShards();
      return this;
    }
    const backendsOf = this.backendsOf(backends);
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
    const { session, request, learnt } = this;
    const onOver = (outcome: Outcome): void => {
      if (outcome.ok) this.endHashJoins(backends, onDone, outcome);
      else onDone(outcome);
    };
    startOver(session, request, learnt!.description, onOver, (failed, then) => {
      this.deal(backends, paramTypes, failed, then);
    });
  }

  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    partOf: (backend: BackendConnection, position: number) => PortalPart,
    onOpen: (opened: Opened) => void,
  ): void {
    const onOver = (opened: Opened): void => {
      if (opened.ok) this.endHashJoins(backends, onOpen, opened);
      else onOpen(opened);
    };
    openOver(this.session, partOf, onOver, (failed, then) => {
      this.deal(backends, paramTypes, failed, then);
    });
  }

  /** How a portal joins was decided when it was bound. */
  private endHashJoins<Over>(
    backends: readonly BackendConnection[],
    onDone: (end: Over | { readonly ok: false; readonly error: Buffer }) => void,
    over: Over,
  ): void {
    const targets = this.backendsOf(backends)(this.spec.keyspace.shards);
    const end = new EndHashJoins(targets, (error) => {
      onDone(error === null ? over : { ok: false, error });
    });
    startOperation(this.session, end);
  }

  /** Reads the rows, then makes what runs over them; it has been prepared before, with none. */
  private deal(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (outcome: Outcome) => void,
    then: (over: OverRun) => void,
  ): void {
    const { session, spec, request } = this;
    const learnt = this.learnt!;
    const backendsOf = this.backendsOf(backends);
    const targets = backendsOf(spec.keyspace.shards);
    const rows = learnt.columns.map((columns) => dealtRows(columns, spec));
    const inputs = rows.map((own, i) =>
      this.dealing(own, i, paramTypes, backendsOf(this.sources[i]!)),
    );
    const valuesOf: ValuesOf = (backend) => {
      const place = targets.indexOf(backend);
      return rows.flatMap((own) => own.arrays(place));
    };
    const deal = new Deal(request.host ?? session, {
      inputs,
      targets,
      size: new GatheredSize(session.context.config.limits),
      onDone: (error) => {
        const loss = error === null ? lossOf(backends) : null;
        if (error !== null) onFailed({ ok: false, error });
        else if (loss !== null) onFailed(loss);
        else {
          const { types } = this.made(learnt, paramTypes);
          then(readyOver(this.runOver(learnt, paramTypes, valuesOf), backendsOf, types));
        }
      },
    });
    startOperation(session, deal);
  }

  private dealing(
    rows: DealtRows,
    input: number,
    paramTypes: readonly number[],
    sources: readonly BackendConnection[],
  ): DealingInput {
    const { sql, columns, id } = this.spec.inputs[input]!;
    const names = columns.map(quoteIdentifier).join(', ');
    // The line break ends a comment that the input may end with.
    const read = `SELECT *, ${id} AS sg_id FROM (${sql}\n) AS sg_rows (${names})`;
    const formats = this.learnt!.columns[input]!.map((column) => (isText(column) ? 0 : 1));
    const bind = this.bind.withFormats([...formats, 1]);
    return { sources, read: unnamedText(read, paramTypes), bind, rows };
  }

  private runOver(
    learnt: LearntInputs,
    paramTypes: readonly number[],
    valuesOf: ValuesOf | null,
  ): StatementRun {
    const { session, spec } = this;
    const { many } = this.made(learnt, paramTypes);
    const bind = this.bind.withNulls(learnt.columns.flat().length);
    const request = { ...this.request, bind, ...(valuesOf ? { valuesOf } : {}) };
    return runOver(session, request, spec.statement, many, spec.keyspace.shards);
  }

  private made(learnt: LearntInputs, paramTypes: readonly number[]): MadeOver {
    const { statement, inputs } = this.spec;
    return madeOver(learnt, statement.plan.many, inputs, paramTypes);
  }

  private findShards(): void {
    const { spec, sources, over } = this;
    const all = [...spec.keyspace.shards, ...sources.flat(), ...(over?.shards ?? [])];
    this.shards = [...new Set(all)].sort(byIndex);
  }

  private backendsOf(backends: readonly BackendConnection[]): BackendsOf {
    return leasedFor(this.shards, backends);
  }
}

function dealtRows(columns: LearntInputs['columns'][number], { keyspace }: DealSpec): DealtRows {
  const { shards } = keyspace;
  const places: number[] = [];
  shards.forEach(({ index }, place) => (places[index] = place));
  return new DealtRows(columns, shards.length, (hi, lo) => places[keyspace.shardOf(hi, lo).index]!);
}
