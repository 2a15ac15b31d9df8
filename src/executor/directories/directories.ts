import type { ShardQuery } from '../../backend/shard-query.js';
import { sqlError } from '../../errors/sql-error.js';
import {
  keyOf,
  TRUST_MS,
  type AskedKey,
  type DirectoryAnswers,
  type KeyDirectory,
} from '../../keyspace/key-directory.js';
import { idFromSigned, type KeyspaceId } from '../../keyspace/keyspace-id.js';
import { homeOf, type Shard, type Topology } from '../../keyspace/topology.js';
import { errorField, type Logger } from '../../util/logger.js';
import { Batcher } from '../batcher.js';
import {
  assignSql,
  betweenSql,
  countsSql,
  entriesSql,
  isThereSql,
  movingSql,
  otherKindSql,
  setUpSql,
  type NewEntry,
} from './directory-sql.js';

const QUERY_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 500;
/** A look that takes longer tells too little of its moment. */
const LOOK_TIMEOUT_MS = 1000;
/** Keys in one query. */
const KEYS_MAX = 5000;
/** How long the numbers of keys by shard are believed. */
const COUNTS_MS = 5000;

/** For how long a key must at least be marked as moving, so that every proxy has seen it, or trusts nothing. */
export const MARKED_MS = TRUST_MS + LOOK_TIMEOUT_MS + 1000;

interface Question {
  readonly ids: readonly KeyspaceId[];
  readonly assign: boolean;
}

interface Entry {
  readonly shard: string;
  readonly moving: boolean;
}

/** By `keyOf`; null: the table has none. */
type Entries = ReadonlyMap<string, Entry | null>;

/** Keys by their directory. */
type AskedKeys = ReadonlyMap<KeyDirectory, readonly AskedKey[]>;
/** What the tables have answered. */
type FoundKeys = ReadonlyMap<KeyDirectory, DirectoryAnswers>;

/** Reads directories (`KeyDirectory`) for all sessions, and gives new keys their shards. */
export class Directories {
  private readonly query: ShardQuery;
  private readonly topology: () => Topology;
  private readonly logger: Logger;
  private readonly batchers = new WeakMap<KeyDirectory, Batcher<Question, Entries>>();
  private readonly counts = new WeakMap<
    KeyDirectory,
    { readonly readAt: number; readonly byShard: Map<string, number> }
  >();
  private readonly ready = new WeakSet<KeyDirectory>();
  private readonly checked = new WeakSet<KeyDirectory>();
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(query: ShardQuery, topology: () => Topology, logger: Logger) {
    this.query = query;
    this.topology = topology;
    this.logger = logger;
  }

