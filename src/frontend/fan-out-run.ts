import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP } from '../backend/postgres/expected-replies.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { NO_VALUES } from '../executor/bind-parts.js';
import { CopyConcat } from '../executor/copy/copy-concat.js';
import { RowLines } from '../executor/copy/row-lines.js';
import { CountSums } from '../executor/count-sums.js';
import { FanOut, type FanOutOptions, type Merge } from '../executor/fan-out.js';
import { OrderedRows, type KeptRows } from '../executor/ordered-rows.js';
import {
  orderOf,
  positionInWhole,
  splitRows,
  textOfRows,
  type SplitRows,
} from '../executor/insert-split.js';
import { withPosition } from '../protocol/error-position.js';
import type { Shard } from '../keyspace/topology.js';
import type { RouteKind } from '../metrics/metrics.js';
import { offsetOf } from '../sql/position.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { BroadcastPlan } from '../planner/plan.js';
import { withCopyLine } from '../protocol/copy-context.js';
import { withoutContext } from '../protocol/error-hint.js';
import { resultFormats } from '../protocol/frontend-messages.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import { tellNotice } from './notices.js';
import { refuseOwnSequence } from './copy-fill.js';
import { receiveCopy, receiveWholeCopy } from './copy-run.js';
import type { ShardPlan } from './shard-choice.js';
import { routeKind } from './route-metrics.js';
import type { Session } from './session.js';
import { startOperation, toldError, type RunRequest, type StatementRun } from './statement-run.js';

/** A statement of which every shard runs its own part; the answers are put together. */
export class FanOutRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route: RouteKind;
  readonly needsTypes: boolean;
  readonly writers?: readonly Shard[];
  protected readonly session: Session;
  protected readonly request: RunRequest;
  /** The text of each shard; one entry where all get the same. */
  private readonly texts: readonly Buffer[];
  /** The rows of each shard, where the text is cut by row. */
  private readonly rows: SplitRows['rows'] | null = null;
  /** The place of each row's shard, where rows are told in their order; null: they are not. */
  private readonly order: readonly number[] | null;

  /** `shards`: those of the plan; copied. Texts are cut by row where rows differ. */
  constructor(session: Session, request: RunRequest, shards: readonly Shard[]) {
    this.session = session;
    this.request = request;
    const { plan, text, from, to, values } = request;
    if (plan.kind === 'insertSplit' && shards.length > 1) {
      const split = splitRows(plan, values, session.targets);
      this.shards = split.shards;
      this.order = plan.returning ? orderOf(split) : null;
      this.rows = split.rows;
      this.texts = split.rows.map((rows) =>
        textOfRows(plan, text, from, to, values.literals, rows),
      );
    } else {
      const answers = plan.kind === 'broadcast' ? plan.answers : undefined;
      this.shards = answers === undefined ? [...shards] : withFirst(answers, shards);
      this.order = null;
      const { instead } = plan.kind === 'broadcast' ? plan : {};
      const made = instead === undefined ? filledText(request) : Buffer.from(instead.sql);
      this.texts = [made ?? text.subarray(from, to)];
    }
    this.route = routeKind(plan, this.shards.length);
    // Which of them it has changed rows on shows when it has run.
    if (addsTags(plan)) this.writers = this.shards;
    // A shard's text may lack some parameters, whose types it could not infer.
    this.needsTypes = this.texts.length > 1;
  }

  prepare(): 'ready' {
    const { plan } = this.request;
    if (plan.kind === 'copyFrom' && plan.fill !== undefined) {
      refuseOwnSequence(this.session, plan.fill);
    }
    return 'ready';
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { plan, bind, describe, endsWithSync, host = this.session } = this.request;
    const { order } = this;
    const lines = new RowLines();
    const told = this.toldBy(lines);
    const options = { bind, paramTypes, describe, endsWithSync, host, order, told, lines };
    startFanOut(this.session, plan, this.texts, backends, options, (outcome) => {
      if (plan.kind === 'broadcast' && (plan.instead ?? plan.notice) !== undefined) {
        onDone(this.toldOfDdl(plan, outcome));
      } else if (outcome.ok || this.rows !== null) onDone(outcome);
      else onDone({ ok: false, error: toldError(this.request, outcome.error) });
    });
  }

  /** A shard's error as one of the client's rows; absent: it says what one server would say. */
  private toldBy(lines: RowLines): FanOutOptions['told'] {
    const { plan } = this.request;
    if (this.rows !== null) return this.toldOfRows;
    if (plan.kind !== 'copyFrom' || plan.key === null) return undefined;
    return (error, position) =>
      withCopyLine(error, (line) => lines.lineOf(plan.keyspace.shards[position]!, line));
  }

  /** What the client hears of DDL of which it must hear more, or otherwise, than the shards say. */
  private toldOfDdl({ instead, notice }: BroadcastPlan, outcome: Outcome): Outcome {
    if (!outcome.ok) {
      const { error } = outcome;
      const told = instead === undefined ? toldError(this.request, error) : withoutContext(error);
      return { ok: false, error: told };
    }
    if (notice !== undefined) tellNotice(this.session, notice.message, notice.hint);
    return instead === undefined ? outcome : { ok: true, tag: instead.tag };
  }

  /** The error of the shard that has the rows at `position`. */
  private readonly toldOfRows = (error: Buffer, position: number): Buffer => {
    const { plan, text, from, to, values } = this.request;
    const rows = this.rows?.[position];
    if (plan.kind !== 'insertSplit' || rows === undefined) return error;
    return withPosition(error, 0, error.length, (place) =>
      positionInWhole(plan, text, from, to, values.literals, rows, place),
    );
  };
}

