import { setTimeout as sleep } from 'node:timers/promises';
import {
  lookupShards,
  type Lookup,
  type Shard,
  type ShardedTable,
} from '../../keyspace/topology.js';
import type { LookupEntry } from '../lookups/lookup-sql.js';
import { onEach, type AuditHost } from './audit-host.js';
import { nameOf, type Finding } from './finding.js';
import { LookupEntries } from './lookup-entries.js';

/** What a commit over two shards has changed on one of them only is changed on both by then. */
const LOOKS = 3;
const BETWEEN_LOOKS_MS = 500;
/** So many are looked at again; further ones are believed at once. */
const DOUBTED_MAX = 10_000;

/**
 * Looks whether the rows of a table have their entries in a lookup, and entries have rows. A finding each shard of the
 * table, about its rows, and one each shard with entries, about these.
 */
export async function auditLookup(
  host: AuditHost,
  table: ShardedTable,
  lookup: Lookup,
): Promise<Finding[]> {
  const entries = await LookupEntries.of(host, table, lookup);
  if (entries === null) {
    const { name: shard } = lookupShards(host.topology, lookup)[0]!;
    const detail = 'it is not complete yet, and not used';
    return [{ table: nameOf(table), shard, check: checkOf(lookup), rows: 0, wrong: 0, detail }];
  }
  const { shards } = table.keyspace;
  const rows = await onEach(host, shards, (shard, each) => auditRows(each, entries, shard));
  const own = await onEach(host, entries.homes.shards, (home, each) =>
    auditEntries(each, entries, home),
  );
  return [...rows, ...own];
}

function checkOf({ column }: Lookup): Finding['check'] {
  return `lookup of ${column}`;
}

/** Rows that the lookup does not lead to. */
async function auditRows(host: AuditHost, entries: LookupEntries, shard: Shard): Promise<Finding> {
  const { lookup } = entries;
  const doubts = new Doubts(host, async (list) => entries.missing(await entries.withRows(list)));
  let rows = 0;
  await entries.eachOfRows(shard, async (some) => {
    rows += some.length;
    doubts.add(await entries.missing(some));
  });
  const wrong = await doubts.confirmed(LOOKS);
  const { [0]: example } = doubts.list;
  const kind = lookup.unique ? 'without an entry, or another row has it' : 'without an entry';
  const detail = wrong === 0 ? '' : `values ${kind}: ${wrong} (such as ${example!.value})`;
  const { table } = entries;
  return { table: nameOf(table), shard: shard.name, check: checkOf(lookup), rows, wrong, detail };
}

/** Entries that lead to nothing. Of a lookup that is not unique they are no mistake. */
async function auditEntries(
  host: AuditHost,
  entries: LookupEntries,
  home: Shard,
): Promise<Finding> {
  const { lookup, table } = entries;
  const doubts = new Doubts(host, async (list) => {
    const gone = new Set(await entries.missing(list));
    return entries.stale(list.filter((entry) => !gone.has(entry)));
  });
  let rows = 0;
  await entries.eachEntry(home, async (some) => {
    rows += some.length;
    doubts.add(await entries.stale(some));
  });
  const stale = await doubts.confirmed(lookup.unique ? LOOKS : 1);
  const such = `(such as ${doubts.list[0]?.value ?? ''})`;
  const detail = stale === 0 ? '' : `entries that have no row any more: ${stale} ${such}`;
  const wrong = lookup.unique ? stale : 0;
  return { table: nameOf(table), shard: home.name, check: checkOf(lookup), rows, wrong, detail };
}

/** Entries that seem to be wrong, which those that are just being written do too. */
class Doubts {
  list: readonly LookupEntry[] = [];
  private readonly host: AuditHost;
  private readonly again: (list: readonly LookupEntry[]) => Promise<LookupEntry[]>;
  private more = 0;

  /** `again`: those that are wrong still. */
  constructor(host: AuditHost, again: (list: readonly LookupEntry[]) => Promise<LookupEntry[]>) {
    this.host = host;
    this.again = again;
  }

  add(some: readonly LookupEntry[]): void {
    const room = DOUBTED_MAX - this.list.length;
    this.list = [...this.list, ...some.slice(0, room)];
    this.more += Math.max(0, some.length - room);
  }

  /** How many are wrong; `list` are those now, or some of them. */
  async confirmed(looks: number): Promise<number> {
    for (let look = 1; look <= looks && this.list.length > 0; look++) {
      if (look > 1) await sleep(BETWEEN_LOOKS_MS, undefined, { signal: this.host.signal });
      this.list = await this.again(this.list);
    }
    return this.list.length + this.more;
  }
}
