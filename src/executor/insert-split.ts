import { byIndex, type Shard } from '../keyspace/topology.js';
import type { InsertSplitPlan } from '../planner/plan.js';
import type { Literals } from '../sql/literals.js';
import { offsetOf, type TextPosition } from '../sql/position.js';
import type { ShardTargets, ValueSource } from './shard-targets.js';
import { characterCount } from '../sql/code-points.js';

/** The rows of an INSERT .. VALUES by the shard they belong to. */
export interface SplitRows {
  /** In order of `Shard.index`. */
  readonly shards: readonly Shard[];
  /** For each of `shards`, the places of its rows in `plan.rows`, ascending. */
  readonly rows: readonly (readonly number[])[];
}

/** Finds the shard of every row. Throws SqlError where a key cannot be stored. */
export function splitRows(
  plan: InsertSplitPlan,
  source: ValueSource,
  targets: ShardTargets,
): SplitRows {
  const byShard = new Map<Shard, number[]>();
  for (let i = 0; i < plan.rows.length; i++) {
    const shard = targets.forStoring(plan.keyspace, plan.rows[i]!.key, source);
    const rows = byShard.get(shard);
    if (rows === undefined) byShard.set(shard, [i]);
    else rows.push(i);
  }
  const entries = [...byShard].sort(([a], [b]) => byIndex(a, b));
  return { shards: entries.map(([shard]) => shard), rows: entries.map(([, rows]) => rows) };
}

/** The place in `shards` of each row's shard, in the order of the rows. */
export function orderOf({ rows }: SplitRows): number[] {
  const order: number[] = [];
  rows.forEach((own, place) => {
    for (const row of own) order[row] = place;
  });
  return order;
}

/**
 * The statement's text (`[from, to)` of `text`) with only these rows: everything in front of the first row and behind
 * the last one stays.
 */
export function textOfRows(
  plan: InsertSplitPlan,
  text: Uint8Array,
  from: number,
  to: number,
  literals: Literals,
  rows: readonly number[],
): Buffer {
  const parts: Uint8Array[] = [];
  piecesOf(plan, from, to, literals, rows).forEach(([start, end], i) => {
    if (i > 1 && i <= rows.length) parts.push(COMMA);
    parts.push(text.subarray(start, end));
  });
  return Buffer.concat(parts);
}

/**
 * Where a position in such a text (characters from 1) is in the whole of `text`, for errors.
 * @param rows those of the text that was made
 */
export function positionInWhole(
  plan: InsertSplitPlan,
  text: Buffer,
  from: number,
  to: number,
  literals: Literals,
  rows: readonly number[],
  position: number,
): number {
  const pieces = piecesOf(plan, from, to, literals, rows);
  let left = position - 1;
  for (const [i, [start, end]] of pieces.entries()) {
    if (i > 1 && i <= rows.length) left -= COMMA.length;
    const characters = characterCount(text, start, end);
    if (left < characters || i === pieces.length - 1) {
      return characterCount(text, 0, start) + Math.max(0, left) + 1;
    }
    left -= characters;
  }
  return position;
}

/** What is in front of the first row, these rows, and what is behind the last, as places in the whole. */
function piecesOf(
  plan: InsertSplitPlan,
  from: number,
  to: number,
  literals: Literals,
  rows: readonly number[],
): (readonly [start: number, end: number])[] {
  const at = (place: TextPosition): number => offsetOf(place, literals);
  return [
    [from, at(plan.rows[0]!.start)],
    ...rows.map((row) => [at(plan.rows[row]!.start), at(plan.rows[row]!.end)] as const),
    [at(plan.rows.at(-1)!.end), to],
  ];
}

const COMMA = Buffer.from(', ');
