import type { Node } from '@pgsql/types';
import { TypeOid } from '../../keyspace/type-oids.js';
import { constOf, contains } from '../ast.js';
import type { Params } from '../params.js';
import type { RowCount } from '../plan.js';
import type { ScatterContext } from './scatter-context.js';

/** LIMIT, OFFSET and FETCH of a query. */
export interface Cut {
  /** Null: an expression, which only a server computes. */
  readonly counts: { readonly limit: RowCount | null; readonly offset: RowCount | null } | null;
  readonly withTies: boolean;
  /** The clauses for every shard, which keeps the rows that OFFSET skips; '' where it keeps all. */
  readonly onShards: string;
  /** The clauses as they were written. */
  readonly written: string;
}

const INT8_MAX = 9223372036854775807n;

/** Null: it cannot be written, or reads tables. */
export function cutOf(scatter: ScatterContext): Cut | null {
  const { limitCount, limitOffset, limitOption } = scatter.statement;
  if (contains([limitCount, limitOffset], 'SubLink')) return null;
  const withTies = limitOption === 'LIMIT_OPTION_WITH_TIES';
  let limit = rowCount(limitCount, scatter.analysis.params);
  // WITH TIES of no number is an error, which is left to the server.
  if (withTies && limit === null) limit = 'expression';
  const offset = rowCount(limitOffset, scatter.analysis.params);
  const counts = limit === 'expression' || offset === 'expression' ? null : { limit, offset };
  const limitText = textOf(limitCount, limit, scatter);
  const offsetText = textOf(limitOffset, offset, scatter);
  if (limitText === null || offsetText === null) return null;
  const rows =
    counts === null
      ? computedRows(limitText, offsetText, scatter)
      : rowsOnShards(counts.limit, counts.offset);
  const failing = withTies && counts?.limit?.kind === 'param' ? `$${counts.limit.index + 1}` : null;
  return {
    counts,
    withTies,
    onShards: rows === null ? '' : limitClause(nullable(rows, failing), withTies),
    written:
      (offsetText === '' ? '' : ` OFFSET (${offsetText})`) +
      (limitText === '' ? '' : limitClause(limitText, withTies)),
  };
}

/** A number or parameter needs no proof that it was written right. '': there is none. */
function textOf(
  node: Node | undefined,
  count: RowCount | null | 'expression',
  scatter: ScatterContext,
): string | null {
  if (node === undefined) return '';
  if (count === null || count === 'expression') return scatter.expression(node);
  return count.kind === 'param' ? `$${count.index + 1}` : String(count.value);
}

/** WITH TIES of a parameter without a value is an error of its own. */
function nullable(rows: string, param: string | null): string {
  return param === null ? rows : `case when ${param}::int8 is not null then ${rows} end`;
}

function limitClause(count: string, withTies: boolean): string {
  return withTies ? ` FETCH FIRST (${count}) ROWS WITH TIES` : ` LIMIT (${count})`;
}

function rowCount(node: Node | undefined, params: Params): RowCount | null | 'expression' {
  if (node === undefined) return null;
  const constant = constOf(node);
  if (constant !== null) {
    if (constant.isnull === true) return null;
    const digits = constant.ival === undefined ? constant.fval?.fval : (constant.ival.ival ?? 0);
    if (digits === undefined || !/^-?\d+$/.test(String(digits))) return 'expression';
    const value = BigInt(digits);
    return value <= INT8_MAX && value >= -INT8_MAX ? { kind: 'constant', value } : 'expression';
  }
  if (!('ParamRef' in node)) return 'expression';
  const index = (node.ParamRef.number ?? 0) - 1;
  const type = params.inputType(index, 0, TypeOid.int8, false);
  return type !== null && COUNT_TYPES.has(type) ? { kind: 'param', index } : 'expression';
}

/** What a parameter may be said to be; untyped, it is given the type that LIMIT wants: int8. */
const COUNT_TYPES: ReadonlySet<number> = new Set([
  TypeOid.int2,
  TypeOid.int4,
  TypeOid.int8,
  TypeOid.unknown,
]);

/** The same of expressions, if every server computes the same; null: shards keep all rows. */
function computedRows(
  limit: string,
  offset: string,
  { analysis, statement }: ScatterContext,
): string | null {
  const changes = analysis.volatileFunction !== null || analysis.clockText !== null;
  if (
    limit === '' ||
    (changes && contains([statement.limitCount, statement.limitOffset], 'FuncCall'))
  )
    return null;
  const rows = `(${limit})::int8`;
  const bounded = `case when ${rows} < 0 then 0 else ${rows} end`;
  return sumOf(bounded, offset === '' ? null : `(${offset})::int8`);
}

/** How many rows a shard may have to give; null: all of them. Negative counts fail elsewhere. */
function rowsOnShards(limit: RowCount | null, offset: RowCount | null): string | null {
  if (limit === null) return null;
  if (limit.kind === 'constant' && (offset === null || offset.kind === 'constant')) {
    const sum = positive(limit.value) + positive(offset?.value ?? 0n);
    return String(sum < INT8_MAX ? sum : INT8_MAX);
  }
  return sumOf(int8(limit), offset === null ? null : int8(offset));
}

/** LEAST passes over nulls: LIMIT NULL keeps all rows. */
function sumOf(limit: string, offset: string | null): string {
  const skipped = offset === null ? '0' : `greatest(coalesce(${offset}, 0), 0)::numeric`;
  return `least((${limit})::numeric + ${skipped}, ${INT8_MAX}::numeric)::int8`;
}

function int8(count: RowCount): string {
  return count.kind === 'param' ? `$${count.index + 1}::int8` : `${count.value ?? 'null'}::int8`;
}

function positive(value: bigint | null): bigint {
  return value !== null && value > 0n ? value : 0n;
}
