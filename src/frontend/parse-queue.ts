import type { BackendConnection } from '../backend/postgres/connection.js';
import { DROP, Expect, PASS, type ReplyAction } from '../backend/postgres/expected-replies.js';
import type { Shard } from '../keyspace/topology.js';
import type { Plan, PlannedText } from '../planner/plan.js';
import { ready } from '../protocol/backend-messages.js';
import { Frontend } from '../protocol/codes.js';
import { Writer } from '../protocol/writer.js';
import { runnable, type ClientStatement, type Portal } from './client-statement.js';
import { isBoundByShards, isJudgedByShard, usesTemporary, type ShardPlan } from './shard-choice.js';
import { tellCutNames } from './notices.js';
import type { Pipeline } from './pipeline.js';
import type { Session } from './session.js';

/**
 * Parse messages that the client has sent and that nobody has answered yet: the Bind or Describe behind them decides
 * which backend judges the text. A text that a backend has accepted before is answered at once where nothing follows,
 * since a client may wait for that answer while others hold every backend.
 *
 * A Bind of a statement over several shards waits too: the Describe or Execute behind it has some shard bind the
 * values, which judges them. Where neither follows, one of its shards binds them for that only.
 */
export class ParseQueue {
  private readonly session: Session;
  private readonly pipeline: Pipeline;
  private readonly waiting: ClientStatement[] = [];
  /** Bound, and not answered; nothing else waits then. */
  private bound: Portal | null = null;

  constructor(session: Session, pipeline: Pipeline) {
    this.session = session;
    this.pipeline = pipeline;
  }

  get empty(): boolean {
    return this.waiting.length === 0;
  }

  /** How many wait. */
  get count(): number {
    return this.waiting.length;
  }

  isOnly(statement: ClientStatement): boolean {
    return this.waiting.length === 1 && this.waiting[0] === statement;
  }

  /** False: wait, since what no shard judges is answered at once, and those in front of it may be wrong. */
  mayAdd({ planned }: ClientStatement): boolean {
    return isJudgedByShard(onlyPlan(planned)) || this.answer();
  }

  /** What the client has sent, and this may take. */
  add(statement: ClientStatement): void {
    if (isJudgedByShard(onlyPlan(statement.planned))) this.waiting.push(statement);
    else this.accept(statement);
  }

  /** A portal of several shards is bound. */
  addBound(portal: Portal): void {
    if (isBoundByShards(portal.plan as ShardPlan)) this.bound = portal;
    else this.pipeline.reply(ready.bindComplete);
  }

  /** Answers a Bind that waits, but for that of the portal of this name; false: wait. */
  answerBindBut(name: string | null): boolean {
    return this.bound === null || this.bound.name === name || this.answerBind(this.bound);
  }

  /** Whether the Bind of a portal waits; its answer is the caller's from now on. */
  takeBound(portal: Portal): boolean {
    if (this.bound !== portal) return false;
    this.bound = null;
    return true;
  }

  /** An error makes them void. */
  clear(): void {
    this.bound = null;
    while (this.waiting.length > 0) this.waiting.pop();
  }

  /** Sends them to the backend that gets the next message; the client sees the answers in its order. */
  sendTo(backend: BackendConnection): void {
    const { waiting } = this;
    for (let i = 0; i < waiting.length; i++) {
      const statement = waiting[i]!;
      const { prepared } = statement;
      // Another text runs in its place.
      if (statement.filled !== null && prepared.validated) this.accept(statement);
      else if (this.isUnnamed(statement)) backend.statements.parseUnnamed(prepared, PASS);
      else if (backend.statements.knows(prepared)) this.accept(statement);
      else backend.statements.parse(prepared, PASS);
    }
    this.clear();
  }

  /** Answers them without a Bind: known texts at once, others by any backend that may judge them; false: wait. */
  answer(): boolean {
    const { waiting } = this;
    if (waiting.length === 0) return this.bound === null || this.answerBind(this.bound);
    if (waiting.every((statement) => statement.prepared.validated)) {
      for (let i = 0; i < waiting.length; i++) this.accept(waiting[i]!);
      this.clear();
      return true;
    }
    const backend = this.home(onlyPlan(runnable(waiting.at(-1)!).planned) as ShardPlan);
    if (backend === null) return false;
    this.sendTo(backend);
    return true;
  }

