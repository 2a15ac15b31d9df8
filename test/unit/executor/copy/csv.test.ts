import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  byteByByte,
  csvFormat,
  cutsArbitrary,
  plan,
  shardOf,
  split,
  streamsOf,
} from './splitting.js';

interface Options {
  readonly columns?: number;
  readonly field?: number;
  readonly format?: Parameters<typeof csvFormat>[0];
  readonly csvEndMarker?: boolean;
}

/** The answer, the same however the data is cut. */
function splitCsv(data: string, options: Options = {}): ReturnType<typeof split> {
  const bytes = Buffer.from(data);
  const copy = plan(csvFormat(options.format), options.columns ?? 2, options.field ?? 0);
  const csvEndMarker = options.csvEndMarker ?? false;
  const whole = split(copy, bytes, { csvEndMarker });
  const cut = split(copy, bytes, { cuts: byteByByte(bytes), csvEndMarker });
  expect({ rows: cut.rows, error: cut.error }).toEqual({ rows: whole.rows, error: whole.error });
  if (cut.error === null) expect(cut.streams).toEqual(whole.streams);
  return whole;
}

const backslash = 0x5c;

describe('COPY CSV rows', () => {
  test.each([
    ['a', 'a'],
    ['"a"', 'a'],
    ['""', ''],
    ['"a""b"', 'a"b'],
    ['"a,b"', 'a,b'],
    ['"a\nb\r\nc\rd"', 'a\nb\r\nc\rd'],
    ['a"b,"c', 'ab,c'],
    ['"a"b"c"', 'abc'],
    [' a ', ' a '],
    ['\\.', '\\.'],
    ['\\n', '\\n'],
    ['é€😀', 'é€😀'],
  ])('read the key %j as Postgres does', (written, key) => {
    const row = `${written},v\n`;
    expect(splitCsv(row).streams).toEqual(streamsOf([[key, row]]));
    const last = `"x,\n",${written}\n`;
    expect(splitCsv(last, { field: 1 }).streams).toEqual(streamsOf([[key, last]]));
  });

  test.each([
    ['"a\\"b"', 'a"b'],
    ['"a\\\\"', 'a\\'],
    ['"a\\b"', 'a\\b'],
    ['"a\\,\n"', 'a\\,\n'],
    ['a\\b', 'a\\b'],
  ])('read the key %j with another escape as Postgres does', (written, key) => {
    const row = `${written},v\n`;
    const { streams } = splitCsv(row, { format: { escape: backslash } });
    expect(streams).toEqual(streamsOf([[key, row]]));
  });

  test('may have the delimiter for an escape', () => {
    const row = '"a,"b",x\n';
    const { streams } = splitCsv(row, { format: { escape: 0x2c } });
    expect(streams).toEqual(streamsOf([['a"b', row]]));
  });

  test.each(['\n', '\r', '\r\n'])('end in %j, the last one perhaps in nothing', (newline) => {
    for (const last of [newline, '']) {
      const rows = ['a', 'b', 'c', 'd'].map((key, i) => {
        return [key, `${key},"\r\n\n\r"${i === 3 ? last : newline}`] as const;
      });
      const data = rows.map(([, row]) => row).join('');
      expect(splitCsv(data)).toMatchObject({ error: null, streams: streamsOf(rows), rows: 4 });
    }
  });

  test.each([
    ['a,1\nb,2\r\n', 'unquoted carriage return found in data'],
    ['a,1\r\nb,2\n', 'unquoted newline found in data'],
    ['a,1\r\nb,2\r', 'unquoted carriage return found in data'],
    ['a,1\rb,2\n', 'unquoted newline found in data'],
  ])('in more than one newline style are refused: %j', (data, message) => {
    expect(splitCsv(data).error).toMatchObject({ state: 'bad_copy_file_format', message });
  });

  test('that lack columns go to some shard, which says so', () => {
    for (const data of ['\n', 'a\n', '""\n']) {
      expect(splitCsv(data)).toMatchObject({ error: null, streams: { s0: data, s1: '', s2: '' } });
    }
  });

  test('whose quotes do not end go to some shard, which says so', () => {
    for (const data of ['"a,b\n', 'x,"a\nb,c\n']) {
      const { error, streams } = splitCsv(data);
      expect(error).toBeNull();
      expect(Object.values(streams).join('')).toBe(data);
    }
  });

  test('of one column may be empty where that is not NULL', () => {
    const format = { nullText: Buffer.from('NULL') };
    expect(splitCsv('\nx\n', { columns: 1, format }).streams).toEqual(
      streamsOf([
        ['', '\n'],
        ['x', 'x\n'],
      ]),
    );
    expect(splitCsv('x\n\n', { columns: 1 }).error?.message).toMatch(/null value in shard key/);
  });

  test.each([
    ['x', {}, null],
    ['"x"', {}, 'x'],
    ['x', { forceNotNull: true }, 'x'],
    ['"x"', { forceNull: true }, null],
    ['x', { forceNull: true }, null],
    ['x', { forceNull: true, forceNotNull: true }, 'x'],
    ['"x"', { forceNull: true, forceNotNull: true }, null],
  ])('hold NULL where Postgres reads it: %s %o', (written, options, key) => {
    const row = `${written},1\n`;
    const result = splitCsv(row, { format: { nullText: Buffer.from('x'), ...options } });
    if (key === null) expect(result.error?.message).toMatch(/null value in shard key/);
    else expect(result.streams).toEqual(streamsOf([[key, row]]));
  });

  test('with the default for a key are refused, in quotes it is a value', () => {
    const format = { defaultText: Buffer.from('D') };
    expect(splitCsv('D,1\n', { format }).error?.state).toBe('feature_not_supported');
    expect(splitCsv('"D",D\n', { format }).streams).toEqual(streamsOf([['D', '"D",D\n']]));
  });

  test('with a newline as quote are refused', () => {
    expect(splitCsv('a,b', { format: { quote: 0x0a } }).error?.code).toBe('0A000');
    expect(splitCsv('a,b', { format: { escape: 0x0d } }).error?.code).toBe('0A000');
  });
});

