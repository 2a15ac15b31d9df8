import type { Node } from '@pgsql/types';
import { bodyOf, forEachChild, kindOf } from './ast.js';
import { planCall } from './call-plans.js';
import { planCopy } from './copy-plans.js';
import { planIntoTable, planRefresh, planTableAs } from './created-tables.js';
import { planDdl } from './ddl.js';
import { planDo } from './do-blocks.js';
import { planExplain } from './explain-plans.js';
import { fillPlan } from './fill-plan.js';
import { fillsInside } from './insert-fills.js';
import { planInsert } from './inserts.js';
import { planDelete, planMerge, planUpdate } from './modification-plans.js';
import type { Plan, SessionState } from './plan.js';
import { anyPlan, localPlan, refusePlan, routePlan } from './plans.js';
import { Refused, refuse } from './refusals.js';
import { CATALOG_ROUTE } from './routing.js';
import { planDeclare, planSelect } from './select-plans.js';
import { planExecute, planPrepare } from './prepared-statements.js';
import { processCalls } from './process-calls.js';
import { sequenceCalls } from './sequence-calls.js';
import { momentEdits, momentPlan } from './moment-calls.js';
import { refusePartWrite } from './lookup-guards.js';
import { maintainedLookups, refuseIndexWrite } from './lookups.js';
import type { Names } from './names.js';
import { planSet } from './settings.js';
import type { StatementContext } from './statement-context.js';
import { sessionViewEdits } from './session-views.js';
import { planCreateTableAs, planSelectInto } from './temporary-tables.js';
import { planTransaction } from './transactions.js';
import { assertMayScatter } from './wishes/scatter-guard.js';
import { underWish } from './wishes/under-wish.js';
import {
  planClose,
  planDiscard,
  planFetch,
  planLock,
  planTruncate,
  refuseStatement,
} from './utility.js';

/**
 * Statements whose plans may be kept under their shape; all others are planned anew where they hold
 * literals.
 */
const shapedKinds = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt']);
/**
 * Statements whose plans depend on their text alone, so that the text may be a key. DDL never is.
 */
const textKinds = new Set([
  ...shapedKinds,
  'TransactionStmt',
  'VariableSetStmt',
  'VariableShowStmt',
  'DiscardStmt',
  'DeallocateStmt',
  'PrepareStmt',
  'ExecuteStmt',
  'FetchStmt',
  'ClosePortalStmt',
  'ListenStmt',
  'NotifyStmt',
  'UnlistenStmt',
  'DeclareCursorStmt',
]);

/**
 * Plans one statement; what cannot be answered exactly becomes a RefusePlan. Throws nothing but
 * bugs.
 */
export function planStatement(node: Node, context: StatementContext): Plan {
  const kind = kindOf(node);
  const { outcome, literals } = context;
  const cacheable = literals.count === 0 ? textKinds.has(kind) : shapedKinds.has(kind);
  if (!cacheable) outcome.cacheable = false;
  const { touched, changed, used } = context.names;
  touched.clear();
  changed.clear();
  used.clear();
  context.names.hidden = null;
  try {
    const made = dispatch(node, context);
    const filled = momentPlan(node, made, context);
    if (filled !== null) countParameters(node, context);
    const kept = maintaining(filled ?? made, node, context.names);
    const touches = touched.size === 0 ? kept : touching(kept, [...touched]);
    const plan = underWish(hiding(touches, context.names), context.names, context.isWhole);
    assertMayScatter(plan, context.names);
    return timed(plan, node, context);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const filled = copiedMoment(node, context);
    if (filled !== null) return filled;
    // The parameters behind the refused place were not counted; such a plan is not worth keeping.
    outcome.cacheable = false;
    return refusePlan(verbOf(kind), error.refusal);
  }
}

/**
 * What changes the copies of a reference table must be the same for each, the time included; so that
 * may be all that an UPDATE or DELETE was refused for.
 */
function copiedMoment(node: Node, context: StatementContext): Plan | null {
  if (!('UpdateStmt' in node || 'DeleteStmt' in node)) return null;
  const edits = momentEdits(node, [], context);
  if (edits.length === 0) return null;
  countParameters(node, context);
  return fillPlan(verbOf(kindOf(node)), edits, context);
}

const timedKinds = new Set([...shapedKinds, 'MergeStmt']);

/** A plan that says whether the time of the transaction can be filled into the statement's text. */
function timed(plan: Plan, node: Node, context: StatementContext): Plan {
  const runsOnShards = plan.kind === 'route' || plan.kind === 'insertSplit';
  if (!runsOnShards || context.oneMoment === true || !timedKinds.has(kindOf(node))) return plan;
  return momentEdits(node, [], context).length > 0 ? { ...plan, tellsTime: true } : plan;
}

/** A plan with the lookups that must be kept up with what it changes. */
function maintaining(plan: Plan, node: Node, { changed, topology }: Names): Plan {
  if (changed.size === 0) return plan;
  const tables = [...changed];
  changed.clear();
  refuseIndexWrite(tables, topology);
  refusePartWrite(tables);
  // What is filled in is planned once more.
  if (!plan.writes || plan.kind === 'fill') return plan;
  const maintains = maintainedLookups(node, tables);
  return maintains.length === 0 ? plan : { ...plan, maintains };
}

/** A plan that its runners must know to use a server session's own. */
function touching(plan: Plan, touches: readonly SessionState[]): Plan {
  if (plan.kind === 'route') return { ...plan, touches };
  // What is filled in is planned once more.
  if (plan.kind === 'refuse' || plan.kind === 'fill') return plan;
  if (touches.every((state) => state === 'nextval' || state === 'setval')) {
    return { ...plan, touches };
  }
  return refuse(
    'this kind of statement is not supported with what belongs to a session, such as temporary tables',
    'Run the parts of it one after the other.',
  );
}

