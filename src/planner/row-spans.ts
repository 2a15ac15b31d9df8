import type { Literals } from '../sql/literals.js';

/** Byte offsets in the text: from a row's `(` to behind its `)`. */
export interface RowSpan {
  readonly start: number;
  readonly end: number;
}

const QUOTE = 0x22;
const OPEN = 0x28;
const CLOSE = 0x29;

/**
 * Finds the rows behind VALUES of an INSERT, which the parse tree does not locate. `[from, to)` are
 * the statement's offsets in the text, which begins at `bytes[textStart]`; one in WITH ends sooner. Null where
 * the text is not as expected; the caller checks the number of rows against the tree.
 */
export function findRows(
  bytes: Uint8Array,
  textStart: number,
  from: number,
  to: number,
  literals: Literals,
): RowSpan[] | null {
  if (!literals.complete) return null;
  const rows: RowSpan[] = [];
  let literal = literals.firstAtOrAfter(from);
  let depth = 0;
  let inValues = false;
  let rowStart = 0;
  let at = from;
  while (at < to) {
    if (literal < literals.count && literals.starts[literal] === at) {
      at = literals.ends[literal++]!;
      continue;
    }
    const byte = bytes[textStart + at]!;
    if (byte === QUOTE) {
      at = behindQuoted(bytes, textStart, at + 1, to);
      continue;
    }
    if (byte === OPEN) {
      if (depth === 0) rowStart = at;
      depth++;
    } else if (byte === CLOSE) {
      depth--;
      // The end of a WITH query.
      if (depth < 0) return inValues ? rows : null;
      if (depth === 0 && inValues) rows.push({ start: rowStart, end: at + 1 });
    } else if (isWordStart(byte)) {
      const end = behindWord(bytes, textStart, at, to);
      if (depth === 0) {
        const word = wordOf(bytes, textStart + at, textStart + end);
        if (word === 'values') inValues = true;
        // ON CONFLICT and RETURNING end the rows.
        else if (inValues && (word === 'on' || word === 'returning')) return rows;
      }
      at = end;
      continue;
    }
    at++;
  }
  return depth === 0 && inValues ? rows : null;
}

function behindQuoted(bytes: Uint8Array, textStart: number, from: number, to: number): number {
  let at = from;
  while (at < to) {
    if (bytes[textStart + at] === QUOTE) {
      if (at + 1 >= to || bytes[textStart + at + 1] !== QUOTE) return at + 1;
      at++;
    }
    at++;
  }
  return to;
}

/** Letters, `_`, `$` of parameters, and the bytes of every non-ASCII character. */
function isWordStart(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    byte === 0x5f ||
    byte === 0x24 ||
    byte >= 0x80
  );
}

function behindWord(bytes: Uint8Array, textStart: number, from: number, to: number): number {
  let at = from + 1;
  while (at < to) {
    const byte = bytes[textStart + at]!;
    if (!isWordStart(byte) && !(byte >= 0x30 && byte <= 0x39)) break;
    at++;
  }
  return at;
}

function wordOf(bytes: Uint8Array, start: number, end: number): string {
  // No keyword looked for here is longer.
  if (end - start > 9) return '';
  return String.fromCharCode(...bytes.subarray(start, end)).toLowerCase();
}
