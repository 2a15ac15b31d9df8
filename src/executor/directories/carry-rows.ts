import { sqlError } from '../../errors/sql-error.js';
import type { KeyDirectory } from '../../keyspace/key-directory.js';
import type { KeyspaceId } from '../../keyspace/keyspace-id.js';
import { homeOf, type Shard, type ShardedTable } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import { keyTextMapper } from '../key-texts.js';
import { paced, STEP_TIMEOUT_MS, type Ask, type AuditHost } from '../audit/audit-host.js';
import { nameOf } from '../audit/finding.js';
import {
  commitTogether,
  lockTables,
  untilLocked,
  withEach,
  type ShardSession,
} from '../shard-sessions.js';
import type { Repair } from '../audit/repair.js';
import { insertRowsSql, MOVING, obstaclesSql } from '../audit/row-moves.js';
import { moveSql } from './directory-sql.js';

/** What goes where. */
export interface Carry {
  readonly directory: KeyDirectory;
  readonly id: KeyspaceId;
  /** All that are sharded by the directory. */
  readonly tables: readonly ShardedTable[];
  readonly shards: readonly Shard[];
  readonly target: Shard;
  /** A session at the directory's home, not in a transaction. */
  readonly askHome: Ask;
  /** Called when the transaction is about to be decided: from then on its outcome may be unknown. */
  readonly onDeciding: () => void;
}

/**
 * Takes the rows of a key, of all tables, from wherever they are to one shard, and changes its entry, all in one
 * transaction:
 *
 *     target   BEGIN  LOCK  INSERT  decision           COMMIT   <- the point of no return
 *     sources  BEGIN  LOCK  DELETE           PREPARE            COMMIT PREPARED
 *     home     BEGIN        UPDATE           PREPARE            COMMIT PREPARED
 *
 * Nobody else uses the tables on these shards meanwhile. Statements over several shards hold what they have read until
 * all shards have answered, so that each of them comes wholly before or wholly behind it. Recovery ends what is cut
 * off; what is prepared keeps its locks. Rejects with SqlError, BackendError; nothing has happened then, unless it was
 * deciding.
 */
export async function carryRows(host: AuditHost, carry: Carry): Promise<Repair[]> {
  const sources = await shardsWithRows(host, carry);
  return untilLocked(host.signal, () =>
    host.links.session(carry.target, STEP_TIMEOUT_MS, (ask) =>
      withEach(host.links, sources, (opened) => carryOnce(host, carry, ask, opened)),
    ),
  );
}

/** Where the key has rows, but for the target. */
async function shardsWithRows(host: AuditHost, carry: Carry): Promise<Shard[]> {
  const found: Shard[] = [];
  for (const shard of carry.shards) {
    if (shard === carry.target) continue;
    const some = carry.tables.map((table) => {
      const { name, condition } = rowsOf(host, carry, table);
      return `EXISTS (SELECT FROM ${name} WHERE ${condition})`;
    });
    const [[any] = []] = await host.links.session(shard, STEP_TIMEOUT_MS, async (ask) => {
      await ask(MOVING);
      const answer = await ask(`SELECT ${some.join(' OR ')}`);
      await ask('ROLLBACK');
      return answer;
    });
    if (any === 't') found.push(shard);
  }
  return found;
}

