// @ts-check
import { fromDist } from '../lib/from-dist.mjs';

const OIDS = { int8: 20, text: 25, uuid: 2950 };

/**
 * From a value on the wire to its keyspace id.
 * @returns {Promise<import('../micro.mjs').Micro[]>}
 */
export async function hashBenchmarks() {
  const { makeHashVindex } = /** @type {typeof import('../../src/vindex/hash.js')} */ (
    await fromDist('vindex/hash.js')
  );
  const { KeyspaceIdCell } = /** @type {typeof import('../../src/keyspace/keyspace-id.js')} */ (
    await fromDist('keyspace/keyspace-id.js')
  );
  const vindex = makeHashVindex('by_id');
  const cell = new KeyspaceIdCell();
  const uuid = '0188f0d2-1f6b-7c4e-8a39-5b7f0c1d2e3f';
  const cases = /** @type {const} */ ([
    { name: 'int8, text format', type: OIDS.int8, binary: false, bytes: Buffer.from('123456789') },
    {
      name: 'int8, binary format',
      type: OIDS.int8,
      binary: true,
      bytes: Buffer.from([0, 0, 0, 0, 7, 0x5b, 0xcd, 0x15]),
    },
    {
      name: 'text of 12 bytes',
      type: OIDS.text,
      binary: false,
      bytes: Buffer.from('customer-123'),
    },
    { name: 'uuid, text format', type: OIDS.uuid, binary: false, bytes: Buffer.from(uuid) },
  ]);
  return cases.map(({ name, type, binary, bytes }) => {
    const mapper = vindex.mapper(type, type);
    if (mapper === null) throw new Error(`the hash vindex takes no type ${type}`);
    return {
      name: `keyspace id of ${name}`,
      run: () =>
        binary
          ? mapper.binary(bytes, 0, bytes.length, cell)
          : mapper.text(bytes, 0, bytes.length, cell),
    };
  });
}
