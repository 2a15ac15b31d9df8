import { LiteralKind, type Literals } from '../sql/literals.js';

/** A literal that is shorter stays: what is left of a text may have many of them. */
const LONG_LITERAL_BYTES = 1024;

/** What stands for a string of the kind; others stay, whatever their length. */
const EMPTY: ReadonlyMap<number, string> = new Map([
  [LiteralKind.string, "''"],
  [LiteralKind.escapeString, "E''"],
  [LiteralKind.dollarString, '$$$$'],
]);

/**
 * The text `bytes[start, end)` with empty strings in place of its long ones: of the same shape, so that its plan serves
 * both, unless it depends on one of these. Null: there are none.
 */
export function shortText(
  bytes: Uint8Array,
  start: number,
  end: number,
  { count, starts, ends, kinds }: Literals,
): Uint8Array | null {
  const pieces: Uint8Array[] = [];
  let from = start;
  for (let i = 0; i < count; i++) {
    const empty = EMPTY.get(kinds[i]!);
    if (empty === undefined || ends[i]! - starts[i]! < LONG_LITERAL_BYTES) continue;
    pieces.push(bytes.subarray(from, start + starts[i]!), Buffer.from(empty));
    from = start + ends[i]!;
  }
  if (pieces.length === 0) return null;
  return Buffer.concat([...pieces, bytes.subarray(from, end)]);
}
