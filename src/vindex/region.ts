import { MAPPED, NO_SHARD, type KeyParts, type Vindex } from '../keyspace/vindex.js';
import { makeComputed, remembered } from './computed.js';
import { hashSinks } from './hash.js';
import { IdSpace, shardsNamed } from './id-space.js';
import { columnTypeField, literalType } from './key-literals.js';
import { followedBy, type KeyFamily } from './key-sinks.js';
import { equalityMapper, typeRefusal } from './key-types.js';
import { ListedValues } from './listed-values.js';
import { vindexType, type VindexProblem } from './options.js';

/**
 * The first column of the key tells a region by its value. A key of that column alone is hashed over the region's
 * shards, as is the second column of a key that has two: then the first one alone leads to all shards of the region.
 */
export const regionType = vindexType(
  'Listed values of the first column lead to the shards of a region, the second column is hashed over these',
  {
    column_type: {
      ...columnTypeField,
      description: `Of the first column. ${columnTypeField.description}`,
    },
    regions: {
      form: {
        kind: 'rows',
        fields: {
          values: {
            form: { kind: 'values' },
            description: 'Values of the first column that belong to the region',
            requiredCure: 'write values: [ VALUE, ... ]',
          },
          shards: {
            form: { kind: 'shards' },
            description: 'The shards of the region',
            requiredCure: 'write shards: [ NAME, ... ]',
          },
        },
      },
      description: 'The regions; those with the same shards are near each other, but not one',
      requiredCure: 'write regions: [ { values: [ VALUE, ... ], shards: [ NAME, ... ] } ]',
    },
    others: {
      form: { kind: 'shards' },
      description: 'Shards for all other values; left out: such rows are refused',
    },
  },
  ({ name, options: { column_type, regions = [], others }, shards }) => {
    const type = literalType(
      column_type,
      regions.flatMap(({ values }) => values ?? []),
    );
    const problems: VindexProblem[] = [];
    const listed = new ListedValues<number>();
    const spaces: IdSpace[] = [];
    for (const [index, region] of regions.entries()) {
      const path = ['regions', index] as const;
      for (const [place, text] of (region.values ?? []).entries()) {
        listed.add(text, type, () => index, [...path, 'values', place], problems);
      }
      spaces.push(
        new IdSpace(shardsNamed(region.shards ?? [], shards, [...path, 'shards'], problems)),
      );
    }
    if (others !== undefined) {
      spaces.push(new IdSpace(shardsNamed(others, shards, ['others'], problems)));
    }
    if (problems.length > 0) return problems;
    const rest = others === undefined ? null : spaces.length - 1;
    const named = regions.map(({ values = [], shards: own = [] }) => [
      [...values].sort(),
      [...own].sort(),
    ]);
    const mapping = `region ${JSON.stringify([type.family, named, [...(others ?? [])].sort()])}`;
    return makeRegion(name, mapping, type.family, { listed, rest, spaces });
  },
);

interface Regions {
  /** Places in `spaces`. */
  readonly listed: ListedValues<number>;
  /** Of values that are not listed; null: they are in none. */
  readonly rest: number | null;
  readonly spaces: readonly IdSpace[];
}

function makeRegion(name: string, mapping: string, family: KeyFamily, regions: Regions): Vindex {
  const { listed, rest, spaces } = regions;
  return makeComputed({
    name,
    type: 'region',
    mapping,
    followsRanges: true,
    sinks: followedBy(hashSinks, [family], (out) => {
      const region = listed.find(out) ?? rest;
      if (region === null) return NO_SHARD;
      spaces[region]!.settle(out);
      return MAPPED;
    }),
    // Hashing again until a shard of the region is met is no expression.
    sql: () => null,
    parts: Object.freeze(partsOf(family, regions)),
  });
}

/** The part of the first column is the place of its region, that of the second one its hash. */
function partsOf(family: KeyFamily, { listed, rest, spaces }: Regions): KeyParts {
  const regionSinks = followedBy(hashSinks, [family], (out) => {
    const region = listed.find(out) ?? rest;
    if (region === null) return NO_SHARD;
    out.hi = 0;
    out.lo = region;
    return MAPPED;
  });
  const sinksAt = [regionSinks, hashSinks];
  const mappers = sinksAt.map((sinks) =>
    remembered((columnType, inputType, typmod) =>
      equalityMapper(sinks, columnType, inputType, typmod),
    ),
  );
  return {
    columnsMin: 1,
    columnsMax: 2,
    refusal: (place, columnType) => typeRefusal(sinksAt[place]!, 'region', columnType),
    mapper: (place, columnType, inputType, typmod) =>
      mappers[place]!(columnType, inputType, typmod),
    combine([region, hash], out) {
      out.hi = hash!.hi;
      out.lo = hash!.lo;
      spaces[region!.lo]!.settle(out);
    },
    eachSpan([region], visit) {
      spaces[region!.lo]!.eachSpan(visit);
    },
    sqlExpression: () => null,
  };
}
