import type { Lookup, Shard } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import type { Ask } from '../audit/audit-host.js';
import type { KeyTexts } from '../key-texts.js';
import { EXACT_TEXTS, partsSql } from '../table-parts.js';
import { byHome } from './entry-homes.js';
import { distinctEntries } from './lookup-changes.js';
import { duplicatesSql, fillSql, rowsOfValuesSql, type LookupEntry } from './lookup-sql.js';
import { rowValuesSql } from './lookup-states.js';
import type { LookupTask } from './lookup-switch.js';

const TIMEOUT_MS = 30_000;
/** A batch of rows is locked while it is read and its entries are written. */
const BATCH_TIMEOUT_MS = 300_000;
/** Blocks of 8 kB in a batch. */
const BLOCKS_PER_BATCH = 128;
/** Rows that went elsewhere are looked for by their values, so many at a time. */
const MOVED_MAX = 5000;

const SNAPSHOT = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${EXACT_TEXTS}; SET LOCAL row_security = off`;
const BATCH = `BEGIN ISOLATION LEVEL READ COMMITTED; ${EXACT_TEXTS}; SET LOCAL row_security = off`;

export interface FillHost {
  readonly links: Pick<OwnLinks, 'query' | 'session'>;
  readonly signal: AbortSignal;
  /** Hears how many rows of a shard have been read. */
  readonly tell: (rows: number) => void;
}

export interface FillTask extends LookupTask {
  readonly idOf: (key: KeyTexts) => string;
}

/**
 * Writes the entries of the rows that a shard has, and gives their number. Writes have been told since before. Rows are
 * locked while their entries are written, so that nobody changes them meanwhile; but a row that is updated gets a new
 * place in its table, maybe one that was read before. So all are seen in one snapshot too, and those that are no more
 * where this one has them are looked for by their values. Throws Error where a value is there twice.
 */
export async function fillFrom(host: FillHost, shard: Shard, task: FillTask): Promise<number> {
  const { lookup, table } = task;
  let rows = 0;
  const moved = new Map<string, LookupEntry>();
  await host.links.session(shard, BATCH_TIMEOUT_MS, async (askSnapshot) => {
    await askSnapshot(SNAPSHOT);
    for (const [part, blocks] of await askSnapshot(
      partsSql(quoteQualified(lookup.schema, lookup.table)),
    )) {
      for (let block = 0; block <= Number(blocks); block += BLOCKS_PER_BATCH) {
        host.signal.throwIfAborted();
        const end = block + BLOCKS_PER_BATCH;
        const sql = rowValuesSql(part!, lookup.column, table.keyColumns, block, end);
        for (const entry of entriesOf(await askSnapshot(sql), task)) moved.set(named(entry), entry);
        const written = await writeLocked(host, shard, task, (ask) => ask(`${sql} FOR SHARE`));
        for (const entry of written) moved.delete(named(entry));
        rows += written.length;
        if (moved.size >= MOVED_MAX) rows += await writeMoved(host, shard, task, moved);
        host.tell(rows);
      }
    }
    rows += await writeMoved(host, shard, task, moved);
    await askSnapshot('COMMIT');
  });
  return rows;
}

async function writeMoved(
  host: FillHost,
  shard: Shard,
  task: FillTask,
  moved: Map<string, LookupEntry>,
): Promise<number> {
  if (moved.size === 0) return 0;
  const values = [...new Set([...moved.values()].map(({ value }) => value))];
  moved.clear();
  const sql = rowsOfValuesSql(task.lookup, task.table, task.type, values, true);
  const written = await writeLocked(host, shard, task, async (ask) =>
    (await ask(sql)).map(([place, ...key]) => [values[Number(place) - 1]!, ...key]),
  );
  return written.length;
}

/** Writes the entries of rows (value, shard key) while they are locked. */
function writeLocked(
  host: FillHost,
  shard: Shard,
  task: FillTask,
  lock: (ask: Ask) => Promise<(string | null)[][]>,
): Promise<LookupEntry[]> {
  return host.links.session(shard, BATCH_TIMEOUT_MS, async (ask) => {
    await ask(BATCH);
    const entries = entriesOf(await lock(ask), task);
    for (const [home, own] of byHome(distinctEntries(entries), task.homes)) {
      await write(host, home, task, own);
    }
    await ask('COMMIT');
    return entries;
  });
}

function entriesOf(rows: readonly (readonly (string | null)[])[], task: FillTask): LookupEntry[] {
  return rows.map(([value, ...key]) => ({ value: value!, id: task.idOf(key) }));
}

function named({ value, id }: LookupEntry): string {
  return `${id} ${value}`;
}

/** Entries of rows that were written meanwhile are there already. */
async function write(
  { links }: FillHost,
  home: Shard,
  { lookup, type }: FillTask,
  list: readonly LookupEntry[],
): Promise<void> {
  await links.query(home, fillSql(lookup, type, list), TIMEOUT_MS);
  if (!lookup.unique) return;
  const [[value] = []] = await links.query(home, duplicatesSql(lookup, type, list), TIMEOUT_MS);
  if (value !== undefined) throw duplicate(lookup, value);
}

/** Throws Error where rows of a shard have one value, and one place in the lookup. */
export async function checkUnique(
  { links }: FillHost,
  shard: Shard,
  { lookup }: LookupTask,
): Promise<void> {
  const column = quoteIdentifier(lookup.column);
  const name = quoteQualified(lookup.schema, lookup.table);
  await links.session(shard, BATCH_TIMEOUT_MS, async (ask) => {
    await ask(SNAPSHOT);
    const [row] = await ask(
      `SELECT ${column}::pg_catalog.text FROM ${name} WHERE ${column} IS NOT NULL` +
        ` GROUP BY ${column} HAVING pg_catalog.count(*) > 1 LIMIT 1`,
    );
    await ask('COMMIT');
    if (row !== undefined) throw duplicate(lookup, row[0]!);
  });
}

function duplicate({ column, table }: Lookup, value: string | null): Error {
  return new Error(`key (${column})=(${value}) is there more than once in table "${table}"`);
}
