import type { CopyOutFormat } from '../../planner/plan.js';
import { Backend } from '../../protocol/codes.js';
import { readInt32, readUint16 } from '../../protocol/framing.js';
import type { Writer } from '../../protocol/writer.js';
import { COPY_HEADER } from '../gather-feed.js';

const BACKSLASH = 0x5c;
const LF = 0x0a;
const CR = 0x0d;
/** Of binary format: -1. */
const TRAILER = 0xffff;
const END_MARKER = Buffer.from('\\.');
/** Letters that stand for control characters in text format (PostgreSQL 18, CopyAttributeOutText). */
const LETTERS: ReadonlyMap<number, number> = new Map(
  [...'\b\f\n\r\t\v'].map((char, i) => [char.charCodeAt(0), 'bfnrtv'.charCodeAt(i)]),
);

/**
 * Writes rows as COPY TO STDOUT does: CopyOutResponse, a CopyData message a row, CopyDone. Rows come as DataRow
 * messages, of values in text, or in binary for the binary format.
 */
export class CopyWriter {
  rowCount = 0;
  private readonly format: CopyOutFormat;
  private readonly columns: readonly string[];
  /** By byte: 1 where a text value cannot just be walked over. */
  private readonly special: Uint8Array;

  /** @param columns names of the result's columns */
  constructor(format: CopyOutFormat, columns: readonly string[]) {
    this.format = format;
    this.columns = columns;
    this.special = specialBytes(format);
  }

  /** What comes in front of the rows. */
  begin(out: Writer): void {
    const { format, columns } = this;
    const code = format.kind === 'binary' ? 1 : 0;
    out.begin(Backend.copyOutResponse).byte(code).int16(columns.length);
    for (const _ of columns) out.int16(code);
    out.end();
    if (format.kind === 'binary' || !format.header) return;
    out.begin(Backend.copyData);
    columns.forEach((name, column) => {
      const bytes = Buffer.from(name);
      if (column > 0) out.byte(format.delimiter);
      if (format.kind === 'csv') this.csvValue(out, bytes, 0, bytes.length, false);
      else this.textValue(out, bytes, 0, bytes.length);
    });
    out.byte(LF).end();
  }

  /** The DataRow at `[start, end)`. */
  row(out: Writer, buffer: Buffer, start: number, end: number): void {
    const { format } = this;
    out.begin(Backend.copyData);
    if (format.kind === 'binary') {
      if (this.rowCount === 0) out.bytes(COPY_HEADER);
      out.bytes(buffer, start + 5, end);
    } else {
      this.fields(out, format, buffer, start);
      out.byte(LF);
    }
    out.end();
    this.rowCount++;
  }

  /** What comes behind the rows. */
  end(out: Writer): void {
    if (this.format.kind === 'binary') {
      out.begin(Backend.copyData);
      if (this.rowCount === 0) out.bytes(COPY_HEADER);
      out.int16(TRAILER).end();
    }
    out.begin(Backend.copyDone).end();
  }

  private fields(
    out: Writer,
    format: Exclude<CopyOutFormat, { readonly kind: 'binary' }>,
    buffer: Buffer,
    start: number,
  ): void {
    const count = readUint16(buffer, start + 5);
    let at = start + 7;
    for (let column = 0; column < count; column++) {
      if (column > 0) out.byte(format.delimiter);
      const length = readInt32(buffer, at);
      at += 4;
      if (length < 0) {
        out.bytes(format.nullText);
        continue;
      }
      if (format.kind === 'csv') {
        this.csvValue(out, buffer, at, at + length, format.quotesAll);
      } else this.textValue(out, buffer, at, at + length);
      at += length;
    }
  }

  private textValue(out: Writer, buffer: Buffer, start: number, end: number): void {
    const { special } = this;
    let from = start;
    for (let at = start; at < end; at++) {
      const byte = buffer[at]!;
      if (special[byte] === 0) continue;
      out.bytes(buffer, from, at).byte(BACKSLASH);
      const letter = LETTERS.get(byte);
      if (letter === undefined) from = at;
      else {
        out.byte(letter);
        from = at + 1;
      }
    }
    out.bytes(buffer, from, end);
  }

  private csvValue(out: Writer, buffer: Buffer, start: number, end: number, force: boolean): void {
    const { format } = this;
    if (format.kind !== 'csv') return;
    if (!force && !this.needsQuotes(format.nullText, buffer, start, end)) {
      out.bytes(buffer, start, end);
      return;
    }
    const { quote, escape } = format;
    out.byte(quote);
    let from = start;
    for (let at = start; at < end; at++) {
      const byte = buffer[at]!;
      if (byte !== quote && byte !== escape) continue;
      out.bytes(buffer, from, at).byte(escape);
      from = at;
    }
    out.bytes(buffer, from, end).byte(quote);
  }

  /** It would be taken for NULL, for the end of the data, or for more than one value. */
  private needsQuotes(nullText: Uint8Array, buffer: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length === nullText.length && buffer.compare(nullText, 0, length, start, end) === 0) {
      return true;
    }
    if (this.columns.length === 1 && length === END_MARKER.length) {
      if (buffer.compare(END_MARKER, 0, length, start, end) === 0) return true;
    }
    const { special } = this;
    for (let at = start; at < end; at++) if (special[buffer[at]!] === 1) return true;
    return false;
  }
}

function specialBytes(format: CopyOutFormat): Uint8Array {
  const special = new Uint8Array(256);
  if (format.kind === 'binary') return special;
  special[format.delimiter] = 1;
  if (format.kind === 'csv') for (const byte of [format.quote, LF, CR]) special[byte] = 1;
  else {
    special[BACKSLASH] = 1;
    for (const byte of LETTERS.keys()) special[byte] = 1;
  }
  return special;
}
