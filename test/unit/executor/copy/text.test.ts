import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  byteByByte,
  cutsArbitrary,
  plan,
  shardOf,
  split,
  streamsOf,
  textFormat,
} from './splitting.js';

/** The answer, the same however the data is cut. */
function splitText(data: string, columns = 2, field = 0, options = {}): ReturnType<typeof split> {
  const bytes = Buffer.from(data);
  const copy = plan(textFormat(options), columns, field);
  const whole = split(copy, bytes);
  const { streams, rows, error } = split(copy, bytes, { cuts: byteByByte(bytes) });
  expect({ rows, error }).toEqual({ rows: whole.rows, error: whole.error });
  if (error === null) expect(streams).toEqual(whole.streams);
  return whole;
}

describe('COPY text rows', () => {
  test('go to the shards of their keys, byte for byte', () => {
    const rows = Array.from({ length: 50 }, (_, i) => [`k${i}`, `k${i}\tv${i}\n`] as const);
    const result = splitText(rows.map(([, row]) => row).join(''));
    expect(result.streams).toEqual(streamsOf(rows));
    expect(result.rows).toBe(50);
    expect(Object.values(result.streams).every((stream) => stream !== '')).toBe(true);
  });

  test('of one shard that stand together leave as one piece', () => {
    const key = Array.from({ length: 20 }, (_, i) => `k${i}`).filter((k) => shardOf(k) === 's2');
    const data = Buffer.from(key.map((k) => `${k}\tx\n`).join(''));
    expect(key.length).toBeGreaterThan(3);
    expect(split(plan(textFormat(), 2), data).pieces).toBe(1);
  });

  test('find a key that is not the first column', () => {
    const rows = ['a', 'b', 'c', 'd'].map((k) => [k, `1\t\\N\t${k}\t9\n`] as const);
    expect(splitText(rows.map(([, row]) => row).join(''), 4, 2).streams).toEqual(streamsOf(rows));
  });

  test.each([
    ['\\x41', 'A'],
    ['\\x4', '\x04'],
    ['\\x4g', '\x04g'],
    ['\\x414', 'A4'],
    ['\\x', 'x'],
    ['\\xg', 'xg'],
    ['\\101', 'A'],
    ['\\1018', 'A8'],
    ['\\11', '\t'],
    ['\\1', '\x01'],
    ['\\8', '8'],
    ['\\b\\f\\n\\r\\t\\v', '\b\f\n\r\t\v'],
    ['\\\\', '\\'],
    ['\\\\N', '\\N'],
    ['a\\\tb', 'a\tb'],
    ['a\\\nb', 'a\nb'],
    ['\\N\\N', 'NN'],
    ['N', 'N'],
    ['', ''],
    ['\\xc3\\xa9', 'é'],
    ['\\303\\251', 'é'],
    ['é€😀', 'é€😀'],
    ['\\q', 'q'],
  ])('read the key %j as Postgres does', (written, key) => {
    const row = `${written}\tv\n`;
    expect(splitText(row).streams).toEqual(streamsOf([[key, row]]));
    const only = `${written}\n`;
    expect(splitText(only, 1).streams).toEqual(streamsOf([[key, only]]));
  });

  test.each(['\n', '\r', '\r\n'])('end in %j, the last one perhaps in nothing', (newline) => {
    for (const last of [newline, '']) {
      const rows = ['a', 'b', 'c', 'd', 'e'].map((key, i) => {
        return [key, `${key}\t1${i === 4 ? last : newline}`] as const;
      });
      const data = rows.map(([, row]) => row).join('');
      expect(splitText(data)).toMatchObject({ streams: streamsOf(rows), rows: 5 });
      const single = rows.map(([key]) => [key, `${key}${newline}`] as const);
      expect(splitText(single.map(([, row]) => row).join(''), 1).streams).toEqual(
        streamsOf(single),
      );
    }
  });

  test.each([
    ['a\t1\nb\t2\r\n', 'literal carriage return found in data'],
    ['a\t1\nb\t\r2\n', 'literal carriage return found in data'],
    ['a\t1\r\nb\t2\n', 'literal newline found in data'],
    ['a\t1\r\nb\t2\r', 'literal carriage return found in data'],
    ['a\t1\r\nb\t2\rc\t3\r\n', 'literal carriage return found in data'],
    ['a\t1\rb\t2\n', 'literal newline found in data'],
    ['a\t1\rb\t2\r\n', 'literal newline found in data'],
  ])('in more than one newline style are refused: %j', (data, message) => {
    const { error } = splitText(data);
    expect(error).toMatchObject({ state: 'bad_copy_file_format', message });
  });

  test('of one column may be empty', () => {
    expect(splitText('\n\nx\n', 1)).toMatchObject({
      streams: streamsOf([
        ['', '\n'],
        ['', '\n'],
        ['x', 'x\n'],
      ]),
      rows: 3,
    });
  });

  test('that lack columns go to some shard, which says so', () => {
    for (const row of ['\n', 'a\n', '\\N\n', 'a']) {
      expect(splitText(row, 2)).toMatchObject({
        error: null,
        streams: { s0: row, s1: '', s2: '' },
      });
    }
    expect(splitText('a\tb\n', 3, 2).streams['s0']).toBe('a\tb\n');
  });

  test('with too many columns go to the shard of their key, which says so', () => {
    expect(splitText('a\t1\t2\t3\n').streams).toEqual(streamsOf([['a', 'a\t1\t2\t3\n']]));
  });

  test('without a key are refused', () => {
    for (const data of ['\\N\tx\n', 'a\tx\n\\N\tx']) {
      expect(splitText(data).error).toMatchObject({
        state: 'feature_not_supported',
        message: 'null value in shard key "t.k"',
      });
    }
    expect(splitText('x\n', 1, 0, { nullText: Buffer.from('x') }).error).not.toBeNull();
    // A backslash at the very end does not count, so this is NULL too.
    expect(splitText('\\N\\', 1).error?.message).toBe('null value in shard key "t.k"');
  });

  test('with the default for a key are refused', () => {
    const options = { defaultText: Buffer.from('D') };
    expect(splitText('D\tx\n', 2, 0, options).error?.state).toBe('feature_not_supported');
    expect(splitText('\\D\tD\n', 2, 0, options).streams).toEqual(streamsOf([['D', '\\D\tD\n']]));
  });

  test('with a key that is not of its type are refused', () => {
    const data = Buffer.from('1\tx\nabc\tx\n');
    const { error } = split(plan(textFormat(), 2, 0, 'int4'), data);
    expect(error?.code).toBe('22P02');
    const text = split(plan(textFormat(), 1), Buffer.from('a\\377\n'));
    expect(text.error?.code).toBe('22021');
  });

  test('may use any delimiter', () => {
    const rows = ['a', 'b', 'c'].map((k) => [`${k}|`, `${k}\\||1\n`] as const);
    const data = rows.map(([, row]) => row).join('');
    expect(splitText(data, 2, 0, { delimiter: 0x7c }).streams).toEqual(streamsOf(rows));
  });
});

