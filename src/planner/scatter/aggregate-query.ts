import type { Node } from '@pgsql/types';
import { isStar, kindOf } from '../ast.js';
import { clauseItem, outputExpression } from '../clause-items.js';
import type { GatherSpec, ShardSelector } from '../plan.js';
import { cutOf } from './cut.js';
import { FinalText } from './final-text.js';
import { homeOf } from './home.js';
import { PartialOutputs } from './partial-outputs.js';
import type { ScatterContext } from './scatter-context.js';
import { isRepeatable } from './sort-keys.js';
import { columnOf, contains } from './tree.js';

/**
 * A query with aggregates whose FROM and WHERE split: every shard groups its rows and gives partial
 * results, and one server makes the result of these.
 *
 *     SELECT status, avg(total) FROM orders GROUP BY status ORDER BY 2 DESC
 *     shards: SELECT status AS g1, sum(total) AS p1, count(total) AS p2 FROM orders GROUP BY 1
 *     final:  SELECT t.g1 AS status, (<avg of p1, p2>) AS avg FROM <input> AS t
 *             GROUP BY t.g1 ORDER BY 2 DESC
 *
 * Null: something in it is not made of aggregates that combine; then it must be gathered.
 */
export function aggregateQuery(
  scatter: ScatterContext,
  shards: () => ShardSelector | null,
): GatherSpec | null {
  const { statement, top } = scatter;
  if (!top.aggregates && !top.grouped && !top.having) return null;
  if (top.arms.length > 0 || top.windows || top.distinctOn || top.locking) return null;
  if (statement.groupDistinct === true || contains(statement.targetList, 'SubLink')) return null;
  const groups = groupExpressions(scatter);
  if (groups === null) return null;
  const selector = shards();
  return selector === null ? null : planned(scatter, groups, selector);
}

function planned(
  scatter: ScatterContext,
  groups: readonly Node[],
  shards: ShardSelector,
): GatherSpec | null {
  const outputs = new PartialOutputs(scatter, groups);
  const final = finalText(scatter, outputs);
  const sql = final === null ? null : partialText(scatter, outputs);
  if (final === null || sql === null) return null;
  scatter.dependOnLiterals();
  return {
    inputs: [
      {
        label: 'partial aggregates',
        shards,
        sql,
        columns: outputs.columns,
        primaryKey: null,
        defaultCollations: scatter.defaultCollations,
        estimatedRows: groups.length === 0 ? 1 : null,
      },
    ],
    home: homeOf(shards),
    final,
  };
}

/** What GROUP BY groups by, as expressions of FROM's columns; null where the shards cannot. */
function groupExpressions(scatter: ScatterContext): Node[] | null {
  const { statement, top, analysis } = scatter;
  const place = analysis.places.get(top);
  if (place === undefined) return null;
  const out: Node[] = [];
  for (const node of statement.groupClause ?? []) {
    if ('GroupingSet' in node) return null;
    const item = clauseItem(node, 'group', statement, top, place);
    const expression =
      item.kind === 'output'
        ? outputExpression(item.index, statement, top)
        : item.kind === 'expression'
          ? item.node
          : null;
    if (expression === null || isStar(expression) || !isGroupable(expression, scatter)) return null;
    out.push(expression);
  }
  return out;
}

/** Groups are told apart twice, so equal values must be equal on every server. */
function isGroupable(expression: Node, scatter: ScatterContext): boolean {
  // The type of a bare constant or parameter depends on what stands around it.
  if (['RowExpr', 'A_Const', 'ParamRef'].includes(kindOf(expression))) return false;
  if (!isRepeatable(expression, scatter)) return false;
  if (contains(expression, 'CollateClause') || scatter.hasOddEquality) return false;
  return !scatter.returnsSets(expression);
}

function partialText(scatter: ScatterContext, outputs: PartialOutputs): string | null {
  const { groups } = outputs;
  const ordinals = groups.map((_, index): Node => ({ A_Const: { ival: { ival: index + 1 } } }));
  return scatter.text({ targetList: outputs.targets, groupClause: ordinals }, [
    ...(groups.length === 0 ? (['groupClause'] as const) : []),
    'distinctClause',
    'havingClause',
    'windowClause',
    'sortClause',
    'limitCount',
    'limitOffset',
  ]);
}

/** The statement over the partial results; null where a column is neither grouped nor aggregated. */
function finalText(scatter: ScatterContext, outputs: PartialOutputs): GatherSpec['final'] | null {
  const { statement, top } = scatter;
  const cut = cutOf(scatter);
  if (cut === null) return null;
  const targetList: Node[] = [];
  for (const [index, node] of (statement.targetList ?? []).entries()) {
    const value = 'ResTarget' in node ? node.ResTarget.val : undefined;
    if (value === undefined || isStar(value)) return null;
    const val = outputs.rewritten(value);
    if (val === null) return null;
    targetList.push({ ResTarget: { name: top.outputs[index]!.name ?? '?column?', val } });
  }
  const having =
    statement.havingClause === undefined ? undefined : outputs.rewritten(statement.havingClause);
  const sortClause = rewrittenOrder(scatter, outputs);
  if (having === null || sortClause === null || outputs.columns.length === 0) return null;
  const groupClause = outputs.groups.map((_, index) => columnOf('t', `g${index + 1}`));
  const text = new FinalText(scatter, outputs.combinations);
  return text.pieces(
    {
      targetList,
      ...(statement.distinctClause === undefined
        ? {}
        : { distinctClause: statement.distinctClause }),
      ...(groupClause.length === 0 ? {} : { groupClause }),
      ...(having === undefined ? {} : { havingClause: having }),
      ...(sortClause.length === 0 ? {} : { sortClause }),
    },
    cut.written,
  );
}

/** ORDER BY: ordinals and names of output columns stay; expressions are of the partial results. */
function rewrittenOrder(scatter: ScatterContext, outputs: PartialOutputs): Node[] | null {
  const { statement, top, analysis } = scatter;
  const place = analysis.places.get(top) ?? null;
  const out: Node[] = [];
  for (const item of statement.sortClause ?? []) {
    if (!('SortBy' in item) || item.SortBy.node === undefined) return null;
    const meaning = clauseItem(item.SortBy.node, 'order', statement, top, place);
    if (meaning.kind === 'unclear') return null;
    const node: Node | null =
      meaning.kind === 'output'
        ? { A_Const: { ival: { ival: meaning.index + 1 } } }
        : outputs.rewritten(meaning.node);
    if (node === null) return null;
    out.push({ SortBy: { ...item.SortBy, node } });
  }
  return out;
}
