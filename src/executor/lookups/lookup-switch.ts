import { keptUnique } from '../../keyspace/lookup-definition.js';
import {
  lookupKey,
  type Lookup,
  type Shard,
  type ShardedTable,
  type Topology,
} from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import type { CrashHook } from '../../transaction/crash-points.js';
import { SET_UP_SQL } from '../../transaction/decisions.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import type { Ask } from '../audit/audit-host.js';
import {
  commitTogether,
  lockTables,
  untilLocked,
  withEach,
  type ShardSession,
} from '../shard-sessions.js';
import { EXACT_TEXTS } from '../table-parts.js';
import { valuesByHome, type EntryHomes } from './entry-homes.js';
import {
  addGuardsSql,
  applySql,
  dropValuesSql,
  FUNCTION_SQL,
  guardsSql,
  idsOptionalSql,
  indexTableSql,
  reshapeSql,
  shapeSql,
  triggersSql,
} from './lookup-sql.js';
import {
  buildingSql,
  forgetSql,
  guardedBy,
  isAbout,
  SET_UP_STATES_SQL,
  stateSql,
  tellsOf,
  TRIGGERS_SQL,
} from './lookup-states.js';

export interface SwitchHost {
  readonly links: Pick<OwnLinks, 'query' | 'session'>;
  readonly topology: Topology;
  readonly crash: CrashHook;
  /** Breaks it off before its next step. */
  readonly signal: AbortSignal;
}

/** A lookup that is about to be built. */
export interface LookupTask {
  readonly lookup: Lookup;
  /** Of its values, as SQL. */
  readonly type: string;
  readonly homes: EntryHomes;
  /** The table that it is for. */
  readonly table: ShardedTable;
}

/** The lookup of the same column that was kept up to now, and kept its values unique. */
interface Predecessor {
  readonly key: string;
  /** Its table, as SQL. */
  readonly table: string;
  /** The shards with entries of it. */
  readonly shards: ReadonlySet<Shard>;
  /** How they were spread (`keptUnique`). */
  readonly spread: string;
}

const TIMEOUT_MS = 30_000;
const BEGIN =
  `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ${EXACT_TEXTS};` +
  ' SET LOCAL client_min_messages = warning; SET LOCAL row_security = off';
/** Values that go from one shard to others at a time. */
const VALUES_PER_STEP = 5000;
/** A lookup has so many triggers on each table. */
const TRIGGERS = 4;

/**
 * From now on writes are told for this lookup, and for no other one of the column; in one transaction over all shards,
 * while nobody writes to the table:
 *
 *     before   triggers of the one before, or none    its entries, complete or guards
 *     after    triggers of this one                   guards: the same values without ids; or no entries at all
 *
 * So where values were unique they stay so, whoever dies at whatever moment: each has an entry all the time, which
 * keeps others out, and gets its id when its row is read.
 */
export async function switchLookup(host: SwitchHost, task: LookupTask): Promise<void> {
  const { topology, links } = host;
  const { lookup, type, homes, table } = task;
  const query = (shard: Shard, sql: string): Promise<unknown> =>
    links.query(shard, sql, TIMEOUT_MS);
  const setUp = [SET_UP_STATES_SQL, FUNCTION_SQL, indexTableSql(lookup, type)];
  for (const sql of setUp) await Promise.all(topology.shards.map((shard) => query(shard, sql)));
  const [lead] = homes.shards as [Shard, ...Shard[]];
  await query(lead, SET_UP_SQL);
  const shards = [lead, ...topology.shards.filter((shard) => shard !== lead)];
  await untilLocked(host.signal, () =>
    withEach(links, shards, async (sessions) => {
      const tables = [table, lookup.index];
      if (!(await lockTables(sessions, BEGIN, tables, 'SHARE ROW EXCLUSIVE'))) return null;
      await switchLocked(host, task, sessions);
      await commit(host, sessions as [ShardSession, ...ShardSession[]]);
      return true;
    }),
  );
}

async function switchLocked(
  { topology }: SwitchHost,
  task: LookupTask,
  sessions: readonly ShardSession[],
): Promise<void> {
  const { lookup, type, homes } = task;
  const kept = await triggersOf(sessions, topology.catalogShard, lookup);
  let before = lookup.unique ? await predecessorOf(sessions, lookup, kept) : null;
  for (const { ask } of sessions) {
    const wasOther = await reshape(ask, lookup, type);
    // Its entries are gone.
    if (wasOther && before?.key === lookupKey(lookup)) before = null;
  }
  for (const { shard, ask } of sessions) {
    if (before?.key !== lookupKey(lookup) || !before.shards.has(shard)) await empty(ask, task);
  }
  if (before !== null) await spreadGuards(task, sessions, before);
  const keys = new Set([lookupKey(lookup), ...kept.map(({ key }) => key)]);
  for (const { shard, ask } of sessions) {
    const isHome = homes.shards.includes(shard);
    if (!isHome) await empty(ask, task);
    else if (before !== null) await ask(guardsSql(lookup));
    for (const key of keys) await ask(forgetSql(key));
    if (isHome) await ask(buildingSql(lookup, before === null ? 'building' : 'guarded'));
    await installTriggers(ask, task, kept);
  }
}

async function empty(ask: Ask, { lookup, type }: LookupTask): Promise<void> {
  for (const sql of applySql(lookup, type, NOTHING_LEFT)) await ask(sql);
}

