import type { BackendConnection } from '../backend/postgres/connection.js';
import { fillText } from '../executor/fill-text.js';
import type { Shard } from '../keyspace/topology.js';
import { RouteKind } from '../metrics/metrics.js';
import type { CreatedTable } from '../planner/plan.js';
import { readErrorFields } from '../protocol/backend-messages.js';
import { Backend } from '../protocol/codes.js';
import { Literals } from '../sql/literals.js';
import { quoteLiteral } from '../sql/quote.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import { runInPipeline } from './fan-out-run.js';
import { onlyPlan } from './parse-queue.js';
import type { Session } from './session.js';
import { isShardPlan, refusalError } from './shard-choice.js';
import { assert } from '../util/assert.js';
import type { RunRequest, StatementRun } from './statement-run.js';

type Done = (outcome: Outcome) => void;
type MakeRun = (session: Session, request: RunRequest) => StatementRun;

/**
 * CREATE TABLE AS: the table is made on every shard; then, in the same transaction, its rows come as by an INSERT,
 * which is planned for the schema as it is by then.
 *
 *     ddl on all shards --> the schema is read again --> INSERT ... query, in place of this run
 */
export class CreateAsRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.broadcast;
  readonly needsTypes = false;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly created: CreatedTable;
  private readonly makeRun: MakeRun;
  /** What came of the DDL; null: it has not run. */
  private made: Outcome | null = null;
  private existed = false;
  /** The INSERT, with values of the proxy once they are there; null: not looked at yet. */
  private text: Buffer | null = null;

  constructor(
    session: Session,
    request: RunRequest,
    created: CreatedTable,
    shards: readonly Shard[],
    makeRun: MakeRun,
  ) {
    this.session = session;
    this.request = request;
    this.created = created;
    this.shards = [...shards];
    this.makeRun = makeRun;
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
  ): 'ready' | 'wait' | StatementRun {
    const { session, created } = this;
    if (this.made === null) {
      this.create(backends, paramTypes);
      return 'wait';
    }
    if (!this.made.ok || this.existed || created.insert === null) return 'ready';
    this.text ??= Buffer.from(created.insert);
    const literals = new Literals();
    const planned = session.planning.plan(this.text, 0, this.text.length, paramTypes, literals);
    if (planned === null) return 'wait';
    const plan = onlyPlan(planned);
    const { text } = this;
    if (plan.kind === 'fill') {
      const values = session.planning.ids.valuesFor(plan);
      if (values === null) return 'wait';
      const sqlOf = (_slot: unknown, index: number): string => quoteLiteral(values[index]!);
      this.text = fillText(plan, text, 0, text.length, literals, sqlOf).text;
      return this.prepare(backends, paramTypes);
    }
    if (plan.kind === 'refuse') throw refusalError(plan.refusal);
    assert(isShardPlan(plan), 'an INSERT needs shards');
    const values = this.request.values.inText({ sql: text, literals });
    const request = { ...this.request, plan, text, from: 0, to: text.length, values };
    return new SelectedRun(this.makeRun(session, request));
  }

  private create(backends: readonly BackendConnection[], paramTypes: readonly number[]): void {
    const { session, request, created } = this;
    for (const backend of backends) session.pins.noteUse(backend, request.plan, true);
    session.busy = true;
    const done = (outcome: Outcome): void => {
      this.made = outcome;
      if (outcome.ok) {
        session.catalogStale = true;
        session.planning.overlay.changed();
      }
      session.resumeSoon();
    };
    const { bind } = request;
    const options = { bind, paramTypes, host: this.host, firstLeads: true };
    runInPipeline(session, created.ddl, backends, done, options);
  }

  /** Hears whether the table has been there before. */
  private get host(): OperationHost {
    const { session, created } = this;
    return {
      passToClient: (backend, buffer, start, end) => {
        if (created.ifNotExists && buffer[start] === Backend.noticeResponse) {
          this.existed ||= readErrorFields(buffer, start, end).get('C') === DUPLICATE_TABLE;
        }
        return session.passToClient(backend, buffer, start, end);
      },
      clientStreamBroken: () => {
        session.clientStreamBroken();
      },
    };
  }

  start(
    _backends: readonly BackendConnection[],
    _paramTypes: readonly number[],
    onDone: Done,
  ): void {
    const { made } = this;
    this.session.busy = true;
    queueMicrotask(() => {
      if (!this.session.over) onDone(made!);
    });
  }
}

const DUPLICATE_TABLE = '42P07';

/** An INSERT that tells of its rows as a SELECT does. */
class SelectedRun implements StatementRun {
  private readonly insert: StatementRun;

  constructor(insert: StatementRun) {
    this.insert = insert;
  }

  get shards(): readonly Shard[] {
    return this.insert.shards;
  }

  get route(): RouteKind {
    return this.insert.route;
  }

  get needsTypes(): boolean {
    return this.insert.needsTypes;
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    const prepared = this.insert.prepare(backends, paramTypes, onFailed);
    return typeof prepared === 'string' ? prepared : new SelectedRun(prepared);
  }

  start(backends: readonly BackendConnection[], paramTypes: readonly number[], onDone: Done): void {
    this.insert.start(backends, paramTypes, (outcome) => {
      onDone(
        outcome.ok ? { ok: true, tag: outcome.tag.replace(/^INSERT 0 /, 'SELECT ') } : outcome,
      );
    });
  }
}
