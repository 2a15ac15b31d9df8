import type { KeyDirectory } from './key-directory.js';
import type { KeyspaceId, KeyspaceIdCell } from './keyspace-id.js';

/** The keyspace id was written to the cell. */
export const MAPPED = 0;
/**
 * A valid value that no stored value of the column can equal: 5.5 against an int column, 'abcd' against varchar(3).
 * A comparison finds nothing. Storing it is another matter: Postgres would change the value (round, cut blanks) or
 * raise an error, so a row whose key does not match must be refused and never sent to some shard.
 */
export const NO_MATCH = 1;
/** Postgres would refuse this value for its type (22P02 or 22003). */
export const INVALID = 2;
/** Postgres may accept this value, but its meaning depends on settings that the proxy does not interpret. */
export const UNREADABLE = 3;
/** A valid value that the vindex gives to no shard (`list`): no row has it, and none may be stored. */
export const NO_SHARD = 4;
/** Only a table knows (`Vindex.directory`), and it must be asked first. */
export const ASK = 5;
export type MapOutcome =
  | typeof MAPPED
  | typeof NO_MATCH
  | typeof INVALID
  | typeof UNREADABLE
  | typeof NO_SHARD
  | typeof ASK;

/**
 * Turns one value of one known input type into a keyspace id. Total: never throws, whatever the bytes; allocates
 * nothing for integers. `[start, end)` is the value as Postgres's text (UTF-8) or binary format has it.
 */
export interface KeyMapper {
  text(bytes: Uint8Array, start: number, end: number, out: KeyspaceIdCell): MapOutcome;
  binary(bytes: Uint8Array, start: number, end: number, out: KeyspaceIdCell): MapOutcome;
  /** The type of a column of text that limits its length, as errors name it: NO_MATCH values are too long for it. */
  readonly limitedType?: string;
}

/** Maps the values of a shard key to keyspace ids. Immutable once built from the configuration. */
export interface Vindex {
  readonly name: string;
  readonly type: string;
  /** Equal keys have equal ids under all vindexes of a keyspace that say the same here. */
  readonly mapping: string;
  /** Why columns of this type cannot be keys of this vindex; null where they can. */
  refusal(columnType: number): string | null;
  /**
   * A mapper for `column = value` (and for storing) where the value has type `inputType`; `unknown` (705) stands for an
   * untyped literal or parameter, which Postgres reads as the column's type. Null where the pair is not supported.
   * The bytes must be what that type's own input function gets: of `5.5::int8` or `1e3::text` the literal's text is
   * not. `columnTypmod` is the column's pg_attribute.atttypmod (a domain's: pg_type.typtypmod), -1 where it has none:
   * values that numeric(p,s), varchar(n) or timestamp(p) would store changed are NO_MATCH.
   */
  mapper(columnType: number, inputType: number, columnTypmod?: number): KeyMapper | null;
  /** The same keyspace id as a SQL expression (bigint, signed) over a column; null where shards cannot compute it. */
  sqlExpression(quotedColumn: string, columnType: number): string | null;
  /**
   * What it costs to find shards by it, to rank the ways that a statement leaves: 1 where the proxy computes them,
   * 10 and more where a table is asked (`lookupCost`).
   */
  readonly cost: number;
  /** Where neighbouring values are near each other; null: a range of values may be anywhere. */
  readonly order: KeyOrder | null;
  /** Of keys of several columns; null: it takes those of one only. */
  readonly parts: KeyParts | null;
  /** Ids lie in ranges of the shards that its options name: where these or the ranges change, so do ids. */
  readonly followsRanges?: true;
  /** The table that says where keys are; absent: their values alone do. */
  readonly directory?: KeyDirectory;
}

/** As many as an index of PostgreSQL has. */
export const MAX_KEY_COLUMNS = 32;

/**
 * How keys of several columns become ids: the value of each column becomes a part, and the parts an id. Places of
 * columns are 0-based.
 */
export interface KeyParts {
  /** How many columns its keys have. At least 1; where that is one, `Vindex.mapper` is asked. */
  readonly columnsMin: number;
  readonly columnsMax: number;
  /** As `Vindex.refusal`, of the column at this place. */
  refusal(place: number, columnType: number): string | null;
  /** As `Vindex.mapper`, of the column at this place; it writes its part. */
  mapper(
    place: number,
    columnType: number,
    inputType: number,
    columnTypmod?: number,
  ): KeyMapper | null;
  /** Writes the id of a key with these parts, one a column, as mappers have written them. */
  combine(parts: readonly KeyspaceId[], out: KeyspaceIdCell): void;
  /**
   * Visits keyspace ids, as closed intervals, that contain those of all keys whose first columns have these parts
   * (fewer than columns, at least one). Null: such keys may be anywhere.
   */
  readonly eachSpan:
    | ((first: readonly KeyspaceId[], visit: (from: KeyspaceId, to: KeyspaceId) => void) => void)
    | null;
  /** As `Vindex.sqlExpression`, over all columns of the key. */
  sqlExpression(quotedColumns: readonly string[], columnTypes: readonly number[]): string | null;
}

/**
 * The order of a vindex's values: each has a place, an unsigned 64-bit number that never falls as values grow (text by
 * its UTF-8 bytes). Several values may share a place.
 */
export interface KeyOrder {
  /**
   * Writes the place of a value that a column is compared with by <, <=, > or >=, in the cell of the id. MAPPED: every
   * smaller value has a smaller place, so that what is below the value ends one place below. NO_MATCH: the place may
   * hold smaller values too. Else the value has no place. Null where the pair is not supported.
   */
  places(columnType: number, inputType: number): KeyMapper | null;
  /**
   * Visits keyspace ids, as closed intervals, that contain those of all values with places from `first` to `last`.
   */
  eachSpan(
    first: KeyspaceId,
    last: KeyspaceId,
    visit: (from: KeyspaceId, to: KeyspaceId) => void,
  ): void;
}
