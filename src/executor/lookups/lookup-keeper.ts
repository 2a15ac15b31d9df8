import type { CatalogLookup, Catalog } from '../../keyspace/catalog.js';
import {
  lookupKey,
  lookupShards,
  type Lookup,
  type Shard,
  type ShardedTable,
  type Topology,
} from '../../keyspace/topology.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import { errorField, type Logger } from '../../util/logger.js';
import type { KeyTexts } from '../key-texts.js';
import { EXACT_TEXTS, partsSql } from '../table-parts.js';
import { buildLockSql } from './complete-lookups.js';
import { byHome, entryHomes, type EntryHomes } from './entry-homes.js';
import { keyIds, ownerOf } from './key-ids.js';
import { distinctEntries } from './lookup-changes.js';
import {
  applySql,
  duplicatesSql,
  FUNCTION_SQL,
  indexTableSql,
  triggerArguments,
  triggersSql,
  type LookupEntry,
} from './lookup-sql.js';
import {
  buildingSql,
  builtSql,
  completeSql,
  forgetSql,
  rowValuesSql,
  STATES_SQL,
  TRIGGERS_SQL,
  typesSql,
} from './lookup-states.js';

const TIMEOUT_MS = 30_000;
/** A batch of rows is locked while it is read and its entries are written. */
const BATCH_TIMEOUT_MS = 300_000;
/** Blocks of 8 kB in a batch. */
const BLOCKS_PER_BATCH = 128;
const PROGRESS_MS = 10_000;

export interface LookupKeeperHost {
  readonly links: Pick<OwnLinks, 'query' | 'session'>;
  readonly topology: () => Topology;
  readonly logger: Logger;
  /** A lookup has come to be ready: plans may use it. */
  readonly onReady: () => void;
}

/**
 * Makes what lookups need on the shards (their tables, the triggers on the tables that they are for),
 * fills in entries of rows that were there before, and knows which lookups are complete. Several
 * proxies may do so at once: one at a time builds a lookup.
 */
export class LookupKeeper {
  private readonly host: LookupKeeperHost;
  private building: Promise<void> | null = null;
  private stopped = false;

  constructor(host: LookupKeeperHost) {
    this.host = host;
  }

  /**
   * A catalog that was just read, with what is known of the configured lookups; builds those that are
   * not ready, aside. `full`: looks for triggers that are left over even where no lookup is configured.
   */
  async look(catalog: Catalog, full: boolean): Promise<Catalog> {
    const topology = this.host.topology();
    const { lookups, catalogShard } = topology;
    if (lookups.length === 0 && !full) return catalog;
    const complete = new Set<Lookup>();
    const unknown = new Set<Lookup>();
    for (const lookup of lookups) {
      const known = await this.isComplete(topology, lookup);
      if (known !== false) (known === null ? unknown : complete).add(lookup);
    }
    // Behind that: whoever has just completed one has made its triggers before.
    const triggers = await this.query(catalogShard, TRIGGERS_SQL);
    await this.dropOthers(topology, triggers);
    if (lookups.length === 0) return catalog;
    const states = await this.states(topology, complete, triggers);
    const unready = topology.lookups.filter((lookup) => {
      const state = states.get(lookupKey(lookup));
      return state !== undefined && !state.ready && !unknown.has(lookup);
    });
    if (unready.length > 0 && this.building === null && !this.stopped) {
      this.building = this.buildAll(unready, catalog, states).finally(() => {
        this.building = null;
      });
    }
    return { ...catalog, lookups: states };
  }

  stop(): void {
    this.stopped = true;
  }

  private queryOn(shard: Shard): (sql: string) => Promise<(string | null)[][]> {
    return (sql) => this.query(shard, sql);
  }

  private query(shard: Shard, sql: string): Promise<(string | null)[][]> {
    return this.host.links.query(shard, sql, TIMEOUT_MS);
  }

  /** Of lookups whose tables and columns exist. */
  private async states(
    topology: Topology,
    complete: ReadonlySet<Lookup>,
    triggers: readonly TriggerRow[],
  ): Promise<ReadonlyMap<string, CatalogLookup>> {
    const { catalogShard, lookups } = topology;
    const running = triggers.filter(([runs]) => runs === 't');
    const keys = new Set(running.map(([, ...key]) => key.join('\0')));
    const types = await this.query(catalogShard, typesSql(lookups));
    const states = new Map<string, CatalogLookup>();
    for (const [place, type, typeOid, plain, constraint] of types) {
      const lookup = lookups[Number(place)]!;
      const kept = hasTriggers(lookup, topology, keys);
      // What has changed since nobody is told is missing, for other proxies too.
      if (complete.has(lookup) && !kept) {
        await this.forget(lookupShards(topology, lookup), lookup);
      }
      const ready = complete.has(lookup) && kept;
      states.set(lookupKey(lookup), {
        type: type!,
        typeOid: Number(typeOid),
        plainTexts: plain === 't',
        constraint: constraint ?? null,
        ready,
      });
    }
    return states;
  }

