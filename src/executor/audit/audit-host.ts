import { BackendError } from '../../backend/backend-error.js';
import type { Catalog } from '../../keyspace/catalog.js';
import type { Shard, Topology } from '../../keyspace/topology.js';
import type { CrashHook } from '../../transaction/crash-points.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import type { Directories } from '../directories/directories.js';
import { EXACT_TEXTS } from '../table-parts.js';

/** What an audit or a repair of tables works with. */
export interface AuditHost {
  readonly links: Pick<OwnLinks, 'session'>;
  readonly topology: Topology;
  readonly catalog: Catalog;
  readonly directories: Pick<Directories, 'where'>;
  /** Hears how far it has come, a line now and then. */
  readonly tell: (progress: string) => void;
  /** Hears of its way through a transaction. */
  readonly crash: CrashHook;
  /** Breaks it off before its next step. */
  readonly signal: AbortSignal;
}

/** A query within a session of one shard; rows as text. */
export type Ask = (sql: string) => Promise<(string | null)[][]>;

/** SQLSTATE of a lock that was not to be had within `lock_timeout`. */
const LOCK_NOT_AVAILABLE = '55P03';

export function isLockTimeout(error: unknown): boolean {
  return error instanceof BackendError && error.fields?.get('C') === LOCK_NOT_AVAILABLE;
}

/** How long one step on one shard may take. */
export const STEP_TIMEOUT_MS = 600_000;
const TOLD_EVERY_MS = 2000;

/** Tells how far something has come, not too often. */
export function paced(tell: (progress: string) => void): (progress: () => string) => void {
  let toldAt = performance.now();
  return (progress) => {
    if (performance.now() - toldAt < TOLD_EVERY_MS) return;
    toldAt = performance.now();
    tell(progress());
  };
}

/**
 * Does something with each shard, all at a time. The first failure breaks off the others and is thrown, once all have
 * stopped.
 */
export async function onEach<S, T>(
  host: AuditHost,
  shards: readonly S[],
  act: (shard: S, host: AuditHost) => Promise<T>,
): Promise<T[]> {
  const failure = new AbortController();
  const signal = AbortSignal.any([host.signal, failure.signal]);
  const settled = await Promise.allSettled(
    shards.map(async (shard) => {
      try {
        return await act(shard, { ...host, signal });
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    }),
  );
  if (failure.signal.aborted) throw failure.signal.reason;
  return settled.map((one) => (one as PromiseFulfilledResult<T>).value);
}

/**
 * Everything looked at is seen as of one moment. Policies of row security that would hide rows are errors instead.
 */
const SNAPSHOT = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off; ${EXACT_TEXTS}`;

/** Runs an audit's queries about one shard, within one snapshot. */
export function inSnapshot<T>(
  { links, signal }: AuditHost,
  shard: Shard,
  act: (ask: Ask) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  return links.session(shard, STEP_TIMEOUT_MS, async (ask) => {
    await ask(SNAPSHOT);
    const result = await act(ask);
    await ask('COMMIT');
    return result;
  });
}
