import { parseKeyRange } from '../../../src/keyspace/key-range.js';
import type { Vindex } from '../../../src/keyspace/vindex.js';
import type { VindexProblem } from '../../../src/vindex/options.js';
import { vindexTypes, type VindexTypeName } from '../../../src/vindex/registry.js';

/** Shards s0 to s3 with a quarter of the keyspace ids each. */
export const shards = ['-40', '40-80', '80-c0', 'c0-'].map((range, index) => ({
  name: `s${index}`,
  ranges: [parseKeyRange(range)!],
}));

type Options = Readonly<Record<string, unknown>>;

/** Options with which each type can be made. */
export const sampleOptions: Readonly<Record<VindexTypeName, Options>> = {
  hash: {},
  xxhash: {},
  md5: {},
  numeric: {},
  binary: {},
  unicode_loose: {},
  ring: {},
  range: {
    ranges: [
      { to: '0', shard: 's2' },
      { to: '1000', shard: 's0' },
      { to: '5000', shard: 's1' },
      { shard: 's0' },
    ],
  },
  time: { period: 'month' },
  tiered: {
    table: 'period_shards',
    period: 'month',
    tiers: [{ younger_than: 90 * 86_400_000, shards: ['s0', 's1'] }, { shards: ['s2'] }],
  },
  directory: { table: 'key_shards' },
  list: { values: new Map([['7', 's3']]), others: ['s0', 's1', 's2'] },
  region: {
    regions: [
      { values: ['1', '2'], shards: ['s0', 's1'] },
      { values: ['3'], shards: ['s2'] },
    ],
    others: ['s3'],
  },
  composite: { columns: [{ type: 'hash', bits: '16' }, { type: 'hash' }] },
  salted: { hot: ['7', '8'], salts: '4' },
};

/** The vindex of a type, or what is wrong with the options. */
export function makeSample(
  type: VindexTypeName,
  options: Options = sampleOptions[type],
): Vindex | readonly VindexProblem[] {
  return vindexTypes[type].make({ name: 'by_key', options, shards });
}

export function makeSound(type: VindexTypeName, options: Options = sampleOptions[type]): Vindex {
  const made = makeSample(type, options);
  if ('mapper' in made) return made;
  throw new Error(made.map(({ message }) => message).join('; '));
}

/** `path: message; hint` of each problem. */
export function problemsOf(type: VindexTypeName, options: Options): string[] {
  const made = makeSample(type, options);
  if ('mapper' in made) return [];
  return made.map(({ path, message, hint }) => `${path.join('.')}: ${message}; ${hint}`);
}

/** Name of the shard that owns a signed keyspace id. */
export function shardOfId(id: bigint | string): string {
  return typeof id === 'string' ? id : `s${BigInt.asUintN(64, id) >> 62n}`;
}
