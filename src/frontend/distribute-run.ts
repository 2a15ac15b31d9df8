import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText, type PreparedText } from '../backend/postgres/prepared-text.js';
import { sqlError } from '../errors/sql-error.js';
import { arrayParameters, INT4_ARRAY } from '../executor/array-parameter.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import type { DescribedText } from '../executor/describe-texts.js';
import type { ResultColumn } from '../executor/described-columns.js';
import {
  Distribution,
  fieldStart,
  rowShape,
  shardsOf,
  type RowShape,
} from '../executor/distribution.js';
import { addTags, FanOut, type Merge } from '../executor/fan-out.js';
import { withFields } from '../executor/extended-rows.js';
import { GatheredSize } from '../executor/gather-limits.js';
import { unnestRelation } from '../executor/gather-final.js';
import { NumberedRows, OrderedRows } from '../executor/ordered-rows.js';
import type { TakeRow } from '../executor/row-capture.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import { ROW_NUMBER, type DistributeSpec, type IdSource } from '../planner/plan.js';
import { readInt32 } from '../protocol/framing.js';
import type { Outcome } from '../transaction/operation.js';
import { assert } from '../util/assert.js';
import { ClaimedRows } from './claimed-rows.js';
import { keptMerge } from './fan-out-run.js';
import { placeRows } from './asked-directories.js';
import { isMade } from './id-filler.js';
import { refuseTextSettings } from './text-settings.js';
import { withinGatherTime } from './gather-time.js';
import type { Session } from './session.js';
import { leasedFor } from './source-inputs.js';
import { lossOf, SourceReader, withoutPlace, type ChooseRun } from './source-reader.js';
import {
  describeFor,
  startOperation,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** By the plan's own specification, which is made anew when the schema changes. */
const shapeOf = new WeakMap<DistributeSpec, RowShape | 'none'>();

/**
 * A statement whose rows are read first, and then go each to the shard that it belongs to:
 *
 *   source: any run, whose rows are captured --> Distribution --> apply: a fan-out over the shards
 *
 * The source sees no row of its own statement. Where rows may be applied in turns, it is open as a
 * portal, with the snapshot of its beginning, and gives a batch for each turn. Else all rows are kept,
 * within limits.gather_memory, and nothing is written before everything is read.
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
  private readonly source: SourceReader;
  private rows: Distribution | null;
  /** Of these rows. */
  private size: GatheredSize;
  /** Where they are kept, until it is known whose their values are; null: they go by their keys. */
  private readonly claimed: ClaimedRows | null;

  constructor(session: Session, request: RunRequest, spec: DistributeSpec, choose: ChooseRun) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.choose = choose;
    const shape = shapeOf.get(spec) ?? null;
    this.shape = shape === null ? null : checkedShape(session, shape);
    this.rows = this.shape === null ? null : new Distribution(spec.destination, this.shape);
    this.size = new GatheredSize(session.context.config.limits);
    this.claimed = this.shape === null ? null : claimedRows(session, spec, this.shape);
    this.bind = new BindParts(request.bind ?? NO_VALUES);
    const bind = this.bind.withFormats(this.shape?.formats ?? []);
    const take: TakeRow = (_backend, row, at, end) => {
      this.takeRow(row, at, end);
    };
    this.source = new SourceReader(
      session,
      spec.source,
      { values: request.values, bind },
      choose,
      take,
    );
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
        const [own, source] = texts as [DescribedText, DescribedText];
        shapeOf.set(spec, this.learn(own.columns.length, source.columns));
      });
      return 'wait';
    }
    // Once values can be made, they can be for all rows.
    const made = (spec.made ?? []).map((source) => ({ source }));
    if (made.length > 0 && session.planning.ids.values(made, 'insert') === null) return 'wait';
    const prepared = this.source.prepare(this.sourceBackends(backends), paramTypes, onFailed);
    if (prepared !== 'moved') return prepared;
    this.findShards();
    return this;
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { source, spec } = this;
    const from = this.sourceBackends(backends);
    if (spec.inTurns && source.opens) {
      source.open(from, paramTypes, (error) => {
        if (error === null) this.takeTurns(backends, paramTypes, onDone);
        else onDone({ ok: false, error });
      });
      return;
    }
    const done = withinGatherTime(this.session, onDone);
    source.start(from, paramTypes, (outcome) => {
      if (!outcome.ok) done(outcome);
      else if (this.claimed !== null) this.applyClaimed(this.claimed, backends, paramTypes, done);
      else this.apply(backends, paramTypes, this.request.describe, done);
    });
  }

  /** Applies rows, once the lookup has told where rows with their values are. */
  private applyClaimed(
    claimed: ClaimedRows,
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const backendsOf = leasedFor(this.shards, backends);
    claimed.resolve(backendsOf, (result) => {
      if (Buffer.isBuffer(result)) {
        onDone({ ok: false, error: result });
        return;
      }
      this.rows = result;
      const unwatch = claimed.watch(backends);
      this.apply(backends, paramTypes, this.request.describe, (outcome) => {
        unwatch();
        claimed.release(backendsOf, outcome, onDone);
      });
    });
  }

  /** Reads a batch and applies it, until there are no more rows. */
  private takeTurns(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { source, spec, request } = this;
    const tags: string[] = [];
    const { gatherMemoryBytes } = this.session.context.config.limits;
    const bytesMax = Math.min(BATCH_BYTES, gatherMemoryBytes / 4);
    let rowsMax = FIRST_ROWS;
    const read = (): void => {
      this.rows = new Distribution(spec.destination, this.shape!);
      this.size = new GatheredSize({ gatherMemoryBytes, gatherRowsMax: 0 });
      source.next(rowsMax, (error, count) => {
        if (error !== null) onDone({ ok: false, error });
        else if (count === 0 && tags.length > 0) end();
        else {
          rowsMax = nextRowsMax(rowsMax, count, this.rows!.bytes, bytesMax);
          const describe = request.describe && tags.length === 0;
          this.apply(backends, paramTypes, describe, (outcome) => {
            if (!outcome.ok) onDone(outcome);
            else {
              tags.push(outcome.tag);
              if (source.exhausted) end();
              else read();
            }
          });
        }
      });
    };
    const end = (): void => source.close(() => onDone({ ok: true, tag: addTags(tags) }));
    read();
  }

  private findShards(): void {
    const { source, spec } = this;
    const targets = shardsOf(spec.destination);
    const homes = this.claimed?.homes ?? [];
    this.shards = [...new Set([...source.shards, ...targets, ...homes])].sort(byIndex);
    this.writers = spec.source.plan.writes ? this.shards : targets;
  }

  private learn(clientColumns: number, columns: readonly ResultColumn[]): RowShape | 'none' {
    const { textOnlyTypes } = this.session.planning.planner.catalog;
    return rowShape(columns, clientColumns, this.spec, textOnlyTypes) ?? 'none';
  }

  /** Throws SqlError where the row belongs to no shard, or beyond the bound of memory. */
  private takeRow(buffer: Buffer, start: number, end: number): void {
    const rows = this.claimed ?? this.rows!;
    const { made = [], clash } = this.spec;
    if (clash !== undefined && isTrue(buffer, fieldStart(buffer, start, clash))) refuseClash();
    if (made.length === 0) rows.add(buffer, start, end);
    else {
      const values = made.map((source) => this.newValue(source));
      const row = withFields(buffer, start, end, values);
      rows.add(row, 0, row.length);
    }
    const error = this.size.add(end - start, 1);
    if (error !== null) throw error;
  }

  /** A value for one row. Throws SqlError where it is not to be had at once. */
  private newValue(source: IdSource): string {
    assert(isMade(source), 'a value that rows do not get on their way');
    const values = this.session.context.ids.take(source, 1);
    if (values !== null) return values[0]!;
    throw sqlError('internal_error', 'no id could be made for a row: the clock is behind', {
      hint: 'Try again, with fewer rows.',
    });
  }

  private apply(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    describe: boolean,
    onDone: (outcome: Outcome) => void,
  ): void {
    placeRows(this.session, this.rows!, (error) => {
      if (error === null) this.applyPlaced(backends, paramTypes, describe, onDone);
      else onDone({ ok: false, error });
    });
  }

  private applyPlaced(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    describe: boolean,
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, spec, request, shards } = this;
    const { destination } = spec;
    const rows = this.rows!;
    const targets = shardsOf(destination);
    const copies = destination.kind === 'copies';
    const everywhere = copies || spec.apply.everywhere === true;
    const places = everywhere ? targets.map((_, place) => place) : rows.places;
    // Without rows one shard says what comes of that.
    if (places.length === 0) places.push(0);
    const text = this.applyText(paramTypes);
    const used = places.map((place) => backends[shards.indexOf(targets[place]!)]!);
    const loss = lossOf(used);
    if (loss !== null) {
      onDone(loss);
      return;
    }
    for (const backend of used) session.work.writers.add(backend);
    const fanOut = new FanOut(request.host ?? session, used, {
      merge: this.mergeOf(places),
      send: (backend, position) => {
        const values = this.valuesOf(copies ? 0 : places[position]!);
        backend.statements.runUnnamed(text, values, describe);
        backend.requestFlush();
      },
      firstLeads: everywhere,
      describesLate: request.host === undefined,
      endsWithSync: false,
      onDone: (outcome) => onDone(withoutPlace(outcome)),
    });
    startOperation(session, fanOut);
  }

  /** What every shard runs, with its rows behind the client's parameters. */
  private applyText(paramTypes: readonly number[]): PreparedText {
    const { sql, columns, returning } = this.spec.apply;
    const numbered = returning === 'numbered';
    const names = numbered ? [...columns, ROW_NUMBER] : columns;
    const own = this.shape!.columns;
    const arrays = numbered ? [...own, INT4_ARRAY] : own;
    const relation = unnestRelation(names, arrays, paramTypes.length + 1);
    const text = sql.map((piece) => (typeof piece === 'string' ? piece : relation)).join('');
    return unnamedText(text, [...paramTypes, ...arrays.map(({ arrayOid }) => arrayOid)]);
  }

  /** A Bind message from behind the statement's name, with the rows of one place. */
  private valuesOf(place: number): Buffer {
    const { bind } = this;
    const rows = this.rows!;
    const { columns, clientColumns } = this.shape!;
    const { messages, count } = rows.rowsOf(place);
    const arrays = arrayParameters([messages], count, columns);
    if (this.spec.apply.returning !== 'numbered') return bind.withValues(arrays);
    const values = bind.withValues([...arrays, rows.numbersOf(place)]);
    return new BindParts(values).withHiddenResults(clientColumns, 1);
  }

  /** `places`: the shards that write, in the order of the fan-out. */
  private mergeOf(places: readonly number[]): Merge {
    const { destination, apply } = this.spec;
    if (destination.kind === 'copies' && destination.each !== true) return { kind: 'first' };
    if (apply.returning === 'numbered') {
      const formats = this.bind.resultFormats(this.shape!.clientColumns);
      return keptMerge(this.session, new NumberedRows(formats));
    }
    if (apply.returning !== 'each' || places.length === 1) return { kind: 'concat' };
    const order = this.rows!.order.map((place) => places.indexOf(place));
    return keptMerge(this.session, new OrderedRows(order));
  }

  private sourceBackends(backends: readonly BackendConnection[]): BackendConnection[] {
    return this.source.shards.map((shard) => backends[this.shards.indexOf(shard)]!);
  }
}

