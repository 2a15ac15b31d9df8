import { sqlError } from '../../errors/sql-error.js';
import type { CopyFormat } from '../../planner/plan.js';
import { Writer } from '../../protocol/writer.js';
import { CR, LF } from './line-ends.js';
import { VALUE_BYTES, type RowFills } from './row-fills.js';

type LineFormat = Exclude<CopyFormat, { readonly kind: 'binary' }>;

const BACKSLASH = 0x5c;
const DOT = 0x2e;

/**
 * Fills of COPY's text and CSV formats:
 *
 *   scan:  | a,1\n | b,2\n | c        how many rows end here?
 *   fill:  | a,1,17\n | b,2,18\n | c  with a value, or several, for each
 */
export class LineFills implements RowFills {
  readonly fault = null;
  private readonly format: LineFormat;
  /** A line of `\.` ends the data. */
  private readonly endMarker: boolean;
  /** Where the last field of each row ends in the chunk that was scanned last, from its start. */
  private readonly places: number[] = [];
  private header: boolean;
  private ended = false;
  /** Bytes of the current line. */
  private length = 0;
  /** The line is `\` so far, or `\.`. */
  private isMarker = false;
  /** The next byte is data, whatever it is. */
  private escaped = false;
  private quoted = false;
  private afterReturn = false;

  constructor(format: LineFormat, csvEndMarker: boolean) {
    this.format = format;
    this.endMarker = format.kind === 'text' || csvEndMarker;
    this.header = format.header;
  }

  scan(bytes: Uint8Array, start: number, end: number): number {
    this.places.length = 0;
    const isText = this.format.kind === 'text';
    for (let at = start; at < end && !this.ended; at++) {
      const byte = bytes[at]!;
      if (byte === LF && this.afterReturn) this.afterReturn = false;
      else if ((byte === LF || byte === CR) && !this.escaped && !this.quoted) {
        this.endLine(at - start);
        this.afterReturn = byte === CR;
      } else {
        this.afterReturn = false;
        this.isMarker = this.continuesMarker(byte);
        this.length++;
        if (isText) this.escaped = byte === BACKSLASH && !this.escaped;
        else this.inCsv(byte);
      }
    }
    return this.places.length;
  }

  fill(
    bytes: Uint8Array,
    start: number,
    end: number,
    rows: readonly (readonly string[])[],
  ): Buffer {
    const out = new Writer(end - start + VALUE_BYTES * rows.length);
    let from = start;
    this.places.forEach((place, row) => {
      const at = start + place;
      out.bytes(bytes, from, at);
      this.write(out, rows[row]!);
      from = at;
    });
    return out.bytes(bytes, from, end).take();
  }

  /** Whether the data ends in a row without a newline. Throws SqlError where it ends in a backslash. */
  get endsInRow(): boolean {
    if (this.length === 0 || this.ended || this.isMarker || this.quoted || this.header)
      return false;
    if (this.escaped) {
      throw sqlError('bad_copy_file_format', 'COPY data ends in a backslash', {
        hint: 'End the last line with a newline.',
      });
    }
    return true;
  }

  lastFields(values: readonly string[]): Buffer {
    const out = new Writer(VALUE_BYTES * values.length);
    this.write(out, values);
    return out.take();
  }

  private write(out: Writer, values: readonly string[]): void {
    for (const value of values) out.byte(this.format.delimiter).bytes(Buffer.from(value));
  }

  private endLine(place: number): void {
    if (this.isMarker && this.length === 2) this.ended = true;
    else if (this.header) this.header = false;
    else this.places.push(place);
    this.length = 0;
    this.isMarker = false;
  }

  private continuesMarker(byte: number): boolean {
    if (!this.endMarker) return false;
    return this.length === 0
      ? byte === BACKSLASH
      : this.isMarker && this.length === 1 && byte === DOT;
  }

  private inCsv(byte: number): void {
    const { quote, escape } = this.format as Extract<CopyFormat, { kind: 'csv' }>;
    if (this.escaped) {
      this.escaped = false;
      if (byte === quote || byte === escape) return;
    }
    if (byte === quote) this.quoted = !this.quoted;
    else if (byte === escape && this.quoted) this.escaped = true;
  }
}