  /** Makes the tables, and looks at their marks from now on. Resolves behind the first look. */
  async start(): Promise<void> {
    await this.lookAtAll();
    const again = (): void => {
      if (this.stopped) return;
      this.timer = setTimeout(() => void this.lookAtAll().finally(again), LOOK_EVERY_MS);
      this.timer.unref();
    };
    again();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /**
   * The shards of keys, by `keyOf`, as the table has them now. `assign`: keys that are new get one, where the directory
   * does that. Rejects with SqlError 55000 where one of them is on the move, and as `query` does.
   */
  ask(asked: AskedKeys, assign: boolean): Promise<FoundKeys> {
    return this.eachAsked(asked, async (directory, ids) => {
      const entries = await this.entries(directory, ids, assign);
      if (ids.some((id) => entries.get(keyOf(id))?.moving === true)) throw movingError(directory);
      return shardsByKey(directory, ids, entries);
    });
  }

  /** The same for looking after rows: of keys that are on the move, where they go. */
  where(asked: AskedKeys): Promise<FoundKeys> {
    return this.eachAsked(asked, async (directory, ids) => {
      return shardsByKey(directory, ids, await this.entries(directory, ids, false));
    });
  }

  private async eachAsked(
    asked: AskedKeys,
    answer: (directory: KeyDirectory, ids: readonly KeyspaceId[]) => Promise<DirectoryAnswers>,
  ): Promise<FoundKeys> {
    const found = [...asked].map(async ([directory, keys]) => {
      const spans = keys.filter(({ last }) => last !== undefined);
      const ids = keys.filter(({ last }) => last === undefined);
      const answers = new Map(ids.length === 0 ? [] : await answer(directory, ids));
      for (const span of spans) answers.set(keyOf(span), await this.between(directory, span));
      return [directory, answers] as const;
    });
    return new Map(await Promise.all(found));
  }

  /** The shards of periods; null: it is not known, or one of them is on the move. Never rejects. */
  private async between(
    directory: KeyDirectory,
    span: AskedKey,
  ): Promise<readonly string[] | null> {
    const { table } = directory;
    const home = homeOf(this.topology(), table);
    try {
      await this.check(directory, home);
      const rows = await this.query(home, betweenSql(table, span, span.last!), QUERY_TIMEOUT_MS);
      const names = rows.map(([shard]) => shard!);
      const isKnown = names.every((name) => directory.shardNames.includes(name));
      return isKnown && rows.every(([, moves]) => moves === 'f') ? names : null;
    } catch (error) {
      this.logger.debug(errorField(error), 'a directory was not read');
      return null;
    }
  }

  private async entries(
    directory: KeyDirectory,
    ids: readonly KeyspaceId[],
    assign: boolean,
  ): Promise<Entries> {
    let batcher = this.batchers.get(directory);
    if (batcher === undefined) {
      batcher = new Batcher((questions) => this.answer(directory, questions));
      this.batchers.set(directory, batcher);
    }
    return batcher.ask({ ids, assign });
  }

  private async answer(
    directory: KeyDirectory,
    questions: readonly Question[],
  ): Promise<readonly Entries[]> {
    const entries = new Map<string, Entry | null>();
    await this.read(directory, distinct(questions), entries);
    const stored = questions.filter(({ assign }) => assign && directory.assigns);
    const fresh = distinct(stored).filter((id) => entries.get(keyOf(id)) === null);
    if (fresh.length > 0) {
      await this.assign(directory, fresh);
      await this.read(directory, fresh, entries);
    }
    return questions.map(() => entries);
  }

  private async read(
    directory: KeyDirectory,
    ids: readonly KeyspaceId[],
    entries: Map<string, Entry | null>,
  ): Promise<void> {
    const home = homeOf(this.topology(), directory.table);
    await this.check(directory, home);
    for (let at = 0; at < ids.length; at += KEYS_MAX) {
      const some = ids.slice(at, at + KEYS_MAX);
      for (const id of some) entries.set(keyOf(id), null);
      const askedAt = performance.now();
      const sql = entriesSql(directory.table, some);
      for (const [hash, shard, moves] of await this.query(home, sql, QUERY_TIMEOUT_MS)) {
        const id = idFromSigned(hash!);
        const entry = { shard: shard!, moving: moves === 't' };
        entries.set(keyOf(id), entry);
        if (!entry.moving) directory.learn(id, entry.shard, askedAt);
      }
    }
  }

  private async assign(directory: KeyDirectory, ids: readonly KeyspaceId[]): Promise<void> {
    const { table } = directory;
    const home = homeOf(this.topology(), table);
    const entries = await this.newEntries(directory, ids, home);
    for (let at = 0; at < entries.length; at += KEYS_MAX) {
      const sql = assignSql(table, entries.slice(at, at + KEYS_MAX));
      await this.query(home, sql, QUERY_TIMEOUT_MS);
    }
  }

  private async newEntries(
    directory: KeyDirectory,
    ids: readonly KeyspaceId[],
    home: Shard,
  ): Promise<readonly NewEntry[]> {
    const { periods } = directory;
    if (periods !== null) {
      const now = Date.now();
      return ids.map((id) => {
        const { label: key } = periods.period(id);
        return { id, key, shard: periods.placeAt(id, now).shard };
      });
    }
    const byShard = await this.countsOf(directory, home);
    return ids.map((id) => {
      const shard = leastOf(directory.shardNames, byShard);
      byShard.set(shard, (byShard.get(shard) ?? 0) + 1);
      return { id, key: null, shard };
    });
  }

  private async countsOf(directory: KeyDirectory, home: Shard): Promise<Map<string, number>> {
    const known = this.counts.get(directory);
    const readAt = performance.now();
    if (known !== undefined && readAt - known.readAt < COUNTS_MS) return known.byShard;
    const rows = await this.query(home, countsSql(directory.table), QUERY_TIMEOUT_MS);
    const byShard = new Map(rows.map(([shard, count]) => [shard!, Number(count)]));
    this.counts.set(directory, { readAt, byShard });
    return byShard;
  }

  /** Never rejects: what cannot be looked at is trusted no more. */
  private async lookAtAll(): Promise<void> {
    const topology = this.topology();
    const byHome = new Map<Shard, KeyDirectory[]>();
    for (const directory of topology.directories) {
      const home = homeOf(topology, directory.table);
      byHome.set(home, [...(byHome.get(home) ?? []), directory]);
    }
    await Promise.all(
      Array.from(byHome, async ([home, directories]) => {
        const made = await Promise.all(
          directories.map(async (directory) => {
            const isThere = await this.tried(home, () => this.setUp(directory, topology));
            return isThere ? [directory] : [];
          }),
        );
        const there = made.flat();
        if (there.length > 0) await this.tried(home, () => this.look(there, home));
      }),
    );
  }

  private async tried(home: Shard, act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      const fields = { shard: home.name, ...errorField(error) };
      this.logger.debug(fields, 'directories cannot be looked at');
      return false;
    }
  }

