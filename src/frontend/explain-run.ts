import type { BackendConnection } from '../backend/postgres/connection.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import { BindParts, NO_VALUES } from '../executor/bind-parts.js';
import { planTree, type PlanNode } from '../executor/explain/plan-tree.js';
import {
  renderJson,
  renderText,
  type FactsOf,
  type NodeFacts,
} from '../executor/explain/render.js';
import { nodeFacts, questionText } from '../executor/explain/shard-facts.js';
import { ShardPlans } from '../executor/explain/shard-plans.js';
import { byIndex, type Shard } from '../keyspace/topology.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { RouteKind } from '../metrics/metrics.js';
import type { ExplainSpec, RoutePlan } from '../planner/plan.js';
import { Backend } from '../protocol/codes.js';
import { Writer } from '../protocol/writer.js';
import type { OperationHost, Outcome } from '../transaction/operation.js';
import { readersOf } from './shard-choice.js';
import type { Session } from './session.js';
import { leasedFor } from './source-inputs.js';
import { lossOf, RowIntake, withoutPlace, type ChooseRun } from './source-reader.js';
import { startOperation, type RunRequest, type StatementRun } from './statement-run.js';

/** What a statement that was run for EXPLAIN ANALYZE gave. */
interface Ran {
  rows: number;
  /** Of a statement that writes: how many rows, as its tag says; null: it does not. */
  affected: number | null;
  bytes: number;
  milliseconds: number;
}

/**
 * EXPLAIN of a statement over several shards: our own tree, with what the shards say of their parts. ANALYZE runs the
 * statement as it would run by itself, counts its rows, and then asks the shards to analyze what each of them runs;
 * but where that writes, it would be done twice.
 */
export class ExplainRun implements StatementRun {
  shards: readonly Shard[] = [];
  readonly leavesOpen?: true;
  readonly route = RouteKind.scatter;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: ExplainSpec;
  private readonly tree: PlanNode;
  /** The nodes whose statements shards are asked about. */
  private readonly asked: readonly PlanNode[];
  /** The statement itself, for ANALYZE; null: it is not run. */
  private run: StatementRun | null = null;
  private readonly ran: Ran = { rows: 0, affected: null, bytes: 0, milliseconds: 0 };
  private problem: () => Buffer | null = none;

