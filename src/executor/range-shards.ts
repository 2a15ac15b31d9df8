import { compareKeyspaceIds, KeyspaceIdCell, type KeyspaceId } from '../keyspace/keyspace-id.js';
import type { Keyspace, Shard } from '../keyspace/topology.js';
import { MAPPED, NO_MATCH } from '../keyspace/vindex.js';
import type { KeyBound, KeyInterval, KeyRanges, ShardSelector } from '../planner/plan.js';
import { NULL_VALUE, type ShardTargets, type ValueSource } from './shard-targets.js';

/** Places from `first` to `last`, both included. */
interface Span {
  readonly first: KeyspaceId;
  readonly last: KeyspaceId;
}

const LEAST: KeyspaceId = { hi: 0, lo: 0 };
const GREATEST: KeyspaceId = { hi: 0xffffffff, lo: 0xffffffff };
const EVERYTHING: readonly Span[] = [{ first: LEAST, last: GREATEST }];
/** Conditions that would leave more spans than this prune nothing. */
const SPANS_MAX = 10_000;

/**
 * The shards that a selector of all means with these values, in order of their index: those that own keys within its
 * ranges, and at least one. Values that the proxy cannot read do not bound anything; the shards read them.
 */
export function shardsWithin(
  { keyspace, within }: Extract<ShardSelector, { kind: 'all' }>,
  source: ValueSource,
  targets: ShardTargets,
): readonly Shard[] {
  if (within === undefined) return keyspace.shards;
  const found = new Set<Shard>();
  for (const ranges of within) {
    for (const { first, last } of spansOf(ranges, source, targets)) {
      addShards(keyspace, ranges, first, last, found);
    }
  }
  // Nothing can match: any shard gives the right answer.
  if (found.size === 0) return keyspace.shards.slice(0, 1);
  return keyspace.shards.filter((shard) => found.has(shard));
}

function addShards(
  keyspace: Keyspace,
  { order }: KeyRanges,
  first: KeyspaceId,
  last: KeyspaceId,
  found: Set<Shard>,
): void {
  order.eachSpan(first, last, (from, to) => {
    if (from === to) {
      found.add(keyspace.shardOf(from.hi, from.lo));
      return;
    }
    for (const shard of keyspace.shards) {
      const meets = shard.ranges.some(
        (range) =>
          compareKeyspaceIds(range.from, to) <= 0 &&
          (range.to === null || compareKeyspaceIds(from, range.to) < 0),
      );
      if (meets) found.add(shard);
    }
  });
}

function spansOf(ranges: KeyRanges, source: ValueSource, targets: ShardTargets): readonly Span[] {
  let spans = EVERYTHING;
  for (const condition of ranges.conditions) {
    if (spans.length * condition.length > SPANS_MAX) continue;
    const own = condition.flatMap((interval) => spanOf(interval, source, targets) ?? []);
    spans = spans.flatMap((span) => own.flatMap((other) => common(span, other) ?? []));
  }
  return spans;
}

function common(a: Span, b: Span): Span | null {
  const first = compareKeyspaceIds(a.first, b.first) < 0 ? b.first : a.first;
  const last = compareKeyspaceIds(a.last, b.last) < 0 ? a.last : b.last;
  return compareKeyspaceIds(first, last) > 0 ? null : { first, last };
}

/** Null: no value is in the interval. */
function spanOf(
  { lower, upper }: KeyInterval,
  source: ValueSource,
  targets: ShardTargets,
): Span | null {
  const first = lower === null ? LEAST : endOf(lower, LEAST, source, targets);
  const last = upper === null ? GREATEST : endOf(upper, GREATEST, source, targets);
  return first === null || last === null ? null : { first, last };
}

/** The place of a bound, or of the greatest values below one that is excluded; null: no value is within it. */
function endOf(
  bound: KeyBound,
  unbounded: KeyspaceId,
  source: ValueSource,
  targets: ShardTargets,
): KeyspaceId | null {
  const cell = new KeyspaceIdCell();
  const outcome = targets.mapTo(bound, source, cell);
  if (outcome === NULL_VALUE) return null;
  if (outcome !== MAPPED && outcome !== NO_MATCH) return unbounded;
  const excluded = outcome === MAPPED && !bound.inclusive && unbounded === GREATEST;
  if (!excluded) return cell;
  if (cell.hi === 0 && cell.lo === 0) return null;
  return cell.lo === 0 ? { hi: cell.hi - 1, lo: 0xffffffff } : { hi: cell.hi, lo: cell.lo - 1 };
}
