import { expect, test } from 'vitest';
import { assertRoomForInputs } from '../../../src/executor/parameter-room.js';

/** Formats and the count of values, as a Bind message has them. */
function bind(formats: number, values: number): Buffer {
  const bytes = Buffer.alloc(4 + 2 * formats);
  bytes.writeUInt16BE(formats, 0);
  bytes.writeUInt16BE(values, 2 + 2 * formats);
  return bytes;
}

test('a statement that has nearly all parameters which there may be takes no inputs as further ones', () => {
  expect(() => assertRoomForInputs(null)).not.toThrow();
  expect(() => assertRoomForInputs(bind(0, 60_000))).not.toThrow();
  for (const formats of [0, 1, 65_535]) {
    expect(() => assertRoomForInputs(bind(formats, 65_535))).toThrowError(/65535 parameters/);
  }
});
