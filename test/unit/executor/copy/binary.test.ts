import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { byteByByte, cutsArbitrary, plan, shardNames, shardOf, split } from './splitting.js';

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const trailer = int16(-1);

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function header(flags = 0, extension: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([signature, int32(flags), int32(extension.length), extension]);
}

function tuple(...values: readonly (Buffer | null)[]): Buffer {
  const fields = values.map((value) =>
    value === null ? int32(-1) : Buffer.concat([int32(value.length), value]),
  );
  return Buffer.concat([int16(values.length), ...fields]);
}

/** The answer of COPY into (key int4, other), the same however the data is cut. */
function splitBinary(data: Buffer, field = 0, columns = 2): ReturnType<typeof split> {
  const copy = plan({ kind: 'binary' }, columns, field, 'int4');
  const whole = split(copy, data);
  const cut = split(copy, data, { cuts: byteByByte(data) });
  expect({ rows: cut.rows, error: cut.error }).toEqual({ rows: whole.rows, error: whole.error });
  if (cut.error === null) expect(cut.streams).toEqual(whole.streams);
  return whole;
}

/** What each shard should get: header, its tuples, trailer. */
function streamsOf(
  before: Buffer,
  rows: readonly (readonly [key: number, row: Buffer])[],
  after: Buffer,
): Record<string, string> {
  return Object.fromEntries(
    shardNames.map((name) => {
      const own = rows.filter(([key]) => shardOf(String(key), 'int4') === name);
      const parts = [before, ...own.map(([, row]) => row), after];
      return [name, Buffer.concat(parts).toString('latin1')];
    }),
  );
}

describe('COPY binary tuples', () => {
  const rows = Array.from({ length: 30 }, (_, i) => {
    return [i, tuple(int32(i), i % 3 === 0 ? null : Buffer.alloc(i))] as const;
  });
  const tuples = Buffer.concat(rows.map(([, row]) => row));

  test('go to the shards of their keys, between header and trailer', () => {
    const result = splitBinary(Buffer.concat([header(), tuples, trailer]));
    expect(result).toMatchObject({ error: null, rows: 30 });
    expect(result.streams).toEqual(streamsOf(header(), rows, trailer));
  });

  test('need no trailer', () => {
    for (const rest of [0, 1]) {
      const result = splitBinary(Buffer.concat([header(), tuples, Buffer.alloc(rest)]));
      expect(result).toMatchObject({ error: null, rows: 30 });
      expect(result.streams).toEqual(streamsOf(header(), rows, Buffer.alloc(0)));
    }
  });

  test('follow a header extension and unknown flags that do not matter', () => {
    const long = header(1, Buffer.from('an extension \n\xff'));
    const result = splitBinary(Buffer.concat([long, tuples, trailer]));
    expect(result.streams).toEqual(streamsOf(long, rows, trailer));
  });

  test('may be none', () => {
    expect(splitBinary(header())).toMatchObject({ error: null, rows: 0 });
    expect(splitBinary(Buffer.concat([header(), trailer])).streams).toEqual(
      streamsOf(header(), [], trailer),
    );
  });

  test('find a key in the last column', () => {
    const last = [7, 8, 9].map((key) => [key, tuple(null, Buffer.from('x'), int32(key))] as const);
    const data = Buffer.concat([header(), ...last.map(([, row]) => row), trailer]);
    expect(splitBinary(data, 2, 3).streams).toEqual(streamsOf(header(), last, trailer));
  });

  test('are split as their keys say, however they are cut', () => {
    const other = fc.option(fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer(), other, other), { maxLength: 12 }),
        cutsArbitrary,
        (values, cuts) => {
          const lines = values.map(([key, one, two]) => {
            return [key, tuple(one, int32(key), two)] as const;
          });
          const data = Buffer.concat([header(), ...lines.map(([, row]) => row), trailer]);
          const result = split(plan({ kind: 'binary' }, 3, 1, 'int4'), data, { cuts });
          expect(result).toMatchObject({
            error: null,
            rows: values.length,
            streams: streamsOf(header(), lines, trailer),
          });
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('COPY binary data that is malformed', () => {
  const good = tuple(int32(1), null);

  test.each([
    ['an empty stream', Buffer.alloc(0), 'COPY file signature not recognized'],
    ['text', Buffer.from('1\tx\n'), 'COPY file signature not recognized'],
    ['a short signature', signature.subarray(0, 8), 'COPY file signature not recognized'],
    ['no flags', signature, 'invalid COPY file header (missing flags)'],
    ['no length', header().subarray(0, 17), 'invalid COPY file header (missing length)'],
    [
      'a negative length',
      Buffer.concat([signature, int32(0), int32(-1)]),
      'invalid COPY file header (missing length)',
    ],
    [
      'a short extension',
      header(0, int32(0)).subarray(0, 22),
      'invalid COPY file header (wrong length)',
    ],
    ['OIDs', header(1 << 16), 'invalid COPY file header (WITH OIDS)'],
    ['a critical flag', header(1 << 20), 'unrecognized critical flags in COPY file header'],
    ['the highest flag', header(1 << 31), 'unrecognized critical flags in COPY file header'],
    [
      'a wrong field count',
      Buffer.concat([header(), good, tuple(int32(1))]),
      'row field count is 1, expected 2',
    ],
    [
      'a negative field count',
      Buffer.concat([header(), int16(-2)]),
      'row field count is -2, expected 2',
    ],
    ['a negative field size', Buffer.concat([header(), int16(2), int32(-2)]), 'invalid field size'],
    [
      'a cut field size',
      Buffer.concat([header(), good.subarray(0, 4)]),
      'unexpected EOF in COPY data',
    ],
    ['a cut value', Buffer.concat([header(), good.subarray(0, 8)]), 'unexpected EOF in COPY data'],
    ['a cut tuple', Buffer.concat([header(), good.subarray(0, 10)]), 'unexpected EOF in COPY data'],
    [
      'data behind the trailer',
      Buffer.concat([header(), good, trailer, good]),
      'received copy data after EOF marker',
    ],
  ])('is refused as Postgres does it: %s', (_name, data, message) => {
    expect(splitBinary(data).error).toMatchObject({ code: '22P04', message });
  });

  test('is refused where the key is NULL or not of its type', () => {
    const nullKey = Buffer.concat([header(), tuple(null, null)]);
    expect(splitBinary(nullKey).error?.message).toMatch(/null value in shard key/);
    const short = Buffer.concat([header(), tuple(Buffer.alloc(3), null)]);
    expect(splitBinary(short).error?.code).toBe('08P01');
    const empty = Buffer.concat([header(), tuple(Buffer.alloc(0), null)]);
    expect(splitBinary(empty).error?.code).toBe('08P01');
  });
});
