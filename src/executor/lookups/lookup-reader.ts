import type { ShardQuery } from '../../backend/shard-query.js';
import type { CatalogLookup } from '../../keyspace/catalog.js';
import {
  lookupKey,
  lookupShards,
  type Lookup,
  type Shard,
  type Topology,
} from '../../keyspace/topology.js';
import { Batcher } from '../batcher.js';
import { entryHomes, valuesByHome } from './entry-homes.js';
import { entriesIn, findSql } from './lookup-sql.js';

const QUERY_TIMEOUT_MS = 10_000;
/** Values in one query. */
const VALUES_MAX = 1000;

/** The keyspace ids (signed, as decimals) of rows that have one of some values. */
export type FoundIds = ReadonlySet<string>;

/**
 * Reads lookups, for all sessions: what is asked for while a query runs goes into the next one. Sees
 * what is committed. Other proxies may be about to build a lookup anew: so whether it is complete is asked with each
 * query.
 */
export class LookupReader {
  private readonly query: ShardQuery;
  private readonly topology: () => Topology;
  private readonly batchers = new Map<string, Batcher<readonly string[], FoundIds | null>>();

  constructor(query: ShardQuery, topology: () => Topology) {
    this.query = query;
    this.topology = topology;
  }

  /**
   * Null: the lookup is not complete, or one of the values does not tell the shard of its entries. Rejects where one of
   * the values in the same query is not of the lookup's type.
   */
  async find(
    lookup: Lookup,
    { type, typeOid }: Pick<CatalogLookup, 'type' | 'typeOid'>,
    values: readonly string[],
  ): Promise<FoundIds | null> {
    const homes = entryHomes(this.topology(), lookup, typeOid);
    const byShard = homes === null ? null : valuesByHome(values, homes);
    if (byShard === null) return null;
    const found = await Promise.all(
      [...byShard].map(([shard, some]) => this.batcherOf(lookup, type, shard).ask(some)),
    );
    const ids = new Set<string>();
    for (const some of found) {
      if (some === null) return null;
      for (const id of some) ids.add(id);
    }
    return ids;
  }

  private batcherOf(
    lookup: Lookup,
    type: string,
    shard: Shard,
  ): Batcher<readonly string[], FoundIds | null> {
    const key = `${lookupKey(lookup)} ${lookup.definition} ${type} ${shard.keyspace}/${shard.name}`;
    let batcher = this.batchers.get(key);
    if (batcher === undefined) {
      batcher = new Batcher((lists) => this.read(lookup, type, shard.name, lists));
      this.batchers.set(key, batcher);
    }
    return batcher;
  }

  private async read(
    lookup: Lookup,
    type: string,
    name: string,
    lists: readonly (readonly string[])[],
  ): Promise<(FoundIds | null)[]> {
    // Behind a reload the same shard is another value.
    const shard = lookupShards(this.topology(), lookup).find((one) => one.name === name);
    if (shard === undefined) return lists.map(() => null);
    const idsOf = new Map<string, Set<string>>();
    for (const values of lists) for (const value of values) idsOf.set(value, new Set());
    const all = [...idsOf.keys()];
    for (let at = 0; at < all.length; at += VALUES_MAX) {
      const values = all.slice(at, at + VALUES_MAX);
      const sql = findSql(lookup, type, values);
      const entries = entriesIn(await this.query(shard, sql, QUERY_TIMEOUT_MS));
      if (entries === null) return lists.map(() => null);
      for (const [place, id] of entries) idsOf.get(values[Number(place) - 1]!)!.add(id!);
    }
    return lists.map((values) => new Set(values.flatMap((value) => [...idsOf.get(value)!])));
  }
}
