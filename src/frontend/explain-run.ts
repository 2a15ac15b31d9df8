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
import { withSourceText } from './source-values.js';
import { startOperation, type RunRequest, type StatementRun } from './statement-run.js';

/**
 * EXPLAIN of a statement over several shards: our own tree, with what the shards say of their parts. ANALYZE runs what
 * is pushed to the shards, and there only: no rows travel.
 */
export class ExplainRun implements StatementRun {
  readonly shards: readonly Shard[];
  readonly route = RouteKind.scatter;
  readonly needsTypes = true;
  private readonly session: Session;
  private readonly request: RunRequest;
  private readonly spec: ExplainSpec;
  private readonly tree: PlanNode;
  /** The nodes whose statements shards are asked about. */
  private readonly asked: readonly PlanNode[];

  constructor(session: Session, request: RunRequest, plan: RoutePlan, spec: ExplainSpec) {
    this.session = session;
    this.request = request;
    this.spec = spec;
    this.tree = planTree(spec.of, spec.sql, plan.shards, (selector, source) => {
      const find = (): readonly Shard[] => readersOf(session, selector);
      return source === undefined ? find() : withSourceText(session, source, find);
    });
    this.asked = withPushed(this.tree);
    const shards = this.asked.flatMap((node) => node.pushed!.shards);
    this.shards = [...new Set(shards)].sort(byIndex);
  }

  prepare(): 'ready' {
    return 'ready';
  }

  start(
    backends: readonly BackendConnection[],
    paramTypes: readonly number[],
    onDone: (outcome: Outcome) => void,
  ): void {
    const { session, request, spec, asked } = this;
    const questions = asked.flatMap((node) => {
      const { sql, shards } = node.pushed!;
      const text = unnamedText(Buffer.from(questionText(spec, sql)), paramTypes);
      return shards.map((shard) => ({ backend: backends[this.shards.indexOf(shard)]!, text }));
    });
    const plans = new ShardPlans(questions, {
      bind: new BindParts(request.bind ?? NO_VALUES).withResults('text'),
      endsWithSync: request.endsWithSync,
      onDone: (answers) => {
        if (Buffer.isBuffer(answers)) {
          onDone({ ok: false, error: answers });
          return;
        }
        this.answer(request.host ?? session, this.factsOf(answers));
        onDone({ ok: true, tag: 'EXPLAIN' });
      },
    });
    startOperation(session, plans);
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

function withPushed(node: PlanNode): PlanNode[] {
  const below = node.children.flatMap(withPushed);
  return node.pushed === null ? below : [node, ...below];
}

const NO_FACTS: NodeFacts = { properties: [], shardPlans: [] };
