import {
  compareKeyspaceIds,
  GREATEST_ID,
  idBefore,
  KeyspaceIdCell,
  LEAST_ID,
  type KeyspaceId,
} from '../keyspace/keyspace-id.js';
import { eachShardOf } from '../keyspace/shard-spans.js';
import type { Shard } from '../keyspace/topology.js';
import { MAPPED, NO_MATCH } from '../keyspace/vindex.js';
import type { KeyBound, KeyInterval, KeyRanges, ShardSelector } from '../planner/plan.js';
import { isWhole } from '../planner/terms.js';
import { NULL_VALUE, type ShardTargets, type ValueSource } from './shard-targets.js';

/** Places from `first` to `last`, both included. */
interface Span {
  readonly first: KeyspaceId;
  readonly last: KeyspaceId;
}

const EVERYTHING: readonly Span[] = [{ first: LEAST_ID, last: GREATEST_ID }];
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
  for (const keys of within) {
    for (const { first, last } of spansOf(keys, source, targets)) {
      keys.order.eachSpan(first, last, (from, to) => {
        eachShardOf(keyspace, from, to, (shard) => found.add(shard));
      });
    }
  }
  // Nothing can match: any shard gives the right answer.
  if (found.size === 0) return keyspace.shards.slice(0, 1);
  return keyspace.shards.filter((shard) => found.has(shard));
}

/** What chooses the shards of a selector of all, for people. */
export function reasonOfAll({ within }: Extract<ShardSelector, { kind: 'all' }>): string {
  return within === undefined ? 'every shard of the keyspace' : 'ranges of the shard key';
}

/** What chooses the shards of a selector of keys, for people. */
export function reasonOfKeys({ groups }: Extract<ShardSelector, { kind: 'keys' }>): string {
  const whole = groups.flat().every(isWhole);
  return whole ? 'shard key values' : 'first columns of the shard key';
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
  const first = lower === null ? LEAST_ID : endOf(lower, LEAST_ID, source, targets);
  const last = upper === null ? GREATEST_ID : endOf(upper, GREATEST_ID, source, targets);
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
  const excluded = outcome === MAPPED && !bound.inclusive && unbounded === GREATEST_ID;
  if (!excluded) return cell;
  return cell.hi === 0 && cell.lo === 0 ? null : idBefore(cell);
}
