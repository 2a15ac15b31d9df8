import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import { Deal, type DealingInput } from '../executor/deal.js';
import { travelsInBinary } from '../executor/described-columns.js';
import { createTable, inPlaceRelation } from '../executor/gather-final.js';
import { GatheredSize } from '../executor/gather-limits.js';
import { withRelations } from '../executor/marked-texts.js';
import type { PortalPart } from '../executor/portal/portal-part.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { DealSpec, DealtInput, ManyShards } from '../planner/plan.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { Outcome } from '../transaction/operation.js';
import { GatherRun, isReadOnlyByDefault, learnFrom, mayPreferHashJoins } from './gather-run.js';
import { learnMergeFrom } from './merge-run.js';
import { openOver, readyOver, runOver, startOver, type OverRun } from './over-run.js';
import type { Session } from './session.js';
import { readersOf } from './shard-choice.js';
import { leasedFor, type BackendsOf } from './source-inputs.js';
import { lossOf } from './source-reader.js';
import {
  describeFor,
  startOperation,
  type Opened,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** What was learnt of a statement whose tables are dealt. */
interface Learnt {
  /** The client's RowDescription. */
  readonly description: Buffer;
  /** The statement over the inputs' own queries, which any shard can describe. */
  readonly described: ManyShards;
  /** The same over the tables. */
  readonly made: ManyShards;
}

/** By the plan's own specification, which is made anew when the schema changes; null: inputs cannot be dealt. */
const learntOf = new WeakMap<DealSpec, Learnt | null>();

/**
 * Temporary tables on several shards can be neither prepared nor made in a transaction that only
 * reads; so nothing else may be in this one.
 */
export function dealRun(session: Session, request: RunRequest, spec: DealSpec): StatementRun {
  const { work } = session;
  const alone = !work.explicit && !session.isPart && !isReadOnlyByDefault(session);
  if (alone && learntOf.get(spec) !== null) return new DealRun(session, request, spec);
  return new GatherRun(session, request, spec.otherwise);
}

/**
 * A SELECT whose tables are dealt to the shards by the values that join them, over which a merge or
 * an aggregation in two steps then runs:
 *
 *     inputs --> rows by place --> temporary tables, read by MergeRun or GatherRun
 */
class DealRun implements StatementRun {
  shards: readonly Shard[] = [];
  readonly route = RouteKind.gather;
  readonly needsTypes = true;
  readonly leavesOpen = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: DealSpec;
  private readonly learnt: Learnt | null;
  private readonly bind: BindParts;
  /** The shards of each input. */
  private readonly sources: readonly (readonly Shard[])[];
  /** What is to run over the tables, described. */
  private over: StatementRun | null;

  constructor(session: Session, request: RunRequest, spec: DealSpec) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    this.learnt = learntOf.get(spec) ?? null;
    this.sources = spec.inputs.map(({ shards }) => readersOf(session, shards));
    this.over = this.learnt === null ? null : this.runOver(this.learnt.described);
    this.findShards();
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, request, spec, over, learnt } = this;
    if (!backends.every((backend) => mayPreferHashJoins(session, backend))) {
      return new GatherRun(session, request, spec.otherwise);
    }
    if (over === null || learnt === null) {
      if (learntOf.has(spec)) return dealRun(session, request, spec);
      this.learn(backends[0]!, paramTypes, onFailed);
      return 'wait';
    }
    const backendsOf = this.backendsOf(backends);
    const ready = over.prepare(backendsOf(over.shards), paramTypes, onFailed);
    if (ready === 'ready') learnMany(learnt.described, learnt.made);
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
      this.deal(backends, paramTypes, failed, then);
    });
  }

  open(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    partOf: (backend: BackendConnection, position: number) => PortalPart,
    onOpen: (opened: Opened) => void,
  ): void {
    openOver(this.session, partOf, onOpen, (failed, then) => {
      this.deal(backends, paramTypes, failed, then);
    });
  }

  /** Fills the tables, then finds what runs over them. */
  private deal(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (outcome: Outcome) => void,
    then: (over: OverRun) => void,
  ): void {
    const { session, spec, request } = this;
    const backendsOf = this.backendsOf(backends);
    const targets = backendsOf(spec.keyspace.shards);
    session.work.noteScratch(targets[0]!);
    const deal = new Deal(request.host ?? session, {
      inputs: spec.inputs.map((input, i) =>
        dealing(input, i, paramTypes, backendsOf(this.sources[i]!)),
      ),
      targets,
      bind: this.bind.withResults('binary'),
      size: new GatheredSize(session.context.config.limits),
      onDone: (error) => {
        const loss = error === null ? lossOf(backends) : null;
        if (error !== null) onFailed({ ok: false, error });
        else if (loss !== null) onFailed(loss);
        else then(readyOver(this.runOver(this.learnt!.made), backendsOf, paramTypes));
      },
    });
    startOperation(session, deal);
  }

  private runOver(many: ManyShards): StatementRun {
    const { session, request, spec } = this;
    return runOver(session, request, spec.statement, many, () => spec.keyspace.shards);
  }

  private learn(
    backend: BackendConnection,
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): void {
    const { session, request, spec } = this;
    const texts = spec.inputs.map(({ sql }) => sql);
    describeFor(session, request, backend, texts, paramTypes, onFailed, ([own, ...inputs]) => {
      const { textOnlyTypes } = session.planning.planner.catalog;
      const { message } = own!;
      const fits = inputs.every(({ columns }) =>
        columns.every((column) => travelsInBinary(column, textOnlyTypes)),
      );
      if (message === null || !fits) learntOf.set(spec, null);
      else {
        const described = over(spec, (input) => inPlaceRelation(input, null));
        learntOf.set(spec, { description: message, described, made: over(spec, tableOf) });
      }
    });
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

/** Dropped when the transaction ends, in which there are no others. */
function tableOf(_input: DealtInput, place: number): string {
  return `pg_temp."shardgate dealt ${place}"`;
}

/** The statement with these relations for its inputs. */
function over(
  { inputs, statement }: DealSpec,
  relationOf: (input: DealtInput, place: number) => string,
): ManyShards {
  const marks = inputs.map(({ mark }) => mark);
  return withRelations(statement.plan.many, marks, inputs.map(relationOf));
}

function dealing(
  input: DealtInput,
  i: number,
  paramTypes: readonly number[],
  sources: readonly BackendConnection[],
): DealingInput {
  const { sql, columns, place } = input;
  const table = tableOf(input, i);
  const names = columns.map(quoteIdentifier).join(', ');
  // The line break ends a comment that the input may end with.
  const read = `SELECT *, ${place} AS sg_place FROM (${sql}\n) AS sg_rows (${names})`;
  return {
    sources,
    read: unnamedText(read, paramTypes),
    create: unnamedText(createTable(table, columns, sql, false), paramTypes),
    copy: unnamedText(`COPY ${table} FROM STDIN (FORMAT binary)`, []),
  };
}

function learnMany(known: ManyShards, other: ManyShards): void {
  if (known.kind === 'gather' && other.kind === 'gather') learnFrom(known.gather, other.gather);
  if (known.kind === 'merge' && other.kind === 'merge') learnMergeFrom(known.merge, other.merge);
}
