import type { FinalPiece, GatherSpec, ManyShards, MergeSpec } from '../planner/plan.js';

/** A way over several shards with other SQL in the places of marks, wherever it holds SQL that servers run. */
export function withRelations(
  many: ManyShards,
  marks: readonly string[],
  relations: readonly string[],
): ManyShards {
  const write = (sql: string): string =>
    marks.reduce((text, mark, i) => text.replaceAll(mark, () => relations[i]!), sql);
  if (many.kind === 'merge') return { kind: 'merge', merge: mergeOf(many.merge, write) };
  if (many.kind === 'gather') return { kind: 'gather', gather: gatherOf(many.gather, write) };
  return many;
}

function mergeOf(merge: MergeSpec, write: (sql: string) => string): MergeSpec {
  return { ...merge, sql: write(merge.sql), fallback: gatherOf(merge.fallback, write) };
}

function gatherOf(gather: GatherSpec, write: (sql: string) => string): GatherSpec {
  const piece = (part: FinalPiece): FinalPiece => (typeof part === 'string' ? write(part) : part);
  return {
    ...gather,
    inputs: gather.inputs.map((input) => ({ ...input, sql: write(input.sql) })),
    final: gather.final.map(piece),
  };
}
