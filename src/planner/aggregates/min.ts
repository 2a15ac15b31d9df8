import { repeated } from './aggregate.js';

/** The least of the least. */
export const min = repeated('min');
