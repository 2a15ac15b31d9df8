import { expect, test } from 'vitest';
import { DealtRows } from '../../../src/executor/dealt-rows.js';
import { COPY_HEADER } from '../../../src/executor/gather-feed.js';
import { GatherRows } from '../../../src/executor/gather-rows.js';
import { int32, message } from '../protocol/messages.js';

const CHUNK_BYTES = 64 * 1024;

/** A row of one text column, as a shard sends it with its place. */
function row(text: string | null, place: number): Buffer {
  return message('D', 2, ...field(text), int32(4), int32(place));
}

/** The same in the data of a COPY. */
function copied(text: string | null): Buffer {
  return Buffer.concat([Buffer.from([0, 1]), ...field(text)]);
}

function field(text: string | null): Buffer[] {
  if (text === null) return [int32(-1)];
  const bytes = Buffer.from(text);
  return [int32(bytes.length), bytes];
}

/** The data of a COPY of these rows. */
function dataOf(...rows: readonly Buffer[]): string {
  return Buffer.concat([COPY_HEADER, ...rows, Buffer.from([0xff, 0xff])]).toString('hex');
}

/** What CopyData messages hold; their last one is followed by CopyDone. */
function contentOf(rows: DealtRows, place: number): string {
  const bytes = Buffer.concat(rows.content(place));
  const data: Buffer[] = [];
  let at = 0;
  for (; bytes[at] === 0x64; at += 1 + bytes.readInt32BE(at + 1)) {
    data.push(bytes.subarray(at + 5, at + 1 + bytes.readInt32BE(at + 1)));
  }
  expect(bytes.subarray(at).toString('hex')).toBe(message('c').toString('hex'));
  return Buffer.concat(data).toString('hex');
}

const sent = [row('a', 1), row(null, 0), row('long '.repeat(50), 1), row('', 2)];

test('rows go to the places that their last column names', () => {
  const rows = new DealtRows(4);
  const stream = Buffer.concat(sent);
  rows.push(new GatherRows(), Buffer.concat([Buffer.from('before'), stream]), 6, 6 + stream.length);
  expect(rows.rowCount).toBe(4);
  expect([0, 1, 2, 3].map((place) => contentOf(rows, place))).toEqual([
    dataOf(copied(null)),
    dataOf(copied('a'), copied('long '.repeat(50))),
    dataOf(copied('')),
    dataOf(),
  ]);
});

test('rows of several shards may be cut off anywhere', () => {
  const stream = Buffer.concat(sent);
  const ends = sent.map((_, i) => Buffer.concat(sent.slice(0, i + 1)).length);
  for (let cut = 5; cut < stream.length; cut++) {
    const rowEnd = ends.find((end) => end >= cut)!;
    const rowStart = ends.findLast((end) => end < cut) ?? 0;
    // A row's head always comes in one piece, and the rest of a row by itself.
    if (cut < rowStart + 5) continue;
    const pieces = [stream.subarray(0, cut), stream.subarray(cut, rowEnd), stream.subarray(rowEnd)];
    const rows = new DealtRows(4);
    const open = [new GatherRows(), new GatherRows()] as const;
    for (const piece of pieces.filter(({ length }) => length > 0)) {
      for (const one of open) rows.push(one, Buffer.from(piece), 0, piece.length);
    }
    expect(rows.rowCount, `cut at ${cut}`).toBe(8);
    expect(contentOf(rows, 0)).toBe(dataOf(copied(null), copied(null)));
  }
});

test('a message takes as many rows as fit, and a larger one alone', () => {
  const rows = new DealtRows(1);
  const texts = ['x'.repeat(CHUNK_BYTES), ...Array.from({ length: 5000 }, (_, i) => `row ${i}`)];
  for (const text of texts) {
    const bytes = row(text, 0);
    rows.push(new GatherRows(), bytes, 0, bytes.length);
  }
  expect(rows.content(0).length).toBeLessThan(6);
  expect(contentOf(rows, 0).startsWith(dataOf(copied(texts[0]!)).slice(0, -4))).toBe(true);
});
