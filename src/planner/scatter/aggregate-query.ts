import type { Node } from '@pgsql/types';
import { contains, isStar } from '../ast.js';
import { clauseItem } from '../clause-items.js';
import type { GatherSpec, ShardSelector } from '../plan.js';
import { cutOf } from './cut.js';
import { FinalText } from './final-text.js';
import { groupingOf, type Grouping } from './grouping.js';
import { oneInputSpec } from './one-input.js';
import { PartialOutputs } from './partial-outputs.js';
import type { ScatterContext } from './scatter-context.js';

/**
 * A query with aggregates whose FROM and WHERE split: every shard groups its rows and gives partial
 * results, and one server makes the result of these.
 *
 *     SELECT status, avg(total) FROM orders GROUP BY status ORDER BY 2 DESC
 *     shards: SELECT status AS g1, sum(total) AS p1, count(total) AS p2 FROM orders GROUP BY 1
 *     final:  SELECT t.g1 AS status, (<avg of p1, p2>) AS avg FROM <input> AS t
 *             GROUP BY t.g1 ORDER BY 2 DESC
 *
 * Arguments of aggregates over DISTINCT values are grouped by too, so that the final statement can
 * make them distinct. Null: something in it is not made of aggregates that combine; then it must be gathered.
 */
export function aggregateQuery(
  scatter: ScatterContext,
  shards: () => ShardSelector | null,
): GatherSpec | null {
  const { statement, top } = scatter;
  if (!top.aggregates && !top.grouped && !top.having) return null;
  if (top.arms.length > 0 || top.distinctOn || top.locking) return null;
  if (statement.groupDistinct === true || contains(statement.targetList, 'SubLink')) return null;
  const grouping = groupingOf(scatter);
  if (grouping === null) return null;
  const selector = shards();
  return selector === null ? null : planned(scatter, grouping, selector);
}

function planned(
  scatter: ScatterContext,
  grouping: Grouping,
  shards: ShardSelector,
): GatherSpec | null {
  const outputs = new PartialOutputs(scatter, grouping.expressions);
  const final = finalText(scatter, outputs, grouping);
  const sql = final === null ? null : partialText(scatter, outputs);
  if (final === null || sql === null) return null;
  scatter.dependOnLiterals();
  const input = {
    label: 'partial aggregates',
    shards,
    sql,
    columns: outputs.columns,
    estimatedRows: outputs.groupColumns.length === 0 ? 1 : null,
  };
  return oneInputSpec(scatter, input, final);
}

function partialText(scatter: ScatterContext, outputs: PartialOutputs): string | null {
  const ordinals = outputs.groupColumns.map((column): Node => ({
    A_Const: { ival: { ival: column + 1 } },
  }));
  return scatter.text({ targetList: outputs.targets, groupClause: ordinals }, [
    ...(ordinals.length === 0 ? (['groupClause'] as const) : []),
    'distinctClause',
    'havingClause',
    'windowClause',
    'sortClause',
    'limitCount',
    'limitOffset',
  ]);
}

/** The statement over the partial results; null where a column is neither grouped nor aggregated. */
function finalText(
  scatter: ScatterContext,
  outputs: PartialOutputs,
  grouping: Grouping,
): GatherSpec['final'] | null {
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
  const windowClause = rewrittenAll(statement.windowClause ?? [], outputs);
  if (windowClause === null) return null;
  const groupClause = [...grouping.clause];
  const text = new FinalText(scatter, outputs.combinations);
  return text.pieces(
    {
      targetList,
      ...(statement.distinctClause === undefined
        ? {}
        : { distinctClause: statement.distinctClause }),
      ...(groupClause.length === 0 ? {} : { groupClause }),
      ...(having === undefined ? {} : { havingClause: having }),
      ...(windowClause.length === 0 ? {} : { windowClause }),
      ...(sortClause.length === 0 ? {} : { sortClause }),
    },
    cut.written,
  );
}

function rewrittenAll(nodes: readonly Node[], outputs: PartialOutputs): Node[] | null {
  const out = nodes.map((node) => outputs.rewritten(node));
  return out.includes(null) ? null : out.map((node) => node!);
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
