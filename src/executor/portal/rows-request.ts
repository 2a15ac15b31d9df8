import type { OperationHost } from '../../transaction/operation.js';

/** Rows of a portal that are wanted next. */
export interface RowsRequest {
  /** Infinity: all that are left. */
  readonly rowsMax: number;
  /** Who gets them; null: nobody, they are passed over. */
  readonly host: OperationHost | null;
  /** `rows`: how many there were; less than `rowsMax`: these were the last. */
  readonly onDone: (error: Buffer | null, rows: number) => void;
}
