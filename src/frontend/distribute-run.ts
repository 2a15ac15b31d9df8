import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { sqlError, SqlError } from '../errors/sql-error.js';
import { arrayParameters } from '../executor/array-parameter.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import type { ResultColumn } from '../executor/described-columns.js';
import { Distribution, rowShape, shardsOf, type RowShape } from '../executor/distribution.js';
import { withoutPosition } from '../protocol/error-position.js';
import { FanOut, type Merge } from '../executor/fan-out.js';
import { memoryError } from '../executor/gather-errors.js';
import { unnestRelation } from '../executor/gather-final.js';
import { RowCapture } from '../executor/row-capture.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { DistributeSpec } from '../planner/plan.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { Outcome } from '../transaction/operation.js';
import { orderedMerge } from './fan-out-run.js';
import { refuseTextSettings } from './gather-run.js';
import type { Session } from './session.js';
import { withSourceText } from './source-values.js';
import {
  describeFor,
  startOperation,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** By the plan's own specification, which is made anew when the schema changes. */
const shapeOf = new WeakMap<DistributeSpec, RowShape | 'none'>();

/** Finds the run of a statement; handed in, since that finds this one too. */
type ChooseRun = (session: Session, request: RunRequest) => StatementRun;

/**
 * A statement whose rows are read first, and then go each to the shard that it belongs to:
 *
 *   source: any run, whose rows are captured --> Distribution --> apply: a fan-out over the shards
 *
 * All rows are kept in between, within limits.gather_memory, so that nothing is written before
 * everything is read: the source sees no row of its own statement.
 */
export class DistributeRun implements StatementRun {
  shards: readonly Shard[] = [];
  writers: readonly Shard[] = [];
  readonly route = RouteKind.distribute;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: DistributeSpec;
  private readonly choose: ChooseRun;
  /** Null: its columns must be learnt first. */
  private readonly shape: RowShape | null;
  private readonly bind: BindParts;
  private source: StatementRun;
  private readonly rows: Distribution | null;
  /** What is wrong with the source's rows; the first problem. */
  private problem: Buffer | null = null;

  constructor(session: Session, request: RunRequest, spec: DistributeSpec, choose: ChooseRun) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.choose = choose;
    const shape = shapeOf.get(spec) ?? null;
    this.shape = shape === null ? null : checkedShape(session, spec, shape);
    this.rows = this.shape === null ? null : new Distribution(spec.destination, this.shape);
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    this.source = this.sourceRun();
    this.findShards();
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { session, request, spec, choose, shape } = this;
    if (shape === null) {
      if (shapeOf.has(spec)) return new DistributeRun(session, request, spec, choose);
      const sql = Buffer.from(spec.source.sql).toString();
      describeFor(session, request, backends[0]!, [sql], paramTypes, onFailed, (texts) => {
        shapeOf.set(spec, this.learn(texts[1]!.columns));
      });
      return 'wait';
    }
    const prepared = this.source.prepare(this.sourceBackends(backends), paramTypes, (error) => {
      onFailed(withoutPosition(error, 0, error.length));
    });
    if (typeof prepared === 'string') return prepared;
    this.source = prepared;
    this.findShards();
    return this;
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, source, spec } = this;
    const readers = this.sourceBackends(backends);
    if (spec.source.plan.writes) for (const reader of readers) session.work.writers.add(reader);
    source.start(readers, paramTypes, (outcome) => {
      if (this.problem !== null) onDone({ ok: false, error: this.problem });
      else if (outcome.ok) this.apply(backends, paramTypes, onDone);
      else onDone(withoutPlace(outcome));
    });
  }

  private findShards(): void {
    const { source, spec } = this;
    const targets = shardsOf(spec.destination);
    this.shards = [...new Set([...source.shards, ...targets])].sort(byIndex);
    this.writers = spec.source.plan.writes ? this.shards : targets;
  }

  /** The rows of the source come here instead of going to the client. */
  private sourceRun(): StatementRun {
    const { session, request, spec, shape, bind } = this;
    const { sql, literals, plan } = spec.source;
    const text = Buffer.from(sql.buffer, sql.byteOffset, sql.length);
    const capture = new RowCapture(request.host ?? session, (backend, buffer, start, end) => {
      this.takeRow(backend, buffer, start, end);
    });
    return withSourceText(session, spec.source, () =>
      this.choose(session, {
        plan,
        text,
        from: 0,
        to: text.length,
        literals,
        bind: bind.withFormats(shape?.formats ?? []),
        describe: true,
        host: capture,
        endsWithSync: false,
      }),
    );
  }

  private learn(columns: readonly ResultColumn[]): RowShape | 'none' {
    const { textOnlyTypes } = this.session.context.planner.catalog;
    return rowShape(columns, this.spec, textOnlyTypes) ?? 'none';
  }

  private takeRow(
    backend: BackendConnection | null,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (this.problem !== null) return;
    const rows = this.rows!;
    try {
      rows.add(backend, buffer, start, end);
      const { gatherMemoryBytes } = this.session.context.config.limits;
      if (rows.bytes > gatherMemoryBytes) throw memoryError(gatherMemoryBytes);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      this.breakOff(errorBytes(error));
    }
  }

  /** The source need not go on. It is told when it has passed on what it is passing on now. */
  private breakOff(error: Buffer): void {
    this.problem = error;
    const { session } = this;
    const { operation } = session;
    setImmediate(() => {
      if (session.operation === operation) operation?.abort?.(error);
    });
  }

  private apply(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, spec, request, shards } = this;
    const { columns } = this.shape!;
    const { destination } = spec;
    const rows = this.rows!;
    const targets = shardsOf(destination);
    const copies = destination.kind === 'copies';
    const places = copies ? targets.map((_, place) => place) : rows.places;
    // Without rows one shard says what comes of that.
    if (places.length === 0) places.push(0);
    const relation = unnestRelation(spec.apply.columns, columns, paramTypes.length + 1);
    const sql = spec.apply.sql.map((piece) => (typeof piece === 'string' ? piece : relation));
    const types = [...paramTypes, ...columns.map(({ arrayOid }) => arrayOid)];
    const text = unnamedText(sql.join(''), types);
    const used = places.map((place) => backends[shards.indexOf(targets[place]!)]!);
    for (const backend of used) session.work.writers.add(backend);
    const fanOut = new FanOut(request.host ?? session, used, {
      merge: this.mergeOf(places),
      send: (backend, position) => {
        const { messages, count } = rows.rowsOf(copies ? 0 : places[position]!);
        const values = this.bind.withValues(arrayParameters([messages], count, columns));
        backend.statements.runUnnamed(text, values, request.describe);
        backend.requestFlush();
      },
      firstLeads: copies,
      endsWithSync: false,
      onDone: (outcome) => onDone(withoutPlace(outcome)),
    });
    startOperation(session, fanOut);
  }

  /** `places`: the shards that write, in the order of the fan-out. */
  private mergeOf(places: readonly number[]): Merge {
    const { destination, apply } = this.spec;
    if (destination.kind === 'copies') return { kind: 'first' };
    if (apply.returning !== 'each' || places.length === 1) return { kind: 'concat' };
    const order = this.rows!.order.map((place) => places.indexOf(place));
    return orderedMerge(this.session, order);
  }

  private sourceBackends(backends: readonly BackendConnection[]): BackendConnection[] {
    return this.source.shards.map((shard) => backends[this.shards.indexOf(shard)]!);
  }
}

/** The texts that shards run are our own: places in them mean nothing to the client. */
function withoutPlace(outcome: Outcome): Outcome {
  if (outcome.ok) return outcome;
  return { ok: false, error: withoutPosition(outcome.error, 0, outcome.error.length) };
}

/** Throws SqlError 0A000 where rows of this shape cannot be distributed. */
function checkedShape(
  session: Session,
  { destination }: DistributeSpec,
  shape: RowShape | 'none',
): RowShape {
  if (shape === 'none') {
    throw sqlError(
      'feature_not_supported',
      'the values that this statement writes to several shards would change their types',
      { hint: 'Cast them to the types of their columns.' },
    );
  }
  if (destination.kind === 'key' && shape.mapper === null) {
    throw sqlError(
      'feature_not_supported',
      `the type of the value for shard key "${destination.name}" cannot be mapped`,
      { hint: `Cast the value to the column's type.` },
    );
  }
  if (shape.formats.includes(0)) refuseTextSettings(session);
  return shape;
}
