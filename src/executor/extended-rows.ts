import { Backend } from '../protocol/codes.js';
import { readUint16 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';

/** Type, length and number of fields of a DataRow. */
const HEAD_BYTES = 7;

/** The DataRow message `[start, end)` with further fields at its end, as text. */
export function withFields(
  buffer: Buffer,
  start: number,
  end: number,
  values: readonly string[],
): Buffer {
  const writer = new Writer(end - start + 64);
  writer.begin(Backend.dataRow).int16(readUint16(buffer, start + 5) + values.length);
  writer.bytes(buffer, start + HEAD_BYTES, end);
  for (const value of values) {
    const bytes = Buffer.from(value);
    writer.int32(bytes.length).bytes(bytes);
  }
  return writer.end().take();
}