  /** Answers a Parse in the servers' place. */
  accept({ planned: { cutNames } }: ClientStatement): void {
    if (cutNames.length > 0) {
      const notices = new Writer(256);
      tellCutNames(this.session, cutNames, notices);
      this.pipeline.reply(notices.take());
    }
    this.pipeline.reply(ready.parseComplete);
  }

  private answerBind(portal: Portal): boolean {
    const backend = this.backendOf(portal);
    if (backend === null) return false;
    this.bindOn(backend, portal.statement!, portal.bind!, portal.name, PASS);
    backend.out.begin(Frontend.close).byte(0x50).cstring(portal.name).end();
    backend.expect(Expect.close, DROP);
    this.bound = null;
    return true;
  }

  /** Binds values that came for several shards on one of them. */
  bindOn(
    backend: BackendConnection,
    statement: ClientStatement,
    bind: Buffer,
    portal: string,
    action: ReplyAction,
  ): void {
    const serverName = this.nameOn(backend, statement);
    backend.out.begin(Frontend.bind).cstring(portal).bytes(serverName).byte(0).bytes(bind).end();
    backend.expect(Expect.bind, action);
  }

  /** One of the backends of a portal over several shards, made the current one; null: wait. */
  backendOf({ shards: [shard], plan }: Portal): BackendConnection | null {
    const shardPlan = plan as ShardPlan;
    if (shard === undefined || usesTemporary(shardPlan)) return this.home(shardPlan);
    const backend = this.pipeline.backendFor(shard, null);
    return backend !== null && this.pipeline.switchTo(backend) ? backend : null;
  }

  /** A backend that can parse and describe a statement, made the current one; null: wait. */
  home(plan: ShardPlan): BackendConnection | null {
    const { pipeline, session } = this;
    const backend = pipeline.backendFor(homeShard(session, plan, pipeline.current), null);
    return backend !== null && pipeline.switchTo(backend) ? backend : null;
  }

  /** The backend of a shard, for what must be asked before the next Bind; null: wait. */
  lend(shard: Shard): BackendConnection | null {
    const backend = this.pipeline.backendFor(shard, null);
    if (backend === null || !this.pipeline.switchTo(backend)) return null;
    this.sendTo(backend);
    return backend;
  }

  /** The statement's name on the backend, parsed there now if need be. */
  nameOn(backend: BackendConnection, statement: ClientStatement): Buffer {
    const { prepared } = statement;
    const { statements } = backend;
    const { metrics } = this.session.context;
    if (this.isUnnamed(statement)) {
      if (statements.unnamed !== prepared) statements.parseUnnamed(prepared, DROP);
      return NO_NAME;
    }
    if (statements.knows(prepared)) {
      metrics.preparedHits++;
      statements.touch(prepared);
    } else {
      metrics.preparedMisses++;
      statements.parse(prepared, DROP);
    }
    return prepared.name;
  }

  /** On the backend. */
  private isUnnamed({ name }: ClientStatement): boolean {
    return name === '' && !this.session.ride.sharesText;
  }
}

/** Any shard that has the statement's tables; one that is held already costs nothing. */
export function homeShard(
  session: Session,
  plan: ShardPlan,
  current: BackendConnection | null,
): Shard {
  const { topology } = session.context.config;
  let candidates: readonly Shard[];
  if (usesTemporary(plan)) return topology.catalogShard;
  if (plan.kind === 'route') {
    const { shards } = plan;
    if (shards.kind === 'shard' || shards.kind === 'agreed') return shards.shard;
    if (shards.kind === 'catalog') return topology.catalogShard;
    candidates = (shards.kind === 'nowhere' ? null : shards.keyspace)?.shards ?? topology.shards;
  } else candidates = plan.keyspace?.shards ?? topology.shards;
  if (current !== null && candidates.includes(current.shard)) return current.shard;
  const held = session.work.participants.find((backend) => candidates.includes(backend.shard));
  return held?.shard ?? session.leases.pickAny(candidates);
}

/** The plan of a text of one statement, or of none. */
export function onlyPlan(planned: PlannedText): Plan {
  return planned.whole ?? planned.statements[0]!.plan;
}

const NO_NAME: Buffer = Buffer.alloc(0);
