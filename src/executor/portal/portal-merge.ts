import type { Comparator } from '../../merger/comparator.js';
import { KeyOrder } from '../../merger/key-order.js';
import { MergeCut } from '../../merger/merge-cut.js';
import { MergeHeap } from '../../merger/merge-heap.js';
import { RowCursor } from '../../merger/row-cursor.js';
import type { MergeSpec } from '../../planner/plan.js';
import type { Changed } from '../ordered-merge.js';
import type { PortalPart } from './portal-part.js';

/** Rows that a part is asked for at first, and at most. */
const SLICE_ROWS_FIRST = 100;
const SLICE_ROWS_MAX = 10_000;
/** What a slice should come to: one read of a backend. */
const SLICE_BYTES = 64 * 1024;

/** One sorted shard: the rows that it has sent and that are not taken yet. */
export class MergeSource {
  readonly part: PortalPart;
  readonly cursor: RowCursor;
  /** How many rows it is asked for next. */
  sliceRows = SLICE_ROWS_FIRST;
  /** Bytes that are kept. */
  bytes = 0;
  private readonly chunks: Buffer[] = [];

  constructor(part: PortalPart, visibleColumns: number, keyCount: number) {
    this.part = part;
    this.cursor = new RowCursor(visibleColumns, keyCount);
  }

  /** It owes a row: nothing can be said of the next row of all before it has come. */
  get starved(): boolean {
    return !this.cursor.current && !this.part.ended;
  }

  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.chunks.push(chunk);
  }

  /** Makes the cursor stand on a row, if there is one. */
  feed(): void {
    const { cursor, chunks } = this;
    while (!cursor.current && chunks.length > 0) {
      const chunk = chunks.shift()!;
      cursor.give(chunk, 0, chunk.length);
    }
    if (!cursor.current) this.bytes = 0;
  }

  /** A slice of so many rows and bytes has come: the next one should fit a read. */
  adapt(rows: number, bytes: number): void {
    if (rows === 0) return;
    const fitting = Math.floor((SLICE_BYTES * rows) / bytes);
    this.sliceRows = Math.max(1, Math.min(fitting, 4 * this.sliceRows, SLICE_ROWS_MAX));
  }
}

export interface PortalMergeOptions {
  readonly merge: MergeSpec;
  /** Values of `merge.limit` and `merge.offset`; not negative. */
  readonly limit: bigint | null;
  readonly offset: bigint;
  /** One for each of `merge.keys`, whose values come in binary. */
  readonly comparators: readonly Comparator[];
  /** It is found to be malformed. */
  readonly onChanged: (what: Changed) => void;
}

/**
 * The rows of sorted shards in one order, as they are asked for: it lives as long as its portal. What shards have
 * sent and nobody has asked for yet is kept, a slice a shard.
 */
export class PortalMerge {
  readonly sources: readonly MergeSource[];
  /** What the client gets of each row. */
  readonly visibleColumns: number;
  /** Hidden columns behind those. */
  readonly keyCount: number;
  /** There is no further row. */
  over = false;
  /** A row has other columns than were planned, or values that are not known yet. */
  malformed = false;
  private readonly fieldCount: number;
  private readonly order: KeyOrder;
  private readonly onChanged: (what: Changed) => void;
  private readonly heap: MergeHeap<MergeSource>;
  private readonly cut: MergeCut;
  /** The row on top has been handed out, and is to be left. */
  private taken = false;

  constructor(parts: readonly PortalPart[], options: PortalMergeOptions) {
    const { merge, comparators, offset, limit } = options;
    const { visibleColumns, keys } = merge;
    this.visibleColumns = visibleColumns;
    this.keyCount = keys.length;
    this.fieldCount = visibleColumns + keys.length;
    this.sources = parts.map((part) => new MergeSource(part, visibleColumns, keys.length));
    const order = new KeyOrder(keys, comparators);
    this.order = order;
    this.onChanged = options.onChanged;
    this.heap = new MergeHeap((a, b) => {
      const difference = order.compare(a.cursor, b.cursor);
      return difference < 0 || (difference === 0 && a.part.position < b.part.position);
    });
    this.cut = new MergeCut(order, offset, limit, merge.withTies);
  }

  /** Bytes that are kept for all shards. */
  get bytes(): number {
    return this.sources.reduce((sum, source) => sum + source.bytes, 0);
  }

  /** Takes rows of a source, the last of which may be cut off, or what was missing of that one. */
  push(source: MergeSource, chunk: Buffer): void {
    const had = source.cursor.current;
    source.push(chunk);
    if (had) return;
    source.feed();
    if (source.cursor.current) this.heap.push(source);
  }

  /** The next row, until the next call; null: some source is starved, or it is `over`. */
  next(): RowCursor | null {
    while (!this.over) {
      if (this.taken) this.leaveTop();
      if (this.sources.some((source) => source.starved)) return null;
      const cursor = this.heap.top?.cursor;
      this.malformed ||= cursor !== undefined && cursor.fieldCount !== this.fieldCount;
      const fate = cursor === undefined || this.malformed ? 'end' : this.cut.fateOf(cursor);
      this.malformed ||= this.order.unsure;
      if (this.malformed) {
        this.over = true;
        this.onChanged(this.order.unsure ? 'values' : 'columns');
        return null;
      }
      this.over = fate === 'end';
      this.taken = fate !== 'end';
      if (fate === 'send') return cursor!;
    }
    return null;
  }

  private leaveTop(): void {
    this.taken = false;
    const source = this.heap.top!;
    source.cursor.next();
    source.feed();
    if (source.cursor.current) this.heap.settleTop();
    else this.heap.removeTop();
  }
}
