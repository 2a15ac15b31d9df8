import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';

/**
 * XXH64 with seed 0 (the xxHash fast digest algorithm, specification 0.1.1, section 3). 64-bit numbers are two 32-bit
 * halves in cells: a BigInt would cost ten times as much.
 */

/** PRIME64_1 to PRIME64_5, upper and lower halves. */
const P1_HI = 0x9e3779b1;
const P1_LO = 0x85ebca87;
const P2_HI = 0xc2b2ae3d;
const P2_LO = 0x27d4eb4f;
const P3_HI = 0x165667b1;
const P3_LO = 0x9e3779f9;
const P4_HI = 0x85ebca77;
const P4_LO = 0xc2b2ae63;
const P5_HI = 0x27d4eb2f;
const P5_LO = 0x165667c5;
const STRIPE_BYTES = 32;

const lanes = [
  new KeyspaceIdCell(),
  new KeyspaceIdCell(),
  new KeyspaceIdCell(),
  new KeyspaceIdCell(),
] as const;
const acc = new KeyspaceIdCell();
const lane = new KeyspaceIdCell();

/** XXH64 of `[start, end)`, most significant half first. */
export function xxh64(bytes: Uint8Array, start: number, end: number, out: KeyspaceIdCell): void {
  const length = end - start;
  let at = start;
  if (length >= STRIPE_BYTES) {
    at = readStripes(bytes, start, end);
  } else {
    set(acc, P5_HI, P5_LO);
  }
  add(acc, Math.floor(length / 0x100000000), length >>> 0);
  for (; end - at >= 8; at += 8) {
    set(lane, 0, 0);
    round(lane, word(bytes, at + 4), word(bytes, at));
    xor(acc, lane.hi, lane.lo);
    rotate(acc, 27);
    multiply(acc, P1_HI, P1_LO);
    add(acc, P4_HI, P4_LO);
  }
  if (end - at >= 4) {
    set(lane, 0, word(bytes, at));
    multiply(lane, P1_HI, P1_LO);
    xor(acc, lane.hi, lane.lo);
    rotate(acc, 23);
    multiply(acc, P2_HI, P2_LO);
    add(acc, P3_HI, P3_LO);
    at += 4;
  }
  for (; at < end; at++) {
    set(lane, 0, bytes[at]!);
    multiply(lane, P5_HI, P5_LO);
    xor(acc, lane.hi, lane.lo);
    rotate(acc, 11);
    multiply(acc, P1_HI, P1_LO);
  }
  avalanche();
  out.hi = acc.hi;
  out.lo = acc.lo;
}

/** Takes all whole stripes into four lanes and these into `acc`; returns where the rest begins. */
function readStripes(bytes: Uint8Array, start: number, end: number): number {
  const [a, b, c, d] = lanes;
  set(a, P1_HI, P1_LO);
  add(a, P2_HI, P2_LO);
  set(b, P2_HI, P2_LO);
  set(c, 0, 0);
  set(d, ~P1_HI >>> 0, -P1_LO >>> 0);
  let at = start;
  for (; end - at >= STRIPE_BYTES; at += STRIPE_BYTES) {
    for (let index = 0; index < 4; index++) {
      const from = at + 8 * index;
      round(lanes[index]!, word(bytes, from + 4), word(bytes, from));
    }
  }
  set(acc, 0, 0);
  for (let index = 0; index < 4; index++) {
    const own = lanes[index]!;
    set(lane, own.hi, own.lo);
    rotate(lane, [1, 7, 12, 18][index]!);
    add(acc, lane.hi, lane.lo);
  }
  for (const own of lanes) {
    set(lane, 0, 0);
    round(lane, own.hi, own.lo);
    xor(acc, lane.hi, lane.lo);
    multiply(acc, P1_HI, P1_LO);
    add(acc, P4_HI, P4_LO);
  }
  return at;
}

function round(cell: KeyspaceIdCell, hi: number, lo: number): void {
  const { hi: oldHi, lo: oldLo } = cell;
  set(cell, hi, lo);
  multiply(cell, P2_HI, P2_LO);
  add(cell, oldHi, oldLo);
  rotate(cell, 31);
  multiply(cell, P1_HI, P1_LO);
}

function avalanche(): void {
  shiftXor(33);
  multiply(acc, P2_HI, P2_LO);
  shiftXor(29);
  multiply(acc, P3_HI, P3_LO);
  shiftXor(32);
}

/** acc ^= acc >>> bits, for 0 < bits < 64. */
function shiftXor(bits: number): void {
  const { hi, lo } = acc;
  if (bits >= 32) {
    acc.lo = (lo ^ (hi >>> (bits - 32))) >>> 0;
    return;
  }
  acc.hi = (hi ^ (hi >>> bits)) >>> 0;
  acc.lo = (lo ^ ((lo >>> bits) | (hi << (32 - bits)))) >>> 0;
}

function set(cell: KeyspaceIdCell, hi: number, lo: number): void {
  cell.hi = hi;
  cell.lo = lo;
}

function xor(cell: KeyspaceIdCell, hi: number, lo: number): void {
  cell.hi = (cell.hi ^ hi) >>> 0;
  cell.lo = (cell.lo ^ lo) >>> 0;
}

function add(cell: KeyspaceIdCell, hi: number, lo: number): void {
  const sum = cell.lo + lo;
  cell.hi = (cell.hi + hi + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  cell.lo = sum >>> 0;
}

/** To the left, by 0 < bits < 32. */
function rotate(cell: KeyspaceIdCell, bits: number): void {
  const { hi, lo } = cell;
  cell.hi = ((hi << bits) | (lo >>> (32 - bits))) >>> 0;
  cell.lo = ((lo << bits) | (hi >>> (32 - bits))) >>> 0;
}

/** The lower 64 bits of the product. Products of 16-bit digits stay below 2^32, their sums below 2^53. */
function multiply(cell: KeyspaceIdCell, hi: number, lo: number): void {
  const a0 = cell.lo & 0xffff;
  const a1 = cell.lo >>> 16;
  const b0 = lo & 0xffff;
  const b1 = lo >>> 16;
  const low = a0 * b0;
  const middle = a1 * b0 + (low >>> 16);
  const upper = a0 * b1 + (middle % 0x10000);
  const carry = a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(upper / 0x10000);
  cell.hi = (carry + Math.imul(cell.hi, lo) + Math.imul(cell.lo, hi)) >>> 0;
  cell.lo = Math.imul(cell.lo, lo) >>> 0;
}

/** Little-endian. */
function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}
