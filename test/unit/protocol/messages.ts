import { Writer } from '../../../src/protocol/writer.js';

/** One message of `type` (a letter) with this content. */
export function message(
  type: string,
  ...content: readonly (string | number | Uint8Array)[]
): Buffer {
  const writer = new Writer(16).begin(type.charCodeAt(0));
  for (const part of content) {
    if (typeof part === 'number') writer.int16(part);
    else writer.bytes(typeof part === 'string' ? Buffer.from(part, 'utf8') : part);
  }
  return writer.end().take();
}

/** Four bytes, big-endian. */
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}
