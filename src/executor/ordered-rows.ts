import { readInt32 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';
import { assert } from '../util/assert.js';

/** Rows that one shard has given, as DataRow messages back to back. */
interface GivenRows {
  readonly messages: Writer;
  /** Where the next row begins that is not told yet. */
  next: number;
}

/**
 * Rows of several shards that are told in an order which is known beforehand: `order` has the place
 * of each row's shard, and every shard gives one row for each of its own, in that order. All are
 * kept until the last one is there.
 */
export class OrderedRows {
  /** Of all rows. */
  bytes = 0;
  private readonly order: readonly number[];
  private readonly shards: GivenRows[] = [];

  constructor(order: readonly number[]) {
    this.order = order;
  }

  /** Adds a piece of a shard's rows, of whatever size. */
  push(position: number, buffer: Buffer, start: number, end: number): void {
    this.of(position).messages.bytes(buffer, start, end);
    this.bytes += end - start;
  }

  /** All rows in order, in one piece. */
  take(): Buffer {
    const all = Buffer.allocUnsafe(this.bytes);
    let at = 0;
    for (const position of this.order) {
      const rows = this.of(position);
      const view = rows.messages.view();
      assert(rows.next < view.length, 'a shard has given fewer rows than it was given');
      const end = rows.next + 1 + readInt32(view, rows.next + 1);
      at += view.copy(all, at, rows.next, end);
      rows.next = end;
    }
    assert(at === this.bytes, 'a shard has given more rows than it was given');
    return all;
  }

  private of(position: number): GivenRows {
    return (this.shards[position] ??= { messages: new Writer(INITIAL_BYTES), next: 0 });
  }
}

const INITIAL_BYTES = 4096;
