import type { Comparator } from './comparator.js';
import type { RowCursor } from './row-cursor.js';

/** One key of an ORDER BY. */
interface OrderedKey {
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

/** The values of the sort keys of a row, in one buffer; an end of -1 is NULL. */
export interface KeyValues {
  readonly row: Buffer;
  readonly keyStarts: Int32Array;
  readonly keyEnds: Int32Array;
}

/** The order of rows by their keys: the first that differs decides. */
export class KeyOrder {
  /** Some values could not be compared: no order that was told counts. */
  unsure = false;
  private readonly keys: readonly OrderedKey[];
  private readonly comparators: readonly Comparator[];

  /** @param comparators one for each key */
  constructor(keys: readonly OrderedKey[], comparators: readonly Comparator[]) {
    this.keys = keys;
    this.comparators = comparators;
  }

  /** Negative: `a` comes first; 0: ties. */
  compare(a: KeyValues, b: KeyValues): number {
    const { keys, comparators } = this;
    for (let i = 0; i < keys.length; i++) {
      const aEnd = a.keyEnds[i]!;
      const bEnd = b.keyEnds[i]!;
      if (aEnd < 0 || bEnd < 0) {
        if (aEnd < 0 && bEnd < 0) continue;
        return aEnd < 0 === keys[i]!.nullsFirst ? -1 : 1;
      }
      const aStart = a.keyStarts[i]!;
      const difference = comparators[i]!(a.row, aStart, aEnd, b.row, b.keyStarts[i]!, bEnd);
      if (difference === 0) continue;
      this.unsure ||= Number.isNaN(difference);
      return keys[i]!.descending ? -difference : difference;
    }
    return 0;
  }
}

/** The keys of the row that the cursor is at, copied, as the row does not stay. */
export function copyKeys({ row, keyStarts, keyEnds }: RowCursor): KeyValues {
  const from = keyStarts[0] ?? 0;
  const to = keyEnds.reduce((end, value) => Math.max(end, value), from);
  return {
    row: Buffer.from(row.subarray(from, to)),
    keyStarts: keyStarts.map((start) => start - from),
    keyEnds: keyEnds.map((end) => (end < 0 ? -1 : end - from)),
  };
}
