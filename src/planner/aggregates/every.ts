import { repeated } from './aggregate.js';

/** The SQL standard's name of bool_and. */
export const every = repeated('every');
