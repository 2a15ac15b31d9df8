import { signedId, type KeyspaceId, type KeyspaceIdCell } from '../keyspace/keyspace-id.js';

/** Bits of a keyspace id. */
export interface IdField {
  /** How many bits stand in front of it. */
  readonly at: number;
  /** At least 1. */
  readonly bits: number;
  /** It holds the last bits of a part; else the first ones. */
  readonly last: boolean;
}

/** Writes the bits of a part into a field of the id in the cell, where there are zeros. */
export function addField({ at, bits, last }: IdField, part: KeyspaceId, out: KeyspaceIdCell): void {
  let { hi, lo } = part;
  if (last) {
    const shift = 64 - bits;
    if (shift >= 32) {
      hi = lo << (shift - 32);
      lo = 0;
    } else if (shift > 0) {
      hi = (hi << shift) | (lo >>> (32 - shift));
      lo <<= shift;
    }
  }
  if (bits < 64) {
    hi &= firstBits(bits);
    lo &= firstBits(bits - 32);
  }
  if (at >= 32) {
    out.lo = (out.lo | (hi >>> (at - 32))) >>> 0;
  } else if (at > 0) {
    out.hi = (out.hi | (hi >>> at)) >>> 0;
    out.lo = (out.lo | (lo >>> at) | (hi << (32 - at))) >>> 0;
  } else {
    out.hi = (out.hi | hi) >>> 0;
    out.lo = (out.lo | lo) >>> 0;
  }
}

/** The id that has ones in a field, and zeros elsewhere. */
export function fieldMask({ at, bits }: Pick<IdField, 'at' | 'bits'>): KeyspaceId {
  const mask = { hi: 0, lo: 0 };
  if (bits > 0) {
    addField({ at, bits, last: false }, { hi: 0xffffffff, lo: 0xffffffff }, mask);
  }
  return mask;
}

/** What `addField` writes of a part that is given as SQL, a bigint. */
export function fieldSql(field: IdField, part: string): string {
  const { at, bits, last } = field;
  const shifted = last ? `(${part}) << ${64 - bits - at}` : `(${part}) >> ${at}`;
  return `((${shifted}) & '${signedId(fieldMask(field))}'::pg_catalog.int8)`;
}

/** Of 32 bits the first ones; of less than none none, of more all. */
function firstBits(count: number): number {
  if (count <= 0) return 0;
  return count >= 32 ? -1 : -1 << (32 - count);
}
