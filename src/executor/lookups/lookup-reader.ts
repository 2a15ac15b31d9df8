import type { ShardQuery } from '../../backend/shard-query.js';
import { lookupKey, lookupShard, type Lookup, type Topology } from '../../keyspace/topology.js';
import { findSql } from './lookup-sql.js';

const QUERY_TIMEOUT_MS = 10_000;
/** Values in one query. */
const VALUES_MAX = 1000;

/** The keyspace ids (signed, as decimals) of rows that have one of some values. */
export type FoundIds = ReadonlySet<string>;

/**
 * Reads lookups, for all sessions: what is asked for while a query runs goes into the next one. Sees
 * what is committed.
 */
export class LookupReader {
  private readonly query: ShardQuery;
  private readonly topology: () => Topology;
  private readonly waiting = new Map<string, Batch>();
  private readonly running = new Set<string>();

  constructor(query: ShardQuery, topology: () => Topology) {
    this.query = query;
    this.topology = topology;
  }

  /** `type`: of the lookup's values, as SQL. Rejects where one of the values in the same query is not of it. */
  find(lookup: Lookup, type: string, values: readonly string[]): Promise<FoundIds> {
    if (values.length === 0) return Promise.resolve(new Set());
    return new Promise((resolve, reject) => {
      const key = lookupKey(lookup);
      let batch = this.waiting.get(key);
      if (batch === undefined) {
        batch = { lookup, type, asked: [] };
        this.waiting.set(key, batch);
        if (!this.running.has(key)) setImmediate(() => void this.run(key));
      }
      batch.asked.push({ values, resolve, reject });
    });
  }

  private async run(key: string): Promise<void> {
    const batch = this.waiting.get(key);
    if (batch === undefined) return;
    this.waiting.delete(key);
    this.running.add(key);
    await ask(batch, (sql) =>
      this.query(lookupShard(this.topology(), batch.lookup), sql, QUERY_TIMEOUT_MS),
    );
    this.running.delete(key);
    if (this.waiting.has(key)) void this.run(key);
  }
}

interface Batch {
  readonly lookup: Lookup;
  readonly type: string;
  readonly asked: Asked[];
}

interface Asked {
  readonly values: readonly string[];
  readonly resolve: (ids: FoundIds) => void;
  readonly reject: (error: Error) => void;
}

/** Answers everybody; never rejects. */
async function ask(
  { lookup, type, asked }: Batch,
  query: (sql: string) => Promise<(string | null)[][]>,
): Promise<void> {
  try {
    const idsOf = new Map<string, Set<string>>();
    for (const { values } of asked) for (const value of values) idsOf.set(value, new Set());
    const all = [...idsOf.keys()];
    for (let at = 0; at < all.length; at += VALUES_MAX) {
      const values = all.slice(at, at + VALUES_MAX);
      const rows = await query(findSql(lookup, type, values));
      for (const [place, id] of rows) idsOf.get(values[Number(place) - 1]!)!.add(id!);
    }
    for (const { values, resolve } of asked) {
      resolve(new Set(values.flatMap((value) => [...idsOf.get(value)!])));
    }
  } catch (error) {
    for (const { reject } of asked) reject(error as Error);
  }
}
