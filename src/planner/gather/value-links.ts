import { reachable, type Level, type Occurrence, type Variable } from '../model.js';
import type { GatherInput, ValueLink } from '../plan.js';
import { ROWS_UNKNOWN } from './home.js';

/** What an input was made of. */
export interface Origin {
  /** A table where it stands in the statement, a query that shards answer alone, or (null) whether it has rows. */
  readonly of: Occurrence | Level | null;
  /** It stands for several tables of the statement. */
  shared: boolean;
}

/** An input that is expected to have no more rows than this is worth being waited for. */
const LEADER_ROWS_MAX = 4_000;
/** How many times more rows than its leader an input has that waits for it. */
const FOLLOWER_FACTOR = 4;
/** Rows that each row of a leader is expected to find. */
export const ROWS_FOUND = 10;

/** An input with what is known of its columns. */
interface Node {
  readonly input: number;
  readonly origin: Origin;
  /** The columns that come from tables unchanged, and where they are. */
  readonly columns: ReadonlyMap<Variable, number>;
  rows: number;
}

/**
 * Inputs that are joined to smaller ones, with the link by which they are read: each by one link at
 * most, none in circles.
 *
 *     FROM orders o JOIN items i ON i.order_id = o.id WHERE o.customer_id = 7
 *     items: only where order_id is one of the ids that the other input has brought
 */
export function withValueLinks(
  inputs: readonly GatherInput[],
  origins: readonly Origin[],
): GatherInput[] {
  const nodes = inputs.map((input, i) => nodeOf(input, i, origins[i]!));
  const out = [...inputs];
  const leaders: Node[] = [];
  const waiting = new Set(nodes);
  while (waiting.size > 0) {
    // What is found by values may be small itself, and lead others.
    for (const node of waiting) {
      const { link, leader } = bestLink(node, leaders) ?? {};
      if (link === undefined || leader === undefined) continue;
      out[node.input] = { ...out[node.input]!, link };
      node.rows = Math.min(node.rows, leader.rows * ROWS_FOUND);
      waiting.delete(node);
      leaders.push(node);
    }
    const [smallest] = [...waiting].sort((a, b) => a.rows - b.rows);
    if (smallest === undefined) break;
    waiting.delete(smallest);
    leaders.push(smallest);
  }
  return out;
}

function nodeOf(input: GatherInput, index: number, origin: Origin): Node {
  const columns = new Map<Variable, number>();
  const { of } = origin;
  if (of !== null && 'entry' in of) {
    input.columns.forEach((name, column) => {
      const variable = of.entry.variables.get(name);
      if (variable !== undefined) columns.set(variable, column);
    });
  } else if (of?.outputs.length === input.columns.length) {
    of.outputs.forEach(({ variable }, column) => {
      if (variable !== null) columns.set(variable, column);
    });
  }
  return { input: index, origin, columns, rows: input.estimatedRows ?? ROWS_UNKNOWN };
}

/** A link to one of the leaders; by the shard key if possible, which tells the shards too. */
function bestLink(
  follower: Node,
  leaders: readonly Node[],
): { link: ValueLink; leader: Node } | null {
  // Each of several tables would need rows that another one does not.
  const { of, shared } = follower.origin;
  if (shared || of === null || !('entry' in of)) return null;
  let best: { link: ValueLink; leader: Node } | null = null;
  for (const leader of leaders) {
    if (leader.rows > LEADER_ROWS_MAX || leader.rows * FOLLOWER_FACTOR > follower.rows) continue;
    for (const link of linksBetween(follower, leader, of)) {
      if (best === null || (best.link.key === null && link.key !== null)) best = { link, leader };
    }
  }
  return best;
}

/** Rows whose column equals nothing that the leader's has do not matter (model.ts, edges). */
function* linksBetween(follower: Node, leader: Node, table: Occurrence): Generator<ValueLink> {
  for (const own of follower.columns.keys()) {
    for (const variable of reachable(own)) {
      const column = leader.columns.get(variable);
      if (variable === own || column === undefined) continue;
      const key = keyOf(table, own, variable);
      yield { input: leader.input, column, name: own.name, key };
    }
  }
}

function keyOf({ table, relation }: Occurrence, own: Variable, other: Variable): ValueLink['key'] {
  if (table?.type !== 'sharded') return null;
  if (table.keyColumns.length > 1 || own.name !== table.keyColumns[0]) return null;
  const typmod = relation.columns.find(({ name }) => name === own.name)?.typmod ?? -1;
  const mapper = table.vindex.mapper(own.type, other.type, typmod);
  return mapper === null ? null : { keyspace: table.keyspace, mapper };
}
