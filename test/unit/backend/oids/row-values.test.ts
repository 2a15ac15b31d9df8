import { describe, expect, test } from 'vitest';
import { OidMap } from '../../../../src/backend/oids/oid-map.js';
import { mappedColumns, mapRow, wantsBinary } from '../../../../src/backend/oids/row-values.js';
import { serverOidsOf } from '../../../../src/backend/oids/server-oids.js';

/** Kind, schema, name, is array, OID, is row: the mood, its array, a pair of both, and pairs. */
function server(first: number): ReturnType<typeof serverOidsOf> {
  const rows = ['mood f 0 f', 'mood t 1 f', 'pair f 2 t', 'pair t 3 f'];
  return serverOidsOf(
    rows.map((row) => {
      const [name, isArray, place, isRow] = row.split(' ');
      return ['t', 'public', name!, isArray!, String(first + Number(place)), isRow!];
    }),
  );
}

const SHARD = 30_000;
const CATALOG = 20_000;
const RECORD = 2249;
const map = OidMap.between(server(CATALOG), server(SHARD))!;

function ints(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, i) => bytes.writeInt32BE(number, 4 * i));
  return bytes;
}

function sized(value: Buffer | null): Buffer {
  return value === null ? ints(-1) : Buffer.concat([ints(value.length), value]);
}

function array(element: number, values: readonly (Buffer | null)[]): Buffer {
  return Buffer.concat([ints(1, 1, element, values.length, 1), ...values.map(sized)]);
}

function row(...fields: readonly (readonly [number, Buffer | null])[]): Buffer {
  const parts = fields.map(([type, value]) => Buffer.concat([ints(type), sized(value)]));
  return Buffer.concat([ints(fields.length), ...parts]);
}

/** What a server whose first OID this is gives for the same values. */
function values(first: number): Buffer[] {
  const [mood, moods, pair] = [first, first + 1, first + 2];
  const label = Buffer.from('ok');
  const some = array(mood, [label, null]);
  const one = row([mood, label], [moods, some], [25, Buffer.from('text')], [pair, null]);
  return [
    label,
    some,
    one,
    array(pair, [one, null, one]),
    row([RECORD, row([mood, label])], [23, ints(7)]),
    // No element: its type is named all the same.
    ints(0, 0, mood),
  ];
}

function dataRow(fields: readonly (Buffer | null)[]): Buffer {
  const body = Buffer.concat(fields.map(sized));
  const head = Buffer.from([0x44, 0, 0, 0, 0, 0, fields.length]);
  head.writeInt32BE(6 + body.length, 1);
  return Buffer.concat([head, body]);
}

function rowDescription(columns: readonly (readonly [type: number, format: number])[]): Buffer {
  const parts = columns.map(([type, format]) => {
    const column = Buffer.alloc(20);
    column.write('c', 0);
    column.writeUInt32BE(type, 8);
    column.writeInt16BE(format, 18);
    return column;
  });
  return Buffer.concat([Buffer.from([0x54, 0, 0, 0, 0, 0, columns.length]), ...parts]);
}

describe('OIDs in binary values', () => {
  const types = [SHARD, SHARD + 1, SHARD + 2, SHARD + 3, RECORD, SHARD + 1];

  test('become those of the catalog shard, at any depth', () => {
    const description = rowDescription(types.map((type) => [type, 1]));
    const columns = mappedColumns(description, 0, description.length, map)!;
    expect(columns.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5]);
    const before = Buffer.from('before');
    const bytes = Buffer.concat([before, dataRow(values(SHARD))]);
    mapRow(bytes, before.length, columns, map);
    expect(bytes.subarray(before.length)).toEqual(dataRow(values(CATALOG)));
  });

  test('are not looked for in text, or where no column can have them', () => {
    for (const columns of [
      types.map((type) => [type, 0]),
      [
        [SHARD, 1],
        [25, 1],
        [1007, 1],
      ],
    ]) {
      const description = rowDescription(columns as [number, number][]);
      expect(mappedColumns(description, 0, description.length, map)).toBeNull();
    }
  });

  test('are passed over where the value is NULL', () => {
    const columns = [
      { index: 1, type: SHARD + 1 },
      { index: 2, type: SHARD + 2 },
    ];
    const nulls = dataRow([null, null, null]);
    const bytes = Buffer.from(nulls);
    mapRow(bytes, 0, columns, map);
    expect(bytes).toEqual(nulls);
  });
});

test('a Bind message tells whether it wants binary results', () => {
  const bind = (...results: number[]): Buffer => {
    const bytes = Buffer.alloc(2 * (results.length + 1));
    [results.length, ...results].forEach((number, i) => bytes.writeInt16BE(number, 2 * i));
    return Buffer.concat([
      Buffer.from([0, 1, 0, 1, 0, 2]),
      sized(null),
      sized(Buffer.from('x')),
      bytes,
    ]);
  };
  expect([[], [0], [1], [0, 0], [0, 1]].map((formats) => wantsBinary(bind(...formats)))).toEqual([
    false,
    false,
    true,
    false,
    true,
  ]);
});
