import type { BackendConnection } from '../backend/postgres/connection.js';
import { Frontend } from '../protocol/codes.js';
import { readInt32 } from '../protocol/framing.js';

/** Signature, no flags, no header extension (PostgreSQL 18, COPY, Binary Format). */
export const COPY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
/** Pieces up to this are copied into the next write; larger ones are written from where they are. */
const COPIED_MAX = 4096;

/** Rows of the shards on their way into a COPY of the home. */
export interface GatherFeed {
  readonly rowCount: number;
  begin(): void;
  /**
   * Passes a piece of a shard's rows on: the rest of a row, or rows of which the last may be cut off.
   * May write into the buffer. False: the home has not taken it yet, and the buffer is in use.
   */
  rows(buffer: Buffer, start: number, end: number, isRest: boolean): boolean;
  /** Adds rows that were kept, as CopyData messages with the content of DataRow. */
  kept(messages: Buffer, rowCount: number): void;
  /** The end of the data. */
  end(): void;
}

/**
 * A COPY ... FROM STDIN (FORMAT binary). What comes from the
 * shards leaves as it is, in messages that are always whole, so that CopyFail may follow at any time:
 *
 *   shard: | D len row | D len row | D len ro   w |
 *   home:  | d len row | d len row | d len ro | d len w |
 */
export class BinaryFeed implements GatherFeed {
  rowCount = 0;
  private readonly home: BackendConnection;

  constructor(home: BackendConnection) {
    this.home = home;
  }

  begin(): void {
    this.rowCount = 0;
    this.home.out.begin(Frontend.copyData).bytes(COPY_HEADER).end();
  }

  rows(buffer: Buffer, start: number, end: number, isRest: boolean): boolean {
    const { home } = this;
    if (isRest) {
      if (end - start <= COPIED_MAX) {
        home.out.begin(Frontend.copyData).bytes(buffer, start, end).end();
        return !home.congested;
      }
      home.out.byte(Frontend.copyData).int32(4 + end - start);
      return home.writeThrough(buffer.subarray(start, end));
    }
    let at = start;
    while (at < end) {
      const next = at + 1 + readInt32(buffer, at + 1);
      buffer[at] = Frontend.copyData;
      if (next > end) buffer.writeInt32BE(end - at - 1, at + 1);
      this.rowCount++;
      at = next;
    }
    if (end - start <= COPIED_MAX) {
      home.out.bytes(buffer, start, end);
      return home.out.size < COPIED_MAX || home.flush();
    }
    return home.writeThrough(buffer.subarray(start, end));
  }

  kept(messages: Buffer, rowCount: number): void {
    this.rowCount += rowCount;
    this.home.out.bytes(messages);
  }

  end(): void {
    const { home } = this;
    home.out.begin(Frontend.copyData).int16(-1).end();
    home.out.begin(Frontend.copyDone).end();
    home.copyingIn = false;
  }
}
