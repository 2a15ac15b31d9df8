import type { ShardQuery } from '../backend/shard-query.js';
import type { Shard, Topology } from '../keyspace/topology.js';
import { inDoubtSql, outcomesSql, type Decision } from './decisions.js';
import { parseLeg } from './transaction-ids.js';

/** A participant of a transaction over several shards that has prepared and not heard the outcome. */
export interface InDoubtLeg {
  /** The name under which it has prepared. */
  readonly gid: string;
  readonly shard: Shard;
  /** As the shard's clock says; ISO 8601, UTC. */
  readonly preparedAt: string;
  readonly ageMs: number;
  /** The shard that has, or will have, the decision; null: there is no such shard any more. */
  readonly decider: Shard | null;
  /** Null: not decided yet, or the decider cannot be asked. */
  readonly decision: Decision | null;
}

const QUERY_TIMEOUT_MS = 5000;

/**
 * All transactions of Shardgate that are prepared now, those of commits that go on at this moment included, oldest
 * first. Shards that cannot be asked are left out. Never rejects.
 */
export async function inDoubtLegs(
  topology: Topology,
  query: ShardQuery,
): Promise<readonly InDoubtLeg[]> {
  const found = await Promise.all(
    topology.shards.map(async (shard) => {
      const rows = await rowsOf(query, shard, inDoubtSql());
      return rows.flatMap(([gid, preparedAt, ageMs]) => {
        const leg = parseLeg(gid!);
        return leg === null ? [] : [{ shard, leg, preparedAt: preparedAt!, ageMs: Number(ageMs) }];
      });
    }),
  );
  const legs = found.flat().sort((a, b) => b.ageMs - a.ageMs);
  const deciders = new Map<Shard, Set<string>>();
  const deciderOf = (leg: { keyspace: string; shard: string }): Shard | null =>
    topology.shards.find(({ keyspace, name }) => keyspace === leg.keyspace && name === leg.shard) ??
    null;
  for (const { leg } of legs) {
    const decider = deciderOf(leg);
    if (decider === null) continue;
    deciders.set(decider, (deciders.get(decider) ?? new Set()).add(leg.transaction));
  }
  const outcomes = new Map<string, Decision>();
  await Promise.all(
    [...deciders].map(async ([shard, transactions]) => {
      for (const [transaction, outcome] of await rowsOf(query, shard, outcomesSql(transactions))) {
        outcomes.set(transaction!, outcome as Decision);
      }
    }),
  );
  return legs.map(({ shard, leg, preparedAt, ageMs }) => ({
    gid: leg.gid,
    shard,
    preparedAt,
    ageMs,
    decider: deciderOf(leg),
    decision: outcomes.get(leg.transaction) ?? null,
  }));
}

async function rowsOf(query: ShardQuery, shard: Shard, sql: string): Promise<(string | null)[][]> {
  try {
    return await query(shard, sql, QUERY_TIMEOUT_MS);
  } catch {
    return [];
  }
}
