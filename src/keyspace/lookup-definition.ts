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

/**
 * Whether another definition of a lookup kept the same values unique, and how its entries are spread: on how many
 * shards, and by what (a text, for comparing). Null: it did not.
 */
export function keptUnique(
  definition: string,
  { schema, table, column }: Pick<LookupSpec, 'schema' | 'table' | 'column'>,
): { readonly shards: number; readonly spread: string } | null {
  const parts = JSON.parse(definition) as unknown[];
  const [, ownSchema, ownTable, ownColumn, unique] = parts;
  if (unique !== true || ownSchema !== schema || ownTable !== table || ownColumn !== column) {
    return null;
  }
  const last = parts.at(-1);
  // As `lookupDefinition` has it: keyspace, mapping, ranges.
  if (!Array.isArray(last) || !Array.isArray(last[2])) return { shards: 1, spread: '' };
  return { shards: last[2].length, spread: JSON.stringify(last) };
}