  private async look(directories: readonly KeyDirectory[], home: Shard): Promise<void> {
    const startedAt = performance.now();
    const sql = movingSql(directories.map(({ table }) => table));
    const rows = await this.query(home, sql, LOOK_TIMEOUT_MS);
    if (performance.now() - startedAt > LOOK_TIMEOUT_MS) return;
    for (const [place, directory] of directories.entries()) {
      const moving = rows.filter(([own]) => Number(own) === place);
      directory.looked(
        startedAt,
        moving.map(([, hash]) => idFromSigned(hash!)),
      );
    }
  }

  /** Throws SqlError 0A000 where a directory's table is kept for periods of another length. */
  private async check(directory: KeyDirectory, home: Shard): Promise<void> {
    const { periods, table } = directory;
    if (periods === null || this.checked.has(directory)) return;
    const [other] = await this.query(home, otherKindSql(table, periods.kind), QUERY_TIMEOUT_MS);
    if (other !== undefined) throw otherKindError(table);
    this.checked.add(directory);
  }

  /** Makes the table where it is missing: at home and, empty, on all other shards. */
  private async setUp(directory: KeyDirectory, topology: Topology): Promise<void> {
    if (this.ready.has(directory)) return;
    const sql = setUpSql(directory.table, directory.periods?.kind ?? null);
    await Promise.all(
      topology.shards.map(async (shard) => {
        // Its index could not be looked at while a move that was cut off is prepared.
        const [[there] = []] = await this.query(
          shard,
          isThereSql(directory.table),
          QUERY_TIMEOUT_MS,
        );
        if (there !== 't') await this.query(shard, sql, QUERY_TIMEOUT_MS);
      }),
    );
    this.ready.add(directory);
  }
}

/** Throws SqlError 0A000 where one is on a shard that is not there. */
function shardsByKey(
  directory: KeyDirectory,
  ids: readonly KeyspaceId[],
  entries: Entries,
): DirectoryAnswers {
  const shards = new Map<string, string | null>();
  for (const key of ids.map(keyOf)) {
    const shard = entries.get(key)?.shard ?? null;
    if (shard !== null && !directory.shardNames.includes(shard)) {
      throw unknownShard(directory, shard);
    }
    shards.set(key, shard);
  }
  return shards;
}

function distinct(questions: readonly Question[]): KeyspaceId[] {
  return [...new Map(questions.flatMap(({ ids }) => ids.map((id) => [keyOf(id), id]))).values()];
}

function leastOf(names: readonly string[], counts: ReadonlyMap<string, number>): string {
  const count = (name: string): number => counts.get(name) ?? 0;
  return names.reduce((least, name) => (count(name) < count(least) ? name : least));
}

function unknownShard({ table }: KeyDirectory, shard: string): Error {
  return sqlError(
    'feature_not_supported',
    `directory "${table.schema}.${table.name}" names shard "${shard}", which the keyspace does not have`,
    { hint: 'Put the shard back into the configuration, or correct the directory.' },
  );
}

function otherKindError({ schema, name }: KeyDirectory['table']): Error {
  return sqlError(
    'feature_not_supported',
    `table "${schema}.${name}" is kept for periods of another length`,
    { hint: 'Give the vindex its old period back, or a table of its own and its rows anew.' },
  );
}

function movingError({ table }: KeyDirectory): Error {
  return sqlError(
    'object_not_in_prerequisite_state',
    `rows of a shard key in directory "${table.schema}.${table.name}" are being moved to another shard`,
    { hint: 'Try again in a moment.' },
  );
}
