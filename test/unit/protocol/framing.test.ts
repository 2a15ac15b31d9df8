import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  afterCString,
  equalBytes,
  Framer,
  readInt32,
  readUint16,
  tagRows,
} from '../../../src/protocol/framing.js';
import { int32, message } from './messages.js';

const HEADROOM = 16;

/**
 * Frames a stream that arrives in these chunks, the way connections do it: one read buffer with a headroom, used again
 * for every chunk.
 */
function frames(chunks: readonly Buffer[], headroom = HEADROOM, headerBytes = 5): Buffer[] {
  const framer = new Framer();
  const size = Math.max(0, ...chunks.map((chunk) => chunk.length));
  const read = Buffer.alloc(headroom + size, 0xee);
  const messages: Buffer[] = [];
  for (const chunk of chunks) {
    chunk.copy(read, headroom);
    const end = headroom + chunk.length;
    let at = framer.join(read, headroom);
    if (at < 0) {
      at = headroom + framer.assemble(read, headroom, end, headerBytes);
      const whole = framer.complete(headerBytes);
      if (whole === null) {
        expect(at).toBe(end);
        continue;
      }
      messages.push(Buffer.from(whole));
      expect(framer.empty).toBe(true);
    }
    at = collect(read, at, end, headerBytes, messages);
    if (at < end) framer.keep(read, at, end);
    read.fill(0xee);
  }
  expect(framer.empty).toBe(true);
  return messages;
}

/** Takes the whole messages of `[at, end)`; answers where the rest starts. */
function collect(bytes: Buffer, from: number, end: number, header: number, to: Buffer[]): number {
  let at = from;
  while (end - at >= header) {
    const next = at + header - 4 + readInt32(bytes, at + header - 4);
    if (next > end) break;
    to.push(Buffer.from(bytes.subarray(at, next)));
    at = next;
  }
  return at;
}

/** Buffers one by one; `toEqual` looks at every byte, which takes minutes for megabytes. */
function expectSame(messages: readonly Buffer[], expected: readonly Buffer[]): void {
  expect(messages.map((each) => each.length)).toEqual(expected.map((each) => each.length));
  expect(Buffer.concat(messages).equals(Buffer.concat(expected))).toBe(true);
}

/** Some messages below, at and above the headroom. */
const stream = [
  message('S'),
  message('Q', 'select 1\0'),
  message('H'),
  message('d', 'x'.repeat(HEADROOM - 5)),
  message('d', 'y'.repeat(HEADROOM - 4)),
  message('d', 'z'.repeat(3 * HEADROOM)),
  message('S'),
  message('d', Buffer.alloc(200, 1)),
  message('X'),
];
const bytes = Buffer.concat(stream);

describe('a stream of messages is the same', () => {
  test('in one chunk', () => {
    expectSame(frames([bytes]), stream);
  });

  test('byte by byte', () => {
    expectSame(frames(Array.from(bytes, (byte) => Buffer.from([byte]))), stream);
  });

  test('cut at every one place', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      expectSame(frames([bytes.subarray(0, cut), bytes.subarray(cut)]), stream);
    }
  });

  test('cut at every two places', () => {
    for (let first = 0; first <= bytes.length; first += 3) {
      for (let second = first; second <= bytes.length; second += 2) {
        const chunks = [
          bytes.subarray(0, first),
          bytes.subarray(first, second),
          bytes.subarray(second),
        ];
        expectSame(frames(chunks), stream);
      }
    }
  });

  test('in random chunks, whatever the headroom', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 300 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
        fc.integer({ min: 5, max: 64 }),
        (sizes, cuts, headroom) => {
          const messages = sizes.map((size, i) => message('d', Buffer.alloc(size, i)));
          expectSame(frames(chunksOf(Buffer.concat(messages), cuts), headroom), messages);
        },
      ),
    );
  });

  test('without type bytes, as startup packets are', () => {
    const packets = [
      int32(4),
      Buffer.concat([int32(9), Buffer.from('hello')]),
      Buffer.alloc(40, 2),
    ];
    packets[2]!.writeInt32BE(40);
    const whole = Buffer.concat(packets);
    for (let cut = 0; cut <= whole.length; cut++) {
      expectSame(frames([whole.subarray(0, cut), whole.subarray(cut)], 8, 4), packets);
    }
  });
});

