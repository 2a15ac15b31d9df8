import { expect, test } from 'vitest';
import { DealtRows } from '../../../src/executor/dealt-rows.js';
import { COPY_HEADER } from '../../../src/executor/gather-feed.js';
import { int32, message } from '../protocol/messages.js';

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

test('rows go to the places that their last column names', () => {
  const rows = new DealtRows(4);
  for (const sent of [row('a', 1), row(null, 0), row('long '.repeat(50), 1), row('', 2)]) {
    const bytes = Buffer.concat([Buffer.from('before'), sent, Buffer.from('behind')]);
    rows.add(bytes, 6, 6 + sent.length);
  }
  expect([0, 1, 2, 3].map((place) => rows.content(place).toString('hex'))).toEqual([
    stream(copied(null)),
    stream(copied('a'), copied('long '.repeat(50))),
    stream(copied('')),
    stream(),
  ]);
});
