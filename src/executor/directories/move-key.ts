import { setTimeout as sleep } from 'node:timers/promises';
import { sqlError, type SqlError } from '../../errors/sql-error.js';
import { collectedKeys, type KeyDirectory } from '../../keyspace/key-directory.js';
import { KeyspaceIdCell, type KeyspaceId } from '../../keyspace/keyspace-id.js';
import { homeOf, type Shard, type ShardedTable, type Topology } from '../../keyspace/topology.js';
import { MAPPED } from '../../keyspace/vindex.js';
import { STEP_TIMEOUT_MS, type Ask, type AuditHost } from '../audit/audit-host.js';
import { nameOf } from '../audit/finding.js';
import type { Repair } from '../audit/repair.js';
import { keyTextMapper } from '../key-texts.js';
import { MARKED_MS } from './directories.js';
import { carryRows } from './carry-rows.js';
import { beginMoveSql, entriesSql, lockMovesSql, moveSql } from './directory-sql.js';
import { snapshotsEnded, transactionsEnded } from './ended.js';

/** What is given another shard. */
export interface KeyMove {
  /** One of the tables with this key. */
  readonly table: ShardedTable;
  /** As text. */
  readonly key: string;
  readonly shard: string;
  /** Statements that have their shard may wait so long for a backend. */
  readonly queueTimeoutMs: number;
}

/** From a backend to what is sent over it. */
const PAUSE_MS = 100;

/**
 * Gives a key of a directory another shard, and takes its rows there. Rejects with SqlError: 0A000 where the table has
 * no directory, 42704, 22P02, and as `giveShards` does.
 */
export async function moveKey(host: AuditHost, move: KeyMove): Promise<readonly Repair[]> {
  const { table, key, shard: name, queueTimeoutMs } = move;
  const { directory } = table.vindex;
  if (directory === undefined) {
    throw sqlError(
      'feature_not_supported',
      `table "${nameOf(table)}" has no directory of its keys`,
      { hint: 'Keys can be given shards where the vindex is of type directory or tiered.' },
    );
  }
  const shard = table.keyspace.shards.find((own) => own.name === name);
  if (shard === undefined) {
    throw sqlError('undefined_object', `keyspace "${table.keyspace.name}" has no shard "${name}"`);
  }
  const id = hashOf(host, table, directory, key);
  const label = directory.periods?.period(id).label ?? key;
  return whileMoving(host, directory, async (askHome) => {
    const moves = [{ id, label, shard }];
    const [given] = await giveShards(host, askHome, directory, moves, queueTimeoutMs);
    if (given!.failure !== null) throw given!.failure;
    return given!.repairs;
  });
}

/**
 * Does something that nobody else does at a time with the keys of a directory, in a session at its home. Rejects with
 * SqlError 55000 where somebody is at it.
 */
export function whileMoving<T>(
  host: AuditHost,
  { table }: KeyDirectory,
  act: (askHome: Ask) => Promise<T>,
): Promise<T> {
  return host.links.session(homeOf(host.topology, table), STEP_TIMEOUT_MS, async (ask) => {
    const [[mine] = []] = await ask(lockMovesSql(table));
    if (mine !== 't') throw busyError(table);
    try {
      return await act(ask);
    } finally {
      // Where this fails, so does the session: it is closed, and the lock is gone.
      await ask('SELECT pg_catalog.pg_advisory_unlock_all()').catch(() => undefined);
    }
  });
}

const busy = new WeakSet<SqlError>();

/** Whether somebody else moves keys of the directory now. */
export function isBusy(error: unknown): boolean {
  return busy.has(error as SqlError);
}

function busyError({ schema, name }: KeyDirectory['table']): SqlError {
  const error = sqlError(
    'object_not_in_prerequisite_state',
    `other keys of directory "${schema}.${name}" are being moved`,
    { hint: 'Try again when they have arrived.' },
  );
  busy.add(error);
  return error;
}

/** A key, and its new shard. */
export interface NewShard {
  readonly id: KeyspaceId;
  /** For people. */
  readonly label: string;
  readonly shard: Shard;
}

/** What became of it. */
export interface Given {
  readonly repairs: readonly Repair[];
  /** Why the key was not moved; null: it was. */
  readonly failure: Error | null;
}

/**
 * Moves keys, one after the other; they wait together. Statements with them are refused meanwhile (55000):
 *
 *     what is open has ended --> mark the keys --> every proxy has seen it --> what was open has ended
 *         --> rows and entry change (carryRows) --> what read earlier has ended --> unmark
 *
 * Where one fails in front of the change, nothing has happened to it. Where it is cut off the mark stays: whoever says
 * the same again goes on. Under `whileMoving` only. Rejects where the home is lost, and with SqlError 55000 where
 * transactions stay open.
 */
