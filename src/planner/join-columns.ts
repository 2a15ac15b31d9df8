import type { Alias, JoinExpr } from '@pgsql/types';
import { TypeOid } from '../keyspace/type-oids.js';
import { stringsOf } from './ast.js';
import { sameFamily, type Variable } from './model.js';
import type { ScopeColumn, ScopeItem } from './scopes.js';

/**
 * The names that a join gives to its query: those of its sides, hidden or merged as USING and
 * aliases say.
 * @param learn is told of the columns that USING says are equal
 */
export function joinItems(
  expression: JoinExpr,
  left: readonly ScopeItem[],
  right: readonly ScopeItem[],
  type: string,
  learn: (left: Variable, right: Variable) => void,
): ScopeItem[] {
  const leftColumns = visibleColumns(left);
  const rightColumns = visibleColumns(right);
  const open = [...left, ...right].some((item) => item.columnsVisible && item.open);
  const shared =
    expression.isNatural === true
      ? leftColumns.map(({ name }) => name).filter((name) => count(rightColumns, name) > 0)
      : stringsOf(expression.usingClause);
  const merged = shared.map((name): ScopeColumn => {
    const a = only(leftColumns, name);
    const b = only(rightColumns, name);
    // A natural join with something of unknown columns may match more than is seen here, never
    // less.
    if (a !== null && b !== null) learn(a, b);
    return { name, variable: mergedVariable(a, b, type) };
  });
  const rest = [...leftColumns, ...rightColumns].filter(({ name }) => !shared.includes(name));
  const whole: ScopeItem = {
    name: expression.alias?.aliasname ?? null,
    schema: null,
    columns: renamed([...merged, ...rest], expression.alias),
    open,
    columnsVisible: true,
    relation: null,
  };
  if (expression.alias !== undefined) return [whole];
  const hidden = [...left, ...right].map((item) => ({ ...item, columnsVisible: false }));
  const alias = expression.join_using_alias?.aliasname;
  if (alias === undefined) return [...hidden, whole];
  const using = { ...whole, name: alias, columns: merged, open: false, columnsVisible: false };
  return [...hidden, whole, using];
}

/**
 * The side that a merged column of USING is. It has the common type of both, so only a side of that
 * type is believed; an inner join's sides are equal, a full join's is a COALESCE of both.
 */
function mergedVariable(a: Variable | null, b: Variable | null, type: string): Variable | null {
  if (a === null || b === null || type === 'JOIN_FULL' || !sameFamily(a.type, b.type)) return null;
  const [first, second] = type === 'JOIN_RIGHT' ? [b, a] : [a, b];
  if (intWidth(first.type) >= intWidth(second.type)) return first;
  return type === 'JOIN_INNER' ? second : null;
}

/** Bytes of an integer type; 0 for every other type. */
function intWidth(type: number): number {
  return type === TypeOid.int8 ? 8 : type === TypeOid.int4 ? 4 : type === TypeOid.int2 ? 2 : 0;
}

function visibleColumns(items: readonly ScopeItem[]): ScopeColumn[] {
  return items.filter((item) => item.columnsVisible).flatMap((item) => item.columns);
}

function count(columns: readonly ScopeColumn[], name: string): number {
  return columns.filter((column) => column.name === name).length;
}

function only(columns: readonly ScopeColumn[], name: string): Variable | null {
  const found = columns.filter((column) => column.name === name);
  return found.length === 1 ? found[0]!.variable : null;
}

/** Column aliases rename the first columns of an item. */
export function renamed(columns: readonly ScopeColumn[], alias: Alias | undefined): ScopeColumn[] {
  const names = stringsOf(alias?.colnames);
  return columns.map((column, index) => ({ ...column, name: names[index] ?? column.name }));
}
