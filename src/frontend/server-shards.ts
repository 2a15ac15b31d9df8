import { sqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { BroadcastPlan } from '../planner/plan.js';
import type { SessionContext } from './session-context.js';

/**
 * One shard of each server, in order of their index: what runs on two databases of one server would
 * wait for itself. Throws SqlError 0A000 where it changes the role that Shardgate connects as, 08001
 * where a server is not known.
 */
export function serverShards(
  { cluster, config }: SessionContext,
  { alters }: NonNullable<BroadcastPlan['servers']>,
): readonly Shard[] {
  const { topology, servers } = config;
  if (alters !== null && servers.some(({ primary }) => primary.user === alters)) {
    throw sqlError(
      'feature_not_supported',
      `ALTER ROLE of "${alters}" is not supported: Shardgate connects to the servers as that`,
      { hint: 'Run it on each server, and change the configuration with it.' },
    );
  }
  const found = new Map<string, Shard>();
  for (const shard of topology.shards) {
    const server = cluster.serverOf(shard);
    if (server === null) {
      throw sqlError(
        'sqlclient_unable_to_establish',
        `shard "${shard.name}" could not be reached yet`,
      );
    }
    if (!found.has(server)) found.set(server, shard);
  }
  return [...found.values()];
}
