import { readInt32, readUint16 } from '../protocol/framing.js';
import { assert } from '../util/assert.js';

/** A DataRow: type (1), length (4), number of fields (2), then for each its length (4) and bytes. */
const HEAD_BYTES = 7;
/** A row's own buffer that is larger is not kept for the next cut-off row. */
const KEEP_BYTES = 256 * 1024;

/**
 * Walks the rows of one shard where they lie in its read buffer. Only a row that the end of a buffer
 * cuts off is copied, to a buffer of its own that grows with the bytes that really come.
 *
 *   piece 1: | D...... | D...... | D..        "D.." is copied when the walk arrives there
 *   piece 2:                        ... |     one row again
 *   piece 3:                              D...... | D......
 *
 * Its fields are public for speed; only the cursor sets them.
 */
export class RowCursor {
  /** A row is there: `row`, `visibleStart`, `visibleEnd` and the keys hold. */
  current = false;
  /** Where the row is, valid until `next`. */
  row: Buffer = NO_BYTES;
  /** How many fields it has; another number than was planned: they are not looked at. */
  fieldCount = 0;
  /** The fields that the client gets: `[visibleStart, visibleEnd)` of `row`. */
  visibleStart = 0;
  visibleEnd = 0;
  /** The hidden fields in `row`; an end of -1 is NULL. */
  readonly keyStarts: Int32Array;
  readonly keyEnds: Int32Array;
  private readonly visibleColumns: number;
  /** Rows that are not walked yet: `[at, end)` of `piece`; null: none. */
  private piece: Buffer | null = null;
  private at = 0;
  private end = 0;
  /** A row that was cut off: `partialBytes` of `partialTotal` are in `partial`. */
  private partial: Buffer = NO_BYTES;
  private partialBytes = 0;
  private partialTotal = 0;

  constructor(visibleColumns: number, keys: number) {
    this.visibleColumns = visibleColumns;
    this.keyStarts = new Int32Array(keys);
    this.keyEnds = new Int32Array(keys);
  }

  /** The row lies in a buffer of the cursor's, which stays as it is until `next`. */
  get ownsRow(): boolean {
    return this.row === this.partial;
  }

  /** The bytes given last are still needed: they must stay where they are. */
  get holdsPiece(): boolean {
    return this.piece !== null;
  }

  /** Length of the row that is cut off, with its head; 0: none is. */
  get cutOffBytes(): number {
    return this.partialTotal;
  }

  /**
   * Takes contiguous rows, the last of which may be cut off, or what was missing of that one. The
   * piece given before must be used up.
   */
  give(buffer: Buffer, start: number, end: number): void {
    assert(this.piece === null, 'rows are given one piece after the other');
    if (this.partialTotal > 0) {
      this.addToPartial(buffer, start, end);
      return;
    }
    this.piece = buffer;
    this.at = start;
    this.end = end;
    if (!this.current) this.next();
  }

  /** Goes to the next row; afterwards `current` says whether there is one. */
  next(): void {
    this.current = false;
    if (this.ownsRow && this.partial.length > KEEP_BYTES) this.partial = NO_BYTES;
    const { piece, at, end } = this;
    if (piece === null) return;
    if (at === end) {
      this.piece = null;
      return;
    }
    const stop = at + 1 + readInt32(piece, at + 1);
    if (stop > end) {
      this.piece = null;
      this.partialTotal = stop - at;
      this.partialBytes = 0;
      this.addToPartial(piece, at, end);
      return;
    }
    this.at = stop;
    this.enter(piece, at);
  }

  private addToPartial(buffer: Buffer, start: number, end: number): void {
    const needed = this.partialBytes + end - start;
    if (this.partial.length < needed) {
      const size = Math.min(this.partialTotal, Math.max(needed, 2 * this.partial.length));
      const larger = Buffer.allocUnsafeSlow(size);
      this.partial.copy(larger, 0, 0, this.partialBytes);
      this.partial = larger;
    }
    buffer.copy(this.partial, this.partialBytes, start, end);
    this.partialBytes = needed;
    if (needed < this.partialTotal) return;
    this.partialTotal = 0;
    this.enter(this.partial, 0);
  }

  /** Finds the fields of the whole row at `start`. */
  private enter(buffer: Buffer, start: number): void {
    const { keyStarts, keyEnds } = this;
    this.row = buffer;
    this.current = true;
    this.fieldCount = readUint16(buffer, start + 5);
    let at = start + HEAD_BYTES;
    this.visibleStart = at;
    if (this.fieldCount !== this.visibleColumns + keyStarts.length) {
      // Nobody may read beyond its end: it counts as empty, with NULL keys.
      this.visibleEnd = at;
      keyEnds.fill(-1);
      return;
    }
    for (let n = this.visibleColumns; n > 0; n--) {
      const length = readInt32(buffer, at);
      at += length < 0 ? 4 : 4 + length;
    }
    this.visibleEnd = at;
    for (let i = 0; i < keyStarts.length; i++) {
      const length = readInt32(buffer, at);
      at += 4;
      keyStarts[i] = at;
      if (length >= 0) at += length;
      keyEnds[i] = length < 0 ? -1 : at;
    }
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0);
