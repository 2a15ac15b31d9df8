import type { KeyspaceIdCell } from '../keyspace/keyspace-id.js';

/**
 * The first 64 bits of an MD5 digest (RFC 1321). Shard keys are short: one block takes a fifth of what a call of
 * node:crypto costs, and allocates nothing.
 */

const BLOCK_BYTES = 64;
/** Where the count of bits stands in the last block. */
const LENGTH_AT = 56;
/** Shifts of the four rounds, four each (RFC 1321, 3.4). */
const shifts = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
/** floor(2^32 * |sin(i + 1)|), as 32-bit integers. */
const sines = Int32Array.from({ length: 64 }, (_unused, i) =>
  Math.floor(Math.abs(Math.sin(i + 1)) * 0x100000000),
);

const state = new Int32Array(4);
const words = new Int32Array(16);
const tail = new Uint8Array(2 * BLOCK_BYTES);

/** The first eight bytes of MD5(`[start, end)`), big-endian. */
export function md5Start(bytes: Uint8Array, start: number, end: number, out: KeyspaceIdCell): void {
  state[0] = 0x67452301;
  state[1] = 0xefcdab89;
  state[2] = 0x98badcfe;
  state[3] = 0x10325476;
  const length = end - start;
  let at = start;
  for (; end - at >= BLOCK_BYTES; at += BLOCK_BYTES) digestBlock(bytes, at);
  const rest = end - at;
  for (let index = 0; index < rest; index++) tail[index] = bytes[at + index]!;
  tail[rest] = 0x80;
  const size = rest < LENGTH_AT ? BLOCK_BYTES : 2 * BLOCK_BYTES;
  tail.fill(0, rest + 1, size);
  // Bits of the length, little-endian; a message is no longer than 2^31 bytes.
  const bits = length * 8;
  for (let index = 0; index < 5; index++) {
    tail[size - 8 + index] = Math.floor(bits / 2 ** (8 * index)) & 0xff;
  }
  for (let block = 0; block < size; block += BLOCK_BYTES) digestBlock(tail, block);
  out.hi = swapped(state[0]);
  out.lo = swapped(state[1]);
}

function digestBlock(bytes: Uint8Array, at: number): void {
  for (let index = 0; index < 16; index++) {
    const from = at + 4 * index;
    words[index] =
      bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24);
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  for (let step = 0; step < 64; step++) {
    const turn = step >>> 4;
    let mixed: number;
    let word: number;
    if (turn === 0) {
      mixed = (b & c) | (~b & d);
      word = step;
    } else if (turn === 1) {
      mixed = (d & b) | (~d & c);
      word = (5 * step + 1) & 15;
    } else if (turn === 2) {
      mixed = b ^ c ^ d;
      word = (3 * step + 5) & 15;
    } else {
      mixed = c ^ (b | ~d);
      word = (7 * step) & 15;
    }
    const sum = (mixed + a + sines[step]! + words[word]!) | 0;
    const shift = shifts[turn * 4 + (step & 3)]!;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
}

/** A little-endian word as the number that its bytes are in big-endian order. */
function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
