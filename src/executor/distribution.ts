import { keyColumnMapper } from '../keyspace/key-columns.js';
import type { KeyDirectory } from '../keyspace/key-directory.js';
import type { Shard, ShardedTable } from '../keyspace/topology.js';
import { TypeOid } from '../keyspace/type-oids.js';
import type { KeyMapper } from '../keyspace/vindex.js';
import type {
  Destination,
  DestinationColumn,
  DistributeSpec,
  StoredColumn,
} from '../planner/plan.js';
import { storedKey } from '../planner/stored-key.js';
import { readInt32 } from '../protocol/framing.js';
import { Writer } from '../protocol/writer.js';
import { assert } from '../util/assert.js';
import { travellingColumn, int4Array, TEXT_ARRAY, type ArrayColumn } from './array-parameter.js';
import { ShardKey } from './copy/shard-key.js';
import type { ResultColumn } from './described-columns.js';
import { WaitingRows } from './waiting-rows.js';

/** How the columns of a source travel, and what finds the shard of a row. */
export interface RowShape {
  /** Columns of what the client gets. */
  readonly clientColumns: number;
  readonly columns: readonly ArrayColumn[];
  /** Of each column from its source: 0 text, 1 binary. */
  readonly formats: readonly (0 | 1)[];
  /** Of a destination by key, its columns; none for others. */
  readonly key: readonly TravellingKey[];
  /** Of a destination by key: a column whose values come in a type that cannot be mapped; null: none. */
  readonly unmapped: string | null;
}

/** How the values of a key's column travel. */
interface TravellingKey extends StoredColumn {
  /** They are in their text form. */
  readonly isText: boolean;
}

/**
 * @param read the columns of the source as a shard describes them
 * @param textOnly `Catalog.textOnlyTypes`
 * Null: the text that is run over the rows would read them as something else.
 */
export function rowShape(
  read: readonly ResultColumn[],
  clientColumns: number,
  { made = [], destination, apply }: DistributeSpec,
  textOnly: ReadonlySet<number> | undefined,
): RowShape | null {
  const source = [...read, ...made.map(() => MADE)];
  if (source.length !== apply.columns.length) return null;
  const arrays = source.map((column) => travellingColumn(column, textOnly));
  // Written as text, a value is read as the very type that it has, or as text.
  const readAs = (column: number): number => apply.types?.[column] ?? 0;
  const isSame = ({ type }: ResultColumn, i: number): boolean =>
    arrays[i] !== null || [type, 0, TypeOid.text, TypeOid.varchar].includes(readAs(i));
  if (!source.every(isSame)) return null;
  const columns = arrays.map((column) => column ?? TEXT_ARRAY);
  const formats = arrays.slice(0, read.length).map((column) => (column === null ? 0 : 1));
  const travel = { clientColumns, columns, formats };
  if (destination.kind !== 'key') return { ...travel, key: [], unmapped: null };
  const key: TravellingKey[] = [];
  for (const [place, stored] of destination.columns.entries()) {
    const { column, name } = stored;
    const isText = arrays[column] === null;
    const own = travellingKey(destination.table, place, stored, source[column]!.type, isText);
    if (own === null) return { ...travel, key, unmapped: name };
    key.push(own);
  }
  return { ...travel, key, unmapped: null };
}

/** Null: values of this type cannot be mapped. */
function travellingKey(
  table: ShardedTable,
  place: number,
  { column, columnType, columnTypmod, name }: DestinationColumn,
  type: number,
  isText: boolean,
): TravellingKey | null {
  const map = (from: number): KeyMapper | null =>
    keyColumnMapper(table, place, columnType, from, columnTypmod);
  const mapper = map(type);
  if (mapper !== null) return { field: column, mapper, columnType: type, column: name, isText };
  // A constant without a type is text where it stands in a query of its own.
  const untyped = type === TypeOid.text ? map(TypeOid.unknown) : null;
  if (untyped === null) return null;
  return { field: column, mapper: untyped, columnType, column: name, isText: true };
}

/** What the proxy makes, whatever the type of its column is. */
const MADE: ResultColumn = { name: '', type: TypeOid.text, typmod: -1 };