/** Whether the field at `start` is a boolean in binary format that is true; NULL is not. */
function isTrue(row: Buffer, start: number): boolean {
  return readInt32(row, start) === 1 && row[start + 4] === 1;
}

function refuseClash(): never {
  throw sqlError(
    'feature_not_supported',
    'inserting a row with the key of another one that the same statement deletes is not supported',
    { hint: 'Delete the rows in a statement before.' },
  );
}

/** Null: the rows go by their keys. */
function claimedRows(
  session: Session,
  { destination }: DistributeSpec,
  shape: RowShape,
): ClaimedRows | null {
  if (destination.kind !== 'key' || destination.claim === undefined) return null;
  return new ClaimedRows(session, destination, destination.claim, shape);
}

/** Rows that each shard of a source is asked for first, when nobody knows how long they are. */
const FIRST_ROWS = 64;
/** A batch is to be about so large: enough for a statement's fixed costs to be nothing. */
const BATCH_BYTES = 2 * 1024 * 1024;
/** Rows to come may be so many times as long as those that were seen. */
const GROWTH_MAX = 8;

/** How many rows to ask for, where so many were asked for before and so much came. */
function nextRowsMax(rowsMax: number, count: number, bytes: number, bytesMax: number): number {
  const growth = Math.min(GROWTH_MAX, bytesMax / Math.max(1, bytes));
  return count === 0 ? rowsMax : Math.max(1, Math.floor(rowsMax * growth));
}

/** Throws SqlError 0A000 where rows of this shape cannot be distributed. */
function checkedShape(session: Session, shape: RowShape | 'none'): RowShape {
  if (shape === 'none') {
    throw sqlError(
      'feature_not_supported',
      'the values that this statement writes to several shards would change their types',
      { hint: 'Cast them to the types of their columns.' },
    );
  }
  if (shape.unmapped !== null) {
    throw sqlError(
      'feature_not_supported',
      `the type of the value for shard key "${shape.unmapped}" cannot be mapped`,
      { hint: `Cast the value to the column's type.` },
    );
  }
  if (shape.formats.includes(0)) refuseTextSettings(session);
  return shape;
}
