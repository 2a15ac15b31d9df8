import { repeated } from './aggregate.js';

/** Bits that an odd number of servers have. */
export const bitXor = repeated('bit_xor');