export async function giveShards(
  host: AuditHost,
  askHome: Ask,
  directory: KeyDirectory,
  moves: readonly NewShard[],
  queueTimeoutMs: number,
): Promise<Given[]> {
  const home = { shard: homeOf(host.topology, directory.table), ask: askHome };
  const wanted: NewShard[] = [];
  for (const move of moves) {
    const [, before, moving] = (await askHome(entriesSql(directory.table, [move.id])))[0] ?? [];
    if (before === move.shard.name && moving !== 't') continue;
    wanted.push(move);
  }
  if (wanted.length === 0) return moves.map(() => STAYS);
  // What is open for long keeps keys where they are, and is not to keep their statements out too.
  await openEnded(host, home);
  const marked: { readonly move: NewShard; readonly before: string }[] = [];
  for (const move of wanted) {
    const { id, label, shard } = move;
    const [row] = await askHome(beginMoveSql(directory.table, id, label, shard.name));
    marked.push({ move, before: row![0]! });
  }
  const unquiet = await quiet(host, home, queueTimeoutMs).then(
    () => null,
    (failure: Error) => failure,
  );
  const given = new Map<NewShard, Given>();
  for (const { move, before } of marked) {
    // Else it is new, or was cut off: it is not known where rows are, and the mark stays.
    const isKnown = before !== move.shard.name;
    let deciding = false;
    const done = (
      unquiet === null
        ? carryMarked(host, askHome, directory, move, () => (deciding = true))
        : Promise.reject(unquiet)
    ).then((repairs) => ({ repairs, failure: null }));
    given.set(
      move,
      await done.catch(async (failure: Error) => {
        await askHome('ROLLBACK');
        if (isKnown && !deciding) await unmark(askHome, directory, move);
        return { repairs: [], failure };
      }),
    );
  }
  return moves.map((move) => given.get(move) ?? STAYS);
}

const STAYS: Given = { repairs: [], failure: null };

async function carryMarked(
  host: AuditHost,
  askHome: Ask,
  directory: KeyDirectory,
  move: NewShard,
  onDeciding: () => void,
): Promise<Repair[]> {
  const { id, shard: target } = move;
  const tables = tablesOf(host.topology, directory);
  const shards = host.topology.shards.filter(({ keyspace }) => keyspace === target.keyspace);
  const carry = { directory, id, tables, shards, target, askHome, onDeciding };
  const repairs = await carryRows(host, carry);
  await host.links.session(target, STEP_TIMEOUT_MS, (ask) =>
    snapshotsEnded(ask, target, host.signal),
  );
  await unmark(askHome, directory, move);
  return repairs;
}

async function unmark(askHome: Ask, { table }: KeyDirectory, { id }: NewShard): Promise<void> {
  await askHome(moveSql(table, id, { moving: false }));
}

function tablesOf({ tables }: Topology, directory: KeyDirectory): ShardedTable[] {
  return [...tables.values()].filter(
    (table) => table.type === 'sharded' && table.vindex.directory === directory,
  ) as ShardedTable[];
}

function hashOf(
  { catalog }: AuditHost,
  table: ShardedTable,
  directory: KeyDirectory,
  key: string,
): KeyspaceId {
  const mapper = keyTextMapper(table, catalog);
  const asked = collectedKeys([directory], () => {
    if (mapper?.map([key], new KeyspaceIdCell()) !== MAPPED) {
      throw sqlError('invalid_text_representation', `"${key}" is no key of "${nameOf(table)}"`);
    }
  });
  return asked.get(directory)![0]!;
}

/** A directory's home, and the session there. */
interface Home {
  readonly shard: Shard;
  readonly ask: Ask;
}

/**
 * Waits until every proxy refuses statements with the keys, and what had begun before has ended, whatever it has used
 * so far: it may have rows of the keys on their way to their shards.
 */
async function quiet(host: AuditHost, home: Home, queueTimeoutMs: number): Promise<void> {
  const { signal, tell } = host;
  tell('waiting until all proxies know of it');
  await sleep(Math.max(MARKED_MS, queueTimeoutMs + PAUSE_MS), undefined, { signal });
  await openEnded(host, home);
}

/** Waits for all transactions that are open now, on all shards. */
async function openEnded({ topology, links, signal, tell }: AuditHost, home: Home): Promise<void> {
  tell('waiting for transactions that are open');
  for (const shard of topology.shards) {
    const wait = (ask: Ask): Promise<void> => transactionsEnded(ask, shard, signal);
    // There are few links to a shard, and several may move at a time.
    if (shard === home.shard) await wait(home.ask);
    else await links.session(shard, STEP_TIMEOUT_MS, wait);
  }
}
