import type { FillPlan, FillSlot, IdSource } from '../planner/plan.js';
import type { Literals } from '../sql/literals.js';
import { offsetOf } from '../sql/position.js';
import { characterCount } from '../sql/code-points.js';

/**
 * The values that one execution of the plan needs, in the order of the text. A time is one value,
 * however often the text tells it.
 */
export function slotsOf(plan: FillPlan): readonly FillSlot[] {
  const places = new SlotPlaces();
  for (const { pieces } of plan.edits) {
    for (const piece of pieces) if (typeof piece !== 'string') places.of(piece);
  }
  return places.slots;
}

/** Where slots are among the values. An INSERT may have one a row. */
class SlotPlaces {
  readonly slots: FillSlot[] = [];
  /** Places of times, by what begins with them. */
  private readonly moments = new Map<string, number>();

  of(slot: FillSlot): number {
    const { source } = slot;
    const known = source.kind === 'moment' ? this.moments.get(source.of) : undefined;
    if (known !== undefined) return known;
    const place = this.slots.push(slot) - 1;
    if (source.kind === 'moment') this.moments.set(source.of, place);
    return place;
  }
}

/** Whether both are one time of an execution. */
export function isSameMoment(a: IdSource, b: IdSource): boolean {
  return a.kind === 'moment' && b.kind === 'moment' && a.of === b.of;
}

/** A statement's text with values filled in. */
export interface FilledText {
  readonly text: Buffer;
  /** Where in the client's text a position (in characters, from 1) of this one is. */
  readonly positionOf: (position: number) => number;
}

/** A piece of the client's text, by byte offsets in it, and where it begins in the filled one. */
interface Kept {
  readonly start: number;
  readonly end: number;
  readonly filledStart: number;
}

/**
 * Fills values into the statement's text (`[from, to)` of `text`).
 * @param sqlOf what stands for value `index` of `slotsOf`
 */
export function fillText(
  plan: FillPlan,
  text: Buffer,
  from: number,
  to: number,
  literals: Literals,
  sqlOf: (slot: FillSlot, index: number) => string,
): FilledText {
  const parts: Buffer[] = [];
  const kept: Kept[] = [];
  let size = 0;
  const places = new SlotPlaces();
  const keep = (start: number, end: number): void => {
    kept.push({ start, end, filledStart: size });
    parts.push(text.subarray(start, end));
    size += end - start;
  };
  let at = from;
  for (const { start, end, pieces } of plan.edits) {
    keep(at, offsetOf(start, literals));
    let made = '';
    for (const piece of pieces) {
      made += typeof piece === 'string' ? piece : sqlOf(piece, places.of(piece));
    }
    const bytes = Buffer.from(made);
    parts.push(bytes);
    size += bytes.length;
    at = offsetOf(end, literals);
  }
  keep(at, to);
  const filled = Buffer.concat(parts);
  return {
    text: filled,
    positionOf: (position) => {
      const offset = Buffer.byteLength(
        [...filled.toString('utf8')].slice(0, position - 1).join(''),
      );
      const piece = kept.findLast(({ filledStart }) => filledStart <= offset) ?? kept[0]!;
      const given = Math.min(piece.start + offset - piece.filledStart, piece.end);
      return characterCount(text, 0, given) + 1;
    },
  };
}
