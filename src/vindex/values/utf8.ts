/**
 * The number of characters of a UTF-8 text, or -1 where PostgreSQL refuses it: a NUL byte, an
 * overlong form, a surrogate, a character above U+10FFFF or a cut sequence (pg_utf8_islegal).
 */
export function utf8Length(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return lengthFrom(bytes, at, end, at - start);
    if (byte === 0) return -1;
  }
  return end - start;
}

function lengthFrom(bytes: Uint8Array, start: number, end: number, before: number): number {
  let characters = before;
  let at = start;
  while (at < end) {
    const size = sequenceBytes(bytes[at]!);
    if (size === 0 || at + size > end) return -1;
    if (size > 1 && !isLegal(bytes, at, size)) return -1;
    at += size;
    characters++;
  }
  return characters;
}

/**
 * Bytes of the sequence that this byte starts; 0: it starts none. C0, C1 and F5.. could only start
 * illegal ones.
 */
function sequenceBytes(lead: number): number {
  if (lead < 0x80) return lead === 0 ? 0 : 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

function isLegal(bytes: Uint8Array, at: number, size: number): boolean {
  for (let index = 1; index < size; index++) {
    if ((bytes[at + index]! & 0xc0) !== 0x80) return false;
  }
  const second = bytes[at + 1]!;
  switch (bytes[at]!) {
    case 0xe0:
      return second >= 0xa0;
    case 0xed:
      return second <= 0x9f;
    case 0xf0:
      return second >= 0x90;
    case 0xf4:
      return second <= 0x8f;
    default:
      return true;
  }
}

/**
 * The first bytes that are no UTF-8, as PostgreSQL's message names them (`0xe2 0x28 0xa1`); null
 * where there are none (PostgreSQL 18, mbutils.c, report_invalid_encoding).
 */
export function utf8Error(bytes: Uint8Array, start: number, end: number): string | null {
  let at = start;
  while (at < end) {
    const size = sequenceBytes(bytes[at]!);
    if (size === 0 || at + size > end || (size > 1 && !isLegal(bytes, at, size))) break;
    at += size;
  }
  if (at >= end) return null;
  const stop = Math.min(end, at + announcedBytes(bytes[at]!));
  const named = [...bytes.subarray(at, stop)].map((byte) => byte.toString(16).padStart(2, '0'));
  return named.map((digits) => `0x${digits}`).join(' ');
}

/** Length of a sequence by its first byte alone, legal or not (pg_utf_mblen). */
function announcedBytes(lead: number): number {
  if ((lead & 0xe0) === 0xc0) return 2;
  if ((lead & 0xf0) === 0xe0) return 3;
  return (lead & 0xf8) === 0xf0 ? 4 : 1;
}
