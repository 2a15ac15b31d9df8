import { repeated } from './aggregate.js';

/** A value of any server that has one. */
export const anyValue = repeated('any_value');
