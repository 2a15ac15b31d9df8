import { idFromSigned } from '../../keyspace/keyspace-id.js';
import {
  lookupShards,
  type Lookup,
  type Shard,
  type ShardedTable,
} from '../../keyspace/topology.js';
import { quoteQualified } from '../../sql/quote.js';
import { byHome, entryHomes, type EntryHomes } from '../lookups/entry-homes.js';
import { keyIds } from '../lookups/key-ids.js';
import { distinctEntries } from '../lookups/lookup-changes.js';
import {
  missingSql,
  rowsOfValuesSql,
  someEntriesSql,
  type LookupEntry,
} from '../lookups/lookup-sql.js';
import { completeSql, rowValuesSql, STATES_SQL, typesSql } from '../lookups/lookup-states.js';
import { partsSql } from '../table-parts.js';
import { inSnapshot, paced, type AuditHost } from './audit-host.js';

/** Blocks that one step reads. */
const BLOCKS_PER_STEP = 256;
/** Entries that one query is about. */
const ENTRIES_PER_QUERY = 5000;

/** Compares a lookup's entries with the rows of its table, as they are now and then. */
export class LookupEntries {
  readonly lookup: Lookup;
  readonly table: ShardedTable;
  /** The shards that have the entries. */
  readonly homes: EntryHomes;
  /** Of the values, as SQL. */
  readonly type: string;
  readonly idOf: (key: readonly (string | null)[]) => string;
  private readonly host: AuditHost;

  private constructor(
    host: AuditHost,
    table: ShardedTable,
    lookup: Lookup,
    type: string,
    homes: EntryHomes,
  ) {
    this.host = host;
    this.lookup = lookup;
    this.table = table;
    this.homes = homes;
    this.type = type;
    this.idOf = keyIds(table, host.catalog);
  }

  /** Null: the lookup is not complete, so that nobody uses it. */
  static async of(
    host: AuditHost,
    table: ShardedTable,
    lookup: Lookup,
  ): Promise<LookupEntries | null> {
    for (const home of lookupShards(host.topology, lookup)) {
      const complete = await inSnapshot(host, home, async (ask) => {
        const [[isThere] = []] = await ask(STATES_SQL);
        return isThere === 't' && (await ask(completeSql(lookup))).length > 0;
      });
      if (!complete) return null;
    }
    const { catalogShard } = host.topology;
    const [[, type, oid] = []] = await inSnapshot(host, catalogShard, (ask) =>
      ask(typesSql([lookup])),
    );
    const homes = entryHomes(host.topology, lookup, Number(oid));
    return homes === null ? null : new LookupEntries(host, table, lookup, type!, homes);
  }

  /** The shard on which the rows of an entry belong. */
  shardOf({ id }: LookupEntry): Shard {
    const { hi, lo } = idFromSigned(id);
    return this.table.keyspace.shardOf(hi, lo);
  }

  /** The entries that the rows of a shard must have, some at a time. */
  eachOfRows(shard: Shard, visit: (some: readonly LookupEntry[]) => Promise<void>): Promise<void> {
    const { lookup, table, idOf } = this;
    const name = quoteQualified(table.schema, table.name);
    const sqlOf = (part: string, from: number, to: number): string =>
      rowValuesSql(part, lookup.column, table.keyColumns, from, to);
    const entryOf = ([value, ...key]: readonly (string | null)[]): LookupEntry => {
      return { value: value!, id: idOf(key) };
    };
    return this.eachStep(shard, name, sqlOf, entryOf, visit);
  }

  /** The entries that a shard has, some at a time. */
  eachEntry(home: Shard, visit: (some: readonly LookupEntry[]) => Promise<void>): Promise<void> {
    const { index } = this.lookup;
    const name = quoteQualified(index.schema, index.name);
    const entryOf = ([value, id]: readonly (string | null)[]): LookupEntry => {
      return { value: value!, id: id! };
    };
    return this.eachStep(home, name, someEntriesSql, entryOf, visit);
  }

  /** Those that the lookup does not have. */
  async missing(list: readonly LookupEntry[]): Promise<LookupEntry[]> {
    const found: LookupEntry[] = [];
    for (const [home, own] of byHome(list, this.homes)) {
      found.push(
        ...(await this.inParts(own, async (some) => {
          const sql = missingSql(this.lookup, this.type, some);
          const rows = await inSnapshot(this.host, home, (ask) => ask(sql));
          return rows.map(([place]) => some[Number(place) - 1]!);
        })),
      );
    }
    return found;
  }

  /** Those that have a row on its shard. */
  async withRows(list: readonly LookupEntry[]): Promise<LookupEntry[]> {
    const found: LookupEntry[] = [];
    for (const [shard, own] of this.byShard(list)) {
      found.push(
        ...(await this.inParts(own, async (some) => {
          const rows = await inSnapshot(this.host, shard, (ask) => ask(this.rowsSql(some)));
          return this.foundBy(some, rows);
        })),
      );
    }
    return found;
  }

  /** Those that have no row on its shard. */
  async stale(list: readonly LookupEntry[]): Promise<LookupEntry[]> {
    const used = new Set(await this.withRows(list));
    return list.filter((entry) => !used.has(entry));
  }

  /** The rows that have the values of these entries, for `foundBy`. */
  rowsSql(list: readonly LookupEntry[], locked = false): string {
    const values = list.map(({ value }) => value);
    return rowsOfValuesSql(this.lookup, this.table, this.type, values, locked);
  }

  /** Those of which `rowsSql` has found a row with their keyspace id. */
  foundBy(
    list: readonly LookupEntry[],
    rows: readonly (readonly (string | null)[])[],
  ): LookupEntry[] {
    const found = new Set(
      rows.flatMap(([place, ...key]) => {
        const entry = list[Number(place) - 1]!;
        return this.idOf(key) === entry.id ? [entry] : [];
      }),
    );
    return [...found];
  }

  /** By the shards on which their rows belong. */
  byShard(list: readonly LookupEntry[]): Map<Shard, LookupEntry[]> {
    const found = new Map<Shard, LookupEntry[]>();
    for (const entry of list) {
      const shard = this.shardOf(entry);
      const own = found.get(shard);
      if (own === undefined) found.set(shard, [entry]);
      else own.push(entry);
    }
    return found;
  }

  private async eachStep(
    shard: Shard,
    name: string,
    sqlOf: (part: string, from: number, to: number) => string,
    entryOf: (row: readonly (string | null)[]) => LookupEntry,
    visit: (some: readonly LookupEntry[]) => Promise<void>,
  ): Promise<void> {
    const { host } = this;
    const progress = paced(host.tell);
    for (const [part, blocks] of await inSnapshot(host, shard, (ask) => ask(partsSql(name)))) {
      for (let block = 0; block < Number(blocks); block += BLOCKS_PER_STEP) {
        const sql = sqlOf(part!, block, block + BLOCKS_PER_STEP);
        const rows = await inSnapshot(host, shard, (ask) => ask(sql));
        await visit(distinctEntries(rows.map(entryOf)));
        progress(() => `${this.table.name}: ${shard.name}: ${part} ${block} of ${blocks} blocks`);
      }
    }
  }

  private async inParts(
    list: readonly LookupEntry[],
    act: (some: readonly LookupEntry[]) => Promise<readonly LookupEntry[]>,
  ): Promise<LookupEntry[]> {
    const found: LookupEntry[] = [];
    for (let at = 0; at < list.length; at += ENTRIES_PER_QUERY) {
      found.push(...(await act(list.slice(at, at + ENTRIES_PER_QUERY))));
    }
    return found;
  }
}
