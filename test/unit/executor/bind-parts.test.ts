import { describe, expect, test } from 'vitest';
import { SqlError } from '../../../src/errors/sql-error.js';
import { BindParts, NO_VALUES } from '../../../src/executor/bind-parts.js';
import { limitOf, offsetOf } from '../../../src/executor/row-counts.js';
import { Writer } from '../../../src/protocol/writer.js';

/** A Bind message from behind the statement's name. */
function bind(
  formats: readonly number[],
  values: readonly (Buffer | null)[],
  results: readonly number[],
): Buffer {
  const writer = new Writer(64).int16(formats.length);
  for (const format of formats) writer.int16(format);
  writer.int16(values.length);
  for (const value of values) {
    writer.int32(value?.length ?? -1);
    if (value !== null) writer.bytes(value);
  }
  writer.int16(results.length);
  for (const format of results) writer.int16(format);
  return writer.take();
}

const VALUES = [Buffer.from('text'), null, Buffer.from([0, 0, 0, 5])];

describe('values of a Bind message go with other statements', () => {
  test('with other result formats', () => {
    const parts = new BindParts(bind([0, 0, 1], VALUES, [1, 0]));
    expect(parts.withResults('binary')).toEqual(bind([0, 0, 1], VALUES, [1]));
    expect(parts.withResults('text')).toEqual(bind([0, 0, 1], VALUES, []));
  });

  test('with values in the places of NULLs behind them', () => {
    const parts = new BindParts(bind([1], VALUES, [1, 0]));
    const nulls = parts.withNulls(2);
    expect(nulls).toEqual(bind([1, 1, 1, 0, 0], [...VALUES, null, null], [1, 0]));
    const pieces = [[Buffer.from('ar'), Buffer.from('ray')], [Buffer.from([0])]];
    const values = [...VALUES, Buffer.from('array'), Buffer.from([0])];
    expect(new BindParts(nulls).withLastValues(pieces)).toEqual(
      bind([1, 1, 1, 1, 1], values, [1, 0]),
    );
  });

  test('with further values in binary, whatever form the formats have', () => {
    const more = Buffer.from('array');
    for (const [formats, each] of [
      [[], [0, 0, 0]],
      [[1], [1, 1, 1]],
      [
        [0, 1, 0],
        [0, 1, 0],
      ],
    ] as const) {
      const parts = new BindParts(bind(formats, VALUES, [0]));
      expect(parts.withValues([more])).toEqual(bind([...each, 1], [...VALUES, more], [0]));
    }
    expect(new BindParts(NO_VALUES).withValues([more])).toEqual(bind([1], [more], []));
  });

  test('with hidden result columns in binary behind the client’s own', () => {
    const hidden = (results: readonly number[]): Buffer =>
      new BindParts(bind([], [], results)).withHiddenResults(2, 1);
    expect(hidden([])).toEqual(bind([], [], [0, 0, 1]));
    expect(hidden([1])).toEqual(bind([], [], [1, 1, 1]));
    expect(hidden([1, 0])).toEqual(bind([], [], [1, 0, 1]));
    expect(() => hidden([1, 0, 1])).toThrow(
      'bind message has 3 result formats but query has 2 columns',
    );
  });
});

describe('LIMIT and OFFSET as parameters', () => {
  const limit = (value: Buffer | null, binary = false): bigint | null =>
    limitOf({ kind: 'param', index: 0 }, new BindParts(bind([binary ? 1 : 0], [value], [])));
  const text = (value: string): bigint | null => limit(Buffer.from(value));

  test('are read in text as bigint reads it, and in binary of any width', () => {
    expect([text('12'), text(' +7 '), text('1_000'), text('0x1F'), text('0b101')]).toEqual([
      12n,
      7n,
      1000n,
      31n,
      5n,
    ]);
    expect(limit(Buffer.from([0, 0, 0, 0, 0, 0, 1, 0]), true)).toBe(256n);
    expect(limit(Buffer.from([0, 0, 1, 0]), true)).toBe(256n);
    expect(limit(Buffer.from([1, 0]), true)).toBe(256n);
  });

  test('are none where they are null', () => {
    expect(limit(null)).toBe(null);
    expect(offsetOf(null, new BindParts(NO_VALUES))).toBe(0n);
    expect(limitOf({ kind: 'constant', value: null }, new BindParts(NO_VALUES))).toBe(null);
  });

  test('are refused as PostgreSQL refuses them', () => {
    const code = (run: () => unknown): string => {
      try {
        run();
      } catch (error) {
        if (error instanceof SqlError) return error.code;
      }
      return 'none';
    };
    const parts = new BindParts(NO_VALUES);
    expect([
      code(() => text('-1')),
      code(() => offsetOf({ kind: 'constant', value: -1n }, parts)),
      code(() => text('1.5')),
      code(() => text('9223372036854775808')),
      code(() => limit(Buffer.from([1]), true)),
    ]).toEqual(['2201W', '2201X', '22P02', '22003', '22P03']);
  });
});
