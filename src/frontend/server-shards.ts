import { sqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { BroadcastPlan } from '../planner/plan.js';
import type { SessionContext } from './session-context.js';

/**
 * One shard of each server, in order of their index: what runs on two databases of one server would
 * wait for itself. Throws SqlError 0A000 where it changes a role that Shardgate connects as, or must run on
 * all databases of a server that has several; 08001 where a server is not known.
 */
export function serverShards(
  { cluster, config }: SessionContext,
  { command, alters, databases }: NonNullable<BroadcastPlan['servers']>,
): readonly Shard[] {
  const { topology, servers } = config;
  const own = alters.find((role) => servers.some(({ primary }) => primary.user === role));
  if (own !== undefined) {
    throw sqlError(
      'feature_not_supported',
      `${command} of "${own}" is not supported: Shardgate connects to the servers as that`,
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
  if (databases === true && found.size < topology.shards.length) {
    throw sqlError(
      'feature_not_supported',
      `${command} is not supported where several shards are databases of one server`,
      { hint: 'Run it in each database.' },
    );
  }
  return [...found.values()];
}
