import { randomUUID } from 'node:crypto';
import type { Shard } from '../keyspace/topology.js';

/**
 * Names of transactions over several shards. They say where the decision stands, so that whoever finds a prepared
 * transaction knows whom to ask:
 *
 *   shardgate:shop/s1:6f1d...-....:2      leg 2, prepared under this name on some shard
 *   shardgate:shop/s1:6f1d...-....        the transaction, key of its decision row on shard s1 of keyspace shop
 *
 * Each leg has a number, since PostgreSQL wants names of prepared transactions unique over all databases of a server,
 * and shards may share one. The longest is 10 + 63 + 1 + 63 + 1 + 36 + 7 = 181 bytes: names have 63 at most, and
 * PostgreSQL takes 199 (GIDSIZE 200, xact.h).
 */
const LEG =
  /^(shardgate:([A-Za-z0-9_-]+)\/([A-Za-z0-9_-]+):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):\d{1,6}$/;

/** What the names of all our prepared transactions begin with. */
export const LEG_PREFIX = 'shardgate:';

/** A prepared transaction of ours, read from its name. */
export interface Leg {
  readonly gid: string;
  /** Key of the decision row. */
  readonly transaction: string;
  /** The shard that holds the decision row. */
  readonly keyspace: string;
  readonly shard: string;
}

/** A new transaction that will be decided on this shard. */
export function newTransactionId(deciding: Shard): string {
  return `${LEG_PREFIX}${deciding.keyspace}/${deciding.name}:${randomUUID()}`;
}

/** The name under which a participant prepares; `place` tells participants of one transaction apart. */
export function legGid(transaction: string, place: number): string {
  return `${transaction}:${place}`;
}

/** Null: no leg of ours. */
export function parseLeg(gid: string): Leg | null {
  const match = LEG.exec(gid);
  if (match === null) return null;
  return { gid, transaction: match[1]!, keyspace: match[2]!, shard: match[3]! };
}
