import type { KeyDirectory } from '../keyspace/key-directory.js';
import type { KeyMapper, KeyOrder, KeyParts, Vindex } from '../keyspace/vindex.js';
import type { KeyFamily, KeySinks } from './key-sinks.js';
import { equalityMapper, keyFamily, placeMapper, typeRefusal } from './key-types.js';

/** `Vindex.cost` of those that need nothing but the value. */
export const COMPUTED_COST = 1;

/** A vindex that computes the keyspace id from the value alone. */
export interface Computation {
  readonly name: string;
  readonly type: string;
  /** See `Vindex.mapping`. */
  readonly mapping: string;
  readonly sinks: KeySinks;
  /** The keyspace id as SQL over a column, signed; null where a shard cannot compute it. */
  readonly sql: (quotedColumn: string, family: KeyFamily) => string | null;
  readonly order?: OrderedPlaces;
  /** Of keys of several columns; absent: none. */
  readonly parts?: KeyParts;
  /** See `Vindex.followsRanges`. */
  readonly followsRanges?: true;
  /** See `Vindex.directory`. */
  readonly directory?: KeyDirectory;
}

export interface OrderedPlaces {
  /** They write places instead of ids. */
  readonly sinks: KeySinks;
  readonly eachSpan: KeyOrder['eachSpan'];
}

/** The frozen vindex of a computation. */
export function makeComputed(computation: Computation): Vindex {
  const { name, type, mapping, sinks, sql, order, parts = null } = computation;
  const { followsRanges, directory } = computation;
  return Object.freeze({
    name,
    type,
    mapping,
    refusal: (columnType: number) => typeRefusal(sinks, type, columnType),
    mapper: remembered((columnType, inputType, typmod) =>
      equalityMapper(sinks, columnType, inputType, typmod),
    ),
    sqlExpression(quotedColumn: string, columnType: number) {
      const family = keyFamily(columnType);
      return family === null || sinks[family] === undefined ? null : sql(quotedColumn, family);
    },
    cost: COMPUTED_COST,
    order: order === undefined ? null : makeOrder(order),
    parts,
    ...(followsRanges !== undefined && { followsRanges }),
    ...(directory !== undefined && { directory }),
  });
}

function makeOrder({ sinks, eachSpan }: OrderedPlaces): KeyOrder {
  return Object.freeze({
    places: remembered((columnType, inputType) => placeMapper(sinks, columnType, inputType)),
    eachSpan,
  });
}

/** Plans ask for the same few mappers over and over, and compare them. */
export function remembered(
  make: (columnType: number, inputType: number, typmod: number) => KeyMapper | null,
): (columnType: number, inputType: number, typmod?: number) => KeyMapper | null {
  const known = new Map<string, KeyMapper | null>();
  return (columnType, inputType, typmod = -1) => {
    const key = `${columnType} ${inputType} ${typmod}`;
    let mapper = known.get(key);
    if (mapper === undefined) {
      mapper = make(columnType, inputType, typmod);
      known.set(key, mapper);
    }
    return mapper;
  };
}