  /** Null: a shard with entries of it does not say. Then it is not used, and all else goes on. */
  private async isComplete(topology: Topology, lookup: Lookup): Promise<boolean | null> {
    try {
      for (const home of lookupShards(topology, lookup)) {
        const [[isThere] = []] = await this.query(home, STATES_SQL);
        if (isThere !== 't') return false;
        if ((await this.query(home, completeSql(lookup))).length === 0) return false;
      }
      return true;
    } catch (error) {
      const fields = { lookup: lookupKey(lookup), ...errorField(error) };
      this.host.logger.debug(fields, 'it is not known whether a lookup is complete');
      return null;
    }
  }

  private async forget(shards: readonly Shard[], lookup: Lookup): Promise<void> {
    const sql = forgetSql(lookupKey(lookup));
    await Promise.all(shards.map((shard) => this.query(shard, sql)));
  }

  /** Triggers (of TRIGGERS_SQL) of lookups that the configuration names no more, or for other tables. */
  private async dropOthers(topology: Topology, triggers: readonly TriggerRow[]): Promise<void> {
    const { shards, lookups } = topology;
    const wanted = new Set(
      lookups.flatMap((lookup) =>
        [...triggersSql(lookup, ownerOf(lookup, topology)).keys()].map((name) =>
          [lookup.schema, lookup.table, name].join('\0'),
        ),
      ),
    );
    for (const [, schema, table, name, args] of triggers) {
      if (wanted.has([schema, table, name].join('\0'))) continue;
      this.host.logger.info(
        { table: `${schema}.${table}`, trigger: name },
        'a lookup is kept no more',
      );
      const [key = ''] = Buffer.from(args!, 'hex').toString().split('\0');
      const drop = `DROP TRIGGER IF EXISTS ${quoteIdentifier(name!)} ON ${quoteQualified(schema!, table!)}`;
      // Other proxies may know the lookup: first they must not take it for complete, nor whoever builds it just now.
      for (const sql of [forgetSql(key), drop, forgetSql(key)]) {
        await Promise.all(shards.map((shard) => this.query(shard, sql)));
      }
    }
  }

  private async buildAll(
    lookups: readonly Lookup[],
    catalog: Catalog,
    states: ReadonlyMap<string, CatalogLookup>,
  ): Promise<void> {
    let ready = false;
    for (const lookup of lookups) {
      const log = this.host.logger.child({ lookup: lookupKey(lookup) });
      try {
        const problem = problemOf(lookup, catalog);
        if (problem !== null) throw new Error(problem);
        ready = (await this.build(lookup, catalog, states.get(lookupKey(lookup))!, log)) || ready;
      } catch (error) {
        log.error(errorField(error), 'the lookup is not used: it cannot be built');
      }
    }
    if (ready && !this.stopped) this.host.onReady();
  }

  /** False: another proxy builds it now. */
  private async build(
    lookup: Lookup,
    catalog: Catalog,
    { type, typeOid }: CatalogLookup,
    log: Logger,
  ): Promise<boolean> {
    const topology = this.host.topology();
    const table = ownerOf(lookup, topology);
    const { shards } = topology;
    const homes = entryHomes(topology, lookup, typeOid);
    if (homes === null) throw new Error('its values cannot be spread over shards');
    const [lead, ...more] = homes.shards as [Shard, ...Shard[]];
    return this.host.links.session(lead, BATCH_TIMEOUT_MS, async (query) => {
      const [[locked] = []] = await query(
        `SELECT pg_catalog.pg_try_advisory_lock(${buildLockSql(lookup)})`,
      );
      if (locked !== 't') return false;
      try {
        log.info('building the lookup');
        await query(buildingSql(lookup));
        for (const shard of more) await this.query(shard, buildingSql(lookup));
        // The lookup's own table may have been on other shards.
        const others = shards.filter((shard) => !homes.shards.includes(shard));
        await this.forget(others, lookup);
        // First its table, on all shards: triggers bring entries at once.
        await Promise.all(shards.map((shard) => this.query(shard, indexTableSql(lookup, type))));
        await Promise.all(shards.map((shard) => this.installTriggers(shard, lookup, table)));
        const empty = applySql(lookup, type, { ...NOTHING, truncated: true });
        for (const shard of homes.shards) {
          for (const sql of empty) await this.query(shard, sql);
        }
        const idOf = keyIds(table, catalog);
        let rows = 0;
        for (const shard of table.keyspace.shards) {
          rows += await this.copy(shard, { lookup, type, idOf, homes, table }, log);
        }
        // The lead last: who moves rows asks it alone (see `whileComplete`).
        for (const ask of [...more.map((shard) => this.queryOn(shard)), query]) {
          if ((await ask(builtSql(lookup))).length === 0) {
            throw new Error('another proxy has another configuration');
          }
        }
        log.info({ rows }, 'the lookup is ready');
        return true;
      } finally {
        await query('SELECT pg_catalog.pg_advisory_unlock_all()');
      }
    });
  }

