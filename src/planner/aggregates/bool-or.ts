import { repeated } from './aggregate.js';

/** True where it is on any server. */
export const boolOr = repeated('bool_or');
