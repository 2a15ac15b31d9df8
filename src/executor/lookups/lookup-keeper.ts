import type { CatalogLookup, Catalog } from '../../keyspace/catalog.js';
import {
  lookupKey,
  lookupShards,
  type Lookup,
  type Shard,
  type Topology,
} from '../../keyspace/topology.js';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../sql/quote.js';
import type { CrashHook } from '../../transaction/crash-points.js';
import type { OwnLinks } from '../../transaction/own-links.js';
import { errorField, type Logger } from '../../util/logger.js';
import { STEP_TIMEOUT_MS } from '../audit/audit-host.js';
import { buildLockSql } from './complete-lookups.js';
import { entryHomes } from './entry-homes.js';
import { keyIds, ownerOf } from './key-ids.js';
import { checkUnique, fillFrom } from './lookup-fill.js';
import { dropGuardsSql, triggerArguments, triggersSql } from './lookup-sql.js';
import { switchLookup } from './lookup-switch.js';
import {
  builtSql,
  completeSql,
  forgetSql,
  isAbout,
  STATES_SQL,
  tellsOf,
  TRIGGERS_SQL,
  typesSql,
  type TriggerRow,
} from './lookup-states.js';

const TIMEOUT_MS = 30_000;
const PROGRESS_MS = 10_000;

export interface LookupKeeperHost {
  readonly links: {
    readonly looking: Pick<OwnLinks, 'query'>;
    /** Apart from these: who builds one has several at a time, for long. */
    readonly building: Pick<OwnLinks, 'query' | 'session'>;
  };
  readonly topology: () => Topology;
  readonly logger: Logger;
  /** Hears of the way to a new lookup. */
  readonly crash: CrashHook;
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
  private readonly stopping = new AbortController();

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
    await this.dropOthers(topology, triggers, complete, catalog);
    if (lookups.length === 0) return catalog;
    const states = await this.states(topology, complete, triggers);
    const unready = topology.lookups.filter((lookup) => {
      const state = states.get(lookupKey(lookup));
      // A table that was made behind the catalog is in the next one.
      const isThere = catalog.relations.has(`${lookup.schema}.${lookup.table}`);
      return isThere && state !== undefined && !state.ready && !unknown.has(lookup);
    });
    if (unready.length > 0 && this.building === null && !this.stopping.signal.aborted) {
      this.building = this.buildAll(unready, catalog, states).finally(() => {
        this.building = null;
      });
    }
    return { ...catalog, lookups: states };
  }

  stop(): void {
    this.stopping.abort(new Error('the proxy stops'));
  }

  private queryOn(shard: Shard): (sql: string) => Promise<(string | null)[][]> {
    return (sql) => this.query(shard, sql);
  }

  private query(shard: Shard, sql: string): Promise<(string | null)[][]> {
    return this.host.links.looking.query(shard, sql, TIMEOUT_MS);
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
      const ready = complete.has(lookup) && kept && !isContested(lookup, running);
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
    // Not what another proxy builds by now.
    const sql = forgetSql(lookupKey(lookup), lookup.definition);
    await Promise.all(shards.map((shard) => this.query(shard, sql)));
  }

  /** Triggers (of TRIGGERS_SQL) of lookups that the configuration names no more, or for other tables. */
  private async dropOthers(
    topology: Topology,
    triggers: readonly TriggerRow[],
    complete: ReadonlySet<Lookup>,
    catalog: Catalog,
  ): Promise<void> {
    const { shards, lookups } = topology;
    const wanted = new Set(
      lookups.flatMap((lookup) =>
        [...triggersSql(lookup, ownerOf(lookup, topology)).keys()].map((name) =>
          [lookup.schema, lookup.table, name].join('\0'),
        ),
      ),
    );
    for (const row of triggers) {
      const [runs, schema, table, name] = row;
      if (wanted.has([schema, table, name].join('\0'))) continue;
      const { key } = tellsOf(row);
      const successor = lookups.find((lookup) => isAbout(row, lookup));
      const trigger = { table: `${schema}.${table}`, trigger: name };
      const on = quoteQualified(schema!, table!);
      const drop = `DROP TRIGGER IF EXISTS ${quoteIdentifier(name!)} ON ${on}`;
      if (successor !== undefined && problemOf(successor, catalog) === null) {
        // Who builds that one takes over what this one has kept, and switches it off.
        if (runs === 't' || !complete.has(successor)) continue;
        const sql = ifSwitchedOff(on, name!, drop);
        await Promise.all(shards.map((shard) => this.query(shard, sql)));
        this.host.logger.info(trigger, 'a lookup is kept by another one');
        continue;
      }
      this.host.logger.info(trigger, 'a lookup is kept no more');
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
    if (ready && !this.stopping.signal.aborted) this.host.onReady();
  }

  /** False: another proxy builds it now. */
  private async build(
    lookup: Lookup,
    catalog: Catalog,
    { type, typeOid, constraint }: CatalogLookup,
    log: Logger,
  ): Promise<boolean> {
    const { links, crash } = this.host;
    const { signal } = this.stopping;
    const topology = this.host.topology();
    const table = ownerOf(lookup, topology);
    const homes = entryHomes(topology, lookup, typeOid);
    if (homes === null) throw new Error('its values cannot be spread over shards');
    const [lead, ...more] = homes.shards as [Shard, ...Shard[]];
    const task = { lookup, type, homes, table, idOf: keyIds(table, catalog) };
    return links.building.session(lead, STEP_TIMEOUT_MS, async (query) => {
      const [[locked] = []] = await query(
        `SELECT pg_catalog.pg_try_advisory_lock(${buildLockSql(lookup)})`,
      );
      if (locked !== 't') return false;
      try {
        log.info('building the lookup');
        await switchLookup({ links: links.building, topology, crash, signal }, task);
        let rows = 0;
        for (const shard of table.keyspace.shards) {
          const tell = progressOf(log, shard, rows);
          const host = { links: links.building, signal, tell };
          rows += await fillFrom(host, shard, task);
          // Behind that entries keep others out.
          if (lookup.unique && constraint === null) await checkUnique(host, shard, task);
        }
        crash('lookup-filled');
        for (const home of homes.shards) await this.query(home, dropGuardsSql(lookup));
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
}

/** Logs now and then how far a lookup's rows have been read, `before` of them on other shards. */
function progressOf(log: Logger, shard: Shard, before: number): (rows: number) => void {
  let toldAt = performance.now();
  return (rows) => {
    if (performance.now() - toldAt < PROGRESS_MS) return;
    toldAt = performance.now();
    log.info({ shard: shard.name, rows: before + rows }, 'building the lookup');
  };
}

/** Whether the table has all triggers that keep the lookup. */
function hasTriggers(lookup: Lookup, topology: Topology, triggers: ReadonlySet<string>): boolean {
  return triggerKeys(lookup, topology).every((key) => triggers.has(key));
}

/** Whether changes of its column are told to another lookup, too. `running`: the triggers that run. */
function isContested(lookup: Lookup, running: readonly TriggerRow[]): boolean {
  return running.some((row) => isAbout(row, lookup) && tellsOf(row).key !== lookupKey(lookup));
}

/** Does something about a trigger (of a table, as SQL) that does not run, unless another proxy has it run again. */
function ifSwitchedOff(table: string, name: string, sql: string): string {
  return (
    `DO $body$ BEGIN LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE;` +
    ` IF EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgname = ${quoteLiteral(name)} AND tgenabled = 'D'` +
    ` AND tgrelid = ${quoteLiteral(table)}::pg_catalog.regclass) THEN ${sql}; END IF; END $body$`
  );
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