/** A plan that its runners must know to run code of which nobody knows what it touches. */
function hiding(plan: Plan, { hidden, topology }: Names): Plan {
  if (hidden === null || plan.kind === 'refuse' || plan.kind === 'fill') return plan;
  if (plan.kind === 'route' && plan.copy !== 'out' && (plan.cursor ?? plan.effects) === null) {
    const { shards } = plan;
    const { catalogShard } = topology;
    const isThere =
      shards.kind === 'catalog' || (shards.kind === 'shard' && shards.shard === catalogShard);
    const home = topology.keyspaces.find(({ name }) => name === catalogShard.keyspace);
    if (isThere && home?.sharded === false) return { ...plan, hidden: hidden.subject };
  }
  const { subject, reason } = hidden;
  return refuse(
    `${subject} is not supported here: it ${reason}`,
    'Such code may only run in statements of its own, on tables of the first unsharded keyspace.',
  );
}

function verbOf(kind: string): string {
  const verb = kind.replace(/Stmt$/, '').toLowerCase();
  return ['select', 'insert', 'update', 'delete', 'merge', 'copy', 'explain'].includes(verb)
    ? verb
    : 'utility';
}

/** The same for a statement that another one is made of. Throws Refused. */
export function dispatch(node: Node, context: StatementContext): Plan {
  if (shapedKinds.has(kindOf(node))) {
    // A statement that was made of another one runs as it stands.
    const isClients = context.outerParams === undefined;
    const calls = isClients ? sequenceCalls(node, context) : null;
    const processes = isClients ? processCalls(node, context) : [];
    const inside = isClients ? fillsInside(node, context) : [];
    if ('InsertStmt' in node) return planInsert(node.InsertStmt, calls, inside, context);
    const views = isClients ? sessionViewEdits(node, context) : [];
    const edits = [...processes, ...views, ...inside, ...(calls?.edits ?? [])];
    if (edits.length > 0) {
      countParameters(node, context);
      return fillPlan(verbOf(kindOf(node)), edits, context);
    }
  }
  if ('SelectStmt' in node) {
    const { SelectStmt: select } = node;
    if (select.intoClause === undefined) return planSelect(select, context);
    countParameters(node, context);
    return planSelectInto(select, context) ?? planIntoTable(select, context);
  }
  if ('CreateTableAsStmt' in node) {
    const { CreateTableAsStmt: statement } = node;
    countParameters(node, context);
    return planCreateTableAs(statement, context) ?? planTableAs(statement, context);
  }
  if ('UpdateStmt' in node) return planUpdate(node.UpdateStmt, context);
  if ('DeleteStmt' in node) return planDelete(node.DeleteStmt, context);
  if ('TransactionStmt' in node) return planTransaction(node.TransactionStmt);
  if ('VariableSetStmt' in node) return planSet(node.VariableSetStmt);
  if ('VariableShowStmt' in node) return anyPlan('show');
  if ('RefreshMatViewStmt' in node) return planRefresh(node.RefreshMatViewStmt, context);
  if ('CopyStmt' in node) return planCopy(node.CopyStmt, context);
  if ('DeclareCursorStmt' in node) return planDeclare(node.DeclareCursorStmt, context);
  if ('FetchStmt' in node) return planFetch(node.FetchStmt, context);
  if ('ClosePortalStmt' in node) return planClose(node.ClosePortalStmt);
  if ('ExplainStmt' in node) {
    const { query } = node.ExplainStmt;
    if (query !== undefined && 'ExecuteStmt' in query) {
      return planExecute(query.ExecuteStmt, context, true);
    }
    return planExplain(node.ExplainStmt, context, dispatch);
  }
  if ('PrepareStmt' in node) return planPrepare(node.PrepareStmt, context);
  if ('ExecuteStmt' in node) return planExecute(node.ExecuteStmt, context, false);
  if ('MergeStmt' in node) return planMerge(node.MergeStmt, context);
  if ('TruncateStmt' in node) return planTruncate(node.TruncateStmt, context);
  if ('LockStmt' in node) return planLock(node.LockStmt, context);
  if ('DiscardStmt' in node) return planDiscard(node.DiscardStmt);
  if ('DeallocateStmt' in node) {
    const { isall, name } = node.DeallocateStmt;
    return localPlan('utility', {
      kind: 'deallocate',
      name: isall === true ? null : (name ?? null),
    });
  }
  if ('ListenStmt' in node) {
    return localPlan('utility', { kind: 'listen', channel: node.ListenStmt.conditionname ?? '' });
  }
  if ('UnlistenStmt' in node) {
    const channel = node.UnlistenStmt.conditionname ?? null;
    return localPlan('utility', { kind: 'unlisten', channel });
  }
  if ('NotifyStmt' in node) {
    context.names.touched.add('notify');
    return routePlan('utility', true, CATALOG_ROUTE);
  }
  if ('DoStmt' in node) return planDo(node.DoStmt, context);
  if ('CallStmt' in node) return planCall(node.CallStmt, context);
  if ('ConstraintsSetStmt' in node) {
    const named = node.ConstraintsSetStmt.constraints !== undefined;
    return localPlan('set', { kind: 'constraints', named });
  }
  return planDdl(node, context) ?? refuseStatement(node);
}

/** How many the text has: those that the proxy adds come behind them. */
function countParameters(node: Node, { outcome }: StatementContext): void {
  const visit = (child: Node): void => {
    if ('ParamRef' in child) {
      outcome.paramCount = Math.max(outcome.paramCount, child.ParamRef.number ?? 0);
    }
    forEachChild(bodyOf(child), visit);
  };
  visit(node);
}
