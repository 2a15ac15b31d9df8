import { hexValue, isHighSurrogate, joinSurrogates, writeCodePoint } from './code-points.js';

const PLUS = 0x2b;

/**
 * Decodes the escapes of a `U&'...'` string in place: `\XXXX`, `\+XXXXXX` and the doubled escape character. Returns
 * the new length, or -1 for what PostgreSQL refuses. Source: PostgreSQL 18, parser.c, str_udeescape.
 */
export function decodeUnicodeEscapes(text: Uint8Array, length: number, escape: number): number {
  let high = 0;
  let at = 0;
  let i = 0;
  while (i < length) {
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
      const point = joinSurrogates(high, hexValue(text, from, to, length));
      if (point < 0) return -1;
      i = to;
      high = isHighSurrogate(point) ? point : 0;
      if (high !== 0) continue;
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
