import type { Vindex } from '../keyspace/vindex.js';
import { makeComputed } from './computed.js';
import { hashParts, hashSinks, hashSql } from './hash.js';

/**
 * The ids of `hash`. What makes it a consistent hash are the key ranges of shards that have weights
 * (`keyspace/ring.ts`).
 */
export function makeRingVindex(name: string): Vindex {
  return makeComputed({
    name,
    type: 'ring',
    mapping: 'hash',
    sinks: hashSinks,
    sql: hashSql,
    parts: hashParts('ring'),
  });
}
