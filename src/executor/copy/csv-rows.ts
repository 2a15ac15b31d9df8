import { sqlError } from '../../errors/sql-error.js';
import { CsvKeyReader, type CsvFormat } from './csv-key.js';
import { CR, END_OF_DATA, LF, LineEnds } from './line-ends.js';
import { LineFields } from './line-fields.js';
import type { RowReader } from './row-reader.js';
import type { RowRouter } from './row-router.js';
import type { ShardKey } from './shard-key.js';
import { isText } from './text-key.js';
import { byteSet } from './text-rows.js';

const BACKSLASH = 0x5c;
const DOT = 0x2e;
const END_MARKER = Uint8Array.of(BACKSLASH, DOT);

/** What the byte in front of the next one was: its meaning depends on the next one. */
type Pending = 'nothing' | 'escape' | 'return';

/** Rows of COPY's CSV format (PostgreSQL 18, COPY, File Formats: CSV Format; CopyReadLineText). */
export class CsvRows implements RowReader {
  private readonly format: CsvFormat;
  /** A line of `\.` ends the data, as it did before PostgreSQL 18. */
  private readonly endMarker: boolean;
  private readonly router: RowRouter;
  private readonly fields: LineFields;
  private readonly lineEnds = new LineEnds(true);
  /** By byte: 1 where a line cannot just be walked over. */
  private readonly breaksField: Uint8Array;
  private readonly breaksLine: Uint8Array;
  private readonly breaksQuotes: Uint8Array;
  private quoted = false;
  private pending: Pending = 'nothing';
  /** The current line is an end marker. */
  private isMarker = false;

  constructor(
    format: CsvFormat,
    columnCount: number,
    key: ShardKey,
    router: RowRouter,
    endMarker: boolean,
  ) {
    checkCharacters(format, endMarker);
    this.format = format;
    this.endMarker = endMarker;
    this.router = router;
    const reader = new CsvKeyReader(format, key);
    this.fields = new LineFields(router, key, reader, columnCount, format.header);
    this.breaksLine = byteSet(LF, CR, format.quote);
    this.breaksField = byteSet(LF, CR, format.quote, format.delimiter);
    this.breaksQuotes = byteSet(LF, CR, format.quote, format.escape);
  }

  read(bytes: Buffer, start: number, end: number): void {
    const { router, fields } = this;
    let at = start;
    while (at < end && !router.ended) {
      if (this.pending !== 'nothing') {
        at = this.afterPending(bytes[at]!, at);
        continue;
      }
      let breaks = this.breaksQuotes;
      if (!this.quoted) breaks = fields.seeksKey ? this.breaksField : this.breaksLine;
      while (at < end && breaks[bytes[at]!] === 0) at++;
      if (at < end) {
        if (this.quoted) this.inQuotes(bytes[at]!);
        else this.atBreak(bytes[at]!, at);
        at++;
      }
    }
  }

  finish(): void {
    if (this.pending === 'return') {
      this.lineEnds.afterReturn(END_OF_DATA);
      this.endLine(0);
    } else if (this.router.rowBegun) {
      // The last line needs no newline, and is no marker without one. Quotes that never end are for a shard to refuse.
      if (this.quoted && !this.router.routed) this.fields.giveUp();
      this.fields.endContent(0);
      this.fields.endLine(0);
    }
  }

  private inQuotes(byte: number): void {
    // Where both are one character, two of them toggle twice: the same lines, the same fields.
    if (byte === this.format.quote) this.quoted = false;
    else if (byte === LF) this.router.lines.innerLineFeed();
    else if (byte === CR) this.router.lines.innerReturn();
    else this.pending = 'escape';
  }

  private atBreak(byte: number, at: number): void {
    if (byte === this.format.quote) this.quoted = true;
    else if (byte === LF) {
      this.lineEnds.lineFeed();
      this.endContent(at);
      this.endLine(at + 1);
    } else if (byte === CR) {
      const ends = this.lineEnds.carriageReturn();
      this.endContent(at);
      if (ends) this.endLine(at + 1);
      else this.pending = 'return';
    } else this.fields.delimiter(at);
  }

  private afterPending(byte: number, at: number): number {
    const { pending } = this;
    this.pending = 'nothing';
    if (pending === 'return') {
      const next = this.lineEnds.afterReturn(byte) ? at + 1 : at;
      this.endLine(next);
      return next;
    }
    const { quote, escape } = this.format;
    return byte === quote || byte === escape ? at + 1 : at;
  }

  private endContent(at: number): void {
    const { router } = this;
    if (this.endMarker && !router.routed && router.offset(at) === END_MARKER.length) {
      const end = router.rowBytes(at);
      this.isMarker = isText(router.row, router.rowBase, end, END_MARKER);
    }
    if (!this.isMarker) this.fields.endContent(at);
  }

  private endLine(at: number): void {
    this.router.lines.endsWithLineFeed = this.lineEnds.areLineFeeds;
    if (this.isMarker) this.router.endData();
    else this.fields.endLine(at);
  }
}

/** Refuses characters that Postgres reads as two things at once. */
function checkCharacters(format: CsvFormat, endMarker: boolean): void {
  const { quote, escape, delimiter } = format;
  if ([quote, escape].some((byte) => byte === LF || byte === CR)) {
    throw sqlError('feature_not_supported', 'COPY with a newline as QUOTE or ESCAPE', {
      hint: 'Use a printable character.',
    });
  }
  if (endMarker && [quote, delimiter].some((byte) => byte === BACKSLASH || byte === DOT)) {
    throw sqlError('feature_not_supported', 'COPY of CSV with \\ or . as QUOTE or DELIMITER', {
      detail: 'Before PostgreSQL 18 a line of \\. ends CSV data.',
      hint: 'Use another character.',
    });
  }
}
