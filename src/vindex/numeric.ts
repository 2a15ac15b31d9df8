import type { KeyspaceId } from '../keyspace/keyspace-id.js';
import { MAPPED, type Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import type { KeySinks } from './key-sinks.js';

const SIGN = 0x80000000;

const sinks: KeySinks = {
  int(hi, lo, out) {
    out.hi = hi >>> 0;
    out.lo = lo >>> 0;
    return MAPPED;
  },
};

/** The sign bit turned, so that negative numbers come first. */
const places: KeySinks = {
  int(hi, lo, out) {
    out.hi = (hi ^ SIGN) >>> 0;
    out.lo = lo >>> 0;
    return MAPPED;
  },
};

/**
 * The number itself is the keyspace id, negative ones as two's complement: for keys that are spread over 64 bits
 * already. Vitess's `numeric`.
 */
export function makeNumericVindex(name: string): Vindex {
  return makeComputed({
    name,
    type: 'numeric',
    mapping: 'numeric',
    sinks,
    sql: (column) => `${column}::pg_catalog.int8`,
    order: { sinks: places, eachSpan },
  });
}

function eachSpan(
  first: KeyspaceId,
  last: KeyspaceId,
  visit: (from: KeyspaceId, to: KeyspaceId) => void,
): void {
  const from = { hi: (first.hi ^ SIGN) >>> 0, lo: first.lo };
  const to = { hi: (last.hi ^ SIGN) >>> 0, lo: last.lo };
  if (first.hi < SIGN && last.hi >= SIGN) {
    visit(from, { hi: 0xffffffff, lo: 0xffffffff });
    visit({ hi: 0, lo: 0 }, to);
    return;
  }
  visit(from, to);
}
