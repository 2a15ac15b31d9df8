import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TREE_PART_BYTES } from '../../../src/sql/parse-limits.js';
import { TreeAssembler, packTree } from '../../../src/sql/tree-parts.js';

function roundTrip(tree: Parameters<typeof packTree>[0]): unknown {
  const assembler = new TreeAssembler();
  for (const part of packTree(tree)) assembler.add(part);
  return assembler.finish();
}

const filler = 'x'.repeat(1000);

describe('a tree in parts', () => {
  test('a small one is one part', () => {
    const parts = packTree({ stmts: [{ a: 1 }] });
    expect(parts).toEqual([{ json: '[{"stmts":[{"a":1}]}]', refers: false }]);
  });

  test('a long list is cut, and no part is much longer than the bound', () => {
    const tree = { stmts: [{ rows: Array.from({ length: 2000 }, (_, i) => ({ i, filler })) }] };
    const parts = packTree(tree);
    expect(parts.length).toBeGreaterThan(10);
    for (const { json } of parts) expect(json.length).toBeLessThan(TREE_PART_BYTES * 2);
    expect(roundTrip(tree)).toEqual(tree);
  });

  test('a wide tree without long lists is cut as well', () => {
    type Node = { left: Node | string; right: Node | string };
    const grow = (depth: number): Node | string =>
      depth === 0 ? filler : { left: grow(depth - 1), right: grow(depth - 1) };
    const tree = grow(10);
    const parts = packTree(tree);
    expect(parts.length).toBeGreaterThan(4);
    for (const { json } of parts) expect(json.length).toBeLessThan(TREE_PART_BYTES * 2 + 100);
    expect(roundTrip(tree)).toEqual(tree);
  });

  test('strings that look like references stay strings', () => {
    const tree = {
      a: '{"$part":0}',
      b: Array.from({ length: 300 }, () => `${filler}{"$parts":[0]}`),
    };
    expect(roundTrip(tree)).toEqual(tree);
  });

  test('any JSON comes back equal', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(300), (value, copies) => {
        const tree = { list: Array.from({ length: copies }, () => [value, filler]) } as never;
        expect(roundTrip(tree)).toEqual(JSON.parse(JSON.stringify(tree)));
      }),
      { numRuns: 50 },
    );
  });
});
