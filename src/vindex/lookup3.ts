import type { KeyspaceIdCell } from '../keyspace/keyspace-id.js';

/**
 * PostgreSQL's extended hashes with seed 0, bit for bit: Bob Jenkins' lookup3 as
 * hash_bytes_extended and hash_uint32_extended use it, in the byte order of little-endian machines,
 * which is what every supported server platform has. All arithmetic is on 32-bit integers (`| 0`);
 * a BigInt would cost ten times as much.
 */

/** The golden ratio plus the constant that PostgreSQL's hash_bytes adds to the length. */
const INITIAL = (0x9e3779b9 + 3923095) | 0;
const BLOCK_BYTES = 12;

/** hash_bytes_extended(bytes, length, 0): text, bytea and uuid hash their bytes like this. */
export function hashBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: KeyspaceIdCell,
): void {
  let a = (INITIAL + (end - start)) | 0;
  let b = a;
  let c = a;
  let at = start;
  for (; end - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
    a = (a + word(bytes, at)) | 0;
    b = (b + word(bytes, at + 4)) | 0;
    c = (c + word(bytes, at + 8)) | 0;
    // lookup3's mix()
    a = ((a - c) | 0) ^ ((c << 4) | (c >>> 28));
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ ((a << 6) | (a >>> 26));
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ ((b << 8) | (b >>> 24));
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ ((c << 16) | (c >>> 16));
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
  }
  // Up to 11 bytes are left. Those of c start one byte up: lookup3 reserves its lowest byte for the
  // length.
  const rest = end - at;
  for (let index = 0; index < rest; index++) {
    const byte = bytes[at + index]!;
    if (index < 4) a = (a + (byte << (8 * index))) | 0;
    else if (index < 8) b = (b + (byte << (8 * (index - 4)))) | 0;
    else c = (c + (byte << (8 * (index - 7)))) | 0;
  }
  finish(a, b, c, out);
}

/** hash_uint32_extended(value, 0). */
export function hashUint32(value: number, out: KeyspaceIdCell): void {
  const start = (INITIAL + 4) | 0;
  finish((start + value) | 0, start, start, out);
}

/**
 * hashint8extended(value, 0), the value given as two's complement halves (signed or unsigned). It
 * folds the upper half so that a value that fits into int2 or int4 hashes as hashint2extended and
 * hashint4extended hash it.
 */
export function hashInt64(hi: number, lo: number, out: KeyspaceIdCell): void {
  const upper = hi | 0;
  hashUint32((lo | 0) ^ (upper >= 0 ? upper : ~upper), out);
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** lookup3's final(); PostgreSQL's 64-bit result is b above c. */
function finish(a: number, b: number, c: number, out: KeyspaceIdCell): void {
  c = ((c ^ b) - ((b << 14) | (b >>> 18))) | 0;
  a = ((a ^ c) - ((c << 11) | (c >>> 21))) | 0;
  b = ((b ^ a) - ((a << 25) | (a >>> 7))) | 0;
  c = ((c ^ b) - ((b << 16) | (b >>> 16))) | 0;
  a = ((a ^ c) - ((c << 4) | (c >>> 28))) | 0;
  b = ((b ^ a) - ((a << 14) | (a >>> 18))) | 0;
  c = ((c ^ b) - ((b << 24) | (b >>> 8))) | 0;
  out.hi = b >>> 0;
  out.lo = c >>> 0;
}
