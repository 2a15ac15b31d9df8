// @ts-check
import { fromDist } from '../lib/from-dist.mjs';

const OIDS = { int8: 20, text: 25, timestamptz: 1184 };

/**
 * The other vindexes than hash, each with a value of a kind that it is made for.
 * @returns {Promise<import('../micro.mjs').Micro[]>}
 */
export async function vindexBenchmarks() {
  const { vindexTypes } = /** @type {typeof import('../../src/vindex/registry.js')} */ (
    await fromDist('vindex/registry.js')
  );
  const { parseKeyRange } = /** @type {typeof import('../../src/keyspace/key-range.js')} */ (
    await fromDist('keyspace/key-range.js')
  );
  const { KeyspaceIdCell } = /** @type {typeof import('../../src/keyspace/keyspace-id.js')} */ (
    await fromDist('keyspace/keyspace-id.js')
  );
  const shards = ['-80', '80-'].map((text, index) => {
    const range = parseKeyRange(text);
    return { name: `s${index}`, ranges: range === null ? [] : [range] };
  });
  const ranges = [10, 1_000, 100_000].map((to) => ({ to: String(to), shard: 's0' }));
  const number = Buffer.from('123456789');
  const word = Buffer.from('Customer-123');
  const moment = Buffer.from([0, 2, 0xbb, 0x1f, 0x4a, 0x7d, 0x40, 0]);
  const cases = /** @type {const} */ ([
    { type: 'xxhash', key: 'int8', value: number, options: {} },
    { type: 'md5', key: 'int8', value: number, options: {} },
    { type: 'numeric', key: 'int8', value: number, options: {} },
    { type: 'binary', key: 'text', value: word, options: {} },
    { type: 'unicode_loose', key: 'text', value: word, options: {} },
    {
      type: 'range',
      key: 'int8',
      value: number,
      options: { ranges: [...ranges, { shard: 's1' }] },
    },
    { type: 'time', key: 'timestamptz', value: moment, options: { period: 'month' } },
    {
      type: 'list',
      key: 'int8',
      value: number,
      options: { values: new Map([['7', 's0']]), others: ['s1'] },
    },
  ]);
  return cases.map(({ type, key, value, options }) => {
    const vindex = vindexTypes[type].make({ name: 'by_key', options, shards });
    const mapper = 'mapper' in vindex ? vindex.mapper(OIDS[key], OIDS[key]) : null;
    if (mapper === null) throw new Error(`the vindex ${type} takes no ${key}`);
    const cell = new KeyspaceIdCell();
    const format = key === 'timestamptz' ? 'binary' : 'text';
    return {
      name: `${type} of ${key}, ${format} format`,
      run: () => mapper[format](value, 0, value.length, cell),
    };
  });
}
