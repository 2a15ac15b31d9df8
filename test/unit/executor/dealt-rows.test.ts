import { describe, expect, test } from 'vitest';
import type { BackendConnection } from '../../../src/backend/postgres/connection.js';
import { DealtRows } from '../../../src/executor/dealt-rows.js';
import { COPY_HEADER } from '../../../src/executor/gather-feed.js';
import { int32, message } from '../protocol/messages.js';

const sources = [{}, {}] as readonly unknown[] as readonly [BackendConnection, BackendConnection];

/** A row of one text column, as a shard sends it with its place. */
function row(text: string | null, place: number): Buffer {
  return message('D', 2, ...field(text), int32(4), int32(place));
}

/** The same as data of a COPY. */
function copied(text: string | null): Buffer {
  return message('d', 1, ...field(text));
}

function field(text: string | null): Buffer[] {
  if (text === null) return [int32(-1)];
  const bytes = Buffer.from(text);
  return [int32(bytes.length), bytes];
}

function stream(...rows: readonly Buffer[]): string {
  const parts = [message('d', COPY_HEADER), ...rows, message('d', -1), message('c')];
  return Buffer.concat(parts).toString('hex');
}

describe('rows go to the places that their last column names', () => {
  const sent = [row('a', 1), row(null, 0), row('long '.repeat(50), 1), row('', 2)];
  const expected = [
    stream(copied(null)),
    stream(copied('a'), copied('long '.repeat(50))),
    stream(copied('')),
  ];

  test('whole', () => {
    const rows = new DealtRows(3);
    const bytes = Buffer.concat(sent);
    rows.push(sources[0], bytes, 0, bytes.length);
    expect(rows.rowCount).toBe(4);
    expect([0, 1, 2].map((place) => rows.content(place).toString('hex'))).toEqual(expected);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 11, 64])('cut off every %i bytes', (size) => {
    const rows = new DealtRows(3);
    const bytes = Buffer.concat(sent);
    for (let at = 0; at < bytes.length; at += size) {
      rows.push(sources[0], bytes, at, Math.min(bytes.length, at + size));
    }
    expect([0, 1, 2].map((place) => rows.content(place).toString('hex'))).toEqual(expected);
  });

  test('of several shards in turns, in the middle of rows', () => {
    const rows = new DealtRows(1);
    const [first, second] = [row('first', 0), row('second', 0)];
    rows.push(sources[0], first, 0, 9);
    rows.push(sources[1], second, 0, 4);
    rows.push(sources[0], first, 9, first.length);
    rows.push(sources[1], second, 4, second.length);
    expect(rows.content(0).toString('hex')).toBe(stream(copied('first'), copied('second')));
  });
});
