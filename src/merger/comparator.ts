/**
 * Compares two values of one type, each in PostgreSQL's binary format and in place: `[aStart, aEnd)`
 * of `a` with `[bStart, bEnd)` of `b`. Negative: `a` comes first in ascending order; 0: equal.
 * Neither is NULL. Allocates nothing. A value that is not of the type gives any order, no error;
 * NaN: it may be of the type by now, and its place is not known.
 */
export type Comparator = (
  a: Buffer,
  aStart: number,
  aEnd: number,
  b: Buffer,
  bStart: number,
  bEnd: number,
) => number;
