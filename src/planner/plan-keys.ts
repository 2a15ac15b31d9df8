import type { KeyDirectory } from '../keyspace/key-directory.js';
import type { ShardedTable } from '../keyspace/topology.js';
import type { KeyMapper, KeyOrder, KeyParts } from '../keyspace/vindex.js';

/** What the shard key is compared with or set to: a value, or values of each of its columns. */
export type KeyTerm = ColumnTerm | TupleTerm;

/** A key of several columns: every combination of the values of each. */
export interface TupleTerm {
  /** By the key's columns, in their order. */
  readonly columns: readonly (readonly ColumnTerm[])[];
  readonly parts: KeyParts;
  /** False: of the first columns only, for all keys that begin so. They may be on several shards. */
  readonly whole: boolean;
}

/** Two lists of what a shard key is bound to, by its columns, which must not have a key in common. */
export interface KeysApart {
  readonly one: readonly (readonly ColumnTerm[])[];
  readonly other: readonly (readonly ColumnTerm[])[];
}

/** One value that a column of the shard key is compared with or set to. */
export interface ColumnTerm {
  readonly columns?: undefined;
  readonly source: KeySource;
  readonly mapper: KeyMapper;
  /**
   * Type whose text or binary form the value has: the cast's or parameter's type; `unknown` = the
   * column's type.
   */
  readonly inputType: number;
  readonly columnType: number;
  /** `table.column` for messages. */
  readonly column: string;
  /** Absent: it is nobody's shard key. */
  readonly table?: Pick<ShardedTable, 'schema' | 'name'>;
  /**
   * The statement stores the value in the column (INSERT), so NULL and NO_MATCH are errors: there
   * is no shard that such a row would be found on again. Absent: the column is only compared with
   * it, and such a value matches no row.
   */
  readonly stored?: boolean;
}

/** What is known of the order of a shard key's values: each list has an interval that holds the key. */
export interface KeyRanges {
  readonly order: KeyOrder;
  readonly conditions: readonly (readonly KeyInterval[])[];
}

/** Null: without an end on that side. */
export interface KeyInterval {
  readonly lower: KeyBound | null;
  readonly upper: KeyBound | null;
}

export interface KeyBound {
  readonly source: KeySource;
  /** Writes places of the order. */
  readonly mapper: KeyMapper;
  readonly inclusive: boolean;
}

/** A value that a column with a lookup is compared with, of a type whose values compare as the column's own. */
export interface LookupTerm {
  readonly source: KeySource;
  readonly inputType: number;
}

export type KeySource =
  /** The n-th literal of the text (0-based); `negative`: a minus sign stands before it. */
  | { readonly kind: 'literal'; readonly index: number; readonly negative: boolean }
  /** `$index+1`. */
  | { readonly kind: 'param'; readonly index: number }
  /** Every element of the array parameter `$index+1` (`= ANY($1)`). */
  | { readonly kind: 'paramArray'; readonly index: number }
  /** A value known at planning, in text format, UTF-8; null is SQL NULL. */
  | { readonly kind: 'constant'; readonly bytes: Uint8Array | null };

/** A shard key whose values come in fields of rows. */
export interface StoredKey {
  /** In the order of the key's columns. */
  readonly columns: readonly StoredColumn[];
  /** Null: a key of one column. */
  readonly parts: KeyParts | null;
  /** For messages: `orders.id`. */
  readonly name: string;
  /** What must be asked for the shards of keys; absent: keys tell them by themselves. */
  readonly directory?: KeyDirectory;
}

export interface StoredColumn {
  /** 0-based place in the row. */
  readonly field: number;
  readonly mapper: KeyMapper;
  readonly columnType: number;
  /** `table.column` for messages. */
  readonly column: string;
  /** Its values are the proxy's own (`CopyFromPlan.fill`). */
  readonly made?: boolean;
}
