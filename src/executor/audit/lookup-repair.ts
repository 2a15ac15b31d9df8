import { setTimeout as sleep } from 'node:timers/promises';
import { sqlError, type SqlError } from '../../errors/sql-error.js';
import type { Lookup, Shard, ShardedTable } from '../../keyspace/topology.js';
import { quoteQualified } from '../../sql/quote.js';
import { byHome } from '../lookups/entry-homes.js';
import { applySql, type LookupEntry } from '../lookups/lookup-sql.js';
import { EXACT_TEXTS } from '../table-parts.js';
import { isLockTimeout, STEP_TIMEOUT_MS, type Ask, type AuditHost } from './audit-host.js';
import { nameOf } from './finding.js';
import { LookupEntries } from './lookup-entries.js';
import type { Repair } from './repair.js';

/** Entries that are mended while their rows, or the writers of the table, wait. */
const ENTRIES_PER_STEP = 1000;
/** Who waits for longer for all writers to end would make others wait behind him. */
const LOCK_TIMEOUT_MS = 500;
const LOCK_PAUSE_MS = 200;
const LOCKS_MAX_MS = 60_000;
const ENTRY_TIMEOUT_MS = 5000;
const VALUES_SHOWN = 20;

const BEGIN = `BEGIN ISOLATION LEVEL READ COMMITTED; ${EXACT_TEXTS}; SET LOCAL row_security = off`;

/**
 * Deletes entries of a complete lookup that have no row, then writes those that rows do not have. Null: nothing was to
 * be done. A value that another row has too stays as it is.
 */
export async function repairLookup(
  host: AuditHost,
  table: ShardedTable,
  lookup: Lookup,
): Promise<Repair | null> {
  const entries = await LookupEntries.of(host, table, lookup);
  if (entries === null) return null;
  let moved = 0;
  for (const home of entries.homes.shards) {
    await entries.eachEntry(home, async (some) => {
      for (const [shard, own] of entries.byShard(await entries.stale(some))) {
        for (const step of stepsOf(own)) moved += await deleteStale(host, entries, shard, step);
      }
    });
  }
  const left: string[] = [];
  for (const shard of table.keyspace.shards) {
    await entries.eachOfRows(shard, async (some) => {
      for (const step of stepsOf(await entries.missing(some))) {
        const done = await writeMissing(host, entries, shard, step);
        moved += done.written;
        left.push(...done.left);
      }
    });
  }
  if (moved === 0 && left.length === 0) return null;
  const shown = left.slice(0, VALUES_SHOWN).join(', ');
  const detail = left.length === 0 ? '' : `more than one row has ${lookup.column} ${shown}`;
  return {
    table: nameOf(table),
    shard: entries.homes.shards[0]!.name,
    moved,
    left: left.length,
    detail,
  };
}

function stepsOf(list: readonly LookupEntry[]): LookupEntry[][] {
  const steps: LookupEntry[][] = [];
  for (let at = 0; at < list.length; at += ENTRIES_PER_STEP) {
    steps.push(list.slice(at, at + ENTRIES_PER_STEP));
  }
  return steps;
}

/**
 * Deletes entries that have no row on their shard, with all writers of the table kept out there: who has just written
 * a row may have found the entry that is about to go, and left it at that.
 */
async function deleteStale(
  host: AuditHost,
  entries: LookupEntries,
  shard: Shard,
  list: readonly LookupEntry[],
): Promise<number> {
  return withoutWriters(host, entries.table, shard, async (ask) => {
    const used = new Set(entries.foundBy(list, await ask(entries.rowsSql(list))));
    const removed = list.filter((entry) => !used.has(entry));
    if (removed.length === 0) return 0;
    await apply(host, entries, 'removed', removed);
    return removed.length;
  });
}

/** Writes entries of rows that are locked meanwhile. Values that other rows have are told. */
async function writeMissing(
  { links, ...host }: AuditHost,
  entries: LookupEntries,
  shard: Shard,
  list: readonly LookupEntry[],
): Promise<{ readonly written: number; readonly left: readonly string[] }> {
  host.signal.throwIfAborted();
  return links.session(shard, STEP_TIMEOUT_MS, async (ask) => {
    await ask(BEGIN);
    const added = entries.foundBy(list, await ask(entries.rowsSql(list, true)));
    await apply({ links, ...host }, entries, 'added', added);
    const left = await entries.missing(added);
    await ask('COMMIT');
    return { written: added.length - left.length, left: left.map(({ value }) => value) };
  });
}

/** Changes entries; those that are there stay. Rejects with SqlError 55000 where somebody keeps them for long. */
async function apply(
  { links }: AuditHost,
  { lookup, table, homes, type }: LookupEntries,
  what: 'added' | 'removed',
  list: readonly LookupEntry[],
): Promise<void> {
  for (const [home, own] of byHome(list, homes)) {
    await links.session(home, STEP_TIMEOUT_MS, async (ask) => {
      // Who has them may wait for rows that are locked for this.
      await ask(`BEGIN; SET LOCAL lock_timeout = ${ENTRY_TIMEOUT_MS}`);
      const changes = { ...NOTHING, [what]: own };
      try {
        for (const sql of applySql({ ...lookup, unique: false }, type, changes)) await ask(sql);
      } catch (error) {
        throw isLockTimeout(error) ? inUseError(table, home) : error;
      }
      await ask('COMMIT');
    });
  }
}

function inUseError({ name }: ShardedTable, shard: Shard): SqlError {
  return sqlError(
    'object_not_in_prerequisite_state',
    `table "${name}" or its lookup is being written to on shard "${shard.name}" all the time`,
    { hint: 'Try again when fewer transactions stay open for long.' },
  );
}

const NOTHING = { truncated: false, removed: [], moved: [], added: [] } as const;

/**
 * Does something in a transaction beside which nobody writes to the table on this shard. Rejects with SqlError 55000.
 */
async function withoutWriters<T>(
  { links, signal }: AuditHost,
  table: ShardedTable,
  shard: Shard,
  act: (ask: Ask) => Promise<T>,
): Promise<T> {
  const lock = `LOCK TABLE ${quoteQualified(table.schema, table.name)} IN SHARE MODE`;
  const deadline = performance.now() + LOCKS_MAX_MS;
  for (;;) {
    signal.throwIfAborted();
    const done = await links.session(shard, STEP_TIMEOUT_MS, async (ask) => {
      await ask(`${BEGIN}; SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
      try {
        await ask(lock);
      } catch (error) {
        if (!isLockTimeout(error)) throw error;
        await ask('ROLLBACK');
        return null;
      }
      const result = await act(ask);
      await ask('COMMIT');
      return { result };
    });
    if (done !== null) return done.result;
    if (performance.now() > deadline) throw inUseError(table, shard);
    await sleep(LOCK_PAUSE_MS * (0.5 + Math.random()), undefined, { signal });
  }
}
