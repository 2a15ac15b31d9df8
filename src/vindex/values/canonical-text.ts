const ZERO = 0x30;
const MINUS = 0x2d;
const HYPHEN_BYTES = [4, 6, 8, 10];
/** Splits an int8 into parts that doubles hold: a remainder times 2^32 stays below 2^52, a quotient below 2^44. */
const CHUNK = 1_000_000;
const CHUNK_DIGITS = 6;

/** Room for a uuid and for any int8 with its sign. */
export const CANONICAL_BYTES_MAX = 36;

/**
 * Writes two's complement int8 halves as decimal digits, as int8out does, right-aligned in the first
 * `CANONICAL_BYTES_MAX` bytes. Returns where they begin.
 */
export function writeInt64(hi: number, lo: number, into: Uint8Array): number {
  const negative = (hi | 0) < 0;
  // The magnitude; that of the least int8 is right as an unsigned number.
  const low = negative ? -lo >>> 0 : lo >>> 0;
  const high = negative ? (~hi + (low === 0 ? 1 : 0)) >>> 0 : hi >>> 0;
  const rest = (high % CHUNK) * 0x100000000 + low;
  const upper = Math.floor(high / CHUNK) * 0x100000000 + Math.floor(rest / CHUNK);
  let at = writeDigits(rest % CHUNK, upper === 0 ? 1 : CHUNK_DIGITS, CANONICAL_BYTES_MAX, into);
  if (upper > 0) at = writeDigits(upper, 1, at, into);
  if (negative) into[--at] = MINUS;
  return at;
}

/** In front of `end`, with at least so many digits. */
function writeDigits(value: number, digitsMin: number, end: number, into: Uint8Array): number {
  let at = end;
  let left = value;
  do {
    into[--at] = ZERO + (left % 10);
    left = Math.floor(left / 10);
  } while (left > 0 || end - at < digitsMin);
  return at;
}

/** Writes the 16 bytes of a uuid as uuid_out does, into `CANONICAL_BYTES_MAX` bytes. */
export function writeUuid(bytes: Uint8Array, start: number, into: Uint8Array): void {
  let at = 0;
  for (let index = 0; index < 16; index++) {
    if (HYPHEN_BYTES.includes(index)) into[at++] = MINUS;
    const byte = bytes[start + index]!;
    into[at++] = hexDigit(byte >>> 4);
    into[at++] = hexDigit(byte & 15);
  }
}

function hexDigit(value: number): number {
  return value < 10 ? ZERO + value : 0x57 + value;
}
