import type { BackendConnection } from '../backend/postgres/connection.js';
import { RowCursor } from '../merger/row-cursor.js';

/**
 * One shard of a merge.
 *
 *   reading -> (rows | no rows) ... -> ended (its CommandComplete) -> done (nothing more will come)
 */
export class MergeBranch {
  readonly backend: BackendConnection;
  /** Among equal rows the lower comes first. */
  readonly position: number;
  readonly cursor: RowCursor;
  /** It has sent all its rows; the last of them may be at the cursor still. */
  ended = false;
  /** Nothing is expected of it any more. */
  done = false;
  succeeded = false;
  /** How many of its rows were sent on or passed over. */
  taken = 0;
  /** How many it gave in all, once it has `succeeded`. */
  given = 0;
  /** Its last piece of rows was refused, so that it is not read from. */
  refused = false;
  /** That piece has been used up since: it will be offered once more, to be let go. */
  spent = false;

  constructor(
    backend: BackendConnection,
    position: number,
    visibleColumns: number,
    keyCount: number,
  ) {
    this.backend = backend;
    this.position = position;
    this.cursor = new RowCursor(visibleColumns, keyCount);
  }

  /** It owes a row: nothing can be said of the next row of all before it has come. */
  get starved(): boolean {
    return !this.cursor.current && !this.ended;
  }
}
