import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { sqlError, type SqlError } from '../errors/sql-error.js';
import { sqlstates } from '../errors/sqlstates.js';
import {
  arrayParameters,
  TEXT_ARRAY,
  travellingColumn,
  type ArrayColumn,
} from '../executor/array-parameter.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import { FanOut } from '../executor/fan-out.js';
import { unnestRelation } from '../executor/gather-final.js';
import { GatheredSize } from '../executor/gather-limits.js';
import { MovedRows, type PlacedRows } from '../executor/moved-rows.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { FinalPiece, MoveSpec } from '../planner/plan.js';
import { readSqlState } from '../protocol/backend-messages.js';
import { errorBytes } from '../protocol/error-bytes.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import { placeRows } from './asked-directories.js';
import { refuseTextSettings } from './text-settings.js';
import { withinGatherTime } from './gather-time.js';
import type { Session } from './session.js';
import { readersOf, refusalError } from './shard-choice.js';
import { lossOf, RowIntake, withoutPlace } from './source-reader.js';
import {
  describeFor,
  startOperation,
  type RunRequest,
  type StatementRun,
} from './statement-run.js';

/** How the columns of the locked rows travel. By the plan's own specification, made anew with the schema. */
const columnsOf = new WeakMap<MoveSpec, readonly ArrayColumn[]>();

/** One of the statements that follow the lock. */
interface Step {
  readonly text: readonly FinalPiece[];
  readonly rows: PlacedRows;
  readonly describe: boolean;
}

/**
 * An UPDATE of the shard key:
 *
 *   lock: rows with their new values --> leave: DELETE --> stay: UPDATE --> arrive: INSERT
 *
 * What stays and what arrives gives the rows of RETURNING; all rows that were locked are counted.
 */
