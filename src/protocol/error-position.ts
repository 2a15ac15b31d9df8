import { Backend } from './codes.js';
import { afterCString } from './framing.js';
import { Writer } from './writer.js';

/**
 * An ErrorResponse without its position: in a text that the client did not write, it would point
 * anywhere. Answers a copy.
 */
export function withoutPosition(buffer: Buffer, start: number, end: number): Buffer {
  return withPosition(buffer, start, end, () => null);
}

/**
 * An ErrorResponse of a statement that was cut out of a longer text, behind so many characters, as the
 * whole text would have had it. Answers a copy.
 */
export function movedPosition(error: Buffer, characters: number): Buffer {
  return withPosition(error, 0, error.length, (position) => position + characters);
}

/** An ErrorResponse with another position, counted in characters from 1; null: none. Answers a copy. */
export function withPosition(
  buffer: Buffer,
  start: number,
  end: number,
  change: (position: number) => number | null,
): Buffer {
  const writer = new Writer(end - start + 8);
  writer.begin(Backend.errorResponse);
  let at = start + 5;
  while (at < end && buffer[at] !== 0) {
    const next = afterCString(buffer, at + 1, end);
    if (next < 0) break;
    if (buffer[at] !== POSITION) writer.bytes(buffer, at, next);
    else {
      const position = change(Number(buffer.toString('latin1', at + 1, next - 1)));
      if (position !== null) writer.byte(POSITION).cstring(String(position));
    }
    at = next;
  }
  return writer.byte(0).end().take();
}

/** `P`. */
const POSITION = 0x50;
