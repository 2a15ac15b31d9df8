import { repeated } from './aggregate.js';

/** Bits that any server has. */
export const bitOr = repeated('bit_or');
