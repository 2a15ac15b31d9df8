import { sqlError, type SqlError } from '../errors/sql-error.js';
import type { Plan, PlannedStatement, PlannedText } from '../planner/plan.js';
import { routePlan } from '../planner/plans.js';
import { CATALOG_ROUTE } from '../planner/routing.js';
import { Tokens } from '../sql/tokens.js';
import { characterCount } from '../sql/code-points.js';

/** Of a parameter, in bytes. */
const LONGEST_NAME = '$65535'.length;
const UNANSWERABLE = routePlan('utility', false, CATALOG_ROUTE);

/** Whether a statement has parameters, for which a Query has no values. */
export function lacksValues({ plan, paramCount }: PlannedStatement): boolean {
  return paramCount > 0 && plan.verb !== 'explain';
}

/** One plan for a Query's whole text; null: its statements are run one by one. */
export function planOfQuery(planned: PlannedText, inTransaction: boolean): Plan | null {
  const [only, ...others] = planned.statements;
  // A text with transaction commands of its own is whole only where no transaction is open.
  if (others.length > 0) return inTransaction ? null : planned.whole;
  // The server says so, unless something is wrong in front of the parameter.
  return only !== undefined && lacksValues(only) ? UNANSWERABLE : planned.whole;
}

/** What PostgreSQL says of the first parameter in `text[start, end)`. */
export function missingValue(text: Buffer, start: number, end: number): SqlError {
  const tokens = new Tokens(text, 0, start, end);
  for (let token = 0; token < tokens.count; token++) {
    const at = tokens.start(token);
    const [name] = /^\$\d+/.exec(text.toString('latin1', at, at + LONGEST_NAME)) ?? [];
    if (name === undefined) continue;
    const position = characterCount(text, 0, at) + 1;
    return sqlError('undefined_parameter', `there is no parameter ${name}`, { position });
  }
  return sqlError('undefined_parameter', 'there is no parameter $1');
}
