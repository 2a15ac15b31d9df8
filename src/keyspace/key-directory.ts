import type { KeyspaceId, KeyspaceIdCell } from './keyspace-id.js';
import { ASK, MAPPED, NO_SHARD, type MapOutcome } from './vindex.js';

/** The key ranges of one shard. */
export interface ShardSpace {
  /** Moves an id into them. */
  settle(cell: KeyspaceIdCell): void;
  /** Visits them, as closed intervals. */
  eachSpan(visit: (from: KeyspaceId, to: KeyspaceId) => void): void;
}

/** What a directory is asked for: a key by its hash, or all periods from one to the `last`. */
export interface AskedKey extends KeyspaceId {
  readonly last?: KeyspaceId;
}

/**
 * Answers of the directory's table by `keyOf`. Of a key: the name of a shard; null: it has no such key. Of periods: the
 * shards that have some of them; null: any may.
 */
export type DirectoryAnswers = ReadonlyMap<string, string | readonly string[] | null>;

/** The rows of a key, by its hash, as a condition on the shard key's column; null where there is none for its type. */
export type RowsSql = (quotedColumn: string, columnType: number, id: KeyspaceId) => string | null;

/** What stands in a directory of periods (`tiered`) in place of keys, and where each belongs by its age. */
export interface PeriodTiers {
  /** From young to old: shards of periods that ended less than so long ago; the last one has no limit (null). */
  readonly tiers: readonly {
    readonly youngerThanMs: number | null;
    readonly shards: readonly string[];
  }[];
  /** How often periods that have become too old for their tier are looked for. */
  readonly intervalMs: number;
  /** The number of the kind of all its ids, which are this modulo 4. */
  readonly kind: number;
  /** `firstDay` to the day before `endDay`, in days since 2000-01-01; a moment's day is that in UTC. */
  period(id: KeyspaceId): {
    readonly label: string;
    readonly firstDay: number;
    readonly endDay: number;
  };
  /** The place of its tier at a time (as Date.now), and the one of its shards that a new period gets. */
  placeAt(id: KeyspaceId, nowMs: number): { readonly tier: number; readonly shard: string };
}

/** Entries that are kept; then all are forgotten. */
const ENTRIES_MAX = 200_000;

/**
 * Which shard each key is on, as a table of an unsharded keyspace says; keys are known by their 64-bit hash. Entries
 * that were read are kept as long as they can be trusted: an entry changes only while it is marked as moving, for
 * longer than this trust lasts without a look at the marks.
 */
export class KeyDirectory {
  readonly table: { readonly schema: string; readonly name: string };
  /** Keys that are new get a shard when a row is stored; else such rows are refused. */
  readonly assigns: boolean;
  /** While it is a list, keys are noted and not looked up. */
  collecting: AskedKey[] | null = null;
  /** Periods were looked for which the table was not asked for. */
  unasked = false;
  /** What was just read for the statement that is looked at now. */
  answers: DirectoryAnswers | null = null;
  readonly rowsSql: RowsSql;
  /** Its keys are periods of time; null: values as they are. */
  readonly periods: PeriodTiers | null;
  private readonly spaces: ReadonlyMap<string, ShardSpace>;
  private readonly known = new Map<number, { readonly hi: number; readonly space: ShardSpace }[]>();
  private size = 0;
  private trustedUntil = -Infinity;

  /** `spaces`: of the keyspace's shards, by name. */
  constructor(
    table: KeyDirectory['table'],
    assigns: boolean,
    spaces: ReadonlyMap<string, ShardSpace>,
    rowsSql: RowsSql,
    periods: PeriodTiers | null = null,
  ) {
    this.table = table;
    this.assigns = assigns;
    this.spaces = spaces;
    this.rowsSql = rowsSql;
    this.periods = periods;
  }

  get shardNames(): readonly string[] {
    return [...this.spaces.keys()];
  }

  /** From the hash of a key to its keyspace id, in the cell. */
  place(cell: KeyspaceIdCell): MapOutcome {
    if (this.collecting !== null) {
      this.collecting.push({ hi: cell.hi, lo: cell.lo });
      return MAPPED;
    }
    const space = this.spaceOf(cell);
    if (space === undefined) return ASK;
    if (space === null) return NO_SHARD;
    space.settle(cell);
    return MAPPED;
  }

