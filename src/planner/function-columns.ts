import type { FuncCall, Node, RangeFunction } from '@pgsql/types';
import { qualifiedName, stringsOf } from './ast.js';
import type { Names } from './names.js';

/** Built-in functions that give one column, called as they are or as the FROM item is. */
const ONE_COLUMN = new Set([
  'generate_series',
  'generate_subscripts',
  'regexp_split_to_table',
  'string_to_table',
]);
/** Of arrays of these `unnest` makes one column each; others may be composites, and so several. */
const SCALARS = new Set(
  (
    'bool int2 int4 int8 float4 float8 numeric text varchar bpchar bytea uuid json jsonb date time timetz ' +
    'timestamp timestamptz interval inet cidr'
  ).split(' '),
);

/** The names of the columns of a function in FROM, where they can be told by its text; null: they cannot. */
export function functionColumns(range: RangeFunction, names: Names): readonly string[] | null {
  const [item, ...more] = range.functions ?? [];
  const call = item !== undefined && 'List' in item ? item.List.items?.[0] : item;
  if (more.length > 0 || call === undefined || !('FuncCall' in call)) return null;
  if (range.coldeflist !== undefined) return null;
  const count = columnCount(call.FuncCall, names);
  if (count === null) return null;
  const { name } = qualifiedName(call.FuncCall.funcname);
  const { aliasname, colnames } = range.alias ?? {};
  const own = Array<string>(count).fill(count === 1 ? (aliasname ?? name) : name);
  const all = range.ordinality === true ? [...own, 'ordinality'] : own;
  const given = stringsOf(colnames);
  return given.length > all.length ? null : all.map((column, i) => given[i] ?? column);
}

function columnCount({ funcname, args = [] }: FuncCall, names: Names): number | null {
  const { schema, name } = qualifiedName(funcname);
  if (schema !== null && schema !== 'pg_catalog') return null;
  if (!names.builtinsFirst || names.userFunctions(schema, name).length > 0) return null;
  if (ONE_COLUMN.has(name)) return 1;
  return name === 'unnest' && args.every(isScalarArray) ? args.length : null;
}

function isScalarArray(argument: Node): boolean {
  if (!('TypeCast' in argument)) return false;
  const { typeName } = argument.TypeCast;
  const { schema, name } = qualifiedName(typeName?.names);
  if (schema !== null && schema !== 'pg_catalog') return false;
  return typeName?.arrayBounds !== undefined && SCALARS.has(name);
}
