import { BACKSLASH, hexDigit } from './ascii.js';

/** `\x`, which starts the hex format. */
const HEX_MARK = 0x78;

/**
 * Reads a bytea as byteain does, hex (`\x00ff`, blanks allowed between pairs) or escape format
 * (`\\`, `\377`). Writes to `into`, which must hold `end - start` bytes, and returns the number of
 * bytes written, or -1 where malformed.
 */
export function readByteaText(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
): number {
  if (end - start >= 2 && bytes[start] === BACKSLASH && bytes[start + 1] === HEX_MARK) {
    return readHex(bytes, start + 2, end, into);
  }
  return readEscaped(bytes, start, end, into);
}

function readHex(bytes: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let length = 0;
  let at = start;
  while (at < end) {
    // hex_decode skips just these four.
    const byte = bytes[at]!;
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) {
      at++;
      continue;
    }
    if (end - at < 2) return -1;
    const high = hexDigit(byte);
    const low = hexDigit(bytes[at + 1]);
    if (high < 0 || low < 0) return -1;
    into[length++] = (high << 4) | low;
    at += 2;
  }
  return length;
}

function readEscaped(bytes: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let length = 0;
  let at = start;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte !== BACKSLASH) {
      into[length++] = byte;
      at++;
    } else if (end - at >= 2 && bytes[at + 1] === BACKSLASH) {
      into[length++] = BACKSLASH;
      at += 2;
    } else {
      if (end - at < 4) return -1;
      const [high, middle, low] = [
        octal(bytes[at + 1]!),
        octal(bytes[at + 2]!),
        octal(bytes[at + 3]!),
      ];
      if (high < 0 || high > 3 || middle < 0 || low < 0) return -1;
      into[length++] = (high << 6) | (middle << 3) | low;
      at += 4;
    }
  }
  return length;
}

function octal(byte: number): number {
  return byte >= 0x30 && byte <= 0x37 ? byte - 0x30 : -1;
}
