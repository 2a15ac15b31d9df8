import { signedId } from '../keyspace/keyspace-id.js';
import { MAPPED, type Vindex } from '../keyspace/vindex.js';
import type { RangeOwner } from '../keyspace/key-range-tiling.js';
import { makeComputed } from './computed.js';
import { IdSpace, shardsNamed } from './id-space.js';
import {
  columnTypeField,
  compareLiterals,
  literalType,
  readLiteral,
  type KeyLiteral,
  type LiteralType,
} from './key-literals.js';
import { followedBy } from './key-sinks.js';
import { vindexType, type VindexProblem, type VindexRequest } from './options.js';
import { isLeastOfPlace, placeSinks, sliceSpans } from './slices.js';

interface RawRange {
  readonly to: string | undefined;
  readonly shard: string | undefined;
}

/** Ranges of values, each on a shard by name; text in the order of its UTF-8 bytes. */
export const rangeType = vindexType(
  'Ranges of values on shards by name',
  {
    column_type: columnTypeField,
    ranges: {
      form: {
        kind: 'rows',
        fields: {
          to: {
            form: { kind: 'value' },
            description: 'The first value behind the range; the last range goes without',
          },
          shard: {
            form: { kind: 'shard' },
            description: 'Shard of the range',
            requiredCure: 'write shard: NAME',
          },
        },
      },
      description: 'In the order of their values; each begins where the one above ends',
      requiredCure: 'write ranges: [ { to: VALUE, shard: NAME }, { shard: NAME } ]',
    },
  },
  (request) => {
    const ranges: readonly RawRange[] = request.options.ranges ?? [];
    const ends = ranges.flatMap(({ to }) => to ?? []);
    const type = literalType(request.options.column_type, ends);
    const problems: VindexProblem[] = [];
    const boundaries = readBoundaries(ranges, type, problems);
    const owners = ranges.flatMap(({ shard }, index) =>
      shardsNamed([shard ?? ''], request.shards, ['ranges', index, 'shard'], problems),
    );
    return problems.length > 0 ? problems : makeRange(request, ends, type, boundaries, owners);
  },
);

function readBoundaries(
  ranges: readonly RawRange[],
  type: LiteralType,
  problems: VindexProblem[],
): KeyLiteral[] {
  const boundaries: KeyLiteral[] = [];
  for (const [index, { to }] of ranges.entries()) {
    const isLast = index === ranges.length - 1;
    if (to === undefined) {
      if (isLast) continue;
      const message = 'a range without an end in front of others';
      problems.push({ message, hint: 'write to: VALUE', path: ['ranges', index] });
      continue;
    }
    const path = ['ranges', index, 'to'];
    if (isLast) {
      const message = `values from ${JSON.stringify(to)} on have no range`;
      problems.push({ message, hint: 'end the list with a range without to', path });
    }
    const literal = readLiteral(to, type, path, problems);
    if (literal === null) continue;
    const before = boundaries.at(-1);
    if (before !== undefined && compareLiterals(before, literal) >= 0) {
      const message = `${JSON.stringify(to)} is not above the end of the range before`;
      problems.push({ message, hint: 'list the ranges in the order of their values', path });
    }
    boundaries.push(literal);
  }
  return boundaries;
}

function makeRange(
  { name }: VindexRequest<unknown>,
  ends: readonly string[],
  { name: typeName, family }: LiteralType,
  boundaries: readonly KeyLiteral[],
  owners: readonly RangeOwner[],
): Vindex {
  // By where a range begins: so ids stay when other ranges are cut.
  const ids = owners.map((shard, slice) =>
    new IdSpace([shard]).idOf(slice === 0 ? 'first range' : `range ${ends[slice - 1]!}`),
  );
  const places = placeSinks(family, boundaries);
  const named = owners.map((shard) => shard.name);
  return makeComputed({
    name,
    type: 'range',
    mapping: `range ${JSON.stringify([family, ends, named])}`,
    followsRanges: true,
    sinks: followedBy(places, [family], (out) => {
      const id = ids[out.lo >>> 1]!;
      out.hi = id.hi;
      out.lo = id.lo;
      return MAPPED;
    }),
    sql(column) {
      const collation = family === 'text' ? ' COLLATE "C"' : '';
      const arms = ends.map((end, slice) => {
        const literal = `'${end.replaceAll("'", "''")}'::${typeName}`;
        return `WHEN ${column} < ${literal}${collation} THEN ${signedId(ids[slice]!)}`;
      });
      const all = arms.length === 0 ? `WHEN ${column} IS NULL THEN NULL` : arms.join(' ');
      return `CASE ${all} WHEN ${column} IS NOT NULL THEN ${signedId(ids.at(-1)!)} END`;
    },
    order: { sinks: followedBy(places, [family], isLeastOfPlace), eachSpan: sliceSpans(ids) },
  });
}
