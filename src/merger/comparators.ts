import type { EnumLabels } from '../keyspace/catalog.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { arrayComparator } from './compare-arrays.js';
import { compareBits, compareBpchar, compareBytes, compareInet } from './compare-bytes.js';
import {
  compareBool,
  compareFloat4,
  compareFloat8,
  compareInt2,
  compareInt4,
  compareInt8,
  compareUint4,
} from './compare-numbers.js';
import { enumComparator } from './compare-enums.js';
import { compareNumeric } from './compare-numeric.js';
import { compareInterval, compareTime, compareTimetz } from './compare-times.js';
import type { Comparator } from './comparator.js';

interface Entry {
  /** OID of the type (PostgreSQL 18, pg_type.dat). */
  readonly type: number;
  /** OID of the type of arrays of it. */
  readonly array: number;
  readonly compare: Comparator;
  /** Its order depends on a collation. */
  readonly collated?: boolean;
}

/** All types whose order is computed here; a new one is one line. */
const entries: readonly Entry[] = [
  { type: TypeOid.bool, array: 1000, compare: compareBool },
  { type: TypeOid.bytea, array: 1001, compare: compareBytes },
  { type: TypeOid.char, array: 1002, compare: compareBytes },
  { type: TypeOid.int8, array: 1016, compare: compareInt8 },
  { type: TypeOid.int2, array: 1005, compare: compareInt2 },
  { type: TypeOid.int4, array: 1007, compare: compareInt4 },
  { type: TypeOid.oid, array: 1028, compare: compareUint4 },
  { type: TypeOid.float4, array: 1021, compare: compareFloat4 },
  { type: TypeOid.float8, array: 1022, compare: compareFloat8 },
  { type: TypeOid.numeric, array: 1231, compare: compareNumeric },
  { type: TypeOid.date, array: 1182, compare: compareInt4 },
  { type: TypeOid.time, array: 1183, compare: compareTime },
  { type: TypeOid.timestamp, array: 1115, compare: compareTime },
  { type: TypeOid.timestamptz, array: 1185, compare: compareTime },
  { type: TypeOid.interval, array: 1187, compare: compareInterval },
  { type: /* timetz */ 1266, array: 1270, compare: compareTimetz },
  { type: TypeOid.uuid, array: 2951, compare: compareBytes },
  { type: /* tid: block, place */ 27, array: 1010, compare: compareBytes },
  { type: /* money */ 790, array: 791, compare: compareInt8 },
  { type: /* macaddr */ 829, array: 1040, compare: compareBytes },
  { type: /* macaddr8 */ 774, array: 775, compare: compareBytes },
  { type: /* inet */ 869, array: 1041, compare: compareInet },
  { type: /* cidr */ 650, array: 651, compare: compareInet },
  { type: /* bit */ 1560, array: 1561, compare: compareBits },
  { type: /* varbit */ 1562, array: 1563, compare: compareBits },
  { type: /* pg_lsn */ 3220, array: 3221, compare: compareBytes },
  { type: /* xid8 */ 5069, array: 271, compare: compareBytes },
  { type: TypeOid.text, array: 1009, compare: compareBytes, collated: true },
  { type: TypeOid.varchar, array: 1015, compare: compareBytes, collated: true },
  { type: TypeOid.name, array: 1003, compare: compareBytes, collated: true },
  { type: TypeOid.bpchar, array: 1014, compare: compareBpchar, collated: true },
];

const comparators = new Map<number, { readonly compare: Comparator; readonly collated: boolean }>();
for (const { type, array, compare, collated = false } of entries) {
  comparators.set(type, { compare, collated });
  comparators.set(array, { compare: arrayComparator(compare), collated });
}

/**
 * How values of a type compare in its default order, and 0 where `=` holds; null: that is not known
 * here.
 * @param textByBytes text is in UTF-8 on both sides and its collation orders by bytes
 * @param enums `Catalog.enums`, where they are known
 */
export function comparatorFor(
  typeOid: number,
  textByBytes: boolean,
  enums?: ReadonlyMap<number, EnumLabels>,
): Comparator | null {
  const own = enums?.get(typeOid);
  if (own !== undefined) {
    const compare = enumComparator(own.labels);
    return own.isArray ? arrayComparator(compare) : compare;
  }
  const known = comparators.get(typeOid);
  return known === undefined || (known.collated && !textByBytes) ? null : known.compare;
}
