import { readInt32 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';

/** DataRow messages, with where each came from, that are kept until their shards can be told. */
export class WaitingRows<Origin> {
  private readonly messages = new Writer(INITIAL_BYTES);
  private readonly origins: Origin[] = [];

  add(origin: Origin, buffer: Buffer, start: number, end: number): void {
    this.messages.bytes(buffer, start, end);
    this.origins.push(origin);
  }

  /** In the order in which they came. */
  each(visit: (origin: Origin, buffer: Buffer, start: number, end: number) => void): void {
    const buffer = this.messages.view();
    let at = 0;
    for (const origin of this.origins) {
      const end = at + 1 + readInt32(buffer, at + 1);
      visit(origin, buffer, at, end);
      at = end;
    }
  }
}

const INITIAL_BYTES = 4096;
