import { readInt32, readUint16 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';
import { assert } from '../util/assert.js';
import { trimRowDescription } from './merge-description.js';

/** Rows of several shards, kept until all are there, and then told in one order. */
export interface KeptRows {
  /** Of all rows. */
  readonly bytes: number;
  /** Adds a piece of the rows of the shard in this place, of whatever size. */
  push(place: number, buffer: Buffer, start: number, end: number): void;
  /** What the client gets of a RowDescription message. */
  description(message: Buffer): Buffer;
  /** All rows in order, as DataRow messages in one piece. */
  take(): Buffer;
}

abstract class RowsByShard implements KeptRows {
  bytes = 0;
  /** DataRow messages back to back. */
  protected readonly shards: Writer[] = [];

  push(place: number, buffer: Buffer, start: number, end: number): void {
    this.of(place).bytes(buffer, start, end);
    this.bytes += end - start;
  }

  description(message: Buffer): Buffer {
    return message;
  }

  abstract take(): Buffer;

  protected of(place: number): Writer {
    return (this.shards[place] ??= new Writer(INITIAL_BYTES));
  }
}

const INITIAL_BYTES = 4096;

/**
 * Rows in an order that is known beforehand: `order` has the place of each row's shard, and every
 * shard gives one row for each of its own, in that order.
 */
export class OrderedRows extends RowsByShard {
  private readonly order: readonly number[];

  constructor(order: readonly number[]) {
    super();
    this.order = order;
  }

  take(): Buffer {
    const all = Buffer.allocUnsafe(this.bytes);
    const next: number[] = [];
    let at = 0;
    for (const place of this.order) {
      const rows = this.of(place).view();
      const start = next[place] ?? 0;
      assert(start < rows.length, 'a shard has given fewer rows than it was given');
      const end = start + 1 + readInt32(rows, start + 1);
      at += rows.copy(all, at, start, end);
      next[place] = end;
    }
    assert(at === this.bytes, 'a shard has given more rows than it was given');
    return all;
  }
}

/** The last field of a numbered row: its length and an int4. */
const NUMBER_BYTES = 8;

/** Rows that tell their place in the order by a number in their last column, which the client does not get. */
export class NumberedRows extends RowsByShard {
  private readonly formats: readonly number[];

  /** `formats`: of the client's columns. */
  constructor(formats: readonly number[]) {
    super();
    this.formats = formats;
  }

  override description(message: Buffer): Buffer {
    const trimmed = trimRowDescription(message, this.formats.length, 1, this.formats);
    assert(trimmed !== null, 'numbered rows have a column more than the client gets');
    return trimmed;
  }

  take(): Buffer {
    const found: { number: number; rows: Buffer; start: number; end: number }[] = [];
    // Shards without rows are holes in the list, which this leaves out.
    this.shards.forEach((writer) => {
      const rows = writer.view();
      let end: number;
      for (let start = 0; start < rows.length; start = end) {
        end = start + 1 + readInt32(rows, start + 1);
        found.push({ number: readInt32(rows, end - 4), rows, start, end });
      }
    });
    found.sort((a, b) => a.number - b.number);
    const out = new Writer(this.bytes + 1);
    for (const { rows, start, end } of found) {
      out.byte(rows[start]!).int32(end - start - 1 - NUMBER_BYTES);
      out.int16(readUint16(rows, start + 5) - 1).bytes(rows, start + 7, end - NUMBER_BYTES);
    }
    return out.take();
  }
}
