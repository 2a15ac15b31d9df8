import type { CopyFormat } from '../../planner/plan.js';
import type { KeyField, RowKind, RowReader } from './copy-splitter.js';
import { LineEnds } from './line-ends.js';
import { equals } from './text-rows.js';

type CsvFormat = Extract<CopyFormat, { kind: 'csv' }>;

const LF = 0x0a;
const CR = 0x0d;
const END_MARKER = Buffer.from('\\.', 'latin1');

/** Rows of COPY's CSV format (PostgreSQL 18, COPY, File Formats). */
export class CsvRows implements RowReader {
  private readonly format: CsvFormat;
  private readonly field: number;
  private readonly lineEnds = new LineEnds(true);
  private readonly endMarker: boolean;
  private headerDue: boolean;

  constructor(format: CsvFormat, field: number, endMarker: boolean) {
    this.endMarker = endMarker;
    this.format = format;
    this.field = field;
    this.headerDue = format.header;
  }

  rowEnd(bytes: Buffer, start: number, end: number): number {
    const { quote, escape } = this.format;
    const newline = bytes.indexOf(LF, start);
    if (newline < 0 || newline >= end) return -1;
    const firstQuote = bytes.indexOf(quote, start);
    if (firstQuote < 0 || firstQuote > newline) return this.endAt(bytes, start, newline);
    let quoted = false;
    for (let at = firstQuote; at < end; at++) {
      const byte = bytes[at]!;
      if (quoted && byte === escape && escape !== quote) {
        const next = bytes[at + 1];
        if (at + 1 < end && (next === quote || next === escape)) at++;
      } else if (byte === quote) quoted = !quoted;
      else if (byte === LF && !quoted) return this.endAt(bytes, start, at);
    }
    return -1;
  }

  readRow(bytes: Buffer, start: number, end: number, key: KeyField): RowKind {
    const stop = this.lineEnds.contentEnd(bytes, start, end);
    if (this.headerDue) {
      this.headerDue = false;
      return 'for all';
    }
    if (this.endMarker && equals(bytes, start, stop, END_MARKER)) return 'end of data';
    let at = start;
    for (let field = 0; ; field++) {
      const wanted = field === this.field;
      const next = this.readField(bytes, at, stop, wanted ? key : null);
      if (wanted) return this.kindOf(key);
      if (next === stop) return 'incomplete';
      at = next + 1;
    }
  }

  private endAt(bytes: Buffer, start: number, newline: number): number {
    this.lineEnds.check(bytes, start, newline);
    return newline + 1;
  }

  private wasQuoted = false;

  private kindOf(key: KeyField): RowKind {
    const { nullText, defaultText, forceNotNull, forceNull } = this.format;
    const isNull = equals(key.bytes, key.start, key.end, nullText);
    if (isNull && (this.wasQuoted ? forceNull : !forceNotNull)) return 'null key';
    if (!this.wasQuoted && defaultText !== null) {
      if (equals(key.bytes, key.start, key.end, defaultText)) return 'default key';
    }
    return 'row';
  }

  /** Walks the field at `from`; answers where its delimiter stands, or `stop`. `out` gets its value. */
  private readField(bytes: Buffer, from: number, stop: number, out: KeyField | null): number {
    const { delimiter, quote, escape } = this.format;
    let quoted = false;
    let sawQuote = false;
    const value = out === null ? null : new Uint8Array(stop - from);
    let length = 0;
    let at = from;
    for (; at < stop; at++) {
      let byte = bytes[at]!;
      if (!quoted) {
        if (byte === delimiter) break;
        if (byte === CR) throw this.lineEnds.strayReturn();
        if (byte === quote) {
          quoted = true;
          sawQuote = true;
          continue;
        }
      } else {
        const next = at + 1 < stop ? bytes[at + 1] : -1;
        if (byte === escape && (next === quote || next === escape)) byte = bytes[++at]!;
        else if (byte === quote) {
          quoted = false;
          continue;
        }
      }
      if (value !== null) value[length++] = byte;
    }
    if (out !== null) {
      out.bytes = value!;
      out.start = 0;
      out.end = length;
      this.wasQuoted = sawQuote;
    }
    return at;
  }
}
