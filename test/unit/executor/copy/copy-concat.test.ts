import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CopyConcat } from '../../../../src/executor/copy/copy-concat.js';
import { cutsArbitrary } from './splitting.js';

const header = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const trailer = Buffer.from([0xff, 0xff]);

function copyData(payload: Buffer | string): Buffer {
  const bytes = Buffer.from(payload);
  const head = Buffer.from('d....');
  head.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
}

/** A shard's stream as PostgreSQL 15 to 18 send it. */
function binaryStream(tuples: readonly Buffer[]): Buffer {
  const [first, ...rest] = tuples;
  if (first === undefined) return copyData(Buffer.concat([header, trailer]));
  return Buffer.concat([
    copyData(Buffer.concat([header, first])),
    ...rest.map(copyData),
    copyData(trailer),
  ]);
}

type Format = 'text' | 'csv' | 'binary';

/** The payloads of the joined stream; every shard's bytes come in chunks of these lengths. */
function join(
  format: Format,
  withHeader: boolean,
  shards: readonly Buffer[],
  cuts: readonly number[] = [],
): Buffer[] {
  const concat = new CopyConcat(format, withHeader, shards.length);
  const out: Buffer[] = [];
  shards.forEach((stream, position) => {
    let at = 0;
    for (const length of [...cuts, stream.length]) {
      const end = Math.min(stream.length, at + length);
      const chunk = Buffer.concat([Buffer.from('d\0\0'), stream.subarray(at, end), trailer]);
      concat.push(position, chunk, 3, chunk.length - 2, (bytes, from, to) => {
        out.push(Buffer.from(bytes.subarray(from, to)));
        if (from >= to) throw new Error('an empty piece');
      });
      chunk.fill(0x2a);
      at = end;
    }
  });
  return payloads(Buffer.concat(out));
}

function payloads(wire: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let at = 0;
  while (at < wire.length) {
    if (wire[at] !== 0x64) throw new Error(`no CopyData at ${at}`);
    const end = at + 1 + wire.readInt32BE(at + 1);
    if (end > wire.length) throw new Error('a message that is cut off');
    messages.push(wire.subarray(at + 5, end));
    at = end;
  }
  return messages;
}

function ones(bytes: readonly Buffer[]): number[] {
  return new Array<number>(Math.max(...bytes.map((each) => each.length))).fill(1);
}

describe('joined COPY TO of lines', () => {
  test.each(['text', 'csv'] as const)('%s without header passes as it is', (format) => {
    const shards = [['a\n', 'b\n'], [], ['c\n', ''], ['d\n']].map((lines) =>
      Buffer.concat(lines.map(copyData)),
    );
    for (const cuts of [[], ones(shards)]) {
      const joined = join(format, false, shards, cuts);
      expect(joined.map(String)).toEqual(['a\n', 'b\n', 'c\n', '', 'd\n']);
    }
  });

  test.each(['text', 'csv'] as const)('%s has one header line', (format) => {
    const shards = [['x\ny\n'], ['x\ny\n', 'b\n'], ['x\ny\n', 'c\n', 'd\n']].map((lines) =>
      Buffer.concat(lines.map(copyData)),
    );
    for (const cuts of [[], ones(shards), [7], [3, 4]]) {
      const joined = join(format, true, shards, cuts);
      expect(joined.map(String)).toEqual(['x\ny\n', 'b\n', 'c\n', 'd\n']);
    }
  });
});

describe('joined COPY TO of binary tuples', () => {
  const tuple = Buffer.from([0, 1, 0, 0, 0, 2, 0xff, 0xff]);
  /** Two bytes as the trailer has: a tuple without columns. */
  const emptyTuple = Buffer.from([0, 0]);

  test.each([
    [[], [], []],
    [[tuple], [tuple, tuple], [tuple]],
    [[], [tuple], []],
    [[tuple], [], []],
    [[], [], [tuple]],
    [[emptyTuple, emptyTuple], [emptyTuple], [emptyTuple]],
    [[tuple]],
    [[]],
  ])('has one header and one trailer', (...shards: Buffer[][]) => {
    const streams = shards.map(binaryStream);
    for (const cuts of [[], ones(streams)]) {
      const joined = join('binary', false, streams, cuts);
      expect(Buffer.concat(joined)).toEqual(Buffer.concat([header, ...shards.flat(), trailer]));
    }
  });

  test('copes with a header and a trailer in messages of their own', () => {
    const apart = Buffer.concat([header, tuple, trailer].map(copyData));
    for (const cuts of [[], ones([apart])]) {
      const joined = join('binary', false, [apart, apart, apart], cuts);
      expect(joined).toEqual([header, tuple, tuple, tuple, trailer]);
    }
  });

  test('of one shard passes as it is', () => {
    const stream = binaryStream([tuple, tuple]);
    expect(join('binary', false, [stream], [4, 9])).toEqual(payloads(stream));
  });
});

describe('joined COPY TO however it is cut', () => {
  const body = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

  test('is what the shards sent, lines', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(body, { maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        cutsArbitrary,
        (shards, withHeader, cuts) => {
          const first = withHeader ? [Buffer.from('k,v\n')] : [];
          const streams = shards.map((lines) => Buffer.concat([...first, ...lines].map(copyData)));
          const joined = join('csv', withHeader, streams, cuts);
          expect(joined).toEqual([...first, ...shards.flat()]);
        },
      ),
    );
  });

  test('is what the shards sent, tuples', () => {
    const tuple = body.map((bytes) => Buffer.concat([Buffer.from([0, bytes.length]), bytes]));
    fc.assert(
      fc.property(
        fc.array(fc.array(tuple, { maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        cutsArbitrary,
        (shards, cuts) => {
          const joined = join('binary', false, shards.map(binaryStream), cuts);
          expect(Buffer.concat(joined)).toEqual(Buffer.concat([header, ...shards.flat(), trailer]));
        },
      ),
    );
  });
});

describe('a large message', () => {
  test('passes in pieces as they come', () => {
    const concat = new CopyConcat('binary', false, 2);
    const stream = binaryStream([Buffer.alloc(10), Buffer.alloc(1_000_000)]);
    const sizes: number[] = [];
    for (let at = 0; at < stream.length; at += 65_536) {
      const end = Math.min(stream.length, at + 65_536);
      concat.push(0, stream, at, end, (_bytes, from, to) => sizes.push(to - from));
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(65_536);
    // All but the trailer.
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(stream.length - 7);
    expect(sizes.length).toBeLessThan(20);
  });
});