export class MoveRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly writers: readonly Shard[];
  readonly route = RouteKind.distribute;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: MoveSpec;
  /** Where rows of the target may be. */
  private readonly origins: readonly Shard[];
  private readonly bind: BindParts;
  private backends: readonly BackendConnection[] = [];
  private paramTypes: readonly number[] = [];

  /** Throws SqlError where the new key belongs to no shard. */
  constructor(session: Session, request: RunRequest, spec: MoveSpec) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    const { keyspace, newKey, shards } = spec;
    this.origins = readersOf(session, shards, request.values);
    // A directory is asked for the shards of rows when they are there.
    const isOpen = newKey === null || spec.key.new.directory !== undefined;
    const arrivals = isOpen
      ? keyspace.shards
      : [session.targets.forStoring(keyspace, newKey, request.values)];
    this.shards = [...new Set([...this.origins, ...arrivals])].sort(byIndex);
    this.writers = this.shards;
    this.bind = new BindParts(request.bind ?? NO_VALUES);
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' {
    const { session, request, spec } = this;
    const columns = columnsOf.get(spec);
    if (columns !== undefined) {
      if (columns.includes(TEXT_ARRAY)) refuseTextSettings(session);
      return 'ready';
    }
    const lock = [spec.lock];
    describeFor(session, request, backends[0]!, lock, paramTypes, onFailed, ([, locked]) => {
      const { textOnlyTypes } = session.planning.planner.catalog;
      const travels = locked!.columns.map(
        (column) => travellingColumn(column, textOnlyTypes) ?? TEXT_ARRAY,
      );
      columnsOf.set(spec, travels);
    });
    return 'wait';
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    this.backends = backends;
    this.paramTypes = paramTypes;
    const { session, spec } = this;
    const columns = columnsOf.get(spec)!;
    const rows = new MovedRows(spec, new GatheredSize(session.context.config.limits));
    const intake = new RowIntake(session, (backend, buffer, start, end) => {
      rows.add(backend!.shard, buffer, start, end);
    });
    const done = withinGatherTime(session, onDone);
    const text = unnamedText(spec.lock, paramTypes);
    const bind = this.bind.withFormats(columns.map((column) => (column === TEXT_ARRAY ? 0 : 1)));
    this.fanOut(
      intake.host,
      this.origins,
      () => [text, bind, false],
      (outcome) => {
        if (!outcome.ok) {
          done(withoutPlace(isReadOnly(outcome.error) ? this.refuseReadOnly() : outcome));
          return;
        }
        if (intake.problem !== null) {
          done({ ok: false, error: intake.problem });
          return;
        }
        placeRows(session, rows, (unplaced) => {
          const refused = unplaced === null ? this.refusal(rows) : null;
          const error = refused === null ? unplaced : errorBytes(refused);
          if (error !== null) done({ ok: false, error });
          else this.apply(rows, done);
        });
      },
    );
  }

  /** Servers refuse to bind what locks the rows, but would bind the UPDATE. */
  private refuseReadOnly(): Outcome {
    for (const backend of this.backends) backend.failedWhile = 0;
    return READ_ONLY;
  }

  private refusal(rows: MovedRows): SqlError | null {
    const { refusal } = this.spec;
    if (rows.leaving.count === 0) return rows.conflict();
    return refusal === null ? rows.conflict() : refusalError(refusal);
  }

  /** Runs the statements behind the lock, one after the other. */
  private apply(rows: MovedRows, onDone: (outcome: Outcome) => void): void {
    const { spec, request } = this;
    const { leaving, staying, arriving } = rows;
    const steps: Step[] = [];
    if (leaving.count > 0) steps.push({ text: spec.leave, rows: leaving, describe: false });
    const described = staying.count > 0 || arriving.count === 0;
    if (described) steps.push({ text: spec.stay, rows: staying, describe: request.describe });
    const describe = request.describe && !described;
    if (arriving.count > 0) steps.push({ text: spec.arrive, rows: arriving, describe });
    const run = (index: number): void => {
      const step = steps[index];
      if (step === undefined) {
        onDone({ ok: true, tag: `UPDATE ${rows.count}` });
        return;
      }
      this.step(step, (outcome) => {
        if (outcome.ok) run(index + 1);
        else onDone(withoutPlace(outcome));
      });
    };
    run(0);
  }

  private step({ text, rows, describe }: Step, onDone: (outcome: Outcome) => void): void {
    const { session, spec, bind, paramTypes } = this;
    const columns = columnsOf.get(spec)!;
    const relation = unnestRelation(spec.columns, columns, paramTypes.length + 1);
    const sql = text.map((piece) => (typeof piece === 'string' ? piece : relation)).join('');
    const types = [...paramTypes, ...columns.map(({ arrayOid }) => arrayOid)];
    const prepared = unnamedText(sql, types);
    // Without rows one shard says what comes of that.
    const shards = rows.count === 0 ? this.origins.slice(0, 1) : rows.shards;
    for (const shard of shards) session.work.writers.add(this.backendOf(shard));
    const send = (shard: Shard): Sent => {
      const { messages, count } = rows.of(shard);
      return [prepared, bind.withValues(arrayParameters([messages], count, columns)), describe];
    };
    this.fanOut(this.request.host ?? session, shards, send, onDone);
  }

  private fanOut(
    host: OperationHost,
    shards: readonly Shard[],
    send: (shard: Shard) => Sent,
    onDone: (outcome: Outcome) => void,
  ): void {
    const backends = shards.map((shard) => this.backendOf(shard));
    const loss = lossOf(backends);
    if (loss !== null) {
      onDone(loss);
      return;
    }
    const fanOut = new FanOut(host, backends, {
      merge: { kind: 'concat' },
      send: (backend) => {
        const [text, bind, describe] = send(backend.shard);
        backend.statements.runUnnamed(text, bind, describe);
        backend.requestFlush();
      },
      firstLeads: true,
      describesLate: host === this.session,
      endsWithSync: false,
      onDone,
    });
    startOperation(this.session, fanOut);
  }

  private backendOf(shard: Shard): BackendConnection {
    return this.backends[this.shards.indexOf(shard)]!;
  }
}

/** A statement for one shard: its text, its values, and whether its result is described. */
type Sent = readonly [text: ReturnType<typeof unnamedText>, bind: Buffer, describe: boolean];

function isReadOnly(error: Buffer): boolean {
  return readSqlState(error, 0, error.length) === sqlstates.read_only_sql_transaction.code;
}

/** A server says it of the statement that locks the rows. */
const READ_ONLY: Outcome = {
  ok: false,
  error: errorBytes(
    sqlError('read_only_sql_transaction', 'cannot execute UPDATE in a read-only transaction'),
  ),
};
