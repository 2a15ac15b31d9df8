import type {
  KeyTerm,
  ManyShards,
  Plan,
  PlannedText,
  Refusal,
  ShardSelector,
} from '../../../src/planner/plan.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';

/** A plan as a golden file shows it: short enough to read, complete enough to notice a change. */
export type Summary = Readonly<Record<string, unknown>>;

export function summarize(planned: PlannedText): Summary {
  const plans = planned.statements.map(({ plan }) => summarizePlan(plan));
  if (plans.length === 1) return plans[0]!;
  return { statements: plans, whole: planned.whole === null ? null : summarizePlan(planned.whole) };
}

export function summarizePlan(plan: Plan): Summary {
  switch (plan.kind) {
    case 'route':
      return {
        ...selector(plan.shards),
        ...(['keys', 'all'].includes(plan.shards.kind) ? { many: manyText(plan.many) } : {}),
        ...(plan.writes ? { writes: true } : {}),
        ...(plan.effect === null ? {} : { effect: plan.effect }),
        ...(plan.cursor === null ? {} : { cursor: `${plan.cursor.action} ${plan.cursor.name}` }),
        ...(plan.copy === 'none' ? {} : { copy: plan.copy }),
      };
    case 'insertSplit':
      return {
        insert: plan.table,
        rows: plan.rows.map((row) => termText(row.key)),
        ...(plan.manyRefusal === null ? {} : { many: refusalText(plan.manyRefusal) }),
      };
    case 'copyFrom':
      return {
        copyFrom: plan.table,
        key: plan.key === null ? null : `field ${plan.key.field}`,
        columns: plan.columnCount,
        format: plan.format.kind,
      };
    case 'broadcast':
      return {
        broadcast: plan.keyspace?.name ?? 'cluster',
        ...(plan.ddl ? { ddl: true } : {}),
        ...(plan.transactional ? {} : { transactional: false }),
      };
    case 'local':
      return { local: plan.command };
    case 'refuse':
      return { refuse: refusalText(plan.refusal) };
    case 'empty':
      return { empty: true };
  }
}

function selector(shards: ShardSelector): Summary {
  switch (shards.kind) {
    case 'shard':
      return { route: `shard ${shards.shard.name}` };
    case 'any':
      return { route: shards.keyspace === null ? 'any' : `any of ${shards.keyspace.name}` };
    case 'catalog':
      return { route: 'catalog' };
    case 'all':
      return { route: `all of ${shards.keyspace.name}` };
    case 'keys':
      return { route: 'keys', groups: shards.groups.map((group) => group.map(termText)) };
  }
}

const typeNames = new Map(Object.entries(TypeOid).map(([name, oid]) => [oid as number, name]));

/** `orders.customer_id = literal 0 (int4)`, shortened to what varies. */
function termText(term: KeyTerm): string {
  return `${term.column} ${term.stored === true ? ':=' : '='} ${sourceText(term)} ${typeNames.get(term.inputType) ?? term.inputType}`;
}

function sourceText({ source }: KeyTerm): string {
  switch (source.kind) {
    case 'literal':
      return `${source.negative ? '-' : ''}literal ${source.index}`;
    case 'param':
      return `$${source.index + 1}`;
    case 'paramArray':
      return `any $${source.index + 1}`;
    case 'constant':
      return source.bytes === null ? 'NULL' : `'${new TextDecoder().decode(source.bytes)}'`;
  }
}

function manyText(many: ManyShards): string {
  if (many.kind === 'refuse') return `refuse: ${many.refusal.message}`;
  if (many.kind === 'copyConcat') return `copyConcat ${many.format}${many.header ? ' header' : ''}`;
  return many.kind;
}

function refusalText(refusal: Refusal): string {
  const state = refusal.state === 'feature_not_supported' ? '' : `${refusal.state}: `;
  return state + refusal.message;
}
