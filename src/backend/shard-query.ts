import type { Shard } from '../keyspace/topology.js';

/** Runs a query of our own on a shard; rows as text. Rejects with BackendError or SqlError. */
export type ShardQuery = (
  shard: Shard,
  sql: string,
  timeoutMs: number,
) => Promise<(string | null)[][]>;
