import type { BackendConnection } from '../backend/postgres/connection.js';
import { fillText } from '../executor/fill-text.js';
import type { Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { Plan } from '../planner/plan.js';
import { withPosition } from '../protocol/error-position.js';
import { Literals } from '../sql/literals.js';
import { quoteLiteral } from '../sql/quote.js';
import type { Outcome } from '../transaction/operation.js';
import { assert } from '../util/assert.js';
import { onlyPlan } from './parse-queue.js';
import type { Session } from './session.js';
import { isShardPlan, refusalError, type ShardPlan } from './shard-choice.js';
import type { RunRequest, StatementRun } from './statement-run.js';
import { characterCount } from '../sql/code-points.js';

type MakeRun = (session: Session, request: RunRequest) => StatementRun;
type PositionOf = (position: number) => number;

/** A text on its way to its plan. */
interface Text {
  readonly sql: Buffer;
  readonly literals: Literals;
  /** Null: not planned yet. */
  plan: Plan | null;
}

/**
 * A statement that tells the time of its transaction, on other shards than the one where that has
 * begun: it is planned anew, that shard is asked, and the text with its time in it runs in place of
 * this run.
 *
 *     BEGIN;  UPDATE ... WHERE id = 1   (shard 0)
 *             UPDATE ... SET at = now() WHERE id = 2   (shard 1: SET at = '...'::timestamptz)
 */
export class MomentRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly writers: readonly Shard[] = [];
  readonly route = RouteKind.gather;
  readonly needsTypes = false;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly makeRun: MakeRun;
  /** The client's; it may have nothing to be filled in after all. */
  private readonly given: Text;
  /** With the time in it; null: not known yet. */
  private filled: Text | null = null;
  private positionOf: PositionOf = (position) => position;

  constructor(session: Session, request: RunRequest, makeRun: MakeRun) {
    const { text, from, to } = request;
    this.session = session;
    this.request = request;
    this.makeRun = makeRun;
    this.shards = [session.work.participants[0]!.shard];
    this.given = { sql: text.subarray(from, to), literals: new Literals(), plan: null };
  }

  prepare(
    _backends: readonly BackendConnection[],
    paramTypes: readonly number[],
  ): 'wait' | StatementRun {
    const { given } = this;
    if (!this.plan(given, paramTypes, true)) return 'wait';
    this.filled ??= this.fill(given);
    if (this.filled === null || !this.plan(this.filled, paramTypes, false)) return 'wait';
    const { plan } = this.filled;
    if (plan!.kind === 'refuse') throw refusalError(plan!.refusal);
    assert(isShardPlan(plan!), 'a statement that needs shards no more');
    return this.runOf(plan, this.filled);
  }

  /** False: wait. */
  private plan(text: Text, paramTypes: readonly number[], oneMoment: boolean): boolean {
    if (text.plan !== null) return true;
    const { sql, literals } = text;
    const { planning } = this.session;
    const planned = planning.plan(sql, 0, sql.length, paramTypes, literals, oneMoment);
    if (planned === null) return false;
    text.plan = onlyPlan(planned);
    return true;
  }

  /** Null: wait. */
  private fill(given: Text): Text | null {
    const { plan, sql, literals } = given;
    if (plan!.kind !== 'fill') return given;
    const values = this.session.planning.ids.valuesFor(plan!);
    if (values === null) return null;
    const sqlOf = (_slot: unknown, index: number): string => quoteLiteral(values[index]!);
    const { text, positionOf } = fillText(plan!, sql, 0, sql.length, literals, sqlOf);
    this.positionOf = positionOf;
    return { sql: text, literals: new Literals(), plan: null };
  }

  private runOf(planned: ShardPlan, { sql, literals }: Text): StatementRun | 'wait' {
    const { session, request, makeRun } = this;
    const { lookups } = session.planning;
    // What keeps lookups up stands around this run already.
    const { maintains: _lookups, tellsTime: _time, ...rest } = planned;
    const plan = rest as ShardPlan;
    const values = request.values.inText({ sql, literals });
    if (!lookups.ready(plan, values)) return 'wait';
    const run = makeRun(session, { ...request, plan, text: sql, from: 0, to: sql.length, values });
    lookups.clear();
    return new FilledRun(run, this.told);
  }

  /** Its error, with a position in the client's text. */
  private readonly told = (error: Buffer): Buffer =>
    withPosition(error, 0, error.length, (position) => {
      const { text, from } = this.request;
      return this.positionOf(position) + characterCount(text, 0, from);
    });

  start(): void {
    assert(false, 'another run goes on in its place');
  }
}

/** The run of a text that was made of the client's, whose errors are told as of that. */
class FilledRun implements StatementRun {
  readonly writers?: readonly Shard[];
  readonly home?: Shard;
  readonly leavesOpen?: true;
  readonly open?: NonNullable<StatementRun['open']>;
  private readonly inner: StatementRun;
  private readonly told: (error: Buffer) => Buffer;

  constructor(inner: StatementRun, told: (error: Buffer) => Buffer) {
    this.inner = inner;
    this.told = told;
    if (inner.writers !== undefined) this.writers = inner.writers;
    if (inner.home !== undefined) this.home = inner.home;
    if (inner.leavesOpen !== undefined) this.leavesOpen = inner.leavesOpen;
    if (inner.open === undefined) return;
    this.open = (backends, paramTypes, partOf, onOpen) => {
      inner.open!(backends, paramTypes, partOf, (opened) => {
        onOpen(opened.ok ? opened : { ok: false, error: told(opened.error) });
      });
    };
  }

  get shards(): readonly Shard[] {
    return this.inner.shards;
  }

  get route(): RouteKind {
    return this.inner.route;
  }

  get needsTypes(): boolean {
    return this.inner.needsTypes;
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const { inner, told } = this;
    const prepared = inner.prepare(backends, paramTypes, (error) => {
      onFailed(told(error));
    });
    return typeof prepared === 'string' ? prepared : new FilledRun(prepared, told);
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    this.inner.start(backends, paramTypes, (outcome) => {
      onDone(outcome.ok ? outcome : { ok: false, error: this.told(outcome.error) });
    });
  }
}
