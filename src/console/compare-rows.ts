import type { Row, Value } from './column.js';

export interface SortKey {
  readonly column: number;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

/** Text compares by its UTF-16 code units, which is the order of its bytes for almost all text. */
export function compareValues(a: Exclude<Value, null>, b: Exclude<Value, null>): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export function compareRows(a: Row, b: Row, keys: readonly SortKey[]): number {
  for (const key of keys) {
    const left = a[key.column] ?? null;
    const right = b[key.column] ?? null;
    if (left === null || right === null) {
      if (left === right) continue;
      return (left === null) === key.nullsFirst ? -1 : 1;
    }
    const order = compareValues(left, right);
    if (order !== 0) return key.descending ? -order : order;
  }
  return 0;
}
