import type { Literals } from './literals.js';

/**
 * A byte position of the text that holds for every statement of the shape: `delta` bytes after the end of literal
 * `literal`, or after the text's start where `literal` is -1.
 */
export interface TextPosition {
  readonly literal: number;
  readonly delta: number;
}

/** The shape-wide name of byte `offset`, which must not lie inside a literal. */
export function positionOf(offset: number, literals: Literals): TextPosition {
  // Spans do not overlap, so the last one that starts before the offset is the last one that can end before it.
  const literal = literals.firstAtOrAfter(offset) - 1;
  if (literal < 0) return { literal: -1, delta: offset };
  return { literal, delta: offset - literals.ends[literal]! };
}

/** The byte offset that `position` has in the text of these literals. */
export function offsetOf(position: TextPosition, literals: Literals): number {
  if (position.literal < 0) return position.delta;
  return literals.ends[position.literal]! + position.delta;
}
