import { repeated } from './aggregate.js';

/** The greatest of the greatest. */
export const max = repeated('max');
