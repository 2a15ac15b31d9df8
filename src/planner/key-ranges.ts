import { TypeOid } from '../keyspace/type-oids.js';
import type { KeyOrder } from '../keyspace/vindex.js';
import { prefixEnd, prefixStart } from '../vindex/like-prefix.js';
import type { Analysis } from './analysis.js';
import {
  reachable,
  typeFamily,
  type ValueBound,
  type ValueRanges,
  type Variable,
} from './model.js';
import type { ShardedOccurrence } from './placement.js';
import type { KeyBound, KeyInterval, KeyRanges } from './plan.js';
import { inputTypeOf } from './terms.js';

/**
 * The ranges that a table's shard key is known to be in; null where they say nothing of its shards. Rows outside of
 * them do not matter for the statement.
 */
export function keyRanges(occurrence: ShardedOccurrence, analysis: Analysis): KeyRanges | null {
  const { order } = occurrence.table.vindex;
  const [key, ...more] = analysis.keysOf(occurrence) ?? [];
  if (order === null || key === undefined || more.length > 0) return null;
  const conditions: (readonly KeyInterval[])[] = [];
  for (const variable of reachable(key)) {
    for (const ranges of variable.ranges) {
      const intervals = intervalsOf(ranges, key, order, analysis);
      if (intervals !== null) conditions.push(intervals);
    }
  }
  return conditions.length === 0 ? null : { order, conditions };
}

/** Null: one of them has no end on either side. */
function intervalsOf(
  ranges: ValueRanges,
  key: Variable,
  order: KeyOrder,
  analysis: Analysis,
): readonly KeyInterval[] | null {
  const pattern = ranges.pattern === true;
  const isText = typeFamily(key.type) === TypeOid.text;
  const isPadded = key.type === TypeOid.bpchar;
  // LIKE looks at the blanks of character(n), comparisons do not.
  if (pattern ? !isText : (isText || isPadded) && !sortsByBytes(ranges.site, analysis)) return null;
  const boundOf = (bound: ValueBound | null, isUpper: boolean): KeyBound | null => {
    const plain = bound === null ? null : keyBound(bound, ranges.site, key, order, analysis);
    if (plain === null || !pattern) return plain;
    const mapper = isUpper ? prefixEnd(plain.mapper) : prefixStart(plain.mapper);
    return { ...plain, mapper };
  };
  const intervals = ranges.intervals.map(({ lower, upper }) => ({
    lower: boundOf(lower, false),
    upper: boundOf(upper, true),
  }));
  return intervals.some(({ lower, upper }) => lower === null && upper === null) ? null : intervals;
}

function keyBound(
  { value, inclusive }: ValueBound,
  site: Variable,
  key: Variable,
  order: KeyOrder,
  analysis: Analysis,
): KeyBound | null {
  const given = inputTypeOf(value, site, analysis);
  if (given === null) return null;
  const inputType = given === TypeOid.unknown && site !== key ? site.type : given;
  const mapper = order.places(key.type, inputType);
  return mapper === null ? null : { source: value.source, mapper, inclusive };
}

/** Whether PostgreSQL orders the values of a text column by their UTF-8 bytes, as vindexes do. */
function sortsByBytes(site: Variable, analysis: Analysis): boolean {
  const relation = analysis.tables.get(site.entry)?.relation;
  const column = relation?.columns.find(({ name }) => name === site.name);
  if (column?.collation === 'bytes') return true;
  return column?.collation === 'default' && analysis.names.catalog.textByBytes === true;
}
