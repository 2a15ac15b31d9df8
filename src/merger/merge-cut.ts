import { copyKeys, type KeyOrder, type KeyValues } from './key-order.js';
import type { RowCursor } from './row-cursor.js';

/** What becomes of the next row in order. */
export type RowFate = 'skip' | 'send' | 'end';

/** Which rows of a sorted result are in it: those behind OFFSET, up to LIMIT, and those that tie with the last. */
export class MergeCut {
  private readonly order: KeyOrder;
  private readonly withTies: boolean;
  /** Rows still to be left out, and to be sent. */
  private skipping: number;
  private wanted: number;
  /** Keys of the last row within LIMIT, when rows that tie with it are wanted. */
  private lastKeys: KeyValues | null = null;

  /** @param limit null: none; beyond 2^53 rows nothing is counted any more */
  constructor(order: KeyOrder, offset: bigint, limit: bigint | null, withTies: boolean) {
    this.order = order;
    this.withTies = withTies;
    this.skipping = Number(offset);
    this.wanted = limit === null ? Infinity : Number(limit);
  }

  /** Behind a row that was sent: no other one will be. */
  get full(): boolean {
    return this.wanted === 0 && !this.withTies;
  }

  /** To be asked once for each row. */
  fateOf(row: RowCursor): RowFate {
    if (this.skipping > 0) {
      this.skipping--;
      return 'skip';
    }
    if (this.wanted > 0) {
      if (--this.wanted === 0 && this.withTies) this.lastKeys = copyKeys(row);
      return 'send';
    }
    return this.lastKeys !== null && this.order.compare(row, this.lastKeys) === 0 ? 'send' : 'end';
  }
}
