import { formatKeyRange, type KeyRange } from './key-range.js';
import { compareKeyspaceIds, type KeyspaceId } from './keyspace-id.js';

/** What a key range check needs of a shard; `Shard` and the configuration's own shape both fit. */
export interface RangeOwner {
  readonly name: string;
  readonly ranges: readonly KeyRange[];
}

/** A fault of the key ranges of one keyspace, worded for the person who edits the configuration. */
export interface TilingProblem {
  readonly message: string;
  readonly hint: string;
  /** The shards to look at, in the order the message names them. */
  readonly shardNames: readonly string[];
}

interface OwnedRange {
  readonly owner: string;
  readonly range: KeyRange;
}

const SPACE_START: KeyspaceId = { hi: 0, lo: 0 };

/**
 * Whether the shards' key ranges cover every 64-bit keyspace id exactly once. Returns every fault,
 * none where they tile. One shard without ranges is an unsharded keyspace and fine.
 *
 *     0                     40            80                    2^64
 *     |------- s0 ---------|      gap    |------- s1 ---------|
 *                                     |---- s2 ----|  overlap
 */
export function tilingProblems(shards: readonly RangeOwner[]): readonly TilingProblem[] {
  if (shards.length === 0) {
    return [
      {
        message: 'the keyspace has no shards',
        hint: 'list at least one shard; a single shard without a range is an unsharded keyspace',
        shardNames: [],
      },
    ];
  }
  if (shards.length === 1 && shards[0]!.ranges.length === 0) return [];
  const problems: TilingProblem[] = [];
  const owned: OwnedRange[] = [];
  for (const shard of shards) {
    if (shard.ranges.length === 0) {
      problems.push({
        message: `shard "${shard.name}" has no key range, though its keyspace is sharded`,
        hint: 'give it a range such as "-80" or "80-", or put it into a keyspace of its own',
        shardNames: [shard.name],
      });
    }
    for (const range of shard.ranges) owned.push({ owner: shard.name, range });
  }
  if (owned.length > 0) collectGapsAndOverlaps(owned, problems);
  return problems;
}

function collectGapsAndOverlaps(owned: OwnedRange[], problems: TilingProblem[]): void {
  owned.sort((a, b) => compareKeyspaceIds(a.range.from, b.range.from));
  const first = owned[0]!;
  if (compareKeyspaceIds(first.range.from, SPACE_START) > 0) {
    problems.push(gap(SPACE_START, first.range.from, [first.owner]));
  }
  // The range that reaches furthest so far: comparing only neighbours would miss a gap or an
  // overlap that a long range hides behind a short one.
  let reach = first;
  for (let index = 1; index < owned.length; index++) {
    const next = owned[index]!;
    const to = reach.range.to;
    const order = to === null ? 1 : compareKeyspaceIds(to, next.range.from);
    if (order > 0) problems.push(overlap(reach, next));
    if (order < 0) problems.push(gap(to!, next.range.from, [reach.owner, next.owner]));
    if (reachesFurther(next.range, reach.range)) reach = next;
  }
  if (reach.range.to !== null) problems.push(gap(reach.range.to, null, [reach.owner]));
}

function reachesFurther(a: KeyRange, b: KeyRange): boolean {
  if (b.to === null) return false;
  return a.to === null || compareKeyspaceIds(a.to, b.to) > 0;
}

function gap(
  from: KeyspaceId,
  to: KeyspaceId | null,
  shardNames: readonly string[],
): TilingProblem {
  const missing = formatKeyRange({ from, to });
  return {
    message: `no shard owns the key range "${missing}"`,
    hint: `give "${missing}" to a shard, or widen a range of ${shardNames.map(quote).join(', ')}`,
    shardNames,
  };
}

function overlap(a: OwnedRange, b: OwnedRange): TilingProblem {
  const both = a.owner === b.owner;
  const where = `"${formatKeyRange(a.range)}" and "${formatKeyRange(b.range)}"`;
  return {
    message: both
      ? `key ranges ${where} of shard ${quote(a.owner)} overlap`
      : `key ranges ${where} of shards ${quote(a.owner)} and ${quote(b.owner)} overlap`,
    hint: 'every keyspace id belongs to exactly one range: let one range end where the next begins',
    shardNames: both ? [a.owner] : [a.owner, b.owner],
  };
}

function quote(name: string): string {
  return `"${name}"`;
}