  constructor(
    session: Session,
    request: RunRequest,
    plan: RoutePlan,
    spec: ExplainSpec,
    choose: ChooseRun,
  ) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.tree = planTree(spec.of, spec.sql, plan.shards, (selector, source) => {
      const { values } = request;
      return readersOf(session, selector, source === undefined ? values : values.inText(source));
    });
    this.asked = spec.once ? [] : withPushed(this.tree);
    if (spec.analyze) {
      this.leavesOpen = true;
      this.run = this.statement(plan, choose);
    }
    this.findShards();
  }

  /** Its rows are counted, and go nowhere. */
  private statement(plan: RoutePlan, choose: ChooseRun): StatementRun {
    const { session, request, spec, ran } = this;
    const intake = new RowIntake(session, (_backend, _buffer, start, end) => {
      ran.rows++;
      ran.bytes += end - start;
    });
    this.problem = () => intake.problem;
    const text = Buffer.from(spec.sql);
    const own = { ...request, text, from: 0, to: text.length, host: intake.host };
    const explained = { ...plan, many: spec.of };
    return choose(session, { ...own, plan: explained, describe: false, endsWithSync: false });
  }

  private findShards(): void {
    const shards = this.asked.flatMap((node) => node.pushed!.shards);
    this.shards = [...new Set([...shards, ...(this.run?.shards ?? [])])].sort(byIndex);
  }

  prepare(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onFailed: (error: Buffer) => void,
  ): 'ready' | 'wait' | StatementRun {
    if (this.run === null) return 'ready';
    const own = leasedFor(this.shards, backends)(this.run.shards);
    const prepared = this.run.prepare(own, paramTypes, onFailed);
    if (typeof prepared === 'string') return prepared;
    this.run = prepared;
    this.findShards();
    return this;
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    if (this.run === null) {
      this.ask(backends, paramTypes, onDone);
      return;
    }
    const started = performance.now();
    const own = leasedFor(this.shards, backends)(this.run.shards);
    this.run.start(own, paramTypes, (outcome) => {
      this.ran.milliseconds = Math.round((performance.now() - started) * 1000) / 1000;
      const problem = this.problem();
      const loss = lossOf(backends);
      if (problem !== null) onDone({ ok: false, error: problem });
      else if (!outcome.ok) onDone(withoutPlace(outcome));
      else if (loss !== null) onDone(loss);
      else if (this.spec.once) {
        const affected = AFFECTED.exec(outcome.tag);
        if (affected !== null) this.ran.affected = Number(affected[1]);
        this.tell([], onDone);
      } else this.ask(backends, paramTypes, onDone);
    });
  }

  /** Asks the shards for their plans of what they run. */
  private ask(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { request, spec, asked } = this;
    const endsWithSync = request.endsWithSync && !spec.analyze;
    const serializes =
      Number.parseInt(backends[0]?.parameters.get('server_version') ?? '', 10) >= 17;
    const questions = asked.flatMap((node) => {
      const { sql, shards } = node.pushed!;
      const text = unnamedText(Buffer.from(questionText(spec, sql, serializes)), paramTypes);
      return shards.map((shard) => ({ backend: backends[this.shards.indexOf(shard)]!, text }));
    });
    const plans = new ShardPlans(questions, {
      bind: new BindParts(request.bind ?? NO_VALUES).withResults('text'),
      endsWithSync,
      onDone: (answers) => {
        if (Buffer.isBuffer(answers)) {
          onDone({ ok: false, error: answers });
          return;
        }
        this.tell(answers, onDone);
      },
    });
    startOperation(this.session, plans);
  }

  private tell(answers: readonly string[][], onDone: (outcome: Outcome) => void): void {
    this.answer(this.request.host ?? this.session, this.factsOf(answers));
    onDone({ ok: true, tag: 'EXPLAIN' });
  }

  private factsOf(answers: readonly string[][]): FactsOf {
    const facts = new Map<PlanNode, NodeFacts>();
    let next = 0;
    for (const node of this.asked) {
      const told = node.pushed!.shards.map(({ name }) => ({
        shard: name,
        lines: answers[next++]!,
      }));
      facts.set(node, nodeFacts(this.spec, told));
    }
    if (this.run !== null) {
      const own = facts.get(this.tree) ?? NO_FACTS;
      facts.set(this.tree, { ...own, properties: [...own.properties, ...ranFacts(this.ran)] });
    }
    return (node) => facts.get(node) ?? NO_FACTS;
  }

  /** Writes the rows of the one column that EXPLAIN has. */
  private answer(host: OperationHost, facts: FactsOf): void {
    const { spec, tree } = this;
    const answer = new Writer(4096);
    const json = spec.format === 'json';
    if (this.request.describe) {
      answer.begin(Backend.rowDescription).int16(1).cstring('QUERY PLAN').int32(0).int16(0);
      answer
        .int32(json ? TypeOid.json : TypeOid.text)
        .int16(-1)
        .int32(-1)
        .int16(0)
        .end();
    }
    const rows = json ? [renderJson(tree, facts)] : renderText(tree, facts);
    for (const row of rows) {
      const bytes = Buffer.from(row);
      answer.begin(Backend.dataRow).int16(1).int32(bytes.length).bytes(bytes).end();
    }
    const bytes = answer.take();
    host.passToClient(null, bytes, 0, bytes.length);
  }
}

/** The tag of a statement that writes. */
const AFFECTED = /^(?:INSERT 0|UPDATE|DELETE|MERGE) (\d+)$/;

function ranFacts({ rows, affected, bytes, milliseconds }: Ran): NodeFacts['properties'] {
  return [
    ...(affected === null ? [] : [['Affected Rows', affected] as const]),
    ['Actual Rows', rows],
    ['Actual Bytes', bytes],
    ['Actual Milliseconds', milliseconds],
  ];
}

function none(): null {
  return null;
}

function withPushed(node: PlanNode): PlanNode[] {
  const below = node.children.flatMap(withPushed);
  return node.pushed === null ? below : [node, ...below];
}

const NO_FACTS: NodeFacts = { properties: [], shardPlans: [] };
