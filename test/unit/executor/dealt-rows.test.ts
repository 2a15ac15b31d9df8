import { expect, test } from 'vitest';
import { arrayColumn } from '../../../src/executor/array-parameter.js';
import { DealtRows } from '../../../src/executor/dealt-rows.js';
import { GatherRows } from '../../../src/executor/gather-rows.js';
import { TypeOid } from '../../../src/keyspace/type-oids.js';
import { int32, message } from '../protocol/messages.js';

const columns = [TypeOid.text, TypeOid.bytea].map((type) =>
  arrayColumn({ name: 'x', type, typmod: -1 })!,
);

/** Keyspace ids whose upper half is 1 go to place 1, and so on. */
function newRows(): DealtRows {
  return new DealtRows(columns, 3, (hi) => hi);
}

/** A row of two columns, as a shard sends it with the keyspace id behind it. */
function row(text: string | null, bytes: string | null, hi: number | null): Buffer {
  const id = hi === null ? [int32(-1)] : [int32(8), int32(hi), int32(-7)];
  return message('D', 3, ...field(text), ...field(bytes), ...id);
}

function field(text: string | null): Buffer[] {
  if (text === null) return [int32(-1)];
  const bytes = Buffer.from(text);
  return [int32(bytes.length), bytes];
}

/** An array of one dimension, from 1. */
function array(type: number, ...values: readonly (string | null)[]): string {
  const head = [
    values.length > 0 ? 1 : 0,
    0,
    type,
    ...(values.length > 0 ? [values.length, 1] : []),
  ];
  return Buffer.concat([...head.map(int32), ...values.flatMap(field)]).toString('hex');
}

function arraysOf(rows: DealtRows): string[][] {
  return [0, 1, 2].map((place) =>
    rows.arrays(place).map((pieces) => Buffer.concat(pieces).toString('hex')),
  );
}

const long = 'long '.repeat(50);
const sent = [row('a', 'b', 1), row(null, 'c', null), row(long, null, 1), row('', '', 0)];
const dealt = [
  [array(TypeOid.text, null, ''), array(TypeOid.bytea, 'c', '')],
  [array(TypeOid.text, 'a', long), array(TypeOid.bytea, 'b', null)],
  [array(TypeOid.text), array(TypeOid.bytea)],
];

test('rows go to the places of the ids in their last column, those without one to the first', () => {
  const rows = newRows();
  const stream = Buffer.concat(sent);
  rows.push(new GatherRows(), Buffer.concat([Buffer.from('before'), stream]), 6, 6 + stream.length);
  expect(rows.rowCount).toBe(4);
  expect(arraysOf(rows)).toEqual(dealt);
});

test('rows may be cut off anywhere', () => {
  const stream = Buffer.concat(sent);
  const ends = sent.map((_, i) => Buffer.concat(sent.slice(0, i + 1)).length);
  for (let cut = 5; cut < stream.length; cut++) {
    const rowEnd = ends.find((end) => end >= cut)!;
    const rowStart = ends.findLast((end) => end < cut) ?? 0;
    // A row's head always comes in one piece, and the rest of a row by itself.
    if (cut < rowStart + 5) continue;
    const pieces = [stream.subarray(0, cut), stream.subarray(cut, rowEnd), stream.subarray(rowEnd)];
    const rows = newRows();
    const open = new GatherRows();
    for (const piece of pieces.filter(({ length }) => length > 0)) {
      rows.push(open, Buffer.from(piece), 0, piece.length);
    }
    expect(arraysOf(rows), `cut at ${cut}`).toEqual(dealt);
  }
});

test('many rows and large ones keep their order', () => {
  const rows = newRows();
  const texts = [...Array.from({ length: 20_000 }, (_, i) => `row ${i}`), 'x'.repeat(100_000), 'y'];
  for (const text of texts) {
    const bytes = row(text, null, 2);
    rows.push(new GatherRows(), bytes, 0, bytes.length);
  }
  expect(arraysOf(rows)[2]![0]).toBe(array(TypeOid.text, ...texts));
});

test('rows of other columns are an error', () => {
  const bytes = message('D', 2, ...field('a'), int32(-1));
  expect(() => newRows().push(new GatherRows(), bytes, 0, bytes.length)).toThrow(/other columns/);
});
