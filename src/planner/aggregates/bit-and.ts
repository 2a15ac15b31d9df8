import { repeated } from './aggregate.js';

/** Bits that all servers have. */
export const bitAnd = repeated('bit_and');
