import type { CombinableAggregate } from './aggregate.js';
import { anyValue } from './any-value.js';
import { avg } from './avg.js';
import { bitAnd } from './bit-and.js';
import { bitOr } from './bit-or.js';
import { bitXor } from './bit-xor.js';
import { boolAnd } from './bool-and.js';
import { boolOr } from './bool-or.js';
import { count } from './count.js';
import { every } from './every.js';
import { max } from './max.js';
import { min } from './min.js';
import { sum } from './sum.js';

/** Every aggregate that is computed in parts, by its name in PostgreSQL. */
const aggregates = {
  any_value: anyValue,
  avg,
  bit_and: bitAnd,
  bit_or: bitOr,
  bit_xor: bitXor,
  bool_and: boolAnd,
  bool_or: boolOr,
  count,
  every,
  max,
  min,
  sum,
} as const satisfies Record<string, CombinableAggregate>;

/** How a built-in aggregate is computed in parts; null: it is not. */
export function combinableAggregate(name: string): CombinableAggregate | null {
  return Object.hasOwn(aggregates, name) ? aggregates[name as keyof typeof aggregates] : null;
}

/**
 * SQL that makes an aggregate's result of its partial results in these columns (as SQL text), whose
 * type OIDs the shards have told; null: results of such types do not combine.
 */
export function combineAggregate(
  name: string,
  columns: readonly string[],
  types: readonly number[],
): string | null {
  return combinableAggregate(name)?.combine(columns, types) ?? null;
}