/** Cuts bytes into pieces of these sizes, in turn. */
function chunksOf(whole: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < whole.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(whole.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

describe('large messages', () => {
  test('several megabytes in reads of 64 KB', () => {
    const large = message('d', Buffer.alloc(5_000_000, 7));
    const whole = Buffer.concat([message('S'), large, message('S')]);
    expectSame(frames(chunksOf(whole, [65_536]), 8192), [message('S'), large, message('S')]);
  });

  test('memory follows the bytes that came, not the length that was claimed', () => {
    const framer = new Framer();
    const head = Buffer.concat([Buffer.from('d'), int32(0x3ffffff0), Buffer.alloc(100)]);
    framer.keep(head, 0, head.length);
    const chunk = Buffer.alloc(1000);
    expect(framer.join(chunk, 0)).toBe(-1);
    expect(framer.assemble(chunk, 0, chunk.length, 5)).toBe(chunk.length);
    expect(framer.complete(5)).toBeNull();
    expect(framer.heldBytes).toBeLessThan(4000);
  });

  test('byte by byte the buffer grows in steps, not with every byte', () => {
    const large = message('d', Buffer.alloc(100_000, 3));
    const framer = new Framer();
    framer.keep(large, 0, 9);
    const sizes = new Set<number>();
    for (let at = 9; at < large.length; at++) {
      framer.assemble(large, at, at + 1, 5);
      sizes.add(framer.heldBytes);
    }
    expect(framer.complete(5)!.equals(large)).toBe(true);
    expect(sizes.size).toBeLessThan(20);
  });
});

test('what is kept is a copy: the read buffer may be used again', () => {
  const framer = new Framer();
  const read = Buffer.from('....Q\0\0');
  framer.keep(read, 4, 7);
  expect(framer.heldBytes).toBe(3);
  expect(framer.empty).toBe(false);
  read.fill(0);
  expect(framer.join(read, 4)).toBe(1);
  expect(read.toString('latin1', 1, 4)).toBe('Q\0\0');
  expect(framer.empty).toBe(true);
});

test('integers are big-endian; 16 bits have no sign, 32 bits have one', () => {
  const big = Buffer.from([0xff, 0xfe, 0x00, 0x01, 0x80]);
  expect(readUint16(big, 0)).toBe(0xfffe);
  expect(readInt32(big, 0)).toBe(-131071);
  expect(readInt32(big, 1)).toBe(big.readInt32BE(1));
});

test('a string ends at its zero byte, never beyond the message', () => {
  const text = Buffer.from('ab\0c\0');
  expect(afterCString(text, 0, 5)).toBe(3);
  expect(afterCString(text, 2, 5)).toBe(3);
  expect(afterCString(text, 0, 2)).toBe(-1);
  expect(afterCString(text, 3, 4)).toBe(-1);
});

test('equal bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 600 });
  fc.assert(
    fc.property(bytes, fc.nat(20), fc.nat(599), (value, at, changed) => {
      const buffer = Buffer.alloc(at + value.length + 3, 7);
      buffer.set(value, at);
      const end = at + value.length;
      expect(equalBytes(value, buffer, at, end)).toBe(true);
      expect(equalBytes(value, buffer, at, end + 1)).toBe(false);
      if (value.length === 0) return;
      buffer[at + (changed % value.length)]! ^= 1;
      expect(equalBytes(value, buffer, at, end)).toBe(false);
    }),
  );
});

test.each([
  ['SELECT 0', 0],
  ['SELECT 12', 12],
  ['INSERT 0 345', 345],
  ['UPDATE 6000000000', 6_000_000_000],
  ['CREATE TABLE', 0],
  ['', 0],
])('the rows of the tag "%s"', (tag, rows) => {
  const complete = message('C', Buffer.from(`${tag}\0`));
  expect(tagRows(Buffer.concat([complete, complete]), complete.length, 2 * complete.length)).toBe(
    rows,
  );
});
