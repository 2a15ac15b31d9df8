import { readInt32 } from '../protocol/framing.js';
import type { Comparator } from './comparator.js';

/*
 * Arrays (PostgreSQL 18, array_send): number of dimensions, has nulls, element type, for each dimension its size and
 * lower bound, then for each element its length (-1: null) and bytes; numbers have 4 bytes.
 */

const DIMENSIONS = 12;
const DIMENSION_BYTES = 8;

/**
 * Element by element, null greater than all and equal to null; then the shorter first; then by
 * the number of dimensions, all their sizes, all their lower bounds (array_cmp).
 */
export function arrayComparator(element: Comparator): Comparator {
  return (a, aStart, _aEnd, b, bStart) => {
    const aCount = elementCount(a, aStart);
    const bCount = elementCount(b, bStart);
    let left = elementsAt(a, aStart);
    let right = elementsAt(b, bStart);
    for (let n = Math.min(aCount, bCount); n > 0; n--) {
      const aLength = readInt32(a, left);
      const bLength = readInt32(b, right);
      left += 4;
      right += 4;
      const aNext = aLength < 0 ? left : left + aLength;
      const bNext = bLength < 0 ? right : right + bLength;
      if (aLength < 0 !== bLength < 0) return aLength < 0 ? 1 : -1;
      const difference = aLength < 0 ? 0 : element(a, left, aNext, b, right, bNext);
      if (difference !== 0) return difference;
      left = aNext;
      right = bNext;
    }
    if (aCount !== bCount) return aCount - bCount;
    return compareShapes(a, aStart, b, bStart);
  };
}

function elementCount(array: Buffer, start: number): number {
  const dimensions = readInt32(array, start);
  if (dimensions === 0) return 0;
  let count = 1;
  for (let i = 0; i < dimensions; i++) count *= dimensionSize(array, start, i);
  return count;
}

function elementsAt(array: Buffer, start: number): number {
  return start + DIMENSIONS + DIMENSION_BYTES * readInt32(array, start);
}

function dimensionSize(array: Buffer, start: number, dimension: number): number {
  return readInt32(array, start + DIMENSIONS + DIMENSION_BYTES * dimension);
}

function lowerBound(array: Buffer, start: number, dimension: number): number {
  return readInt32(array, start + DIMENSIONS + DIMENSION_BYTES * dimension + 4);
}

function compareShapes(a: Buffer, aStart: number, b: Buffer, bStart: number): number {
  const dimensions = readInt32(a, aStart);
  const difference = dimensions - readInt32(b, bStart);
  if (difference !== 0) return difference;
  for (let i = 0; i < dimensions; i++) {
    const sizes = dimensionSize(a, aStart, i) - dimensionSize(b, bStart, i);
    if (sizes !== 0) return sizes;
  }
  for (let i = 0; i < dimensions; i++) {
    const bounds = lowerBound(a, aStart, i) - lowerBound(b, bStart, i);
    if (bounds !== 0) return bounds;
  }
  return 0;
}
