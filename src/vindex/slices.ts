import type { KeyspaceId, KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import { MAPPED, NO_MATCH, type KeyOrder, type MapOutcome } from '../keyspace/vindex.js';
import { compareBytes, compareInt64, type KeyLiteral } from './key-literals.js';
import type { KeyFamily, KeySinks } from './key-sinks.js';
import { compareDecimals, DecimalCell } from './values/decimal.js';

/*
 * Slices of ordered values:
 *
 *     slice 0         slice 1            slice 2
 *     ------------- | ---------------- | ------------->  values
 *              boundary 0         boundary 1             each begins the slice behind it
 *     place: 1        2: the boundary; 3: inside
 *
 * So a place tells whether its slice has smaller values.
 */

/** Boundaries that grow, and the one value that is looked for among them. */
abstract class Boundaries<B> {
  readonly #boundaries: readonly B[];

  constructor(boundaries: readonly B[]) {
    this.#boundaries = boundaries;
  }

  /** The value less the boundary, in sign. */
  protected abstract compare(boundary: B): number;

  /** Writes the value's place. */
  find(out: KeyspaceIdCell): MapOutcome {
    const boundaries = this.#boundaries;
    let slice = 0;
    let high = boundaries.length;
    let inside = 1;
    while (slice < high) {
      const middle = (slice + high) >>> 1;
      const difference = this.compare(boundaries[middle]!);
      if (difference < 0) {
        high = middle;
      } else {
        slice = middle + 1;
        inside = difference === 0 ? 0 : 1;
      }
    }
    out.hi = 0;
    out.lo = 2 * slice + inside;
    return MAPPED;
  }
}

class Int64Boundaries extends Boundaries<{ readonly hi: number; readonly lo: number }> {
  hi = 0;
  lo = 0;

  protected compare(boundary: { readonly hi: number; readonly lo: number }): number {
    return compareInt64(this.hi, this.lo, boundary);
  }
}

const NO_BYTES = new Uint8Array(0);

class BytesBoundaries extends Boundaries<Uint8Array> {
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;

  protected compare(boundary: Uint8Array): number {
    return compareBytes(this.bytes, this.start, this.end, boundary);
  }
}

class DecimalBoundaries extends Boundaries<DecimalCell> {
  value = new DecimalCell();

  protected compare(boundary: DecimalCell): number {
    return compareDecimals(this.value, boundary);
  }
}

/** Sinks of one family that write the place of a value among these boundaries. */
export function placeSinks(family: KeyFamily, literals: readonly KeyLiteral[]): KeySinks {
  if (family === 'numeric') {
    const values = literals.flatMap((own) => (own.kind === 'decimal' ? [own.value] : []));
    const boundaries = new DecimalBoundaries(values);
    return {
      numeric(value, out) {
        boundaries.value = value;
        return boundaries.find(out);
      },
    };
  }
  if (family === 'text' || family === 'bytea' || family === 'uuid') {
    const values = literals.flatMap((own) => (own.kind === 'bytes' ? [own.bytes] : []));
    const boundaries = new BytesBoundaries(values);
    const sink: KeySinks['text'] = (bytes, start, end, out) => {
      boundaries.bytes = bytes;
      boundaries.start = start;
      boundaries.end = end;
      return boundaries.find(out);
    };
    return { [family]: sink };
  }
  const values = literals.flatMap((own) => (own.kind === 'int64' ? [own] : []));
  const boundaries = new Int64Boundaries(values);
  const sink: KeySinks['int'] = (hi, lo, out) => {
    boundaries.hi = hi;
    boundaries.lo = lo;
    return boundaries.find(out);
  };
  return { [family]: sink };
}

/** Says whether smaller values have the place that stands in the cell. */
export function isLeastOfPlace({ lo }: KeyspaceIdCell): MapOutcome {
  return (lo & 1) === 0 ? MAPPED : NO_MATCH;
}

/** The ids of slices between two places. */
export function sliceSpans(ids: readonly KeyspaceId[]): KeyOrder['eachSpan'] {
  return (first, last, visit) => {
    const end = last.hi > 0 ? ids.length : Math.min(ids.length, (last.lo >>> 1) + 1);
    for (let slice = first.lo >>> 1; slice < end; slice++) visit(ids[slice]!, ids[slice]!);
  };
}
