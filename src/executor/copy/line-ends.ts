import { sqlError, type SqlError } from '../../errors/sql-error.js';

const LF = 0x0a;
const CR = 0x0d;

/**
 * Which newline a COPY uses. Postgres takes it from the first line and refuses any other afterwards; a shard that gets
 * only some of the lines might not notice, so it is checked here.
 */
export class LineEnds {
  private crlf: boolean | null = null;
  private readonly csv: boolean;

  constructor(csv: boolean) {
    this.csv = csv;
  }

  /**
   * Checks the newline at `at` of a line that began at `start`. Carriage returns inside the line are the caller's to
   * find: `strayReturn`.
   */
  check(bytes: Uint8Array, start: number, at: number): void {
    const crlf = at > start && bytes[at - 1] === CR;
    if (this.crlf === null) this.crlf = crlf;
    else if (this.crlf !== crlf) throw this.crlf ? this.strayNewline() : this.strayReturn();
  }

  /** The line's end without its newline. */
  contentEnd(bytes: Uint8Array, start: number, end: number): number {
    let stop = end;
    if (stop > start && bytes[stop - 1] === LF) stop--;
    if (this.crlf === true && stop > start && bytes[stop - 1] === CR) stop--;
    return stop;
  }

  strayReturn(): SqlError {
    return sqlError(
      'bad_copy_file_format',
      this.csv ? 'unquoted carriage return found in data' : 'literal carriage return found in data',
      {
        hint: this.csv
          ? 'Use quoted CSV field to represent carriage return.'
          : 'Use "\\r" to represent carriage return; lines must end in \\n or \\r\\n.',
      },
    );
  }

  private strayNewline(): SqlError {
    return sqlError(
      'bad_copy_file_format',
      this.csv ? 'unquoted newline found in data' : 'literal newline found in data',
      {
        hint: this.csv
          ? 'Use quoted CSV field to represent newline.'
          : 'Use "\\n" to represent newline.',
      },
    );
  }
}
