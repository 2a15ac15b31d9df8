import { sqlError, SqlError } from '../../errors/sql-error.js';
import { Writer } from '../../protocol/writer.js';
import { HEADER_BYTES, SIGNATURE, TRAILER } from './binary-rows.js';
import type { ToBinary } from '../../vindex/values/binary-ids.js';
import { VALUE_BYTES, type RowFills } from './row-fills.js';

type State = 'header' | 'count' | 'length' | 'value' | 'over';

/** Where the chunk is changed, from its start: a field count has ended, or the last field of a row. */
interface Edit {
  readonly place: number;
  /** The count to send; null: values come here. */
  readonly count: number | null;
  /** Bytes of the chunk in front of it that it takes the place of. */
  readonly replaces: number;
}

const COUNT_BYTES = 2;
const LENGTH_BYTES = 4;
const FLAGS_END = SIGNATURE.length + LENGTH_BYTES;

/**
 * Fills of COPY's binary format. A field count that comes in two chunks is sent with the second one.
 *
 *   scan:  |header|2|4,abcd|4,efgh|2|4,ij            how many rows end here?
 *   fill:  |header|3|4,abcd|4,efgh|8,........|3|4,ij
 *
 * Data that cannot be read passes as it is: whoever reads it next says why.
 */
export class BinaryFills implements RowFills {
  fault: SqlError | null = null;
  readonly endsInRow = false;
  private readonly given: number;
  private readonly writers: readonly ToBinary[];
  private faultPlace = 0;
  private edits: Edit[] = [];
  private state: State = 'header';
  /** Bytes so far of the header or of the number that is being read, and its value. */
  private read = 0;
  private number = 0;
  /** Bytes of the value, or of the header's extension, that are still to come. */
  private remaining = 0;
  /** Fields of the row that have ended; the header's extension counts as one in front of them. */
  private field = -1;

  /** @param given how many columns the data has */
  constructor(given: number, writers: readonly ToBinary[]) {
    this.given = given;
    this.writers = writers;
  }

  scan(bytes: Uint8Array, start: number, end: number): number {
    this.edits = [];
    let rows = 0;
    let at = start;
    while (at < end && this.state !== 'over') {
      if (this.state !== 'value') this.readByte(bytes[at]!, ++at - start);
      else {
        const step = Math.min(this.remaining, end - at);
        at += step;
        this.remaining -= step;
      }
      if (this.state === 'value' && this.remaining === 0 && this.endsRow(at - start)) rows++;
    }
    return rows;
  }

  fill(
    bytes: Uint8Array,
    start: number,
    end: number,
    rows: readonly (readonly string[])[],
  ): Buffer {
    const out = new Writer(end - start + VALUE_BYTES * this.writers.length * rows.length);
    let [from, row, rowStart] = [start, 0, 0];
    for (const { place, count, replaces } of this.edits) {
      const at = start + place;
      out.bytes(bytes, from, at - replaces);
      if (count === null) {
        if (!this.wrote(out, rows[row++]!)) return out.take().subarray(0, rowStart);
      } else {
        rowStart = out.size;
        out.int16(count);
      }
      from = at;
    }
    return out.bytes(bytes, from, Math.max(from, this.stop(start, end))).take();
  }

  lastFields(values: readonly string[]): Buffer {
    const out = new Writer(VALUE_BYTES * values.length);
    this.wrote(out, values);
    return out.take();
  }

  /** What stands in front of a fault, or of half a count, is sent. */
  private stop(start: number, end: number): number {
    if (this.fault !== null) return start + this.faultPlace;
    return this.state === 'count' && this.read > 0 ? end - 1 : end;
  }

  /** False: a column cannot hold its value. */
  private wrote(out: Writer, values: readonly string[]): boolean {
    try {
      const fields = values.map((value, column) => this.writers[column]!(value));
      for (const bytes of fields) out.int32(bytes.length).bytes(bytes);
      return true;
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      this.state = 'over';
      this.fault = error;
      return false;
    }
  }

  private readByte(byte: number, place: number): void {
    this.number = (this.number << 8) | byte;
    this.read++;
    if (this.state === 'header') this.inHeader(byte);
    else if (this.state === 'count') {
      if (this.read === COUNT_BYTES) this.gotCount((this.number << 16) >> 16, place);
    } else if (this.read === LENGTH_BYTES) this.beginValue(this.number, -1);
  }

  private inHeader(byte: number): void {
    const { read } = this;
    const isForeign = read <= SIGNATURE.length && byte !== SIGNATURE[read - 1];
    // The upper half of the flags is for what a reader must know.
    if (isForeign || (read === FLAGS_END && this.number >> 16 !== 0)) this.state = 'over';
    else if (read === HEADER_BYTES) this.beginValue(this.number, 0);
  }

  private gotCount(count: number, place: number): void {
    if (count === this.given || count === TRAILER) {
      const isRow = count === this.given;
      const replaces = Math.min(place, COUNT_BYTES);
      this.edits.push({ place, count: isRow ? count + this.writers.length : count, replaces });
      this.expect(isRow ? 'length' : 'over');
      return;
    }
    this.state = 'over';
    const message = `row field count is ${count}, expected ${this.given}`;
    this.fault = sqlError('bad_copy_file_format', message);
    this.faultPlace = Math.max(0, place - COUNT_BYTES);
  }

  private beginValue(length: number, least: number): void {
    if (length < least) {
      this.state = 'over';
      return;
    }
    this.expect('value');
    this.remaining = Math.max(0, length);
  }

  /** A value ends in front of `place`. */
  private endsRow(place: number): boolean {
    this.field++;
    const isLast = this.field === this.given;
    const isData = this.field > 0;
    if (isLast || !isData) {
      this.field = 0;
      this.expect('count');
    } else this.expect('length');
    if (isLast && isData) this.edits.push({ place, count: null, replaces: 0 });
    return isLast && isData;
  }

  private expect(state: State): void {
    this.state = state;
    this.read = 0;
    this.number = 0;
  }
}
