import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PortalMerge } from '../../../../src/executor/portal/portal-merge.js';
import { PortalPart } from '../../../../src/executor/portal/portal-part.js';
import { compareInt4 } from '../../../../src/merger/compare-numbers.js';
import { ScriptedTransport } from '../../backend/postgres/scripted-transport.js';
import { OperationSink } from '../operation-sink.js';
import { row, specOf } from '../merge-rig.js';

function mergeOf(
  count: number,
  offset: number,
  limit: number | null,
  onChanged: (what: string) => void = () => expect.unreachable(),
): PortalMerge {
  const parts = Array.from({ length: count }, (_, position) => {
    return new PortalPart(new ScriptedTransport(24).backend(new OperationSink()), position);
  });
  return new PortalMerge(parts, {
    merge: specOf('aL'),
    comparators: [compareInt4],
    offset: BigInt(offset),
    limit: limit === null ? null : BigInt(limit),
    onChanged,
  });
}

/** Pieces as backends hand them out: the head of a row is whole, and what was missing of a row comes alone. */
function* cut(bytes: Buffer, size: number): Generator<Buffer> {
  let rowEnd = 0;
  for (let at = 0; at < bytes.length;) {
    let stop = at + size;
    if (at < rowEnd) stop = Math.min(stop, rowEnd);
    while (rowEnd < stop && rowEnd < bytes.length) {
      stop = Math.max(stop, Math.min(rowEnd + 5, bytes.length));
      rowEnd += 1 + bytes.readInt32BE(rowEnd + 1);
    }
    yield bytes.subarray(at, stop);
    at = stop;
  }
}

/*
 * Goal: whatever the slices in which shards send their rows, and wherever those are cut, the merge hands out the rows
 * that sorting all of them gives. Method: random sorted shards; whoever is starved gets its next slice, in pieces.
 */
test('any slices give the rows in order, cut by OFFSET and LIMIT', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 20 }), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 4 }),
      fc.option(fc.integer({ min: 0, max: 30 }), { nil: null }),
      (shards, slice, pieceBytes, offset, limit) => {
        const sorted = shards.map((keys) => [...keys].sort((a, b) => a - b));
        const merge = mergeOf(shards.length, offset, limit);
        const left = sorted.map((keys) => [...keys]);
        const got: number[] = [];
        while (!merge.over) {
          const cursor = merge.next();
          if (cursor !== null) {
            got.push(
              Number(cursor.row.toString('utf8', cursor.visibleStart + 4, cursor.visibleEnd)),
            );
            continue;
          }
          for (const source of merge.sources) {
            if (!source.starved) continue;
            const keys = left[source.part.position]!.splice(0, slice);
            const bytes = Buffer.concat(keys.map((key) => row(String(key), key)));
            for (const piece of cut(bytes, pieceBytes)) merge.push(source, Buffer.from(piece));
            source.part.ended = keys.length < slice;
          }
        }
        const all = sorted.flat().sort((a, b) => a - b);
        expect(got).toEqual(all.slice(offset, limit === null ? undefined : offset + limit));
        expect(merge.malformed).toBe(false);
        expect(merge.next()).toBe(null);
      },
    ),
    { numRuns: 500 },
  );
});

test('a row of another shape ends it', () => {
  const changed: string[] = [];
  const merge = mergeOf(1, 0, null, (what) => changed.push(what));
  merge.push(merge.sources[0]!, row('a', 1, 2));
  expect(merge.next()).toBe(null);
  expect(merge.next()).toBe(null);
  expect([merge.over, merge.malformed, changed]).toEqual([true, true, ['columns']]);
});

test('slices come to what one read of a backend holds', () => {
  const [source] = mergeOf(1, 0, null).sources;
  source!.adapt(100, 100 * 10);
  expect(source!.sliceRows).toBe(400);
  source!.adapt(400, 400 * 1000);
  expect(source!.sliceRows).toBe(65);
  source!.adapt(65, 65 * 1_000_000);
  expect(source!.sliceRows).toBe(1);
});