describe('a header line of COPY CSV', () => {
  test('goes to every shard, a quoted newline inside', () => {
    const { streams, rows } = splitCsv('"k\n",v\na,1\n', { format: { header: true } });
    expect(rows).toBe(1);
    for (const name of ['s0', 's1', 's2']) {
      expect(streams[name]).toBe(`"k\n",v\n${shardOf('a') === name ? 'a,1\n' : ''}`);
    }
  });
});

describe('a line of \\. in COPY CSV', () => {
  const data = 'a,1\n\\.\nb,2\n';

  test('ends the data before PostgreSQL 18', () => {
    for (const newline of ['\n', '\r', '\r\n']) {
      const lines = data.replaceAll('\n', newline);
      expect(splitCsv(lines, { csvEndMarker: true })).toMatchObject({
        error: null,
        rows: 1,
        streams: streamsOf([['a', `a,1${newline}`]]),
      });
    }
    expect(splitCsv('\\.\nx\n', { csvEndMarker: true, columns: 1 }).rows).toBe(0);
    const header = { header: true };
    expect(splitCsv('\\.\nx,1\n', { csvEndMarker: true, format: header })).toMatchObject({
      rows: 0,
      streams: streamsOf([]),
    });
  });

  test('is a row since PostgreSQL 18', () => {
    expect(splitCsv('\\.\n', { columns: 1 }).streams).toEqual(streamsOf([['\\.', '\\.\n']]));
    // It lacks a column: nothing behind it matters.
    expect(splitCsv(data).rows).toBe(2);
  });

  test.each(['"\\."\n', '\\.x\n', '\\.'])('is a row as %j in every version', (row) => {
    const key = row.replaceAll(/["\n]/g, '');
    expect(splitCsv(row, { csvEndMarker: true, columns: 1 }).streams).toEqual(
      streamsOf([[key, row]]),
    );
  });

  test('is refused before 18 where quote or delimiter make it something else', () => {
    for (const format of [{ quote: backslash }, { delimiter: backslash }, { delimiter: 0x2e }]) {
      expect(splitCsv('a', { csvEndMarker: true, format }).error?.code).toBe('0A000');
      expect(splitCsv('a', { columns: 1, format }).error).toBeNull();
    }
  });
});

describe('COPY CSV of any rows', () => {
  const characters = fc.constantFrom('"', '\\', ',', '\n', '\r', 'a', 'é', '.', ' ', "'");
  const value = fc.string({ unit: characters, maxLength: 6 });

  test.each([
    ['"', '"'],
    ['"', '\\'],
    ["'", 'a'],
  ])('quoted by %s, escaped by %s, is split as its keys say', (quote, escape) => {
    const special = new RegExp(`[${quote}${escape === '\\' ? '\\\\' : escape}]`, 'g');
    const field = fc.tuple(value, fc.boolean()).map(([text, always]) => {
      const quoted = always || text === '' || text.includes(quote) || /[,\n\r]/.test(text);
      const body = text.replaceAll(special, (found) => escape + found);
      return { value: text, text: quoted ? quote + body + quote : text };
    });
    const format = csvFormat({ quote: quote.charCodeAt(0), escape: escape.charCodeAt(0) });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(field, field, field), { maxLength: 12 }),
        fc.nat(2),
        fc.constantFrom('\n', '\r', '\r\n'),
        cutsArbitrary,
        (rows, keyField, newline, cuts) => {
          const lines = rows.map((fields) => {
            const line = fields.map((each) => each.text).join(',') + newline;
            return [fields[keyField]!.value, line] as const;
          });
          const data = Buffer.from(lines.map(([, line]) => line).join(''));
          expect(split(plan(format, 3, keyField), data, { cuts })).toMatchObject({
            error: null,
            rows: rows.length,
            streams: streamsOf(lines),
          });
        },
      ),
      { numRuns: 300 },
    );
  });
});
