// @ts-check
import { fromDist } from '../lib/from-dist.mjs';

const ROWS = 100;
const ROW_VALUE_BYTES = 89;

/**
 * Walking the messages of one chunk, and building one.
 * @returns {Promise<import('../micro.mjs').Micro[]>}
 */
export async function framingBenchmarks() {
  const { Framer, readInt32 } = /** @type {typeof import('../../src/protocol/framing.js')} */ (
    await fromDist('protocol/framing.js')
  );
  const { Writer } = /** @type {typeof import('../../src/protocol/writer.js')} */ (
    await fromDist('protocol/writer.js')
  );
  const builder = new Writer();
  const value = Buffer.alloc(ROW_VALUE_BYTES, 0x78);
  for (let i = 0; i < ROWS; i++) {
    builder.begin(0x44).int16(1).int32(value.length).bytes(value).end();
  }
  const chunk = builder.take();

  const framer = new Framer();
  const headroom = 64;
  const cut = Buffer.alloc(headroom + 40);
  const text = Buffer.from('SELECT abalance FROM pgbench_accounts WHERE aid = 12345;\0');
  const out = new Writer();
  return [
    {
      name: `walk ${ROWS} rows in a chunk, each`,
      operations: ROWS,
      run: () => {
        let at = 0;
        while (at < chunk.length) at += 1 + readInt32(chunk, at + 1);
        return at;
      },
    },
    {
      name: 'join a message cut in two',
      run: () => {
        framer.keep(cut, 0, 30);
        return framer.join(cut, headroom);
      },
    },
    {
      name: 'write a Query of 57 bytes',
      run: () => {
        out.begin(0x51).bytes(text).end();
        const { size } = out;
        out.sent(true);
        return size;
      },
    },
  ];
}
