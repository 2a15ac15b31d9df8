const HIGH_SURROGATE = 0xd800;
const LOW_SURROGATE = 0xdc00;
const SURROGATE_END = 0xe000;
const CODE_POINT_MAX = 0x10ffff;

/** How many characters a text has in `[start, end)`: positions in errors count these. */
export function characterCount(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return [...text.toString('utf8', start, end)].length;
}

/** The value of the hex digits in `[from, to)`; -1 where one is missing or `to` lies behind `end`. */
export function hexValue(bytes: Uint8Array, from: number, to: number, end: number): number {
  if (to > end) return -1;
  let value = 0;
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!;
    const lower = byte | 0x20;
    if (byte >= 0x30 && byte <= 0x39) value = value * 16 + byte - 0x30;
    else if (lower >= 0x61 && lower <= 0x66) value = value * 16 + lower - 0x57;
    else return -1;
  }
  return value;
}

/** Writes one code point as UTF-8 and returns the place behind it; -1 for zero, surrogates and beyond U+10FFFF. */
export function writeCodePoint(target: Uint8Array, at: number, point: number): number {
  if (point <= 0 || point > CODE_POINT_MAX) return -1;
  if (point >= HIGH_SURROGATE && point < SURROGATE_END) return -1;
  let i = at;
  if (point < 0x80) target[i++] = point;
  else if (point < 0x800) {
    target[i++] = 0xc0 | (point >> 6);
    target[i++] = 0x80 | (point & 0x3f);
  } else if (point < 0x10000) {
    target[i++] = 0xe0 | (point >> 12);
    target[i++] = 0x80 | ((point >> 6) & 0x3f);
    target[i++] = 0x80 | (point & 0x3f);
  } else {
    target[i++] = 0xf0 | (point >> 18);
    target[i++] = 0x80 | ((point >> 12) & 0x3f);
    target[i++] = 0x80 | ((point >> 6) & 0x3f);
    target[i++] = 0x80 | (point & 0x3f);
  }
  return i;
}

/** The first half of a pair: its other half must be the next escape. */
export function isHighSurrogate(point: number): boolean {
  return point >= HIGH_SURROGATE && point < LOW_SURROGATE;
}

/** The code point of an escape behind the half `high`, or behind none (0); -1 where the two make no pair. */
export function joinSurrogates(high: number, point: number): number {
  if (high === 0) return point;
  if (point < LOW_SURROGATE || point >= SURROGATE_END) return -1;
  return ((high - HIGH_SURROGATE) << 10) + (point - LOW_SURROGATE) + 0x10000;
}
