import type { CopyFormat } from '../../planner/plan.js';
import { CR, END_OF_DATA, LF, LineEnds, markerNotAlone } from './line-ends.js';
import { LineFields } from './line-fields.js';
import type { RowReader } from './row-reader.js';
import type { RowRouter } from './row-router.js';
import type { ShardKey } from './shard-key.js';
import { TextKeyReader } from './text-key.js';

type TextFormat = Extract<CopyFormat, { kind: 'text' }>;

const BACKSLASH = 0x5c;
const DOT = 0x2e;

/** What the byte in front of the next one was: its meaning depends on the next one. */
type Pending = 'nothing' | 'backslash' | 'return' | 'marker' | 'marker return';

/** Rows of COPY's text format (PostgreSQL 18, COPY, File Formats: Text Format; CopyReadLineText). */
export class TextRows implements RowReader {
  private readonly router: RowRouter;
  private readonly fields: LineFields;
  private readonly lineEnds = new LineEnds(false);
  /** By byte: 1 where a line cannot just be walked over. */
  private readonly breaksField: Uint8Array;
  private readonly breaksLine: Uint8Array;
  private pending: Pending = 'nothing';
  /** The backslash that is pending is the first byte of its line. */
  private atLineStart = false;

  constructor(format: TextFormat, columnCount: number, key: ShardKey, router: RowRouter) {
    this.router = router;
    const reader = new TextKeyReader(format, key);
    this.fields = new LineFields(router, key, reader, columnCount, format.header);
    this.breaksLine = byteSet(LF, CR, BACKSLASH);
    this.breaksField = byteSet(LF, CR, BACKSLASH, format.delimiter);
  }

  read(bytes: Buffer, start: number, end: number): void {
    const { router, fields } = this;
    let at = start;
    while (at < end && !router.ended) {
      if (this.pending !== 'nothing') {
        at = this.afterPending(bytes[at]!, at);
        continue;
      }
      const breaks = fields.seeksKey ? this.breaksField : this.breaksLine;
      while (at < end && breaks[bytes[at]!] === 0) at++;
      if (at < end) at = this.atBreak(bytes[at]!, at);
    }
  }

  finish(): void {
    switch (this.pending) {
      case 'marker':
      case 'marker return':
        throw markerNotAlone();
      case 'return':
        this.lineEnds.afterReturn(END_OF_DATA);
        this.fields.endLine(0);
        return;
      default:
        // The last line needs no newline; a backslash at its very end does not count.
        if (!this.router.rowBegun) return;
        this.fields.endContent(0, this.pending === 'backslash' ? 1 : 0);
        this.fields.endLine(0);
    }
  }

  /** Answers where to go on. */
  private atBreak(byte: number, at: number): number {
    switch (byte) {
      case LF:
        this.lineEnds.lineFeed();
        this.fields.endContent(at);
        this.fields.endLine(at + 1);
        break;
      case CR:
        if (this.lineEnds.carriageReturn()) {
          this.fields.endContent(at);
          this.fields.endLine(at + 1);
        } else {
          this.fields.endContent(at);
          this.pending = 'return';
        }
        break;
      case BACKSLASH:
        this.pending = 'backslash';
        this.atLineStart = !this.router.routed && this.router.offset(at) === 0;
        break;
      default:
        this.fields.delimiter(at);
    }
    return at + 1;
  }

  private afterPending(byte: number, at: number): number {
    const { pending } = this;
    this.pending = 'nothing';
    if (pending === 'backslash') {
      // Whatever follows is data, newline and delimiter too; only a dot is not.
      if (byte === DOT) {
        if (!this.atLineStart) throw markerNotAlone();
        this.pending = 'marker';
      }
    } else if (pending === 'return') {
      const next = this.lineEnds.afterReturn(byte) ? at + 1 : at;
      this.fields.endLine(next);
      return next;
    } else if (pending === 'marker') {
      if (this.lineEnds.afterMarker(byte)) this.router.endData();
      else this.pending = 'marker return';
    } else {
      this.lineEnds.afterMarkerReturn(byte);
      this.router.endData();
    }
    return at + 1;
  }
}

/** A table by byte, 1 for the given ones. */
export function byteSet(...bytes: readonly number[]): Uint8Array {
  const set = new Uint8Array(256);
  for (const byte of bytes) set[byte] = 1;
  return set;
}