describe('a header line of COPY text', () => {
  test('goes to every shard and is no row', () => {
    const { streams, rows } = splitText('k\\\n\tv\na\t1\n', 2, 0, { header: true });
    expect(rows).toBe(1);
    for (const name of ['s0', 's1', 's2']) {
      expect(streams[name]).toBe(`k\\\n\tv\n${shardOf('a') === name ? 'a\t1\n' : ''}`);
    }
  });

  test('sets the newline style', () => {
    const { error } = splitText('k\tv\r\na\t1\n', 2, 0, { header: true });
    expect(error?.message).toBe('literal newline found in data');
  });

  test('may be all there is', () => {
    expect(splitText('k\tv', 2, 0, { header: true })).toMatchObject({
      rows: 0,
      streams: { s0: 'k\tv', s1: 'k\tv', s2: 'k\tv' },
    });
  });
});

describe('the end marker of COPY text', () => {
  test.each([
    ['a\t1\n', '\\.\nb\t2\n'],
    ['a\t1\r\n', '\\.\r\nb'],
    ['a\t1\r', '\\.\r\n'],
    ['', '\\.\r\nb\t2'],
    ['', '\\.\nb\r'],
    ['', '\\.\rb\n'],
  ])('ends the data behind %j', (before, after) => {
    const rows = before === '' ? [] : ([['a', before]] as const);
    expect(splitText(before + after)).toMatchObject({ streams: streamsOf(rows), error: null });
  });

  test('may stand for the header', () => {
    expect(splitText('\\.\na\t1\n', 2, 0, { header: true }).streams).toEqual(streamsOf([]));
  });

  test.each([
    ['a\t1\n\\.\r\n', 'does not match previous newline style'],
    ['a\t1\r\n\\.\n', 'does not match previous newline style'],
    ['a\t1\r\n\\.\r\r', 'does not match previous newline style'],
    ['a\t1\r\\.\n', 'does not match previous newline style'],
    ['a\t1\n\\.', 'is not alone on its line'],
    ['a\t1\r\n\\.\r', 'is not alone on its line'],
    ['a\t1\r\n\\.\rx', 'is not alone on its line'],
    ['\\.x\n', 'is not alone on its line'],
    ['a\t1\\.\n', 'is not alone on its line'],
    ['a\\.\n', 'is not alone on its line'],
  ])('that is malformed is refused: %j', (data, message) => {
    expect(splitText(data).error).toMatchObject({
      code: '22P04',
      message: `end-of-copy marker ${message}`,
    });
  });

  test('is no marker behind another backslash', () => {
    expect(splitText('\\\\.\t1\n').streams).toEqual(streamsOf([['\\.', '\\\\.\t1\n']]));
  });
});

