import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RowCursor } from '../../../src/merger/row-cursor.js';
import { row } from '../executor/merge-rig.js';

/** Everything that the cursor finds at its row: the visible text and the keys. */
function seen(cursor: RowCursor): string {
  const keys = [...cursor.keyEnds].map((end, i) =>
    end < 0 ? null : cursor.row.readInt32BE(cursor.keyStarts[i]),
  );
  const text = cursor.row.toString('utf8', cursor.visibleStart + 4, cursor.visibleEnd);
  return JSON.stringify([text, ...keys]);
}

/** What a connection hands out: rows in one piece each read; the rest of a cut-off row by itself. */
function* pieces(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let missing = 0;
  for (let at = 0, i = 0; at < bytes.length; i++) {
    // Never less than a head: a connection keeps shorter tails for itself.
    let end = Math.min(bytes.length, at + sizes[i % sizes.length]!);
    if (missing > 0) {
      end = Math.min(end, at + missing);
      missing -= end - at;
    } else {
      let stop = at;
      while (stop < end && bytes.length - stop >= 5) stop += 1 + bytes.readInt32BE(stop + 1);
      if (stop > end && end - at < 5) end = Math.min(bytes.length, at + 5);
      for (stop = at; stop < end;) {
        if (end - stop < 5) end = stop;
        else stop += 1 + bytes.readInt32BE(stop + 1);
      }
      missing = stop - end;
    }
    yield Buffer.from(bytes.subarray(at, end));
    at = end;
  }
}

describe('RowCursor', () => {
  test('finds the same rows however they are cut, in buffers that do not outlive their piece', () => {
    const text = fc.string({ maxLength: 30 });
    const key = fc.option(fc.integer({ min: -5, max: 5 }), { nil: null });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, key, key), { maxLength: 10 }),
        fc.array(fc.integer({ min: 5, max: 90 }), { minLength: 1, maxLength: 4 }),
        (rows, sizes) => {
          const cursor = new RowCursor(1, 2);
          const found: string[] = [];
          for (const piece of pieces(Buffer.concat(rows.map((each) => row(...each))), sizes)) {
            cursor.give(piece, 0, piece.length);
            for (; cursor.current; cursor.next()) found.push(seen(cursor));
            expect(cursor.holdsPiece).toBe(false);
            piece.fill(0xee);
          }
          expect(found).toEqual(rows.map((each) => JSON.stringify(each)));
        },
      ),
    );
  });

  test('holds a piece as long as its rows are needed, and walks it behind a row of its own', () => {
    const cursor = new RowCursor(1, 1);
    const first = row('first', 1);
    cursor.give(first, 0, 8);
    expect(cursor.current).toBe(false);
    expect(cursor.cutOffBytes).toBe(first.length);
    cursor.give(first, 8, first.length);
    expect([seen(cursor), cursor.holdsPiece, cursor.ownsRow]).toEqual(['["first",1]', false, true]);
    const second = row('second', null);
    cursor.give(second, 0, second.length);
    expect([seen(cursor), cursor.holdsPiece]).toEqual(['["first",1]', true]);
    cursor.next();
    expect([seen(cursor), cursor.holdsPiece]).toEqual(['["second",null]', true]);
    cursor.next();
    expect([cursor.current, cursor.holdsPiece]).toEqual([false, false]);
  });

  test('does not look at fields where their number is another one', () => {
    const cursor = new RowCursor(1, 2);
    const short = row('a', 1);
    cursor.give(short, 0, short.length);
    expect([cursor.fieldCount, [...cursor.keyEnds]]).toEqual([2, [-1, -1]]);
  });
});
