import { setTimeout as sleep } from 'node:timers/promises';
import { sqlError } from '../errors/sql-error.js';
import type { Shard } from '../keyspace/topology.js';
import { quoteLiteral, quoteQualified } from '../sql/quote.js';
import { GIVES_UP } from '../transaction/deadlock-watch.js';
import { decideSql, finishSql, prepareSql } from '../transaction/decisions.js';
import type { OwnLinks } from '../transaction/own-links.js';
import { legGid, newTransactionId } from '../transaction/transaction-ids.js';
import { isLockTimeout, STEP_TIMEOUT_MS, type Ask } from './audit/audit-host.js';

/** A session of our own on a shard. */
export interface ShardSession {
  readonly shard: Shard;
  readonly ask: Ask;
}

/**
 * Statements over several shards may have one of the locks and wait behind the other: then nobody goes on before this
 * gives up.
 */
const LOCK_TIMEOUT_MS = 300;
const LOCK_PAUSE_MS = 200;
const LOCKS_MAX_MS = 60_000;

/** Opens a session of each shard. */
export function withEach<T>(
  links: Pick<OwnLinks, 'session'>,
  shards: readonly Shard[],
  act: (opened: readonly ShardSession[]) => Promise<T>,
  opened: readonly ShardSession[] = [],
): Promise<T> {
  const [shard, ...others] = shards;
  if (shard === undefined) return act(opened);
  return links.session(shard, STEP_TIMEOUT_MS, (ask) =>
    withEach(links, others, act, [...opened, { shard, ask }]),
  );
}

/** Tries until the locks could be had, null being that they could not. Rejects with SqlError 55000 after a minute. */
export async function untilLocked<T>(
  signal: AbortSignal,
  attempt: () => Promise<T | null>,
): Promise<T> {
  const deadline = performance.now() + LOCKS_MAX_MS;
  for (;;) {
    signal.throwIfAborted();
    const done = await attempt();
    if (done !== null) return done;
    if (performance.now() > deadline) {
      throw sqlError('object_not_in_prerequisite_state', 'the tables were in use all the time', {
        hint: 'Nothing has changed. Try again when fewer statements run for long.',
      });
    }
    await sleep(LOCK_PAUSE_MS * (0.5 + Math.random()), undefined, { signal });
  }
}

/**
 * Begins on all shards, and locks the tables there, at a time. False: somebody else has them, and nothing is open.
 * @param begin opens the transaction
 */
export async function lockTables(
  sessions: readonly ShardSession[],
  begin: string,
  tables: readonly { readonly schema: string; readonly name: string }[],
  mode: 'ACCESS EXCLUSIVE' | 'SHARE ROW EXCLUSIVE',
): Promise<boolean> {
  for (const { ask } of sessions) await ask(begin);
  const names = tables.map(({ schema, name }) => quoteQualified(schema, name)).join(', ');
  const sql =
    `SET LOCAL application_name = ${quoteLiteral(GIVES_UP)};` +
    ` SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}; LOCK TABLE ${names} IN ${mode} MODE;` +
    ' SET LOCAL lock_timeout = 0';
  const settled = await Promise.allSettled(sessions.map(({ ask }) => ask(sql)));
  let locked = true;
  for (const one of settled) {
    if (one.status === 'fulfilled') continue;
    if (!isLockTimeout(one.reason)) throw one.reason;
    locked = false;
  }
  if (!locked) for (const { ask } of sessions) await ask('ROLLBACK');
  return locked;
}

/** How far a commit over shards has come; `first-prepared` once for each leg. */
export type CommitStep = 'first-prepared' | 'prepared' | 'decided' | 'moved';

/**
 * Commits the open transactions of several sessions as one: the first one decides. What is cut off recovery ends.
 * Rejects with BackendError; then nothing has happened, unless it was `prepared`.
 */
export async function commitTogether(
  [decider, ...others]: readonly [ShardSession, ...ShardSession[]],
  onStep: (step: CommitStep) => void,
): Promise<void> {
  const transaction = newTransactionId(decider.shard);
  const legs = others.map(({ ask }, place) => ({ ask, gid: legGid(transaction, place + 1) }));
  await decider.ask(decideSql(transaction));
  for (const leg of legs) {
    await leg.ask(prepareSql(leg.gid));
    onStep('first-prepared');
  }
  onStep('prepared');
  await decider.ask('COMMIT');
  onStep('decided');
  for (const leg of legs) await leg.ask(finishSql('commit', leg.gid));
  onStep('moved');
}
