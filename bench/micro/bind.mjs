// @ts-check
import { fromDist } from '../lib/from-dist.mjs';

/**
 * Reading where the values of a Bind message are.
 * @returns {Promise<import('../micro.mjs').Micro[]>}
 */
export async function bindBenchmarks() {
  const { BindLayout } = /** @type {typeof import('../../src/protocol/frontend-messages.js')} */ (
    await fromDist('protocol/frontend-messages.js')
  );
  const { Writer } = /** @type {typeof import('../../src/protocol/writer.js')} */ (
    await fromDist('protocol/writer.js')
  );
  const layout = new BindLayout();
  return [1, 10].map((count) => {
    const writer = new Writer();
    writer.begin(0x42).cstring('').cstring('P_1').int16(0).int16(count);
    for (let i = 0; i < count; i++) writer.int32(5).bytes(Buffer.from('12345'));
    const message = writer.int16(0).end().take();
    return {
      name: `layout of a Bind, parameters: ${count}`,
      run: () => {
        layout.read(message, 0, message.length);
        return layout.valueCount;
      },
    };
  });
}