/** Rows on their way to the shards that they belong to. All are kept. */
export class Distribution {
  /** Of all rows. */
  bytes = 0;
  /** The place of each row's shard, in the order of the rows. */
  readonly order: number[] = [];
  /** Null: each row is placed at once. Else all wait for `place`. */
  readonly directory: KeyDirectory | null;
  private readonly waiting = new WaitingRows<null>();
  private readonly shards: readonly Shard[];
  private readonly rows: { readonly messages: Writer; count: number }[];
  /** The place of the shard that a DataRow message belongs to. Throws SqlError where there is none. */
  readonly placeOf: (row: Buffer, at: number) => number;

  constructor(destination: Destination, shape: RowShape) {
    this.shards = shardsOf(destination);
    this.directory =
      destination.kind === 'key' ? (destination.table.vindex.directory ?? null) : null;
    this.placeOf = finder(destination, shape, this.shards);
    // Copies have one list of rows.
    this.rows = (destination.kind === 'copies' ? [0] : this.shards).map(() => ({
      messages: new Writer(INITIAL_BYTES),
      count: 0,
    }));
  }

  /** Takes a DataRow message. Throws SqlError where it is placed at once, and belongs to no shard. */
  add(buffer: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    if (this.directory === null) this.put(buffer, start, end, this.placeOf(buffer, start));
    else this.waiting.add(null, buffer, start, end);
  }

  /** Maps the keys of the rows that wait. Throws SqlError. */
  map(): void {
    this.waiting.each((_origin, buffer, start) => void this.placeOf(buffer, start));
  }

  /** Places the rows that wait. Throws SqlError where one belongs to no shard. */
  place(): void {
    this.waiting.each((_origin, buffer, start, end) => {
      this.put(buffer, start, end, this.placeOf(buffer, start));
    });
  }

  /** Takes a DataRow message for this place. */
  put(buffer: Buffer, start: number, end: number, place: number): void {
    const rows = this.rows[place]!;
    rows.messages.bytes(buffer, start, end);
    rows.count++;
    this.order.push(place);
  }

  /** Places of the shards that have rows. */
  get places(): number[] {
    return this.rows.flatMap(({ count }, place) => (count > 0 ? [place] : []));
  }

  /** The numbers of the rows of one place, as an int4 array in binary. */
  numbersOf(place: number): Buffer {
    const numbers: number[] = [];
    this.order.forEach((own, number) => {
      if (own === place) numbers.push(number);
    });
    return int4Array(numbers);
  }

  /** The rows of one place, as `arrayParameters` takes them. */
  rowsOf(place: number): { readonly messages: Buffer; readonly count: number } {
    const { messages, count } = this.rows[place]!;
    return { messages: messages.view(), count };
  }
}

const INITIAL_BYTES = 4096;

/** The shards that rows may go to; a place is an index in this list. */
export function shardsOf(destination: Destination): readonly Shard[] {
  return destination.kind === 'copies' ? destination.shards : destination.keyspace.shards;
}

function finder(
  destination: Destination,
  { key: columns, unmapped }: RowShape,
  shards: readonly Shard[],
): Distribution['placeOf'] {
  switch (destination.kind) {
    case 'copies':
      return () => 0;
    case 'key': {
      const { keyspace, table } = destination;
      assert(unmapped === null, 'a key whose type cannot be mapped');
      const key = new ShardKey(keyspace, storedKey(table, columns), false);
      const isText = new Map(columns.map((column) => [column.field, column.isText]));
      const places = new Map(shards.map((shard, place) => [shard, place]));
      return (row, at) => {
        let shard: Shard | null;
        do {
          const start = fieldStart(row, at, key.field);
          const length = readInt32(row, start);
          if (length < 0) throw key.nullError();
          const end = start + 4 + length;
          shard =
            isText.get(key.field) === true
              ? key.ofText(row, start + 4, end)
              : key.ofBinary(row, start + 4, end);
        } while (shard === null);
        return places.get(shard)!;
      };
    }
  }
}

/** Where the length of a field stands in the DataRow message at `at`. */
export function fieldStart(row: Buffer, at: number, field: number): number {
  let start = at + 7;
  for (let i = 0; i < field; i++) start += 4 + Math.max(0, readInt32(row, start));
  return start;
}
