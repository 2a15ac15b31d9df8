import type { ShardQuery } from '../backend/shard-query.js';
import { randomUUID } from 'node:crypto';
import type { Shard } from '../keyspace/topology.js';
import { quoteLiteral } from '../sql/quote.js';
import type { Logger } from '../util/logger.js';
import { SET_UP_LOCK } from './decisions.js';
import type { UnitOfWork } from './unit-of-work.js';
import { processKey } from './wait-graph.js';

export interface SharedWaitsServices {
  /** Where all proxies look. */
  catalogShard(): Shard;
  readonly query: ShardQuery;
  readonly logger: Logger;
}

const QUERY_TIMEOUT_MS = 2000;
/** What a proxy has told is believed for so long; it tells it anew as long as it is so. */
const BELIEVED_MS = 2000;
/** A proxy that has crashed takes nothing back itself. */
const FORGOTTEN_MS = 60_000;

const SET_UP = `
SET LOCAL client_min_messages = warning;
SELECT WHERE pg_catalog.pg_advisory_xact_lock(${SET_UP_LOCK}) IS NULL;
CREATE SCHEMA IF NOT EXISTS shardgate;
CREATE UNLOGGED TABLE IF NOT EXISTS shardgate.waits (
  unit text NOT NULL,
  process text NOT NULL,
  told_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shardgate.waits IS
  'Transactions over several shards that wait, told by each Shardgate to the others'`;

/**
 * What proxies tell each other of transactions over several shards that have waited for long: which server processes
 * belong to one transaction. Who waits for whom the shards say themselves. Rows of a table on the catalog shard,
 * written only while somebody waits like that for a process of another proxy.
 */
export class SharedWaits {
  private readonly services: SharedWaitsServices;
  private readonly proxy = randomUUID();
  private readonly keys = new WeakMap<UnitOfWork, string>();
  private keyCount = 0;
  /** The shard that has the table, made or found by us. */
  private madeOn: Shard | null = null;
  private hasTold = false;
  private isWarned = false;

  constructor(services: SharedWaitsServices) {
    this.services = services;
  }

  /** A name of the unit of work that is its own among all proxies. */
  keyOf(unit: UnitOfWork): string {
    let key = this.keys.get(unit);
    if (key === undefined) {
      key = `${this.proxy}/${this.keyCount++}`;
      this.keys.set(unit, key);
    }
    return key;
  }

  /**
   * Tells of units of this proxy, in place of those told before; what others have told: the unit's name by process.
   * Never rejects: what cannot be learnt is not known.
   */
  async exchange(units: readonly UnitOfWork[]): Promise<ReadonlyMap<string, string>> {
    const { services } = this;
    const shard = services.catalogShard();
    try {
      if (this.madeOn !== shard) await services.query(shard, SET_UP, QUERY_TIMEOUT_MS);
      this.madeOn = shard;
      this.hasTold = units.length > 0;
      const rows = await services.query(shard, this.exchangeSql(units), QUERY_TIMEOUT_MS);
      return new Map(rows.map(([process, unit]) => [process!, unit!]));
    } catch (error) {
      const reason = (error as Error).message;
      const line = { shard: shard.name, reason };
      const message = 'deadlocks with clients of other proxies cannot be found';
      if (this.isWarned) services.logger.debug(line, message);
      else services.logger.warn(line, message);
      this.isWarned = true;
      this.madeOn = null;
      return new Map();
    }
  }

  /** Nobody waits any more. */
  withdraw(): void {
    if (!this.hasTold) return;
    this.hasTold = false;
    void this.exchange([]);
  }

  private exchangeSql(units: readonly UnitOfWork[]): string {
    const own = `starts_with(unit, ${quoteLiteral(`${this.proxy}/`)})`;
    const told = units.flatMap((unit) =>
      unit.participants.map(({ shard, pid }) => {
        const process = quoteLiteral(processKey(shard, pid));
        return `(${quoteLiteral(this.keyOf(unit))},${process})`;
      }),
    );
    const tell = `INSERT INTO shardgate.waits (unit, process) VALUES ${told.join(',')}`;
    return [
      `DELETE FROM shardgate.waits WHERE ${own}`,
      'DELETE FROM shardgate.waits WHERE ctid = ANY (ARRAY(SELECT ctid FROM shardgate.waits' +
        ` WHERE ${olderThan(FORGOTTEN_MS)} FOR UPDATE SKIP LOCKED))`,
      ...(told.length > 0 ? [tell] : []),
      `SELECT process, unit FROM shardgate.waits WHERE NOT ${own} AND NOT ${olderThan(BELIEVED_MS)}`,
    ].join(';');
  }
}

function olderThan(ms: number): string {
  return `told_at < clock_timestamp() - interval '${ms} ms'`;
}
