import { hexDigit, MINUS } from './ascii.js';

export const UUID_BYTES = 16;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Reads a uuid as uuid_in does: 32 hex digits of any case, a hyphen allowed after every group of
 * four, braces around all of it allowed. Writes 16 bytes to `into`; false where the text is no
 * uuid.
 */
export function readUuidText(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
): boolean {
  let at = start;
  const braces = bytes[at] === OPEN_BRACE && at < end;
  if (braces) at++;
  for (let index = 0; index < UUID_BYTES; index++) {
    if (end - at < 2) return false;
    const high = hexDigit(bytes[at]);
    const low = hexDigit(bytes[at + 1]);
    if (high < 0 || low < 0) return false;
    into[index] = (high << 4) | low;
    at += 2;
    const groupEnds = index % 2 === 1 && index < UUID_BYTES - 1;
    if (groupEnds && at < end && bytes[at] === MINUS) at++;
  }
  if (braces) {
    if (at >= end || bytes[at] !== CLOSE_BRACE) return false;
    at++;
  }
  return at === end;
}
