import type { SqlStateName } from '../errors/sqlstates.js';
import type { Refusal } from './plan.js';

/**
 * Thrown inside the planner by whatever meets a construct that has no exact plan; caught by
 * `planStatement`, which turns it into a RefusePlan. It never leaves the planner.
 */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/** A refusal as data, for plans that are refused only when they meet several shards. */
export function refusal(
  message: string,
  hint: string,
  state: SqlStateName = 'feature_not_supported',
): Refusal {
  return { state, message, hint };
}

/**
 * Gives up on the statement: `message` names the construct and the table, `hint` says what to do
 * instead.
 */
export function refuse(message: string, hint: string, state?: SqlStateName): never {
  throw new Refused(refusal(message, hint, state));
}
