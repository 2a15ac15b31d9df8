import type { Node } from '@pgsql/types';
import type { Analysis } from '../analysis.js';
import { bodyOf, constOf, kindOf, qualifiedName } from '../ast.js';
import { clockWords } from '../expressions.js';

/** What PostgreSQL computes once a transaction or statement, so that all rows have the same value. */
const MOMENTS = /^(now|transaction_timestamp|statement_timestamp)$/;

/** Fields that only choose rows: moments some microseconds apart choose no other ones. */
const FILTERS = new Set(['whereClause', 'quals']);

/**
 * Whether a query puts the time of its transaction or statement into what it computes of rows, as
 * in `SELECT now() FROM t`. Every server has a time of its own, so that only one of them may.
 */
export function tellsMoment(query: Node, analysis: Analysis): boolean {
  if (analysis.volatileFunction === null && analysis.clockText === null) return false;
  const { tellsMoment: tellers, views } = analysis;
  return (
    inValue(query, tellers) || [...views.values()].some(({ select }) => inValue(select, tellers))
  );
}

/**
 * Whether a tree computes something with the time, but for what only chooses rows.
 * @param tellers functions of the user that tell it too
 */
export function inValue(value: unknown, tellers: ReadonlySet<string>): boolean {
  if (value === null || typeof value !== 'object') return false;
  if (Array.isArray(value)) return value.some((item) => inValue(item, tellers));
  if (isMoment(value as Node, tellers)) return true;
  return Object.entries(value).some(
    ([name, field]) => !FILTERS.has(name) && inValue(field, tellers),
  );
}

function isMoment(node: Node, tellers: ReadonlySet<string>): boolean {
  switch (kindOf(node)) {
    case 'SQLValueFunction':
      return /DATE|TIME/.test(String(bodyOf(node)['op']));
    case 'FuncCall': {
      const { funcname, args } = bodyOf(node) as { funcname?: Node[]; args?: unknown[] };
      const { name } = qualifiedName(funcname);
      return MOMENTS.test(name) || tellers.has(name) || (name === 'age' && args?.length === 1);
    }
    case 'A_Const':
      return clockWords.test(constOf(node)?.sval?.sval ?? '');
    default:
      return false;
  }
}