describe('COPY text of any rows', () => {
  const escapes: Readonly<Record<string, string[]>> = {
    '\\': ['\\\\', '\\134', '\\x5c'],
    '\t': ['\\t', '\\\t', '\\x09', '\\011'],
    '\n': ['\\n', '\\\n', '\\012'],
    '\r': ['\\r', '\\\r', '\\x0D'],
    a: ['a', '\\a', '\\141', '\\x61'],
    é: ['é', '\\xc3\\xa9'],
  };
  const character = fc.constantFrom('\\', '\t', '\n', '\r', 'a', 'é', 'N', '.', ' ', '0', 'q');
  const written = character.chain((value) =>
    fc.constantFrom(...(escapes[value] ?? [value])).map((text) => ({ value, text })),
  );
  const field = fc.array(written, { maxLength: 6 }).map((parts) => ({
    value: parts.map((part) => part.value).join(''),
    text: parts.map((part) => part.text).join(''),
  }));

  test('is split as its keys say, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }).chain((columns) =>
          fc.record({
            columns: fc.constant(columns),
            keyField: fc.nat(columns - 1),
            rows: fc.array(fc.array(field, { minLength: columns, maxLength: columns }), {
              maxLength: 12,
            }),
          }),
        ),
        fc.constantFrom('\n', '\r', '\r\n'),
        cutsArbitrary,
        ({ columns, keyField, rows }, newline, cuts) => {
          const lines = rows.map((fields) => {
            const line = fields.map((each) => each.text).join('\t') + newline;
            return [fields[keyField]!.value, line] as const;
          });
          const data = Buffer.from(lines.map(([, line]) => line).join(''));
          const result = split(plan(textFormat(), columns, keyField), data, { cuts });
          expect(result).toMatchObject({
            error: null,
            rows: rows.length,
            streams: streamsOf(lines),
          });
        },
      ),
      { numRuns: 400 },
    );
  });
});
