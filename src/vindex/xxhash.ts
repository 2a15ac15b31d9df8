import type { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import type { Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { digestSinks } from './digest-sinks.js';
import { xxh64 } from './xxh64.js';

const sinks = digestSinks(littleEndianXxh64);

/**
 * XXH64 of the value's text, its bytes in little-endian order: what Vitess's `xxhash` gives, so that data can be shared
 * with it. No shard can compute it.
 */
export function makeXxhashVindex(name: string): Vindex {
  return makeComputed({ name, type: 'xxhash', mapping: 'xxhash', sinks, sql: () => null });
}

/** XXH64 as Vitess turns it into a keyspace id: the least significant byte is the first. */
export function littleEndianXxh64(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: KeyspaceIdCell,
): void {
  xxh64(bytes, start, end, out);
  const { hi, lo } = out;
  out.hi = swapped(lo);
  out.lo = swapped(hi);
}

function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
