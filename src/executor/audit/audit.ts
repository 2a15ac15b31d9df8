import type { Shard, ShardedTable, Table, Topology } from '../../keyspace/topology.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import { blocksCondition, partsSql } from '../table-parts.js';
import { inSnapshot, onEach, paced, type Ask, type AuditHost } from './audit-host.js';
import { auditCopies } from './copies.js';
import { nameOf, type Finding } from './finding.js';
import { auditLookup } from './lookup-audit.js';
import { rowPlaces, type RowPlaces } from './row-places.js';

/** Blocks that one step reads. */
const BLOCKS_PER_STEP = 4096;
/** The same where keys come to the proxy. */
const BLOCKS_PER_KEY_STEP = 256;

/**
 * Looks whether the rows of a table are where they belong: on each shard of its keyspace those that are there, on all
 * others that there are none; and whether its lookups have its rows. A finding each shard of the keyspace, each other
 * one that has rows, and those of lookups. Rejects with BackendError, SqlError.
 */
export async function auditTable(host: AuditHost, table: Table): Promise<Finding[]> {
  const { shards } = table.keyspace;
  const others = host.topology.shards.filter((shard) => !shards.includes(shard));
  const own =
    table.type === 'reference'
      ? await auditCopies(host, table)
      : await onEach(host, shards, (shard, each) => auditRows(each, table, shard));
  const shells = await onEach(host, others, (shard, each) => auditShell(each, table, shard));
  const findings = [...own, ...shells.filter(({ wrong }) => wrong !== 0)];
  const lookups = table.type === 'sharded' ? (table.lookups ?? []) : [];
  for (const lookup of lookups) {
    findings.push(...(await auditLookup(host, table as ShardedTable, lookup)));
  }
  return findings;
}

/** The tables that have rows to look at. */
export function auditedTables({ tables }: Topology): Table[] {
  return [...tables.values()].filter(({ type }) => type !== 'sequence');
}

/** How many rows of each shard stand on one, with the key of one of them. */
type Tally = Map<Shard | null, { rows: number; example: string | null }>;

async function auditRows(host: AuditHost, table: Table, shard: Shard): Promise<Finding> {
  const places = rowPlaces(table, host);
  const tally: Tally = new Map();
  const progress = paced(host.tell);
  await inSnapshot(host, shard, async (ask) => {
    for (const [part, blocks] of await ask(partsSql(quoteQualified(table.schema, table.name)))) {
      const step = places.sql === null ? BLOCKS_PER_KEY_STEP : BLOCKS_PER_STEP;
      for (let block = 0; block < Number(blocks); block += step) {
        host.signal.throwIfAborted();
        for (const [owner, count, example] of await countSome(
          ask,
          { places, table, part: part! },
          block,
          step,
        )) {
          const known = tally.get(owner);
          if (known === undefined) tally.set(owner, { rows: count, example });
          else known.rows += count;
        }
        progress(() => `${table.name}: ${shard.name}: ${part} ${block} of ${blocks} blocks`);
      }
    }
  });
  return findingOf(table, shard, places, tally);
}

interface CountedPart {
  readonly places: RowPlaces;
  readonly table: Table;
  readonly part: string;
}

/** The shards of the rows in some blocks, how many rows each has, and the key of one of them. */
async function countSome(
  ask: Ask,
  { places, table, part }: CountedPart,
  block: number,
  step: number,
): Promise<[Shard | null, number, string | null][]> {
  const from = `FROM ONLY ${part} WHERE ${blocksCondition(block, block + step)}`;
  if (places.key.length === 0) {
    const [[count] = []] = await ask(`SELECT pg_catalog.count(*) ${from}`);
    const [home] = await places.shardsOf([[]]);
    return [[home!, Number(count), null]];
  }
  const keys = places.key.map(quoteIdentifier);
  if (places.sql === null) {
    const list = keys.join(', ');
    const rows = await ask(`SELECT pg_catalog.count(*), ${list} ${from} GROUP BY ${list}`);
    const found = await places.shardsOf(rows.map(([, ...values]) => values));
    return rows.map(([count, ...values], place) => {
      return [found[place]!, Number(count), exampleOf(values)];
    });
  }
  const key = keys.length === 1 ? keys[0]! : `ROW(${keys.join(', ')})`;
  const rows = await ask(
    `SELECT x.place, pg_catalog.count(*), pg_catalog.min(x.key)` +
      ` FROM (SELECT ${places.sql} AS place, ${key}::pg_catalog.text AS key ${from}) AS x GROUP BY 1`,
  );
  const { shards } = table.keyspace;
  return rows.map(([place, count, value]) => [
    shards[Number(place)] ?? null,
    Number(count),
    value!,
  ]);
}

/** A key for people; null: it is NULL. */
function exampleOf(values: readonly (string | null)[]): string | null {
  return values.length === 1 ? values[0]! : `(${values.join(',')})`;
}

function findingOf(table: Table, shard: Shard, { key }: RowPlaces, tally: Tally): Finding {
  let rows = 0;
  let wrong = 0;
  const details: string[] = [];
  for (const [owner, { rows: count, example }] of tally) {
    rows += count;
    if (owner === shard) continue;
    wrong += count;
    const where = owner === null ? 'no shard' : owner.name;
    const name = key.join(', ');
    const such = example === null ? `${name} is NULL` : `such as ${name} ${example}`;
    details.push(`${count} belong${count === 1 ? 's' : ''} to ${where} (${such})`);
  }
  const detail = details.join(', ');
  return { table: nameOf(table), shard: shard.name, check: 'rows', rows, wrong, detail };
}

/** Where a table has no rows. */
async function auditShell(host: AuditHost, table: Table, shard: Shard): Promise<Finding> {
  const name = quoteQualified(table.schema, table.name);
  const rows = await inSnapshot(host, shard, async (ask) => {
    const parts = await ask(partsSql(name));
    if (parts.length === 0) return 0;
    const [[count] = []] = await ask(`SELECT pg_catalog.count(*) FROM ${name}`);
    return Number(count);
  });
  const detail = rows === 0 ? '' : `no statement sees them: the table is in ${table.keyspace.name}`;
  return { table: nameOf(table), shard: shard.name, check: 'shell', rows, wrong: rows, detail };
}
