import type { BackendConnection } from '../backend/postgres/connection.js';
import { SqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import type { Session } from './session.js';
import type { ShardPlan } from './shard-choice.js';
import { assertMayUse } from './shard-use.js';

/**
 * Leases the backend of a further shard for a statement that runs, which is about to write there. `onDone` gets it, or
 * the error: that the shard may not join what is open, or cannot be had. It is never called where the session ends.
 */
export function leaseWithin(
  session: Session,
  shard: Shard,
  plan: ShardPlan,
  onDone: (leased: BackendConnection | SqlError) => void,
): void {
  try {
    assertMayUse(session, [shard], plan);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    onDone(error);
    return;
  }
  session.leases.leaseWithin(shard, (leased) => {
    if (!(leased instanceof SqlError)) session.simple.noteOpen(leased);
    onDone(leased);
  });
}
