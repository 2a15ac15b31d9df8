import type { FillEdit, FillPlan, FillSlot } from './plan.js';
import type { StatementContext } from './statement-context.js';

/** What stands in place of bytes `[start, end)` of the text. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly pieces: readonly (string | FillSlot)[];
}

/** The plan of a statement with these edits, which do not overlap. */
export function fillPlan(
  verb: string,
  edits: readonly Edit[],
  context: StatementContext,
): FillPlan {
  const { constants } = context;
  const ordered = [...edits].sort((a, b) => a.start - b.start);
  return {
    kind: 'fill',
    verb,
    writes: true,
    edits: ordered.map(({ start, end, pieces }): FillEdit => ({
      start: constants.position(start),
      end: constants.position(end),
      pieces,
    })),
  };
}
