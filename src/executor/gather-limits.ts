import type { Config } from '../config/config.js';
import type { SqlError } from '../errors/sql-error.js';
import { memoryError, rowsError } from './gather-errors.js';

type GatherLimits = Pick<Config['limits'], 'gatherMemoryBytes' | 'gatherRowsMax'>;

/** What one statement has brought together so far, against limits.gather_memory and limits.gather_rows. */
export class GatheredSize {
  bytes = 0;
  rows = 0;
  private readonly limits: GatherLimits;

  constructor(limits: GatherLimits) {
    this.limits = limits;
  }

  /** Adds to it; answers the error (53200) where that is too much. */
  add(bytes: number, rows: number): SqlError | null {
    this.bytes += bytes;
    this.rows += rows;
    const { gatherMemoryBytes, gatherRowsMax } = this.limits;
    if (this.bytes > gatherMemoryBytes) return memoryError(gatherMemoryBytes);
    return gatherRowsMax > 0 && this.rows > gatherRowsMax ? rowsError(gatherRowsMax) : null;
  }
}
