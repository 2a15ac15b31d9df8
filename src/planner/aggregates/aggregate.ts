import type { FuncCall } from '@pgsql/types';

/** An aggregate whose result can be made of what it gives for parts of the rows. */
export interface CombinableAggregate {
  /**
   * The calls that each shard computes in place of this one. FILTER stays in them: it is part of
   * the call.
   */
  partials(call: FuncCall): FuncCall[];
  /**
   * SQL that makes the result of partial results: `columns` are the SQL names of their columns,
   * `types` the type OIDs that the shards give these. Null: results of such types do not combine.
   */
  combine(columns: readonly string[], types: readonly number[]): string | null;
}

/** The same call of another built-in aggregate. */
export function callOf(name: string, call: FuncCall): FuncCall {
  return { ...call, funcname: [{ String: { sval: 'pg_catalog' } }, { String: { sval: name } }] };
}

/** An aggregate that gives the same when it is applied to its own results. */
export function repeated(name: string): CombinableAggregate {
  return {
    partials: (call) => [callOf(name, call)],
    combine: ([column]) => `pg_catalog.${name}(${column!})`,
  };
}
