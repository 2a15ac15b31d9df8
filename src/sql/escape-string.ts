import { hexValue, isHighSurrogate, joinSurrogates, writeCodePoint } from './code-points.js';
import { BACKSLASH, QUOTE } from './lexer.js';

/** What the letters behind a backslash stand for; any other character stands for itself. */
const controls: Readonly<Record<number, number>> = {
  0x62: 0x08,
  0x66: 0x0c,
  0x6e: 0x0a,
  0x72: 0x0d,
  0x74: 0x09,
  0x76: 0x0b,
};

/**
 * Decodes `[from, to)`, one piece of an `E'...'` string, into `target` at `length`; returns the new length, or -1
 * where an escape is malformed. Bytes made by octal and hex escapes are not checked for being UTF-8.
 * Source: PostgreSQL 18, scan.l, the states xe and xeu.
 */
export function decodeEscapes(
  bytes: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  length: number,
): number {
  let at = length;
  let high = 0;
  let i = from;
  while (i < to) {
    const byte = bytes[i]!;
    const next = bytes[i + 1] ?? 0;
    if (byte === BACKSLASH && (next === 0x75 || next === 0x55)) {
      const digits = next === 0x75 ? 4 : 8;
      const point = joinSurrogates(high, hexValue(bytes, i + 2, i + 2 + digits, to));
      i += 2 + digits;
      high = isHighSurrogate(point) ? point : 0;
      if (high !== 0) continue;
      at = writeCodePoint(target, at, point);
      if (at < 0) return -1;
      continue;
    }
    // A high surrogate must be followed by a low one at once.
    if (high !== 0) return -1;
    if (byte !== BACKSLASH) {
      target[at++] = byte;
      i += byte === QUOTE ? 2 : 1;
    } else if (isOctal(next)) {
      let value = 0;
      let k = i + 1;
      for (; k < to && k < i + 4 && isOctal(bytes[k]!); k++) value = value * 8 + bytes[k]! - 0x30;
      target[at++] = value & 0xff;
      i = k;
    } else if (next === 0x78 && hexValue(bytes, i + 2, i + 3, to) >= 0) {
      const two = hexValue(bytes, i + 2, i + 4, to);
      target[at++] = two >= 0 ? two : hexValue(bytes, i + 2, i + 3, to);
      i += two >= 0 ? 4 : 3;
    } else {
      target[at++] = controls[next] ?? next;
      i += 2;
    }
  }
  return high === 0 ? at : -1;
}

function isOctal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x37;
}
