import type { LookupNotices } from '../../backend/postgres/lookup-notices.js';
import { sqlError, type SqlError } from '../../errors/sql-error.js';
import { lookupKey, type Lookup, type Shard } from '../../keyspace/topology.js';
import { memoryError } from '../gather-errors.js';
import type { KeyTexts } from '../key-texts.js';
import { byHome, type EntryHomes } from './entry-homes.js';
import { applySql, mappingOf, type LookupEntry } from './lookup-sql.js';

/** One message of a trigger. */
interface Told {
  readonly lookup: string;
  /** What the trigger was made for (`mappingOf`). */
  readonly mapping: string;
  readonly truncated?: true;
  readonly added?: readonly ToldEntry[];
  readonly removed?: readonly ToldEntry[];
}

/** A value, and the shard key of its row. */
type ToldEntry = readonly [value: string, ...key: string[]];

type ByHome = ReadonlyMap<Shard, readonly LookupEntry[]>;

export interface LookupStatement {
  readonly shard: Shard;
  readonly sql: string;
}

/** What one statement has changed in columns with lookups, on all of its shards. */
export class LookupChanges implements LookupNotices {
  private readonly told: Told[] = [];
  private readonly bytesMax: number;
  private bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  take(message: string): void {
    this.bytes += message.length;
    if (this.bytes <= this.bytesMax) this.told.push(JSON.parse(message) as Told);
  }

  /** Whether anything has changed in the column of a lookup. Throws SqlError 53200 where there was too much. */
  tell(lookup: Lookup): boolean {
    if (this.bytes > this.bytesMax) throw memoryError(this.bytesMax);
    return this.of(lookup).length > 0;
  }

  /**
   * The statements that make a lookup agree with its table again, and where they run. Throws SqlError 55000 where its
   * triggers keep another one: entries of ours would mislead.
   * @param type of the lookup's values, as SQL
   * @param idOf the keyspace id of a shard key
   */
  statements(
    lookup: Lookup,
    type: string,
    homes: EntryHomes,
    idOf: (key: KeyTexts) => string,
  ): LookupStatement[] {
    const mine = this.of(lookup);
    const mapping = mappingOf(lookup);
    if (mine.some((each) => each.mapping !== mapping)) throw otherLookup(lookup);
    const listed = (what: 'added' | 'removed'): LookupEntry[] =>
      mine.flatMap((each) =>
        (each[what] ?? []).map(([value, ...key]) => ({ value, id: idOf(key) })),
      );
    const truncated = mine.some((each) => each.truncated === true);
    const net = netOf(listed('removed'), listed('added'), lookup.unique);
    const [removed, moved, added] = [net.removed, net.moved, net.added].map((list) =>
      byHome(list, homes),
    ) as [ByHome, ByHome, ByHome];
    return homes.shards.flatMap((shard) =>
      applySql(lookup, type, {
        truncated,
        removed: removed.get(shard) ?? [],
        moved: moved.get(shard) ?? [],
        added: added.get(shard) ?? [],
      }).map((sql) => ({ shard, sql })),
    );
  }

  private of(lookup: Lookup): Told[] {
    return this.told.filter((each) => each.lookup === lookupKey(lookup));
  }
}

/** What a statement has changed is kept for another definition of a lookup than the one that it was planned for. */
export function otherLookup({ table, column }: Lookup): SqlError {
  return sqlError(
    'object_not_in_prerequisite_state',
    `the lookup of column "${column}" of table "${table}" is kept for another configuration`,
    { hint: 'Try again in a moment, and give all proxies the same configuration.' },
  );
}

/** Without what was both removed and added; of a unique lookup, a value that was both has moved. */
function netOf(
  removed: readonly LookupEntry[],
  added: readonly LookupEntry[],
  unique: boolean,
): Record<'removed' | 'moved' | 'added', readonly LookupEntry[]> {
  // Entries of other lookups stay until they are cleaned: other rows may have the same value and key.
  if (!unique) return { removed: [], moved: [], added: distinctEntries(added) };
  const gone = new Map(removed.map((entry) => [entry.value, entry]));
  const moved: LookupEntry[] = [];
  const fresh: LookupEntry[] = [];
  for (const entry of added) {
    const before = gone.get(entry.value);
    if (before === undefined) fresh.push(entry);
    else {
      gone.delete(entry.value);
      if (before.id !== entry.id) moved.push(entry);
    }
  }
  return { removed: [...gone.values()], moved, added: fresh };
}

/** Each once, in their order. */
export function distinctEntries(list: readonly LookupEntry[]): LookupEntry[] {
  return [...new Map(list.map((entry) => [`${entry.id} ${entry.value}`, entry])).values()];
}
