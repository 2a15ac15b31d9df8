import { readInt32, readUint16 } from '../protocol/framing.js';
import { arrayPieces, type ArrayColumn } from './array-parameter.js';
import type { GatherRows } from './gather-rows.js';
import { changedShapeError } from './merge-description.js';

/** Type byte, length, and the number of columns. */
const HEAD_BYTES = 7;
/** Buffers that grow would be copied, and make the garbage collector run; so there is one after the other. */
const CHUNK_BYTES_MIN = 2 * 1024;
const CHUNK_BYTES_MAX = 64 * 1024;
/** From here on a call out of JavaScript costs less than a loop. */
const COPIED_BYTES_MIN = 64;

/** The place of the target of a row with this keyspace id, as unsigned halves. */
export type PlaceOf = (hi: number, lo: number) => number;

/**
 * Rows of one input, in binary, whose last column is the keyspace id of where each goes (int8; NULL: to
 * the first place): they are kept without it, by place and column, as elements of arrays.
 *
 *   shard:              | D len 3 | 4 k | 4 v | 8 id | D len 3 | 4 k | 4 v | 8 id |
 *   to the id's place:  k: | 4 k | 4 k |    v: | 4 v | 4 v |
 */
export class DealtRows {
  rowCount = 0;
  private readonly columns: readonly ArrayColumn[];
  private readonly placeOf: PlaceOf;
  /** By place. */
  private readonly counts: number[];
  /** By place, then column. */
  private readonly elements: readonly (readonly Elements[])[];
  /** Where the fields of a row begin, that of the id too. */
  private readonly offsets: number[];

  /** @param places how many there are */
  constructor(columns: readonly ArrayColumn[], places: number, placeOf: PlaceOf) {
    this.columns = columns;
    this.placeOf = placeOf;
    this.counts = Array.from({ length: places }, () => 0);
    this.elements = this.counts.map(() => columns.map(() => new Elements()));
    this.offsets = Array.from({ length: columns.length + 1 }, () => 0);
  }

  /**
   * Adds a piece of a shard's rows: the rest of a row, or rows of which the last may be cut off. Throws
   * SqlError 0A000 for rows of other columns.
   * @param open keeps what is cut off, one for each shard
   */
  push(open: GatherRows, buffer: Buffer, start: number, end: number): void {
    let at = start;
    if (open.missing > 0) {
      open.push(buffer, start, end);
      if (open.missing > 0) return;
      this.add(open.content(), 0);
      open.clear();
      at = end;
    }
    while (at < end) {
      const next = at + 1 + readInt32(buffer, at + 1);
      if (next > end) {
        open.push(buffer, at, end);
        return;
      }
      this.add(buffer, at);
      at = next;
    }
  }

  /** Adds the row whose message begins at `start`. */
  private add(buffer: Buffer, start: number): void {
    const { offsets } = this;
    const columns = offsets.length - 1;
    if (readUint16(buffer, start + HEAD_BYTES - 2) !== columns + 1) throw changedShapeError();
    let at = start + HEAD_BYTES;
    for (let column = 0; column < columns; column++) {
      offsets[column] = at;
      const length = readInt32(buffer, at);
      at += length < 0 ? 4 : 4 + length;
    }
    offsets[columns] = at;
    const isNull = readInt32(buffer, at) < 0;
    const place = isNull
      ? 0
      : this.placeOf(readInt32(buffer, at + 4) >>> 0, readInt32(buffer, at + 8) >>> 0);
    const elements = this.elements[place]!;
    for (let column = 0; column < columns; column++) {
      elements[column]!.add(buffer, offsets[column]!, offsets[column + 1]!);
    }
    this.counts[place]!++;
    this.rowCount++;
  }

  /** The rows of this place: the pieces of an array of each column. */
  arrays(place: number): Buffer[][] {
    return this.columns.map(({ elementOid }, column) =>
      arrayPieces(this.elements[place]![column]!.pieces(), this.counts[place]!, elementOid),
    );
  }
}

/** Elements of one array, one behind the other. */
class Elements {
  private readonly full: Buffer[] = [];
  private chunk: Buffer = NO_BYTES;
  private length = 0;

  add(source: Buffer, start: number, end: number): void {
    const bytes = end - start;
    if (this.length + bytes > this.chunk.length) this.begin(bytes);
    const { chunk } = this;
    let to = this.length;
    if (bytes >= COPIED_BYTES_MIN) source.copy(chunk, to, start, end);
    else for (let from = start; from < end; from++) chunk[to++] = source[from]!;
    this.length += bytes;
  }

  pieces(): readonly Buffer[] {
    return [...this.full, this.chunk.subarray(0, this.length)];
  }

  private begin(elementBytes: number): void {
    this.full.push(this.chunk.subarray(0, this.length));
    const size = Math.min(Math.max(CHUNK_BYTES_MIN, 2 * this.chunk.length), CHUNK_BYTES_MAX);
    this.chunk = Buffer.allocUnsafeSlow(Math.max(size, elementBytes));
    this.length = 0;
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0);
