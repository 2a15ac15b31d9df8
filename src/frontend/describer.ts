import type { BackendConnection } from '../backend/postgres/connection.js';
import { DROP, Expect, PASS, type ReplyAction } from '../backend/postgres/expected-replies.js';
import { BindParts } from '../executor/bind-parts.js';
import type { ScatterPortal } from '../executor/portal/scatter-portal.js';
import type { Plan } from '../planner/plan.js';
import { ready } from '../protocol/backend-messages.js';
import { Backend, Frontend } from '../protocol/codes.js';
import { Writer } from '../protocol/writer.js';
import type { ClientStatement, Portal } from './client-statement.js';
import { isShardPlan, type ShardPlan } from './shard-choice.js';
import type { ParseQueue } from './parse-queue.js';
import type { Portals } from './portals.js';
import type { Pipeline } from './pipeline.js';
import { bindRest, type Execution } from './sql-statements.js';

/**
 * Answers Describe. Every shard has every table, so any of them can say what a statement takes and gives. False from
 * any method: a backend must be waited for, call again.
 */
export class Describer {
  private readonly pipeline: Pipeline;
  private readonly parses: ParseQueue;
  private readonly portals: Portals;

  constructor(pipeline: Pipeline, parses: ParseQueue, portals: Portals) {
    this.pipeline = pipeline;
    this.parses = parses;
    this.portals = portals;
  }

  statement(statement: ClientStatement, plan: Plan): boolean {
    const { pipeline, parses } = this;
    if (!isShardPlan(plan)) {
      if (!parses.answer()) return false;
      pipeline.reply(NO_PARAMETERS);
      return this.nothing();
    }
    const fetched = this.fetched(plan);
    if (fetched !== null) {
      if (!parses.answer()) return false;
      pipeline.reply(NO_PARAMETERS);
      pipeline.reply(fetched.describe([]));
      return true;
    }
    const backend = this.home(plan);
    if (backend === null) return false;
    parses.sendTo(backend);
    const serverName = parses.nameOn(backend, statement);
    backend.out.begin(Frontend.describe).byte(0x53).bytes(serverName).byte(0).end();
    backend.statements.describe(statement.prepared);
    return true;
  }

  /** SQL EXECUTE has no parameters; its rows are those of the statement that it names. */
  execution({ statement, plan, values }: Execution): boolean {
    const { pipeline, parses } = this;
    const backend = parses.home(plan);
    if (backend === null) return false;
    parses.sendTo(backend);
    pipeline.reply(NO_PARAMETERS);
    this.describeBound(backend, statement, bindRest(values, TEXT_RESULTS), '', DROP);
    return true;
  }

  /** `[start, end)`: the Describe message. */
  portal(portal: Portal, buffer: Buffer, start: number, end: number): boolean {
    const { pipeline } = this;
    const { backend, plan, statement, bind } = portal;
    if (backend !== null) {
      if (!pipeline.switchToHolder(backend)) return false;
      this.parses.sendTo(backend);
      backend.out.bytes(buffer, start, end);
      if (statement === null) backend.expect(Expect.describe, PASS);
      else backend.statements.describe(statement.prepared);
      return true;
    }
    if (!this.parses.empty && !this.parses.answer()) return false;
    const { result } = portal;
    if (statement === null && result?.kind === 'open') {
      pipeline.reply(result.portal.describe());
      return true;
    }
    if (!isShardPlan(plan) || bind === null) return this.nothing();
    const fetched = this.fetched(plan);
    if (fetched !== null) {
      pipeline.reply(fetched.describe(new BindParts(bind).resultFormats(fetched.columns)));
      return true;
    }
    // Any of its shards describes the rows: bound there for this only.
    const one = this.parses.backendOf(portal);
    if (one === null) return false;
    const told = this.parses.takeBound(portal) ? PASS : DROP;
    this.describeBound(one, statement!, bind, portal.name, told);
    return true;
  }

  /** Of a portal that gives no rows. */
  nothing(): boolean {
    if (!this.parses.empty && !this.parses.answer()) return false;
    this.pipeline.reply(ready.noData);
    return true;
  }

  /** A backend that can describe a statement, made the current one: of a FETCH its cursor's. Null: wait. */
  private home(plan: ShardPlan): BackendConnection | null {
    const { pipeline, parses, portals } = this;
    const cursor = plan.kind === 'route' ? plan.cursor : null;
    const held = cursor?.action === 'fetch' ? portals.find(cursor.name)?.backend : null;
    if (held === null || held === undefined) return parses.home(plan);
    return pipeline.switchToHolder(held) ? held : null;
  }

  /** The cursor over several shards that a FETCH gives rows of; null: it is none. */
  private fetched(plan: Plan): ScatterPortal | null {
    const cursor = plan.kind === 'route' ? plan.cursor : null;
    if (cursor?.action !== 'fetch' || cursor.move) return null;
    const result = this.portals.find(cursor.name)?.result;
    return result?.kind === 'open' ? result.portal : null;
  }

  /** Binds a statement to a portal of this name for its description only. */
  private describeBound(
    backend: BackendConnection,
    statement: ClientStatement,
    bind: Buffer,
    portal: string,
    told: ReplyAction,
  ): void {
    this.parses.bindOn(backend, statement, bind, portal, told);
    backend.out.begin(Frontend.describe).byte(0x50).cstring(portal).end();
    backend.statements.describe(statement.prepared);
    if (portal === '') return;
    backend.out.begin(Frontend.close).byte(0x50).cstring(portal).end();
    backend.expect(Expect.close, DROP);
  }
}

/** A command of the session that gives no rows. */
export function isWithoutRows(plan: Plan): boolean {
  return plan.kind === 'local' && plan.command.kind !== 'execute';
}

/** No result formats: everything as text. */
const TEXT_RESULTS: Buffer = Buffer.alloc(2);
/** ParameterDescription of a statement without parameters. */
const NO_PARAMETERS = new Writer(16).begin(Backend.parameterDescription).int16(0).end().take();