/** The same shards, this one in front: its answer stands for all. */
function withFirst(first: Shard, shards: readonly Shard[]): Shard[] {
  const others = shards.filter(({ index }) => index !== first.index);
  return [...shards.filter(({ index }) => index === first.index), ...others];
}

type FanOutRunOptions = Pick<RunRequest, 'bind' | 'describe' | 'endsWithSync'> & {
  readonly paramTypes: readonly number[];
  readonly host: OperationHost;
  readonly order: readonly number[] | null;
  /** Learns the lines of a COPY that is split. */
  readonly lines?: RowLines;
  readonly told?: FanOutOptions['told'];
  readonly onBranch?: FanOutOptions['onBranch'];
};

/** Runs a statement without rows on backends as part of what is open there, without Sync. */
export function runInPipeline(
  session: Session,
  sql: string,
  backends: readonly BackendConnection[],
  onDone: (outcome: Outcome) => void,
  more: Partial<FanOutRunOptions> & { readonly firstLeads?: boolean } = {},
): void {
  const plan: ShardPlan = {
    kind: 'broadcast',
    verb: 'utility',
    writes: more.firstLeads === true,
    keyspace: null,
    ddl: false,
    transactional: true,
  };
  const options = {
    bind: null,
    paramTypes: [],
    describe: false,
    endsWithSync: false,
    host: session,
    order: null,
    ...more,
  };
  session.touch(backends);
  startFanOut(session, plan, [Buffer.from(sql)], backends, options, onDone);
}

/**
 * Runs a statement on all its backends through the extended protocol: without Sync nothing is committed before
 * every shard has succeeded. `texts`: one for all of them, or one for each.
 */
