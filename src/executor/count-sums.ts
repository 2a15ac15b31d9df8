import { Backend } from '../protocol/codes.js';
import { readInt32, readUint16 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';

/**
 * Adds up the one row of counts that each shard answers. Counts are bigints, in text or in binary (8 bytes) as the
 * client asked for each column.
 */
export class CountSums {
  private readonly pending = new Map<number, Buffer>();
  private readonly sums: bigint[] = [];
  private readonly isBinary: (column: number) => boolean;

  constructor(isBinary: (column: number) => boolean) {
    this.isBinary = isBinary;
  }

  /** Takes DataRow bytes of the shard at `position`, cut anywhere. */
  push(position: number, buffer: Buffer, start: number, end: number): void {
    const before = this.pending.get(position);
    const piece = buffer.subarray(start, end);
    // The bytes are the backend's again when this returns.
    const bytes = before === undefined ? Buffer.from(piece) : Buffer.concat([before, piece]);
    if (bytes.length < 5 || bytes.length < readInt32(bytes, 1) + 1) {
      this.pending.set(position, bytes);
      return;
    }
    this.pending.delete(position);
    this.add(bytes);
  }

  /** The DataRow of the sums. */
  row(): Buffer {
    const writer = new Writer(64).begin(Backend.dataRow).int16(this.sums.length);
    this.sums.forEach((sum, column) => {
      if (this.isBinary(column)) {
        const value = Buffer.alloc(8);
        value.writeBigInt64BE(sum);
        writer.int32(8).bytes(value);
      } else {
        const text = Buffer.from(String(sum), 'latin1');
        writer.int32(text.length).bytes(text);
      }
    });
    return writer.end().take();
  }

  private add(row: Buffer): void {
    const columns = readUint16(row, 5);
    let at = 7;
    for (let column = 0; column < columns; column++) {
      const length = readInt32(row, at);
      at += 4;
      const value = this.isBinary(column)
        ? row.readBigInt64BE(at)
        : BigInt(row.toString('latin1', at, at + length));
      this.sums[column] = (this.sums[column] ?? 0n) + value;
      at += length;
    }
  }
}
