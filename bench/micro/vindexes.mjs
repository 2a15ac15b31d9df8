// @ts-check
import { fromDist } from '../lib/from-dist.mjs';

const OIDS = { int8: 20, text: 25, timestamptz: 1184 };

const number = Buffer.from('123456789');
const word = Buffer.from('Customer-123');
const code = Buffer.from('eu');

/**
 * The other vindexes than hash, each with a value of a kind that it is made for, and those of several columns.
 * @returns {Promise<import('../micro.mjs').Micro[]>}
 */
export async function vindexBenchmarks() {
  return [...(await singleColumns()), ...(await severalColumns())];
}

/** What vindexes are made of and write to. */
async function vindexTools() {
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
  return { vindexTypes, KeyspaceIdCell, shards };
}

/** @returns {Promise<import('../micro.mjs').Micro[]>} */
async function singleColumns() {
  const { vindexTypes, KeyspaceIdCell, shards } = await vindexTools();
  const ranges = [10, 1_000, 100_000].map((to) => ({ to: String(to), shard: 's0' }));
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

/** @returns {Promise<import('../micro.mjs').Micro[]>} */
async function severalColumns() {
  const { vindexTypes, KeyspaceIdCell, shards } = await vindexTools();
  const regions = [
    { values: ['eu'], shards: ['s0'] },
    { values: ['us'], shards: ['s1'] },
  ];
  const columns = [{ type: 'hash', bits: '16' }, { type: 'hash' }];
  const cases = /** @type {const} */ ([
    { type: 'hash', options: {} },
    { type: 'composite', options: { columns } },
    { type: 'region', options: { regions } },
    { type: 'salted', options: { hot: ['eu', 'us'], salts: '8' } },
  ]);
  return cases.map(({ type, options }) => {
    const vindex = vindexTypes[type].make({ name: 'by_key', options, shards });
    const parts = 'parts' in vindex ? vindex.parts : null;
    const first = parts?.mapper(0, OIDS.text, OIDS.text);
    const second = parts?.mapper(1, OIDS.int8, OIDS.int8);
    if (!parts || !first || !second) throw new Error(`the vindex ${type} takes one column only`);
    const one = new KeyspaceIdCell();
    const other = new KeyspaceIdCell();
    const cells = [one, other];
    const id = new KeyspaceIdCell();
    return {
      name: `${type} of text and int8, text format`,
      run: () => {
        first.text(code, 0, code.length, one);
        second.text(number, 0, number.length, other);
        parts.combine(cells, id);
        return id.lo;
      },
    };
  });
}
