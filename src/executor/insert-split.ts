import { byIndex, type Shard } from '../keyspace/topology.js';
import type { InsertSplitPlan } from '../planner/plan.js';
import type { Literals } from '../sql/literals.js';
import { offsetOf, type TextPosition } from '../sql/position.js';
import type { ShardTargets, ValueSource } from './shard-targets.js';

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
  const at = (place: TextPosition): number => offsetOf(place, literals);
  const parts: Uint8Array[] = [text.subarray(from, at(plan.rows[0]!.start))];
  rows.forEach((row, i) => {
    if (i > 0) parts.push(COMMA);
    const { start, end } = plan.rows[row]!;
    parts.push(text.subarray(at(start), at(end)));
  });
  parts.push(text.subarray(at(plan.rows.at(-1)!.end), to));
  return Buffer.concat(parts);
}

const COMMA = Buffer.from(', ');
