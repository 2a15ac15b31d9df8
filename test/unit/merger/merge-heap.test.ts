import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MergeHeap } from '../../../src/merger/merge-heap.js';

test('merging through the heap gives what sorting gives, whatever the number of streams', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.integer({ min: 0, max: 30 })), { maxLength: 9 }), (lists) => {
      const streams = lists
        .map((list) => ({ rest: [...list].sort((a, b) => a - b) }))
        .filter(({ rest }) => rest.length > 0);
      const heap = new MergeHeap<{ rest: number[] }>((a, b) => a.rest[0]! < b.rest[0]!);
      for (const stream of streams) heap.push(stream);
      const merged: number[] = [];
      while (heap.top !== undefined) {
        const { rest } = heap.top;
        merged.push(rest.shift()!);
        if (rest.length > 0) heap.settleTop();
        else heap.removeTop();
      }
      expect(merged).toEqual(lists.flat().sort((a, b) => a - b));
      expect(heap.size).toBe(0);
    }),
  );
});