/** A trigger that tells changes of the column to a lookup. */
interface KeptTrigger {
  readonly key: string;
  readonly name: string;
  /** False: it has let changes pass by. */
  readonly runs: boolean;
}

async function triggersOf(
  sessions: readonly ShardSession[],
  catalogShard: Shard,
  lookup: Lookup,
): Promise<readonly KeptTrigger[]> {
  const { ask } = sessions.find(({ shard }) => shard === catalogShard)!;
  const rows = await ask(TRIGGERS_SQL);
  return rows
    .filter((row) => isAbout(row, lookup))
    .map((row) => ({ key: tellsOf(row).key, name: row[3]!, runs: row[0] === 't' }));
}

/** Null: nothing has kept the values of the column unique up to now. */
async function predecessorOf(
  sessions: readonly ShardSession[],
  lookup: Lookup,
  kept: readonly KeptTrigger[],
): Promise<Predecessor | null> {
  const running = kept.filter(({ runs }) => runs).map(({ key }) => key);
  for (const key of new Set(running)) {
    if (running.filter((other) => other === key).length < TRIGGERS) continue;
    const shards = new Set<Shard>();
    const definitions = new Set<string | null>();
    for (const { shard, ask } of sessions) {
      const [state] = await ask(stateSql(key));
      if (state === undefined) continue;
      shards.add(shard);
      definitions.add(guardedBy(state[0] ?? ''));
    }
    const [definition] = definitions;
    if (definitions.size !== 1 || definition === null) continue;
    const unique = keptUnique(definition!, lookup);
    if (unique?.shards !== shards.size) continue;
    const [{ ask }] = sessions as [ShardSession];
    const [row, ...others] = await ask(tableSql(key));
    if (row === undefined || others.length > 0) continue;
    return { key, table: row[0]!, shards, spread: unique.spread };
  }
  return null;
}

/** The table of a lookup's key, as SQL. */
function tableSql(key: string): string {
  return (
    "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)" +
    ' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace' +
    ` WHERE c.relkind = 'r' AND n.nspname || '.' || c.relname = ${quoteLiteral(key)}`
  );
}

/** Whether the lookup's table was one of another kind, or for other values. Throws Error where it is none of ours. */
async function reshape(ask: Ask, lookup: Lookup, type: string): Promise<boolean> {
  const [[others, sameType, width, name, notNull] = []] = await ask(shapeSql(lookup, type));
  if (others !== '0' || sameType === null || notNull === null) {
    const { schema, name: table } = lookup.index;
    throw new Error(`table "${schema}.${table}" is not one of a lookup: it has other columns`);
  }
  if (sameType !== 't' || width !== (lookup.unique ? '1' : '2')) {
    await ask(reshapeSql(lookup, type, name ?? null));
    return true;
  }
  if (lookup.unique && notNull === 't') await ask(idsOptionalSql(lookup));
  return false;
}

/** Gives the shards that have the entries of values from now on what those had that had them before. */
async function spreadGuards(
  { lookup, type, homes }: LookupTask,
  sessions: readonly ShardSession[],
  before: Predecessor,
): Promise<void> {
  const isSame = before.key === lookupKey(lookup);
  const stays = homes.shards.every((shard) => before.shards.has(shard));
  const { spread } = keptUnique(lookup.definition, lookup)!;
  if (isSame && stays && before.spread === spread) return;
  const askOf = new Map(sessions.map(({ shard, ask }) => [shard, ask]));
  for (const source of before.shards) {
    const ask = askOf.get(source)!;
    await ask(
      `DECLARE guards NO SCROLL CURSOR FOR SELECT value::pg_catalog.text FROM ${before.table}`,
    );
    for (;;) {
      const rows = await ask(`FETCH ${VALUES_PER_STEP} FROM guards`);
      if (rows.length === 0) break;
      const values = rows.map(([value]) => value!);
      const byShard = valuesByHome(values, homes);
      if (byShard === null) throw new Error('its values cannot be spread over shards');
      for (const [home, own] of byShard) {
        if (isSame && home === source) continue;
        await askOf.get(home)!(addGuardsSql(lookup, type, own));
        if (isSame) await ask(dropValuesSql(lookup, type, own));
      }
    }
    await ask('CLOSE guards');
  }
}

async function installTriggers(
  ask: Ask,
  { lookup, table }: LookupTask,
  kept: readonly KeptTrigger[],
): Promise<void> {
  const wanted = triggersSql(lookup, table);
  for (const { name } of kept) {
    if (wanted.has(name)) continue;
    const on = quoteQualified(lookup.schema, lookup.table);
    // Dropping it would have to wait for readers too; whoever looks at the lookup next does so.
    await ask(`ALTER TABLE ${on} DISABLE TRIGGER ${quoteIdentifier(name)}`);
  }
  for (const sql of wanted.values()) await ask(sql);
}

async function commit(
  { crash }: SwitchHost,
  sessions: readonly [ShardSession, ...ShardSession[]],
): Promise<void> {
  const answers = await Promise.all(
    sessions.map(({ ask }) => ask('SHOW max_prepared_transactions')),
  );
  if (answers.every(([row]) => row?.[0] !== '0')) {
    await commitTogether(sessions, (step) => crash(`lookup-${step}`));
    return;
  }
  // As writes do there that are told to this lookup: one after the other.
  for (const { ask } of sessions) await ask('COMMIT');
}

const NOTHING_LEFT = { truncated: true, removed: [], moved: [], added: [] } as const;
