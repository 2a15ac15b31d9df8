import { repeated } from './aggregate.js';

/** True where it is on every server; every() is the same. */
export const boolAnd = repeated('bool_and');
