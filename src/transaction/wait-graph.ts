import type { Shard } from '../keyspace/topology.js';

/** A server process that waits for a lock of another one, or for one that stands in line before it. */
export interface LockWait {
  readonly shard: Shard;
  readonly pid: number;
  readonly blocker: number;
}

interface Edge<Node> {
  readonly wait: LockWait;
  readonly to: Node;
}

/**
 * Who waits for whom over all shards. A node is a transaction, of whichever processes it has on whichever shards;
 * `nodeOf` says whose a process is.
 */
export class WaitGraph<Node> {
  private readonly edges = new Map<Node, Edge<Node>[]>();

  constructor(waits: readonly LockWait[], nodeOf: (shard: Shard, pid: number) => Node) {
    for (const wait of waits) {
      const from = nodeOf(wait.shard, wait.pid);
      const edge = { wait, to: nodeOf(wait.shard, wait.blocker) };
      const known = this.edges.get(from);
      if (known === undefined) this.edges.set(from, [edge]);
      else known.push(edge);
    }
  }

  /** Whoever this node waits for, directly or not. */
  reachableFrom(start: Node): ReadonlySet<Node> {
    const reached = new Set<Node>([start]);
    for (const from of reached) for (const { to } of this.edges.get(from) ?? []) reached.add(to);
    return reached;
  }

  /**
   * The waits of a shortest cycle through this node; null: there is none, or it is of one shard, which finds it by
   * itself.
   */
  cycleThrough(start: Node): readonly LockWait[] | null {
    const cameBy = new Map<Node, { readonly from: Node; readonly wait: LockWait }>();
    const queue: Node[] = [start];
    for (const from of queue) {
      for (const { wait, to } of this.edges.get(from) ?? []) {
        if (to === start) {
          const cycle = [wait];
          for (let node = from; node !== start;) {
            const step = cameBy.get(node)!;
            cycle.unshift(step.wait);
            node = step.from;
          }
          return new Set(cycle.map(({ shard }) => shard)).size > 1 ? cycle : null;
        }
        if (cameBy.has(to)) continue;
        cameBy.set(to, { from, wait });
        queue.push(to);
      }
    }
    return null;
  }
}

/** A server process among those of all shards; the same for every proxy. */
export function processKey(shard: Shard, pid: number): string {
  return `${shard.keyspace}/${shard.name}/${pid}`;
}

/** The waits that both lists have. */
export function lastingWaits(
  before: readonly LockWait[],
  after: readonly LockWait[],
): readonly LockWait[] {
  const known = new Set(before.map(waitKey));
  return after.filter((wait) => known.has(waitKey(wait)));
}

function waitKey({ shard, pid, blocker }: LockWait): string {
  return `${processKey(shard, pid)}/${blocker}`;
}
