import type { SqlError } from '../../errors/sql-error.js';

/**
 * Adds values behind the last field of each row of copy data, wherever the data is cut. What is wrong with the data is
 * mostly for those to find who read it afterwards.
 */
export interface RowFills {
  /** What is wrong behind the rows that `fill` gave last. */
  readonly fault: SqlError | null;
  /** Whether the data ends in a row that has not ended. Throws SqlError where it ends as it must not. */
  readonly endsInRow: boolean;
  /** Takes a chunk; answers how many rows end in it. `fill` must follow. */
  scan(bytes: Uint8Array, start: number, end: number): number;
  /**
   * The chunk, wherever it is by now, with the values of its rows, each a list with one for each column; up to a fault.
   */
  fill(bytes: Uint8Array, start: number, end: number, rows: readonly (readonly string[])[]): Buffer;
  /** What comes behind such a row. */
  lastFields(values: readonly string[]): Buffer;
}

/** About what a value takes. */
export const VALUE_BYTES = 24;
