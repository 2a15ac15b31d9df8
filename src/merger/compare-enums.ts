import { equalBytes } from '../protocol/framing.js';
import type { Comparator } from './comparator.js';

/**
 * Enums by the order of their labels, which stand for them in binary format too (PostgreSQL 18, enum_send). A label
 * that was added since does not compare.
 * @param labels of one type, in their order
 */
export function enumComparator(labels: readonly string[]): Comparator {
  const known = labels.map((label) => Buffer.from(label));
  return (a, aStart, aEnd, b, bStart, bEnd) =>
    rankOf(known, a, aStart, aEnd) - rankOf(known, b, bStart, bEnd);
}

/** NaN: none of them. */
function rankOf(labels: readonly Buffer[], buffer: Buffer, start: number, end: number): number {
  for (let rank = 0; rank < labels.length; rank++) {
    if (equalBytes(labels[rank]!, buffer, start, end)) return rank;
  }
  return NaN;
}
