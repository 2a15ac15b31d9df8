import type { Node } from '@pgsql/types';
import { contains } from '../ast.js';
import { sameTree } from '../../sql/same-tree.js';
import type {
  GatherSpec,
  ManyShards,
  MergeKey,
  MergeSpec,
  ShardSelector,
  SortKey,
} from '../plan.js';
import { cutOf, type Cut } from './cut.js';
import type { ScatterContext } from './scatter-context.js';
import { oneInputSpec } from './one-input.js';
import { orderBy, sortItems, type SortItem } from './sort-keys.js';

/**
 * A query that splits but is sorted or cut: each shard sorts its rows and gives the sort keys along
 * with them in columns behind the client's own. Null where that cannot be written; then it must be
 * gathered.
 */
export function mergedRows(
  scatter: ScatterContext,
  shards: ShardSelector,
  gather: () => GatherSpec,
): ManyShards | null {
  const { top } = scatter;
  if (top.openOutputs) return null;
  const items = sortItems(scatter);
  const cut = cutOf(scatter);
  if (items === null || cut === null || !areVisible(items, scatter)) return null;
  const pushed = pushedText(scatter, items);
  if (pushed === null) return null;
  scatter.dependOnLiterals();
  const all = scatter.textByBytes;
  const keys = items.map(({ key, expression }): MergeKey => {
    const own = expression !== null && scatter.comparesByBytes(expression);
    return { ...key, textByBytes: all || own };
  });
  const sql = pushed + cut.onShards;
  // Rows without a type of their own cannot be columns of a table.
  const fallback = contains(scatter.statement.targetList, 'RowExpr')
    ? gather()
    : fallbackOf(scatter, shards, sql, keys, cut);
  if (cut.counts === null) return { kind: 'gather', gather: fallback };
  const locks = top.locking && top.limited;
  const merge: MergeSpec = {
    ...(locks ? { locking: pushed } : {}),
    sql,
    visibleColumns: top.outputs.length,
    keys,
    limit: cut.counts.limit,
    offset: cut.counts.offset,
    withTies: cut.withTies,
    fallback,
  };
  return { kind: 'merge', merge };
}

/** SELECT DISTINCT sorts by output columns only; a hidden one would make more rows distinct. */
function areVisible(items: readonly SortItem[], { top, statement }: ScatterContext): boolean {
  if (items.some(({ expression }) => expression !== null && 'RowExpr' in expression)) return false;
  if (!top.distinct || top.distinctOn) return true;
  return items.every(
    ({ output, expression }) =>
      output !== null ||
      (statement.targetList ?? []).some(
        (node) => 'ResTarget' in node && sameTree(node.ResTarget.val, expression),
      ),
  );
}

/** What every shard runs, up to its LIMIT. */
function pushedText(scatter: ScatterContext, items: readonly SortItem[]): string | null {
  const direct = items.every(({ expression }) => expression !== null);
  return direct && scatter.top.arms.length === 0
    ? directText(scatter, items)
    : wrappedText(scatter, items);
}

/** The statement with the sort keys as further columns. ORDER BY stands as it was written. */
function directText(scatter: ScatterContext, items: readonly SortItem[]): string | null {
  const hidden = items.map(({ expression }, index): Node => ({
    ResTarget: { name: `sg_key_${index + 1}`, val: expression! },
  }));
  const targetList = [...(scatter.statement.targetList ?? []), ...hidden];
  return scatter.text({ targetList }, ['limitCount', 'limitOffset']);
}

/** The statement in FROM, where its sort keys are columns of it. */
function wrappedText(scatter: ScatterContext, items: readonly SortItem[]): string | null {
  if (items.some(({ output }) => output === null) || scatter.top.distinctOn) return null;
  if (items.length === 0) return scatter.text({}, ['limitCount', 'limitOffset']);
  const inner = scatter.text({}, ['sortClause', 'limitCount', 'limitOffset']);
  if (inner === null) return null;
  const names = scatter.outputNames();
  const columns = names.map((_, index) => `sg_t.sg_column_${index + 1}`);
  const outputs = columns.map((column, index) => `${column} AS ${names[index]!}`);
  const sorted = items.map(({ output }) => columns[output!]!);
  const hidden = sorted.map((column, index) => `${column} AS sg_key_${index + 1}`);
  const aliases = names.map((_, index) => `sg_column_${index + 1}`).join(', ');
  const order = orderBy(
    sorted,
    items.map(({ key }) => key),
  );
  return `SELECT ${[...outputs, ...hidden].join(', ')} FROM (${inner}) AS sg_t (${aliases})${order}`;
}

/** The same rows brought to one server, which sorts and cuts them. */
function fallbackOf(
  scatter: ScatterContext,
  shards: ShardSelector,
  sql: string,
  keys: readonly SortKey[],
  cut: Cut,
): GatherSpec {
  const names = scatter.outputNames();
  const columns = names.map((_, index) => `c${index + 1}`);
  const hidden = keys.map((_, index) => `k${index + 1}`);
  const outputs = columns.map((column, index) => `t.${column} AS ${names[index]!}`).join(', ');
  const order = orderBy(
    hidden.map((column) => `t.${column}`),
    keys,
  );
  const input = {
    label: 'sorted rows',
    shards,
    sql,
    columns: [...columns, ...hidden],
    estimatedRows: null,
  };
  return oneInputSpec(scatter, input, [
    `SELECT ${outputs} FROM `,
    { kind: 'input', input: 0 },
    ` AS t${order}${cut.written}`,
  ]);
}
