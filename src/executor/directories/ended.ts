import { setTimeout as sleep } from 'node:timers/promises';
import { sqlError } from '../../errors/sql-error.js';
import type { Shard } from '../../keyspace/topology.js';
import type { Ask } from '../audit/audit-host.js';

/** How long transactions that have begun may take to end. */
const OPEN_MAX_MS = 60_000;
const ASK_EVERY_MS = 100;

/** Another role is not shown the type; what only vacuums has no user. */
const IS_CLIENT =
  "usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'";
/** Transactions that are open, prepared ones too. */
const TRANSACTIONS_SQL =
  'SELECT virtualtransaction FROM pg_catalog.pg_locks JOIN pg_catalog.pg_stat_activity USING (pid)' +
  " WHERE locktype = 'virtualxid' AND datname = pg_catalog.current_database()" +
  ` AND ${IS_CLIENT} AND pid <> pg_catalog.pg_backend_pid()` +
  ' UNION ALL SELECT gid FROM pg_catalog.pg_prepared_xacts' +
  ' WHERE database = pg_catalog.current_database()';

/** Snapshots that are in use; those of REPEATABLE READ stay for a whole transaction. */
const SNAPSHOTS_SQL =
  "SELECT pid || ' ' || backend_xmin FROM pg_catalog.pg_stat_activity WHERE backend_xmin IS NOT NULL" +
  ` AND datname = pg_catalog.current_database() AND ${IS_CLIENT}` +
  ' AND pid <> pg_catalog.pg_backend_pid()';

/**
 * Resolves when all transactions that a shard has by now have ended. `ask`: outside of a transaction. Rejects with
 * SqlError 55000 after a minute.
 */
export function transactionsEnded(ask: Ask, shard: Shard, signal: AbortSignal): Promise<void> {
  return ended(ask, shard, TRANSACTIONS_SQL, signal);
}

/** The same of those that read as of now or earlier. */
export function snapshotsEnded(ask: Ask, shard: Shard, signal: AbortSignal): Promise<void> {
  return ended(ask, shard, SNAPSHOTS_SQL, signal);
}

/** Resolves when a query has given none of the texts any more that it gives now. */
async function ended(ask: Ask, { name }: Shard, sql: string, signal: AbortSignal): Promise<void> {
  const found = async (): Promise<string[]> => (await ask(sql)).map(([text]) => text!);
  let left = new Set(await found());
  const deadline = performance.now() + OPEN_MAX_MS;
  while (left.size > 0) {
    if (performance.now() > deadline) {
      throw sqlError(
        'object_not_in_prerequisite_state',
        `transactions on shard "${name}" have been open for too long`,
        { hint: 'Try again when they have ended.' },
      );
    }
    await sleep(ASK_EVERY_MS, undefined, { signal });
    const still = await found();
    left = new Set(still.filter((text) => left.has(text)));
  }
}
