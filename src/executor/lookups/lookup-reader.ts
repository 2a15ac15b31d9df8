import type { ShardQuery } from '../../backend/shard-query.js';
import { lookupKey, lookupShard, type Lookup, type Topology } from '../../keyspace/topology.js';
import { Batcher } from '../batcher.js';
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
   * Null: the lookup is not complete. `type`: of its values, as SQL. Rejects
   * where one of the values in the same query is not of it.
   */
  find(lookup: Lookup, type: string, values: readonly string[]): Promise<FoundIds | null> {
    if (values.length === 0) return Promise.resolve(new Set());
    const key = `${lookupKey(lookup)} ${lookup.definition} ${type}`;
    let batcher = this.batchers.get(key);
    if (batcher === undefined) {
      batcher = new Batcher((lists) => this.read(lookup, type, lists));
      this.batchers.set(key, batcher);
    }
    return batcher.ask(values);
  }

  private async read(
    lookup: Lookup,
    type: string,
    lists: readonly (readonly string[])[],
  ): Promise<(FoundIds | null)[]> {
    const idsOf = new Map<string, Set<string>>();
    for (const values of lists) for (const value of values) idsOf.set(value, new Set());
    const all = [...idsOf.keys()];
    for (let at = 0; at < all.length; at += VALUES_MAX) {
      const values = all.slice(at, at + VALUES_MAX);
      const shard = lookupShard(this.topology(), lookup);
      const sql = findSql(lookup, type, values);
      const entries = entriesIn(await this.query(shard, sql, QUERY_TIMEOUT_MS));
      if (entries === null) return lists.map(() => null);
      for (const [place, id] of entries) idsOf.get(values[Number(place) - 1]!)!.add(id!);
    }
    return lists.map((values) => new Set(values.flatMap((value) => [...idsOf.get(value)!])));
  }
}
