import fc from 'fast-check';
import { RowLines } from '../../../../src/executor/copy/row-lines.js';
import { SqlError } from '../../../../src/errors/sql-error.js';
import { CopySplitter, type CopySink } from '../../../../src/executor/copy/copy-splitter.js';
import { parseKeyRange } from '../../../../src/keyspace/key-range.js';
import { KeyspaceIdCell } from '../../../../src/keyspace/keyspace-id.js';
import { makeTopology } from '../../../../src/keyspace/topology-builder.js';
import { TypeOid } from '../../../../src/keyspace/type-oids.js';
import { MAPPED } from '../../../../src/keyspace/vindex.js';
import type { CopyFormat, CopyFromPlan } from '../../../../src/planner/plan.js';
import { makeHashVindex } from '../../../../src/vindex/hash.js';

type TextFormat = Extract<CopyFormat, { kind: 'text' }>;
type CsvFormat = Extract<CopyFormat, { kind: 'csv' }>;
type KeyType = 'int4' | 'int8' | 'text';

export const vindex = makeHashVindex('by_key');

/** Three shards of different sizes, so that neighbouring rows often share one. */
export const keyspace = makeTopology({
  version: 1,
  defaultKeyspace: null,
  keyspaces: [
    {
      name: 'shop',
      vindexes: [vindex],
      tables: [],
      shards: ['-40', '40-80', '80-'].map((range, i) => ({
        name: `s${i}`,
        ranges: [parseKeyRange(range)!],
      })),
    },
  ],
}).keyspaces[0]!;

export const shardNames = keyspace.shards.map((shard) => shard.name);

export function textFormat(options: Partial<TextFormat> = {}): CopyFormat {
  return {
    kind: 'text',
    delimiter: 0x09,
    nullText: Buffer.from('\\N'),
    header: false,
    defaultText: null,
    ...options,
  };
}

export function csvFormat(options: Partial<CsvFormat> = {}): CopyFormat {
  return {
    kind: 'csv',
    delimiter: 0x2c,
    quote: 0x22,
    escape: options.quote ?? 0x22,
    nullText: Buffer.alloc(0),
    header: false,
    defaultText: null,
    forceNotNull: false,
    forceNull: false,
    ...options,
  };
}

/** COPY of `columnCount` columns of which number `field` is the key; null: a reference table. */
export function plan(
  format: CopyFormat,
  columnCount: number,
  field: number | null = 0,
  type: KeyType = 'text',
): CopyFromPlan {
  const columnType = TypeOid[type];
  const mapper = vindex.mapper(columnType, TypeOid.unknown)!;
  return {
    kind: 'copyFrom',
    verb: 'copy',
    writes: true,
    keyspace,
    table: 't',
    key:
      field === null
        ? null
        : { columns: [{ field, mapper, columnType, column: 't.k' }], parts: null, name: 't.k' },
    columnCount,
    format,
  };
}

/** The name of the shard that a key value belongs to. */
export function shardOf(value: string | Buffer, type: KeyType = 'text'): string {
  const bytes = Buffer.from(value);
  const id = new KeyspaceIdCell();
  const mapper = vindex.mapper(TypeOid[type], TypeOid.unknown)!;
  if (mapper.text(bytes, 0, bytes.length, id) !== MAPPED)
    throw new Error(`no key: ${String(value)}`);
  return keyspace.shardOf(id.hi, id.lo).name;
}

/** What each shard should get of rows that come with their keys. */
export function streamsOf(
  rows: readonly (readonly [key: string, row: string])[],
): Record<string, string> {
  const streams = Object.fromEntries(shardNames.map((name) => [name, '']));
  for (const [key, row] of rows) streams[shardOf(key)]! += Buffer.from(row).toString('latin1');
  return streams;
}

export interface Split {
  /** What each shard got, one character a byte. */
  readonly streams: Readonly<Record<string, string>>;
  readonly pieces: number;
  readonly rows: number;
  readonly error: SqlError | null;
}

export interface SplitOptions {
  /** Lengths of the chunks; what is left is the last chunk. */
  readonly cuts?: readonly number[];
  readonly csvEndMarker?: boolean;
}

/** Splits data that arrives in chunks; each stands in the middle of a buffer that changes afterwards. */
export function split(copy: CopyFromPlan, data: Buffer, options: SplitOptions = {}): Split {
  const got = new Map(shardNames.map((name): [string, Buffer[]] => [name, []]));
  let pieces = 0;
  const take = (name: string, bytes: Uint8Array, start: number, end: number): void => {
    pieces++;
    got.get(name)!.push(Buffer.from(bytes.subarray(start, end)));
  };
  const sink: CopySink = {
    toShard: (shard, bytes, start, end) => {
      take(shard.name, bytes, start, end);
    },
    toAll: (bytes, start, end) => {
      for (const name of shardNames) take(name, bytes, start, end);
    },
  };
  let rows = 0;
  let error: SqlError | null = null;
  try {
    const splitter = new CopySplitter(copy, options.csvEndMarker ?? false, new RowLines());
    let at = 0;
    for (const length of [...(options.cuts ?? []), data.length]) {
      const end = Math.min(data.length, at + length);
      const chunk = Buffer.alloc(end - at + SURROUNDINGS.length * 2);
      chunk.set(SURROUNDINGS);
      data.copy(chunk, SURROUNDINGS.length, at, end);
      chunk.set(SURROUNDINGS, end - at + SURROUNDINGS.length);
      splitter.push(chunk, SURROUNDINGS.length, end - at + SURROUNDINGS.length, sink);
      chunk.fill(0x23);
      at = end;
    }
    splitter.finish(sink);
    rows = splitter.rows;
  } catch (caught) {
    if (!(caught instanceof SqlError)) throw caught;
    error = caught;
  }
  const streams = Object.fromEntries(
    [...got].map(([name, chunks]) => [name, Buffer.concat(chunks).toString('latin1')]),
  );
  return { streams, pieces, rows, error };
}

/** Bytes that would matter if anyone read beyond a chunk. */
const SURROUNDINGS = Buffer.from('\n\\.\n"\r');

/** One byte a chunk. */
export function byteByByte(data: Buffer): number[] {
  return new Array<number>(data.length).fill(1);
}

/** Random lengths of chunks, many of them empty or tiny. */
export const cutsArbitrary = fc.array(fc.oneof(fc.nat(3), fc.nat(40)), { maxLength: 60 });
