import { keyList } from './key-columns.js';
import { rangesOf } from './row-placement.js';
import type { Lookup, Shard, ShardedTable } from './topology.js';
import type { Vindex } from './vindex.js';

/** A lookup as it is configured. */
export type LookupSpec = Omit<Lookup, 'definition'>;

/** How entries are spread over the shards of a sharded keyspace. */
export interface EntrySpread {
  readonly keyspace: string;
  readonly shards: readonly Pick<Shard, 'name' | 'ranges'>[];
  readonly vindex: Pick<Vindex, 'mapping'>;
}

/**
 * What `Lookup.definition` is. `owner`: the table that it is for; `spread`: null where one shard has all entries.
 */
export function lookupDefinition(
  { schema, table, column, unique }: LookupSpec,
  owner: Pick<ShardedTable, 'keyspace' | 'vindex' | 'keyColumns'>,
  spread: EntrySpread | null,
): string {
  const { vindex, keyspace } = owner;
  const parts: unknown[] = [keyspace.name, schema, table, column, unique, keyList(owner)];
  // Entries are keyspace ids, so they are others where the vindex gives others.
  parts.push(vindex.mapping);
  if (vindex.followsRanges) parts.push(rangesOf(keyspace.shards));
  // Where entries belong to other shards, they are not where they are asked for.
  if (spread !== null) {
    parts.push([spread.keyspace, spread.vindex.mapping, rangesOf(spread.shards)]);
  }
  return JSON.stringify(parts);
}
