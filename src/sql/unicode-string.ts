const HIGH_SURROGATE = 0xd800;
const LOW_SURROGATE = 0xdc00;
const SURROGATE_END = 0xe000;
const CODE_POINT_MAX = 0x10ffff;
const PLUS = 0x2b;

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

/**
 * Decodes the escapes of a `U&'...'` string in place: `\XXXX`, `\+XXXXXX` and the doubled escape character. Returns
 * the new length, or -1 for what PostgreSQL refuses. Source: PostgreSQL 18, parser.c, str_udeescape.
 */
export function decodeUnicodeEscapes(text: Uint8Array, length: number, escape: number): number {
  let high = 0;
  let at = 0;
  let i = 0;
  while (i < length) {
    let point = -1;
    if (text[i] === escape && text[i + 1] === escape && i + 1 < length) {
      if (high !== 0) return -1;
      text[at++] = escape;
      i += 2;
      continue;
    }
    if (text[i] === escape) {
      const long = text[i + 1] === PLUS && i + 1 < length;
      const from = long ? i + 2 : i + 1;
      const to = from + (long ? 6 : 4);
      point = hexValue(text, from, to, length);
      if (point < 0) return -1;
      i = to;
      if (high !== 0) {
        if (point < LOW_SURROGATE || point >= SURROGATE_END) return -1;
        point = ((high - HIGH_SURROGATE) << 10) + (point - LOW_SURROGATE) + 0x10000;
        high = 0;
      } else if (point >= HIGH_SURROGATE && point < LOW_SURROGATE) {
        high = point;
        continue;
      }
      // Never longer than the escape it replaces, so writing in place is safe.
      at = writeCodePoint(text, at, point);
      if (at < 0) return -1;
      continue;
    }
    if (high !== 0) return -1;
    text[at++] = text[i++]!;
  }
  return high === 0 ? at : -1;
}
