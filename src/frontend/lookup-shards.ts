import { entryHomes, valuesByHome } from '../executor/lookups/entry-homes.js';
import { lookupValues } from '../executor/lookups/lookup-values.js';
import { entriesIn, findSql } from '../executor/lookups/lookup-sql.js';
import type { ValueSource } from '../executor/shard-targets.js';
import { idFromSigned } from '../keyspace/keyspace-id.js';
import { byIndex, type Keyspace, type Shard } from '../keyspace/topology.js';
import type { ShardSelector } from '../planner/plan.js';
import { DirectoryShards } from './directory-shards.js';
import type { ShardPlan } from './shard-choice.js';
import { errorField } from '../util/logger.js';
import { askBackend } from './ask-backend.js';
import type { Session } from './session.js';
import { keepsSnapshot } from './shard-use.js';

type LookupSelector = Extract<ShardSelector, { readonly kind: 'lookup' }>;

/** Asks lookups for the shards of a session's statements, before these run. */
export class LookupShards {
  private readonly session: Session;
  private found: { readonly key: string; readonly shards: readonly Shard[] } | null = null;

  /** Those of directories likewise. */
  private readonly directories: DirectoryShards;

  constructor(session: Session) {
    this.session = session;
    this.directories = new DirectoryShards(session);
  }

  /**
   * Whether the shards of a plan are known as well as they will be, with these values; false: wait, the message is
   * handled again.
   */
  ready(plan: ShardPlan, values: ValueSource): boolean {
    return this.lookupReady(plan, values) && this.directories.ready(plan, values);
  }

  private lookupReady(plan: ShardPlan, source: ValueSource): boolean {
    if (plan.kind !== 'route' || plan.shards.kind !== 'lookup') return true;
    const { shards: selector } = plan;
    if (this.seesOldRows()) return true;
    const values = lookupValues(selector.keyspace, selector.terms, source);
    if (values === null) return true;
    const key = keyOf(selector, values);
    if (this.found?.key === key) return true;
    this.fetch(selector, values, key);
    return false;
  }

  /** The shards of a plan, once; null: wait, the message is handled again. Throws SqlError as `shardsOf` does. */
  shardsFor(plan: ShardPlan, values: ValueSource): readonly Shard[] | null {
    if (!this.lookupReady(plan, values)) return null;
    const { directories } = this;
    directories.install();
    const shards = directories.shardsFor(plan, values);
    if (shards === null) return null;
    directories.clear();
    this.found = null;
    return shards;
  }

  /** Those that may have rows; all of the keyspace's where the lookup was not asked. */
  shardsOf(selector: LookupSelector, source: ValueSource): readonly Shard[] {
    const { found } = this;
    const values = found === null ? null : lookupValues(selector.keyspace, selector.terms, source);
    const isIt = values !== null && found?.key === keyOf(selector, values);
    return isIt ? found.shards : selector.keyspace.shards;
  }

  /** The statement has its shards: the next one asks again. */
  clear(): void {
    this.found = null;
    this.directories.clear();
  }

  /** A snapshot may show rows whose entries are gone. */
  private seesOldRows(): boolean {
    const { work } = this.session;
    return work.explicit && work.participants.length > 0 && keepsSnapshot(this.session);
  }

  private fetch(selector: LookupSelector, values: readonly string[], key: string): void {
    const { session } = this;
    const turn = ++session.turn;
    session.busy = true;
    void this.ids(selector, values).then((ids) => {
      // The message may have become void by an error of an earlier one.
      if (session.over || turn !== session.turn) return;
      const { keyspace } = selector;
      this.found = { key, shards: ids === null ? keyspace.shards : shardsOfIds(keyspace, ids) };
      session.busy = false;
      session.operation = null;
      session.pump();
    });
  }

  /**
   * Null: the lookup is not complete, or cannot be read with these values; whoever has the rows says what is wrong.
   */
  private async ids(
    { lookup, type, typeOid }: LookupSelector,
    values: readonly string[],
  ): Promise<Iterable<string> | null> {
    const { session } = this;
    const { context, work } = session;
    const homes = entryHomes(context.config.topology, lookup, typeOid);
    const byShard = homes === null ? null : valuesByHome(values, homes);
    if (byShard === null) return null;
    try {
      const found: string[] = [];
      const committed: string[] = [];
      for (const [shard, some] of byShard) {
        // What the transaction has changed in the lookup itself, only it sees.
        const own = work.participant(shard);
        if (own === null || !work.writers.has(own)) {
          committed.push(...some);
          continue;
        }
        const [rows] = await askBackend(session, own, [findSql(lookup, type, some)]);
        const entries = entriesIn(rows!);
        if (entries === null) return null;
        found.push(...entries.map(([, id]) => id!));
      }
      const others = await context.lookups.find(lookup, { type, typeOid }, committed);
      return others === null ? null : [...found, ...others];
    } catch (error) {
      session.logger.debug({ lookup: lookup.name, ...errorField(error) }, 'a lookup was not read');
      return null;
    }
  }
}

function keyOf({ lookup, keyspace }: LookupSelector, values: readonly string[]): string {
  return JSON.stringify([lookup.name, lookup.definition, keyspace.name, values]);
}

/** Where nothing was found, one of the shards gives the empty answer. */
export function shardsOfIds(keyspace: Keyspace, ids: Iterable<string>): readonly Shard[] {
  const shards = new Set<Shard>();
  for (const text of ids) {
    const { hi, lo } = idFromSigned(text);
    shards.add(keyspace.shardOf(hi, lo));
  }
  return shards.size === 0 ? [keyspace.shards[0]!] : [...shards].sort(byIndex);
}