  private async installTriggers(shard: Shard, lookup: Lookup, table: ShardedTable): Promise<void> {
    await this.query(shard, FUNCTION_SQL);
    for (const sql of triggersSql(lookup, table).values()) await this.query(shard, sql);
  }

  /** Writes the entries of the rows that a shard has; their number. */
  private async copy(
    shard: Shard,
    { lookup, type, idOf, homes, table }: CopyTask,
    log: Logger,
  ): Promise<number> {
    const name = quoteQualified(lookup.schema, lookup.table);
    const parts = await this.query(shard, partsSql(name));
    let rows = 0;
    let toldAt = performance.now();
    for (const [part, blocks] of parts) {
      for (let block = 0; block <= Number(blocks); block += BLOCKS_PER_BATCH) {
        if (this.stopped) throw new Error('the proxy stops');
        await this.host.links.session(shard, BATCH_TIMEOUT_MS, async (query) => {
          await query(`BEGIN; ${EXACT_TEXTS}`);
          const end = block + BLOCKS_PER_BATCH;
          const sql = rowValuesSql(part!, lookup.column, table.keyColumns, block, end);
          const locked = await query(`${sql} FOR SHARE`);
          const entries = locked.map(([value, ...key]) => ({ value: value!, id: idOf(key) }));
          for (const [home, own] of byHome(distinctEntries(entries), homes)) {
            await this.write(home, lookup, type, own);
          }
          await query('COMMIT');
          rows += locked.length;
        });
        if (performance.now() - toldAt < PROGRESS_MS) continue;
        toldAt = performance.now();
        log.info({ shard: shard.name, rows }, 'building the lookup');
      }
    }
    return rows;
  }

  /** Entries of rows that were written meanwhile are there already. */
  private async write(
    home: Shard,
    lookup: Lookup,
    type: string,
    added: readonly LookupEntry[],
  ): Promise<void> {
    const [insert] = applySql({ ...lookup, unique: false }, type, { ...NOTHING, added });
    await this.query(home, insert!);
    if (!lookup.unique) return;
    const [[value] = []] = await this.query(home, duplicatesSql(lookup, type, added));
    if (value === undefined) return;
    throw new Error(
      `key (${lookup.column})=(${value}) is there more than once in table "${lookup.table}"`,
    );
  }
}

/** Of TRIGGERS_SQL. */
type TriggerRow = readonly (string | null)[];

interface CopyTask {
  readonly lookup: Lookup;
  readonly type: string;
  readonly idOf: (key: KeyTexts) => string;
  readonly homes: EntryHomes;
  readonly table: ShardedTable;
}

const NOTHING = { truncated: false, removed: [], moved: [], added: [] } as const;

/** Whether the table has all triggers that keep the lookup. */
function hasTriggers(lookup: Lookup, topology: Topology, triggers: ReadonlySet<string>): boolean {
  return triggerKeys(lookup, topology).every((key) => triggers.has(key));
}

/** How the triggers of a lookup are told by TRIGGERS_SQL. */
function triggerKeys(lookup: Lookup, topology: Topology): string[] {
  const owner = ownerOf(lookup, topology);
  const args = triggerArguments(lookup, owner).map((arg) => `${arg}\0`);
  const hex = Buffer.from(args.join('')).toString('hex');
  const { schema, table } = lookup;
  return [...triggersSql(lookup, owner).keys()].map((name) =>
    [schema, table, name, hex].join('\0'),
  );
}

/** Why a lookup cannot be kept for its column; null: it can. */
function problemOf({ schema, table, column: name }: Lookup, { relations }: Catalog): string | null {
  const relation = relations.get(`${schema}.${table}`);
  const column = relation?.columns.find((candidate) => candidate.name === name);
  if (column?.deterministicCollation === false) {
    return `column "${name}" has a nondeterministic collation`;
  }
  return null;
}
