import { describe, expect, test } from 'vitest';
import { CopySplitter, type CopySink } from '../../../../src/executor/copy/copy-splitter.js';
import { RowLines } from '../../../../src/executor/copy/row-lines.js';
import { SqlError } from '../../../../src/errors/sql-error.js';
import type { CopyFormat } from '../../../../src/planner/plan.js';
import { csvFormat, plan, shardNames, shardOf, split, textFormat } from './splitting.js';

const chunk = Buffer.alloc(256 * 1024, 'x');
const binaryStart = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');

/** Beginnings of rows whose key is or would be `k`, and how their rows go on without end. */
const longRows: [string, CopyFormat, { key: string; noKey: string }][] = [
  ['text', textFormat(), { key: 'k\t', noKey: '' }],
  ['csv', csvFormat(), { key: 'k,"', noKey: '"' }],
  [
    'binary',
    { kind: 'binary' },
    {
      key: `${binaryStart.toString('latin1')}\0\x02\0\0\0\x01k\x7f\0\0\0`,
      noKey: `${binaryStart.toString('latin1')}\0\x02\x7f\0\0\0`,
    },
  ],
];

describe.each(longRows)('a very long row of COPY %s', (_name, format, starts) => {
  test('passes in pieces once its key is known, and is not kept', () => {
    const copy = new CopySplitter(plan(format, 2), false, new RowLines());
    let bytes = 0;
    let others = 0;
    const sink: CopySink = {
      toShard: (shard, _bytes, start, end) => {
        if (shard.name === shardOf('k')) bytes += end - start;
        else others++;
      },
      toAll: () => undefined,
    };
    const start = Buffer.from(starts.key, 'latin1');
    copy.push(start, 0, start.length, sink);
    const head = bytes;
    expect(head).toBeGreaterThan(0);
    for (let i = 1; i <= 1000; i++) {
      copy.push(chunk, 0, chunk.length, sink);
      if (bytes !== head + i * chunk.length) throw new Error(`kept back at chunk ${i}`);
    }
    expect(others).toBe(0);
  });

  test('is refused when its key does not come within 64 MB', () => {
    const copy = new CopySplitter(
      plan(format, 2, format.kind === 'text' ? 1 : 0),
      false,
      new RowLines(),
    );
    const sink: CopySink = { toShard: () => undefined, toAll: () => undefined };
    const start = Buffer.from(starts.noKey, 'latin1');
    copy.push(start, 0, start.length, sink);
    let taken = 0;
    let error: unknown = null;
    try {
      for (; taken < 1000; taken++) copy.push(chunk, 0, chunk.length, sink);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(SqlError);
    expect(error).toMatchObject({ code: '54000' });
    expect((taken + 1) * chunk.length).toBeGreaterThanOrEqual(64 * 1024 * 1024);
    expect(taken * chunk.length).toBeLessThan(65 * 1024 * 1024);
  });
});

describe('a key behind long columns', () => {
  test('is found, and the rows behind it too', () => {
    const long = 'y'.repeat(3_000_000);
    const rows = [`${long}\ta\n`, `z\tb\n`, `${long}\tc\n`];
    const cuts = new Array<number>(60).fill(100_003);
    const data = Buffer.from(rows.join(''));
    const { streams, error } = split(plan(textFormat(), 2, 1), data, { cuts });
    expect(error).toBeNull();
    for (const name of shardNames) {
      const own = rows.filter((row) => shardOf(row.slice(-2, -1)) === name);
      expect(streams[name] === own.join('')).toBe(true);
    }
  });
});

describe('COPY into a reference table', () => {
  test.each([
    ['text', textFormat({ header: true })],
    ['csv', csvFormat()],
    ['binary', { kind: 'binary' } as const],
  ])('brings every shard the %s data as it is', (_name, format) => {
    const data = Buffer.from('anything "at\r all\n\\.\nand more');
    const { streams, error } = split(plan(format, 3, null), data, { cuts: [0, 5, 1, 7] });
    expect(error).toBeNull();
    for (const name of shardNames) expect(streams[name]).toBe(data.toString('latin1'));
  });
});

describe('COPY without data', () => {
  test('brings no shard anything', () => {
    for (const format of [textFormat(), csvFormat(), textFormat({ header: true })]) {
      const { pieces, rows, error } = split(plan(format, 2), Buffer.alloc(0));
      expect({ pieces, rows, error }).toEqual({ pieces: 0, rows: 0, error: null });
    }
  });
});
