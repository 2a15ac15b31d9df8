import type { Node, SelectStmt } from '@pgsql/types';
import type { CatalogColumn } from '../keyspace/catalog.js';
import { quoteIdentifier } from '../sql/quote.js';
import type { Analysis } from './analysis.js';
import { contains, kindOf } from './ast.js';
import type { Level, Variable } from './model.js';
import type { FinalPiece } from './plan.js';
import { refuse } from './refusals.js';

/**
 * What is brought together loses the modifiers of types, as in varchar(5), which a table made of it would lack: gives
 * them back to columns that are passed on as they are. Throws Refused where they cannot be told.
 */
export function withModifiers(
  final: readonly FinalPiece[],
  select: SelectStmt,
  level: Level,
  analysis: Analysis,
): readonly FinalPiece[] {
  const modified = analysis.occurrences.some(({ relation }) => relation.columns.some(isModified));
  if (!modified) return final;
  if (level.openOutputs || level.arms.length > 0) refuseColumn('?');
  const columns = level.outputs.map(({ name, variable, target = -1 }) => {
    const item = select.targetList?.[target];
    const value = item !== undefined && 'ResTarget' in item ? item.ResTarget.val : undefined;
    const column = variable === null ? null : baseColumn(variable, analysis);
    const told = name ?? '?column?';
    if (column === null && !hasNone(value)) refuseColumn(told);
    if (column === null || !isModified(column)) return { name: told, type: null };
    return { name: told, type: modifiedType(column) ?? refuseColumn(told) };
  });
  if (columns.every(({ type }) => type === null)) return final;
  const items = columns.map(({ name, type }, place) => {
    const cast = type === null ? '' : `::${type}`;
    return `c${place}${cast} AS ${quoteIdentifier(name)}`;
  });
  const names = columns.map((_, place) => `c${place}`);
  return [`SELECT ${items.join(', ')} FROM (`, ...final, `) AS sg_rows (${names.join(', ')})`];
}

function isModified({ typmod = -1 }: CatalogColumn): boolean {
  return typmod !== -1;
}

/** The column of a table that a query hands on; null: it is none. */
function baseColumn({ entry, name }: Variable, analysis: Analysis): CatalogColumn | null {
  const table = analysis.tables.get(entry);
  if (table !== undefined) return table.relation.columns.find((own) => own.name === name) ?? null;
  const { query } = entry;
  if (query === null || query.arms.length > 0) return null;
  const outputs = query.outputs.filter((output) => output.name === name);
  const [output] = outputs;
  if (outputs.length !== 1 || output === undefined || output.variable === null) return null;
  return baseColumn(output.variable, analysis);
}

/** Whether a value has no modifier but one that it says itself, whatever its parts have. */
function hasNone(value: Node | undefined): boolean {
  if (value === undefined) return false;
  if ('A_Expr' in value && value.A_Expr.kind === 'AEXPR_NULLIF') return false;
  return (
    PLAIN.has(kindOf(value)) || !['ColumnRef', 'SubLink'].some((kind) => contains(value, kind))
  );
}

const PLAIN = new Set(['A_Expr', 'BoolExpr', 'FuncCall', 'NullTest', 'BooleanTest', 'TypeCast']);

/** A built-in type with its modifier, as SQL; null: it is another one (PostgreSQL 18, format_type.c). */
function modifiedType({ type, typmod = -1 }: CatalogColumn): string | null {
  const name = MODIFIED.get(type);
  if (name === undefined) return null;
  if (type === NUMERIC) {
    const packed = typmod - HEADER;
    const scale = ((packed & 0x7ff) ^ 1024) - 1024;
    return `pg_catalog.numeric(${(packed >> 16) & 0xffff}, ${scale})`;
  }
  return `pg_catalog.${name}(${LENGTHS.has(type) ? typmod - HEADER : typmod})`;
}

const NUMERIC = 1700;
/** Modifiers of these types count the length of a value's header. */
const HEADER = 4;
const LENGTHS: ReadonlySet<number> = new Set([1042, 1043]);
const MODIFIED: ReadonlyMap<number, string> = new Map([
  [1042, 'bpchar'],
  [1043, 'varchar'],
  [1083, 'time'],
  [1114, 'timestamp'],
  [1184, 'timestamptz'],
  [1266, 'timetz'],
  [1560, '"bit"'],
  [1562, 'varbit'],
  [NUMERIC, 'numeric'],
]);

function refuseColumn(name: string): never {
  return refuse(
    `CREATE TABLE AS over several shards is not supported with column "${name}", whose type may have a modifier`,
    'Create the table with its columns first, then use INSERT ... SELECT.',
  );
}