export function startFanOut(
  session: Session,
  plan: ShardPlan,
  texts: readonly Buffer[],
  backends: readonly BackendConnection[],
  options: FanOutRunOptions,
  onDone: FanOutOptions['onDone'],
): void {
  const prepared = texts.map((text) => unnamedText(text, options.paramTypes));
  const begins = plan.verb === 'lock' && session.hasRun && !session.work.explicit;
  const send = (backend: BackendConnection, position: number): void => {
    // Behind anything that has run, a server takes what no Sync has ended for a transaction block.
    if (begins) backend.statements.runUnnamed(NOTHING, NO_VALUES, false, 0, DROP, DROP);
    const text = prepared[prepared.length === 1 ? 0 : position]!;
    // What every server computes beforehand one of them tells.
    const bindAction = position === 0 ? CAPTURE : DROP;
    const { bind, describe } = options;
    backend.statements.runUnnamed(text, bind ?? NO_VALUES, describe, 0, bindAction);
    if (options.endsWithSync) backend.sync(CAPTURE);
    else backend.requestFlush();
  };
  const takesData = plan.kind === 'copyFrom' || (plan.kind === 'route' && plan.copy === 'in');
  const fanOut = new FanOut(
    options.host,
    backends,
    {
      merge: mergeOf(session, plan, backends.length, options),
      send,
      firstLeads: plan.writes && (plan.kind === 'broadcast' || plan.kind === 'route'),
      describesLate: plan.writes && options.host === session,
      endsWithSync: options.endsWithSync,
      told: options.told,
      dataColumns: dataColumnsOf(plan),
      onBranch: options.onBranch,
      onDone: (outcome, succeeded) => {
        if (outcome.ok && addsTags(plan)) {
          for (const backend of fanOut.changed) session.work.noteWrite(backend);
        }
        // What the client still sends is data of a COPY that has failed.
        if (takesData) session.copyTarget = null;
        onDone(outcome, succeeded);
      },
    },
    () => {
      if (plan.kind === 'copyFrom') {
        receiveCopy(session, plan, fanOut, backends, options.lines ?? new RowLines());
      } else receiveWholeCopy(session, backends[0]!);
    },
  );
  startOperation(session, fanOut);
}

const NOTHING = unnamedText('SELECT', []);

/** A COPY with the columns that the proxy makes values for; null for everything else. */
function filledText({ plan, text, from, to, values }: RunRequest): Buffer | null {
  if (plan.kind !== 'copyFrom' || plan.fill === undefined) return null;
  const { columns, at } = plan.fill;
  const place = offsetOf(at, values.literals);
  const names = columns.map(({ name }) => `, ${quoteIdentifier(name)}`).join('');
  return Buffer.concat([text.subarray(from, place), Buffer.from(names), text.subarray(place, to)]);
}

function dataColumnsOf(plan: ShardPlan): number | undefined {
  if (plan.kind !== 'copyFrom' || plan.fill === undefined) return undefined;
  return plan.columnCount - plan.fill.columns.length;
}

/** An UPDATE, DELETE or INSERT ... SELECT that every shard runs over its own rows. */
function addsTags(plan: ShardPlan): boolean {
  return plan.kind === 'route' && plan.many.kind === 'addTags';
}

function mergeOf(
  session: Session,
  plan: ShardPlan,
  shardCount: number,
  { bind, order }: FanOutRunOptions,
): Merge {
  if (order !== null) return keptMerge(session, new OrderedRows(order));
  if (plan.kind === 'broadcast') return { kind: 'first' };
  // A setting is made on every shard of the transaction.
  if (plan.kind === 'route' && plan.effects !== null) return { kind: 'first' };
  if (plan.kind === 'copyFrom') return { kind: plan.key === null ? 'first' : 'concat' };
  if (plan.kind === 'route' && plan.many.kind === 'counts') {
    return { kind: 'counts', sums: new CountSums(resultFormats(bind ?? NO_VALUES)) };
  }
  if (plan.kind === 'route' && plan.many.kind === 'copyConcat') {
    const { format, header } = plan.many;
    return { kind: 'copy', concat: new CopyConcat(format, header, shardCount) };
  }
  return { kind: 'concat' };
}

/** Rows that are told when all are there, within limits.gather_memory. */
export function keptMerge({ context }: Session, rows: KeptRows): Merge {
  return { kind: 'ordered', rows, memoryBytesMax: context.config.limits.gatherMemoryBytes };
}
