import type { KeyDirectory } from './key-directory.js';
import type { KeyRange } from './key-range.js';
import type { Vindex } from './vindex.js';

/** One database of the cluster. `index` is its place in `Topology.shards`, unique over all keyspaces. */
export interface Shard {
  readonly index: number;
  readonly name: string;
  readonly keyspace: string;
  /** Sorted; empty only for the one shard of an unsharded keyspace, which holds everything. */
  readonly ranges: readonly KeyRange[];
}

/** Orders shards as the configuration has them. */
export function byIndex(a: Shard, b: Shard): number {
  return a.index - b.index;
}

/** Where the values of a column come from that an INSERT leaves out. */
export interface TableIds {
  readonly column: string;
  readonly from: 'snowflake' | 'sequence' | 'uuidv7';
  /** Of `from: sequence`, as `schema.name`; null: the one that the column has in the catalog. */
  readonly sequence: string | null;
}

/**
 * A global index of a sharded table's column: a table of its own that tells where rows with a value
 * are, by their keyspace ids.
 */
export interface Lookup {
  /** Of its vindex in the configuration. */
  readonly name: string;
  /** The sharded table, and the column whose values are looked up. */
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  /** No two rows have the same value, whatever shards they are on. */
  readonly unique: boolean;
  /** Its own table, with the columns `value` and `keyspace_id`; in a sharded keyspace it is sharded by `value`. */
  readonly index: { readonly schema: string; readonly name: string };
  /** What it is for, with what its entries mean: where this has changed it is another one, to be built anew. */
  readonly definition: string;
}

/** What a lookup goes by: no two have one table. */
export function lookupKey({ index }: Lookup): string {
  return `${index.schema}.${index.name}`;
}

/** As `Vindex.cost`: one value leads to one shard, or to several. */
export function lookupCost({ unique }: Lookup): number {
  return unique ? 10 : 20;
}

/** The shards that have entries of a lookup. The first one also says who may build it (see `LookupKeeper`). */
export function lookupShards(topology: Topology, { index }: Lookup): readonly Shard[] {
  return keyspaceOf(topology, index).shards;
}

/** The shard that has a table of Shardgate's own for a vindex. */
export function homeOf(topology: Topology, table: TableName): Shard {
  return keyspaceOf(topology, table).shards[0]!;
}

interface TableName {
  readonly schema: string;
  readonly name: string;
}

function keyspaceOf({ tables, defaultKeyspace }: Topology, { schema, name }: TableName): Keyspace {
  return tables.get(`${schema}.${name}`)?.keyspace ?? defaultKeyspace!;
}

export type Table =
  | {
      readonly type: 'sharded';
      readonly keyspace: Keyspace;
      readonly schema: string;
      readonly name: string;
      /** The columns of the shard key, one or more. */
      readonly keyColumns: readonly string[];
      readonly vindex: Vindex;
      readonly ids?: TableIds;
      /** Absent: none. */
      readonly lookups?: readonly Lookup[];
      /** Statements must name its shard key, or a shard. */
      readonly requireKey?: true;
    }
  | {
      readonly type: 'reference' | 'unsharded' | 'sequence';
      readonly keyspace: Keyspace;
      readonly schema: string;
      readonly name: string;
      readonly ids?: TableIds;
    };

export type ShardedTable = Extract<Table, { type: 'sharded' }>;

export interface Keyspace {
  readonly name: string;
  readonly sharded: boolean;
  readonly shards: readonly Shard[];
  readonly vindexes: ReadonlyMap<string, Vindex>;
  /** By `schema.name`. */
  readonly tables: ReadonlyMap<string, Table>;
  /** The shard that owns a keyspace id, given as unsigned 32-bit halves. Allocates nothing. */
  shardOf(hi: number, lo: number): Shard;
}

/** Everything routing needs to know of the cluster. Frozen; a reload makes a new one with the next version. */
export interface Topology {
  readonly version: number;
  readonly keyspaces: readonly Keyspace[];
  /** Over all keyspaces; `shards[i].index === i`. */
  readonly shards: readonly Shard[];
  /** Answers catalog queries for every session, so that OIDs agree. */
  readonly catalogShard: Shard;
  /** Where tables live that the configuration does not name; null: they are refused. */
  readonly defaultKeyspace: Keyspace | null;
  /** By `schema.name`, over all keyspaces. */
  readonly tables: ReadonlyMap<string, Table>;
  /** Of all tables. */
  readonly lookups: readonly Lookup[];
  /** Of the vindexes of all keyspaces. */
  readonly directories: readonly KeyDirectory[];
  /** Whether statements may run on shards that no key names, until a session says otherwise. */
  readonly scatter: boolean;
}