  /**
   * Visits keyspace ids, as closed intervals, that contain those of all keys from one period to another. Periods get
   * shards at any time, so what was read for other statements does not count: without answers, any may have some.
   */
  eachSpan(
    first: KeyspaceId,
    last: KeyspaceId,
    visit: (from: KeyspaceId, to: KeyspaceId) => void,
  ): void {
    const asked: AskedKey = { hi: first.hi, lo: first.lo, last };
    if (this.collecting !== null) {
      this.collecting.push(asked);
      return;
    }
    const answer = this.answers?.get(keyOf(asked));
    if (answer === undefined) this.unasked = true;
    for (const [name, space] of this.spaces) {
      if (!Array.isArray(answer) || answer.includes(name)) space.eachSpan(visit);
    }
  }

  /** Whether all of these can be placed now. */
  knows(ids: readonly KeyspaceId[]): boolean {
    return ids.every((id) => this.spaceOf(id) !== undefined);
  }

  /** Undefined: the table must be asked; null: it has no such key, or a shard that is not there. */
  private spaceOf(id: KeyspaceId): ShardSpace | null | undefined {
    const answer = this.answers?.get(keyOf(id));
    if (answer !== undefined) {
      return typeof answer === 'string' ? (this.spaces.get(answer) ?? null) : null;
    }
    const entries = this.known.get(id.lo);
    if (entries === undefined || performance.now() >= this.trustedUntil) return undefined;
    return entries.find(({ hi }) => hi === id.hi)?.space;
  }

  /**
   * Keeps an entry. `askedAt` (performance.now): when the table was asked, which must not be before the last look at
   * its marks: else the entry may have begun to move.
   */
  learn(id: KeyspaceId, shard: string, askedAt: number): void {
    const space = this.spaces.get(shard);
    if (space === undefined || askedAt < this.trustedUntil - TRUST_MS) return;
    if (this.size >= ENTRIES_MAX) this.forgetAll();
    const entries = this.known.get(id.lo);
    const entry = { hi: id.hi, space };
    if (entries === undefined) this.known.set(id.lo, [entry]);
    else if (entries.some(({ hi }) => hi === id.hi)) return;
    else entries.push(entry);
    this.size++;
  }

  /** A look at the marks that began at this time (performance.now) found these keys moving, and no others. */
  looked(startedAt: number, moving: readonly KeyspaceId[]): void {
    // A whole move may have gone by unseen.
    if (startedAt >= this.trustedUntil) this.forgetAll();
    for (const { hi, lo } of moving) {
      const entries = this.known.get(lo);
      const at = entries?.findIndex((entry) => entry.hi === hi) ?? -1;
      if (at < 0) continue;
      entries!.splice(at, 1);
      this.size--;
    }
    this.trustedUntil = startedAt + TRUST_MS;
  }

  private forgetAll(): void {
    this.known.clear();
    this.size = 0;
  }
}

/** How long entries are trusted behind the beginning of a look at the marks. */
export const TRUST_MS = 2000;

/** What `DirectoryAnswers` go by. */
export function keyOf({ hi, lo, last }: AskedKey): string {
  return last === undefined ? `${hi} ${lo}` : `${hi} ${lo} to ${last.hi} ${last.lo}`;
}

/** The keys that are placed while this runs, by their directory; none of those without any. */
export function collectedKeys(
  directories: readonly KeyDirectory[],
  run: () => void,
): ReadonlyMap<KeyDirectory, readonly AskedKey[]> {
  const found = new Map<KeyDirectory, readonly AskedKey[]>();
  for (const directory of directories) directory.collecting = [];
  try {
    run();
  } finally {
    for (const directory of directories) {
      if (directory.collecting!.length > 0) found.set(directory, directory.collecting!);
      directory.collecting = null;
    }
  }
  return found;
}

/** Runs this with what the tables have just answered. */
export function withAnswers<T>(
  answers: ReadonlyMap<KeyDirectory, DirectoryAnswers>,
  run: () => T,
): T {
  for (const [directory, own] of answers) directory.answers = own;
  try {
    return run();
  } finally {
    for (const directory of answers.keys()) directory.answers = null;
  }
}
