import type { LookupNotices } from '../../backend/postgres/lookup-notices.js';
import { idFromSigned } from '../../keyspace/keyspace-id.js';
import { lookupKey, type Keyspace, type Lookup, type Shard } from '../../keyspace/topology.js';
import { quoteQualified } from '../../sql/quote.js';
import type { KeyTexts } from '../key-texts.js';
import { byHome, type EntryHomes } from './entry-homes.js';
import type { LookupStatement } from './lookup-changes.js';
import { completeSql } from './lookup-states.js';
import { applySql, entries, type LookupEntry } from './lookup-sql.js';

/** Rows of values as text, null: NULL. */
type Rows = readonly (readonly (string | null)[])[];

/** What a shard with entries is asked. */
export interface Question {
  readonly shard: Shard;
  readonly texts: readonly [claim: string, find: string];
}

const NOTHING = { truncated: false, removed: [], moved: [], added: [] } as const;

/** Values whose entries come and go while they are asked for are asked for so many times. */
const ROUNDS_MAX = 8;

/**
 * Whose the values of rows are that are to be inserted under a unique lookup. A value that nobody has is claimed: an
 * entry in the lookup's table, of the row's number, makes all others wait who want it. The entry of one that somebody
 * has is locked, and tells the shard of that row. Claims are given up before what was changed is entered as usual.
 */
export class UniqueClaims {
  private readonly lookup: Lookup;
  private readonly type: string;
  private readonly homes: EntryHomes;
  private readonly values: (string | null)[] = [];
  /** By row: the row that has claimed its value, or the shard of the row that has it. */
  private readonly found: (number | Shard | undefined)[] = [];
  /** The rows that have claimed a value, by the value as the lookup has it. */
  private readonly claimed = new Map<string, number>();
  private rounds = 0;

  /** @param type of the lookup's values, as SQL */
  constructor(lookup: Lookup, type: string, homes: EntryHomes) {
    this.lookup = lookup;
    this.type = type;
    this.homes = homes;
  }

  /** Takes the value of the next row, null: NULL. */
  add(value: string | null): void {
    this.values.push(value);
  }

  /**
   * What is to be asked next, and where, its rows for `take`; null: nothing more. 'restless': it cannot be told. Throws
   * SqlError 0A000 where a value does not tell the shard of its entries.
   */
  next(): readonly Question[] | 'restless' | null {
    const open = this.open();
    if (open.length === 0) return null;
    if (this.rounds++ === ROUNDS_MAX) return 'restless';
    const list = open.map((row): LookupEntry => ({ value: this.values[row]!, id: String(row) }));
    return [...byHome(list, this.homes)].map(([shard, own]) => ({
      shard,
      texts: this.textsFor(own),
    }));
  }

  private textsFor(list: readonly LookupEntry[]): readonly [claim: string, find: string] {
    const { schema, name } = this.lookup.index;
    const table = quoteQualified(schema, name);
    const rows = `${entries(list)}`;
    return [
      `INSERT INTO ${table} AS i (value, keyspace_id) SELECT x.v::${this.type}, x.k FROM ${rows}` +
        ' ON CONFLICT (value) DO NOTHING RETURNING i.keyspace_id, i.value::pg_catalog.text',
      `SELECT x.k, i.keyspace_id, i.value::pg_catalog.text, EXISTS (${completeSql(this.lookup)})` +
        ` FROM ${rows} JOIN ${table} AS i ON i.value = x.v::${this.type} FOR SHARE OF i`,
    ];
  }

  /** False: the lookup is not complete, so that it cannot tell. */
  take(claimed: Rows, found: Rows, keyspace: Keyspace): boolean {
    for (const [row, value] of claimed) this.claimed.set(value!, Number(row));
    for (const [row, id, value, complete] of found) {
      if (complete !== 't') return false;
      const { hi, lo } = idFromSigned(id!);
      this.found[Number(row)] = this.claimed.get(value!) ?? keyspace.shardOf(hi, lo);
    }
    return true;
  }

  /** Where a row goes: to the shard of another one, or where that row goes; null: by its own key. */
  of(row: number): number | Shard | null {
    const found = this.found[row];
    return found === undefined || found === row ? null : found;
  }

  /** What gives the claims up, and where. */
  releases(): readonly LookupStatement[] {
    const removed = [...this.claimed].map(([value, row]) => ({ value, id: String(row) }));
    return [...byHome(removed, this.homes)].flatMap(([shard, own]) =>
      applySql(this.lookup, this.type, { ...NOTHING, removed: own }).map((sql) => ({ shard, sql })),
    );
  }

  private open(): number[] {
    return this.values.flatMap((value, row) =>
      value === null || this.found[row] !== undefined ? [] : [row],
    );
  }
}

/** Sees whether a shard is told to have got rows that belong to another one. */
export class StrayRows implements LookupNotices {
  found = false;
  private readonly inner: LookupNotices | null;
  private readonly key: string;
  private readonly isAtHome: (key: KeyTexts) => boolean;

  constructor(inner: LookupNotices | null, lookup: Lookup, isAtHome: (key: KeyTexts) => boolean) {
    this.inner = inner;
    this.key = lookupKey(lookup);
    this.isAtHome = isAtHome;
  }

  take(message: string): void {
    this.inner?.take(message);
    const { lookup, added = [] } = JSON.parse(message) as {
      readonly lookup: string;
      readonly added?: readonly (readonly [string, ...string[]])[];
    };
    if (lookup !== this.key) return;
    try {
      this.found ||= added.some(([, ...key]) => !this.isAtHome(key));
    } catch {
      // It cannot be mapped.
      this.found = true;
    }
  }
}
