import { sqlError, type SqlError } from '../../errors/sql-error.js';

export const LF = 0x0a;
export const CR = 0x0d;
/** Stands for the byte behind the last one. */
export const END_OF_DATA = -1;

type Style = 'unknown' | 'lf' | 'cr' | 'crlf';

/**
 * Which newline a COPY uses. Postgres takes it from the first line and refuses every other one from then on; a shard
 * that gets only some of the lines might not notice, so it is checked here, and a first line on any shard gives the
 * style that the whole data has.
 */
export class LineEnds {
  private style: Style = 'unknown';
  private readonly csv: boolean;

  constructor(csv: boolean) {
    this.csv = csv;
  }

  /** Lines end with a line feed alone, as far as is known. */
  get areLineFeeds(): boolean {
    return this.style === 'lf';
  }

  /** A line feed ends a line, one that does not follow a carriage return. */
  lineFeed(): void {
    if (this.style === 'cr' || this.style === 'crlf') throw this.strayNewline();
    this.style = 'lf';
  }

  /** A carriage return ends a line; false: the byte behind it decides where, by `afterReturn`. */
  carriageReturn(): boolean {
    if (this.style === 'lf') throw this.strayReturn();
    return this.style === 'cr';
  }

  /** Whether `byte`, which follows a carriage return, belongs to the same newline. */
  afterReturn(byte: number): boolean {
    if (byte === LF) {
      this.style = 'crlf';
      return true;
    }
    if (this.style === 'crlf') throw this.strayReturn();
    this.style = 'cr';
    return false;
  }

  /**
   * What the byte behind text format's `\.` makes of it. True: the marker is complete; false: it is so far, and the
   * next byte goes to `afterMarkerReturn`.
   */
  afterMarker(byte: number): boolean {
    const { style } = this;
    if (byte !== CR && byte !== LF) throw markerNotAlone();
    const fits = style === 'unknown' || (style === 'lf' ? byte === LF : byte === CR);
    if (!fits) throw markerMismatch();
    return style !== 'crlf';
  }

  afterMarkerReturn(byte: number): void {
    if (byte === CR) throw markerMismatch();
    if (byte !== LF) throw markerNotAlone();
  }

  private strayReturn(): SqlError {
    return this.csv
      ? malformed(
          'unquoted carriage return found in data',
          'Use quoted CSV field to represent carriage return.',
        )
      : malformed(
          'literal carriage return found in data',
          'Use "\\r" to represent carriage return.',
        );
  }

  private strayNewline(): SqlError {
    return this.csv
      ? malformed('unquoted newline found in data', 'Use quoted CSV field to represent newline.')
      : malformed('literal newline found in data', 'Use "\\n" to represent newline.');
  }
}

/** Before 18 Postgres took the row in front of such a marker; nobody writes that on purpose. */
export function markerNotAlone(): SqlError {
  return malformed('end-of-copy marker is not alone on its line');
}

function markerMismatch(): SqlError {
  return malformed('end-of-copy marker does not match previous newline style');
}

function malformed(message: string, hint?: string): SqlError {
  return sqlError('bad_copy_file_format', message, { hint });
}
