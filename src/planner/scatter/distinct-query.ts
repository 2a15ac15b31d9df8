import type { Node } from '@pgsql/types';
import { contains, kindOf } from '../ast.js';
import { clauseItem, outputExpression } from '../clause-items.js';
import type { GatherSpec, ShardSelector, SortKey } from '../plan.js';
import { cutOf } from './cut.js';
import { oneInputSpec } from './one-input.js';
import type { ScatterContext } from './scatter-context.js';
import { isRepeatable, orderBy, sortItems, type SortItem } from './sort-keys.js';

/**
 * SELECT DISTINCT and UNION: every shard makes its own rows distinct, and a server those of all
 * shards. Null: it must be gathered.
 */
export function distinctQuery(scatter: ScatterContext, shards: ShardSelector): GatherSpec | null {
  const { top } = scatter;
  if (top.openOutputs || top.locking || scatter.hasOddEquality) return null;
  // Rows without a type of their own cannot be columns of a table.
  if (contains(scatter.statement.targetList, 'RowExpr')) return null;
  return top.distinctOn ? distinctOnQuery(scatter, shards) : distinctRows(scatter, shards);
}

/** The first rows of each shard are enough where LIMIT asks for the first rows of all. */
function distinctRows(scatter: ScatterContext, shards: ShardSelector): GatherSpec | null {
  const items = sortItems(scatter);
  const cut = cutOf(scatter);
  if (items === null || cut === null) return null;
  const places = items.map((item) => outputOf(item, scatter));
  if (places.includes(null)) return null;
  const unsorted = cut.onShards === '' ? (['sortClause'] as const) : [];
  const pushed = scatter.text({}, [...unsorted, 'limitCount', 'limitOffset']);
  if (pushed === null) return null;
  const names = scatter.outputNames();
  const columns = names.map((_, index) => `c${index + 1}`);
  const outputs = columns.map((column, index) => `t.${column} AS ${names[index]!}`).join(', ');
  const order = orderBy(
    places.map((place) => String(place! + 1)),
    items.map(({ key }) => key),
  );
  return spec(scatter, shards, pushed + cut.onShards, columns, [
    `SELECT DISTINCT ${outputs} FROM `,
    { kind: 'input', input: 0 },
    ` AS t${order}${cut.written}`,
  ]);
}

/** The output column that rows are sorted by; null where it is none, which PostgreSQL refuses. */
function outputOf({ output, expression }: SortItem, scatter: ScatterContext): number | null {
  const { statement, top } = scatter;
  if (output !== null) return output;
  const found = top.outputs.findIndex((_, index) => {
    const other = outputExpression(index, statement, top);
    return other !== null && expression !== null && scatter.isSame(other, expression);
  });
  return found < 0 ? null : found;
}

/** DISTINCT ON: every shard gives its first rows with what they are sorted and told apart by. */
function distinctOnQuery(scatter: ScatterContext, shards: ShardSelector): GatherSpec | null {
  const items = sortItems(scatter);
  const cut = cutOf(scatter);
  const on = distinctExpressions(scatter);
  if (items === null || cut === null || on === null) return null;
  const hidden: Node[] = [];
  const columnFor = (expression: Node): string => {
    let index = hidden.findIndex((other) => scatter.isSame(other, expression));
    if (index < 0) index = hidden.push(expression) - 1;
    return `t.k${index + 1}`;
  };
  const keys: SortKey[] = [];
  const sorted: string[] = [];
  for (const { key, expression } of items) {
    if (expression === null) return null;
    keys.push(key);
    sorted.push(columnFor(expression));
  }
  const distinct = on.map(columnFor);
  const extra = hidden.map((val, index): Node => ({
    ResTarget: { name: `sg_key_${index + 1}`, val },
  }));
  const targetList = [...(scatter.statement.targetList ?? []), ...extra];
  const sql = scatter.text({ targetList }, ['limitCount', 'limitOffset']);
  if (sql === null) return null;
  const names = scatter.outputNames();
  const outputs = names.map((name, index) => `t.c${index + 1} AS ${name}`).join(', ');
  const columns = [
    ...names.map((_, index) => `c${index + 1}`),
    ...hidden.map((_, index) => `k${index + 1}`),
  ];
  return spec(scatter, shards, sql, columns, [
    `SELECT DISTINCT ON (${distinct.join(', ')}) ${outputs} FROM `,
    { kind: 'input', input: 0 },
    ` AS t${orderBy(sorted, keys)}${cut.written}`,
  ]);
}

function distinctExpressions(scatter: ScatterContext): Node[] | null {
  const { statement, top, analysis } = scatter;
  const place = analysis.places.get(top) ?? null;
  const out: Node[] = [];
  for (const node of statement.distinctClause ?? []) {
    if (kindOf(node) === '') continue;
    const item = clauseItem(node, 'order', statement, top, place);
    if (item.kind === 'unclear') return null;
    const expression =
      item.kind === 'output' ? outputExpression(item.index, statement, top) : item.node;
    if (expression === null || 'RowExpr' in expression) return null;
    if (!isRepeatable(expression, scatter)) return null;
    out.push(expression);
  }
  return out;
}

function spec(
  scatter: ScatterContext,
  shards: ShardSelector,
  sql: string,
  columns: readonly string[],
  final: GatherSpec['final'],
): GatherSpec {
  scatter.dependOnLiterals();
  const input = { label: 'distinct rows', shards, sql, columns, estimatedRows: null };
  return oneInputSpec(scatter, input, final);
}
