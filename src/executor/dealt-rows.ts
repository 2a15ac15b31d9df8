import { Frontend } from '../protocol/codes.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';
import { COPY_HEADER } from './gather-feed.js';

/** Type byte, length, and the number of columns. */
const HEAD_BYTES = 7;
/** The last column: its length, and an int4. */
const PLACE_BYTES = 8;

/**
 * Rows of one input, in binary, whose last column says where each goes: they are kept without it, by
 * place, as the data of a binary COPY.
 *
 *   shard:     | D len n | fields | 4 place |
 *   to place:  | d len-8 n-1 | fields |
 */
export class DealtRows {
  private readonly places: readonly Writer[];

  /** @param places how many there are */
  constructor(places: number) {
    this.places = Array.from({ length: places }, () => {
      return new Writer().begin(Frontend.copyData).bytes(COPY_HEADER).end();
    });
  }

  /** Adds the DataRow message from `start` to `end`. */
  add(buffer: Buffer, start: number, end: number): void {
    const columns = readUint16(buffer, start + HEAD_BYTES - 2);
    this.places[readInt32(buffer, end - 4)]!.begin(Frontend.copyData)
      .int16(columns - 1)
      .bytes(buffer, start + HEAD_BYTES, end - PLACE_BYTES)
      .end();
  }

  /** The data of a COPY of the rows with this place, to its end. */
  content(place: number): Buffer {
    const writer = this.places[place]!;
    writer.begin(Frontend.copyData).int16(-1).end();
    return writer.begin(Frontend.copyDone).end().view();
  }
}
