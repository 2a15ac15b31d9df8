import { setTimeout as sleep } from 'node:timers/promises';
import { sqlError } from '../../errors/sql-error.js';
import { collectedKeys, type KeyDirectory } from '../../keyspace/key-directory.js';
import { KeyspaceIdCell, type KeyspaceId } from '../../keyspace/keyspace-id.js';
import { homeOf, type Shard, type ShardedTable } from '../../keyspace/topology.js';
import { MAPPED } from '../../keyspace/vindex.js';
import { STEP_TIMEOUT_MS, type AuditHost } from '../audit/audit-host.js';
import { nameOf } from '../audit/finding.js';
import { repairTable, type Repair } from '../audit/repair.js';
import { keyTextMapper } from '../key-texts.js';
import { MARKED_MS } from './directories.js';
import { beginMoveSql, moveSql } from './directory-sql.js';

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

/** How long transactions that have begun may take to end. */
const OPEN_MAX_MS = 60_000;
const ASK_EVERY_MS = 100;

/**
 * Gives a key of a directory another shard, and takes its rows there. Statements with this key are refused meanwhile
 * (55000):
 *
 *     mark the key --> every proxy has seen it --> what was open has ended --> its shard changes
 *         --> rows of all tables move (REPAIR) --> unmark
 *
 * Where it fails before the shard changes, nothing has happened; later, the same move goes on where it was. Rejects
 * with SqlError.
 */
export async function moveKey(host: AuditHost, move: KeyMove): Promise<Repair[]> {
  const { table, key, shard } = move;
  const { directory } = table.vindex;
  if (directory === undefined) {
    throw sqlError(
      'feature_not_supported',
      `table "${nameOf(table)}" has no directory of its keys`,
      {
        hint: 'Keys can be given shards where the vindex is of type directory.',
      },
    );
  }
  if (!directory.shardNames.includes(shard)) {
    throw sqlError('undefined_object', `keyspace "${table.keyspace.name}" has no shard "${shard}"`);
  }
  const id = hashOf(host, table, directory, key);
  const home = homeOf(host.topology, directory.table);
  const run = (sql: string): Promise<(string | null)[][]> =>
    host.links.session(home, STEP_TIMEOUT_MS, (ask) => ask(sql));
  const [[before] = []] = await run(beginMoveSql(directory.table, id, key, shard));
  try {
    await quiet(host, table, move.queueTimeoutMs);
  } catch (error) {
    // Rows are where they were, unless an earlier move was cut off behind that.
    if (before !== shard) await run(moveSql(directory.table, id, { moving: false }));
    throw error;
  }
  await run(moveSql(directory.table, id, { shard }));
  const repairs: Repair[] = [];
  for (const each of host.topology.tables.values()) {
    if (each.type !== 'sharded' || each.vindex.directory !== directory) continue;
    repairs.push(...(await repairTable(host, each)));
  }
  const left = repairs.filter((done) => done.left > 0);
  // What one of the moves left to recovery is not seen before it has ended.
  for (const each of table.keyspace.shards) await writersEnded(host, each);
  if (left.length === 0) {
    await run(moveSql(directory.table, id, { moving: false }));
    return repairs;
  }
  throw sqlError(
    'object_not_in_prerequisite_state',
    `rows of key "${key}" could not all be moved`,
    {
      detail: left.map((done) => `${done.table} on ${done.shard}: ${done.detail}`).join('; '),
      hint: 'Mend them on the shards, and MOVE again.',
    },
  );
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

/** Waits until every proxy refuses statements with the key, and what had begun before has ended. */
async function quiet(host: AuditHost, table: ShardedTable, queueTimeoutMs: number): Promise<void> {
  const { signal, tell } = host;
  tell('waiting until all proxies know of it');
  await sleep(Math.max(MARKED_MS, queueTimeoutMs + ASK_EVERY_MS), undefined, { signal });
  tell('waiting for transactions that are open');
  for (const shard of table.keyspace.shards) await writersEnded(host, shard);
}

/** Resolves when all transactions that have written on a shard by now have ended, prepared ones too. */
async function writersEnded({ links, signal }: AuditHost, shard: Shard): Promise<void> {
  const ask = async (sql: string): Promise<bigint> =>
    links.session(shard, STEP_TIMEOUT_MS, async (query) => BigInt((await query(sql))[0]![0]!));
  const next = await ask('SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())');
  const deadline = performance.now() + OPEN_MAX_MS;
  for (;;) {
    const oldest = await ask(
      'SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())',
    );
    if (oldest >= next) return;
    if (performance.now() > deadline) {
      throw sqlError(
        'object_not_in_prerequisite_state',
        `transactions on shard "${shard.name}" have been open for too long`,
        { hint: 'Nothing was moved. Try again when they have ended.' },
      );
    }
    await sleep(ASK_EVERY_MS, undefined, { signal });
  }
}
