import { sqlError } from '../../errors/sql-error.js';
import { KeyspaceIdCell } from '../../keyspace/keyspace-id.js';
import {
  lookupKey,
  lookupShards,
  type Lookup,
  type Shard,
  type Topology,
} from '../../keyspace/topology.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { MAPPED } from '../../keyspace/vindex.js';

/** Which shards have the entries of a lookup. Equal values have one shard, so its unique index tells duplicates. */
export interface EntryHomes {
  /** All of them, in the order of their index. */
  readonly shards: readonly Shard[];
  /** The one of a value's entries, by the value as text; null: this text does not tell. */
  of(value: string): Shard | null;
}

/**
 * `type`: the OID of the lookup's values. Null: values of this type cannot be spread over shards, or the lookup is
 * another one in this topology, so that its entries are elsewhere.
 */
export function entryHomes(topology: Topology, lookup: Lookup, type: number): EntryHomes | null {
  const key = lookupKey(lookup);
  const current = topology.lookups.find((other) => lookupKey(other) === key);
  if (current?.definition !== lookup.definition) return null;
  const shards = lookupShards(topology, lookup);
  const [first] = shards;
  const table = topology.tables.get(key);
  if (table?.type !== 'sharded') return { shards, of: () => first! };
  const mapper = table.vindex.mapper(type, TypeOid.unknown);
  if (mapper === null) return null;
  const cell = new KeyspaceIdCell();
  const of = (value: string): Shard | null => {
    const bytes = Buffer.from(value);
    const outcome = mapper.text(bytes, 0, bytes.length, cell);
    return outcome === MAPPED ? table.keyspace.shardOf(cell.hi, cell.lo) : null;
  };
  return { shards, of };
}

/**
 * Things that are about values, by the shards that have the entries of these. Throws SqlError 0A000 where a value does
 * not tell.
 */
export function byHome<T extends { readonly value: string }>(
  list: readonly T[],
  homes: EntryHomes,
): ReadonlyMap<Shard, readonly T[]> {
  const found = new Map<Shard, T[]>();
  for (const one of list) {
    const home = homes.of(one.value);
    if (home === null) throw noHomeError(one.value);
    const own = found.get(home);
    if (own === undefined) found.set(home, [one]);
    else own.push(one);
  }
  return found;
}

/** The same for values alone. Null: one of them does not tell. */
export function valuesByHome(
  values: readonly string[],
  homes: EntryHomes,
): ReadonlyMap<Shard, readonly string[]> | null {
  const found = new Map<Shard, string[]>();
  for (const value of values) {
    const home = homes.of(value);
    if (home === null) return null;
    const own = found.get(home);
    if (own === undefined) found.set(home, [value]);
    else own.push(value);
  }
  return found;
}

function noHomeError(value: string): Error {
  return sqlError(
    'feature_not_supported',
    `no shard can have the entry of value ${value} in a lookup`,
    { hint: 'Keep the table of the lookup in an unsharded keyspace.' },
  );
}
