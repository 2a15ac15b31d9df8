import { Backend } from '../protocol/codes.js';
import { afterCString } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';

/**
 * An ErrorResponse without its position: in a text that the client did not write, it would point
 * anywhere. Answers a copy.
 */
export function withoutPosition(buffer: Buffer, start: number, end: number): Buffer {
  const writer = new Writer(end - start + 8);
  writer.begin(Backend.errorResponse);
  let at = start + 5;
  while (at < end && buffer[at] !== 0) {
    const next = afterCString(buffer, at + 1, end);
    if (next < 0) break;
    if (buffer[at] !== POSITION) writer.bytes(buffer, at, next);
    at = next;
  }
  return writer.byte(0).end().take();
}

/** `P`. */
const POSITION = 0x50;