/** Null: the locks were not to be had. */
async function carryOnce(
  host: AuditHost,
  carry: Carry,
  ask: Ask,
  sources: readonly ShardSession[],
): Promise<Repair[] | null> {
  const { directory, id, target, tables, askHome } = carry;
  const all = [{ shard: target, ask }, ...sources];
  if (!(await lockTables(all, MOVING, tables, 'ACCESS EXCLUSIVE'))) return null;
  const repairs: Repair[] = [];
  for (const source of sources) {
    for (const table of tables) {
      const moved = await carryTable(host, carry, table, source, ask);
      const done = { table: nameOf(table), shard: source.shard.name, moved, left: 0, detail: '' };
      if (moved > 0) repairs.push(done);
    }
  }
  await askHome('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
  const [entry] = await askHome(moveSql(directory.table, id, { shard: target.name }));
  if (entry === undefined) throw sqlError('internal_error', 'the entry of a key is gone');
  host.signal.throwIfAborted();
  const home = { shard: homeOf(host.topology, directory.table), ask: askHome };
  await commitTogether([{ shard: target, ask }, home, ...sources], (step) => {
    if (step === 'prepared') carry.onDeciding();
    host.crash(`rows-${step}`);
  });
  return repairs;
}

/** The number of rows that went. */
async function carryTable(
  host: AuditHost,
  carry: Carry,
  table: ShardedTable,
  source: ShardSession,
  askTarget: Ask,
): Promise<number> {
  const { name, condition } = rowsOf(host, carry, table);
  const { ask, shard } = source;
  const columns = await columnsOf(ask, table);
  if (columns.join('\0') !== (await columnsOf(askTarget, table)).join('\0')) {
    throw sqlError(
      'object_not_in_prerequisite_state',
      `table "${nameOf(table)}" differs on shards "${shard.name}" and "${carry.target.name}"`,
      { hint: 'Nothing was moved. Make the columns the same on both.' },
    );
  }
  for (const own of [ask, askTarget]) {
    const [obstacle] = await own(obstaclesSql(name));
    if (obstacle === undefined) continue;
    throw sqlError('feature_not_supported', `rows of "${nameOf(table)}": ${obstacle[0]}`, {
      detail: 'Rows must go as they are.',
      hint: 'Nothing was moved. Disable or drop it on the shards meanwhile.',
    });
  }
  const progress = paced(host.tell);
  const list = columns.map(quoteIdentifier).join(', ');
  await ask(`DECLARE carried NO SCROLL CURSOR FOR SELECT ${list} FROM ${name} WHERE ${condition}`);
  let carried = 0;
  for (let count = ROWS_FIRST; ;) {
    host.signal.throwIfAborted();
    const rows = await ask(`FETCH ${count} FROM carried`);
    if (rows.length === 0) break;
    const sql = insertRowsSql(name, columns, rows);
    await askTarget(sql);
    carried += rows.length;
    count = Math.min(ROWS_MAX, Math.max(1, Math.floor((rows.length * TEXT_BYTES) / sql.length)));
    progress(() => `${table.name}: ${shard.name}: ${carried} rows`);
  }
  await ask('CLOSE carried');
  const [[gone] = []] = await ask(
    `WITH gone AS (DELETE FROM ${name} WHERE ${condition} RETURNING 1) SELECT pg_catalog.count(*) FROM gone`,
  );
  if (Number(gone) === carried) return carried;
  throw sqlError('internal_error', `${carried} rows were copied, and ${gone} deleted`);
}

/** Rows of one INSERT: as many as make about so much text. */
const TEXT_BYTES = 500_000;
const ROWS_FIRST = 100;
const ROWS_MAX = 1000;

/** Under the lock: those that an INSERT may give values to, as they are now. */
async function columnsOf(ask: Ask, { schema, name }: ShardedTable): Promise<string[]> {
  const rows = await ask(
    `SELECT attname FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped` +
      ` AND attgenerated = '' AND attrelid = ${quoteLiteral(quoteQualified(schema, name))}::pg_catalog.regclass` +
      ' ORDER BY attname',
  );
  return rows.map(([column]) => column!);
}

/** A table as SQL, and the condition for the rows of the key. Throws SqlError 0A000 where there is none. */
function rowsOf(
  { catalog }: AuditHost,
  { directory, id }: Carry,
  table: ShardedTable,
): { readonly name: string; readonly condition: string } {
  const [column] = keyTextMapper(table, catalog)?.columns ?? [];
  const condition = column && directory.rowsSql(quoteIdentifier(column.name), column.type, id);
  if (typeof condition === 'string') {
    return { name: quoteQualified(table.schema, table.name), condition };
  }
  throw sqlError(
    'feature_not_supported',
    `rows of table "${nameOf(table)}" cannot be told by their shard key`,
    { hint: 'shardgate check and the log tell what is wrong with the shard key.' },
  );
}
