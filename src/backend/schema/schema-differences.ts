import type { ShardQuery } from '../shard-query.js';
import type { Shard } from '../../keyspace/topology.js';
import { fingerprintQuery, objectsQuery } from './schema-queries.js';

/** One object of the schema that a shard has otherwise than the catalog shard. */
export interface SchemaDifference {
  readonly shard: string;
  /** `table`, `column`, `index`, ... */
  readonly kind: string;
  /** With its schema, quoted where it must be. */
  readonly object: string;
  readonly difference: string;
}

const TIMEOUT_MS = 20_000;
/** Of a description, in a message. */
const SHOWN_MAX = 120;

/** The shards whose schema is not that of the catalog shard. Rejects where one of them cannot be asked. */
export async function differingShards(
  shards: readonly Shard[],
  catalogShard: Shard,
  query: ShardQuery,
): Promise<readonly Shard[]> {
  const prints = await Promise.all(
    shards.map(async (shard) => (await query(shard, fingerprintQuery, TIMEOUT_MS))[1]?.[0]),
  );
  const expected = prints[shards.indexOf(catalogShard)];
  return shards.filter((_shard, i) => prints[i] !== expected);
}

/** What these shards have otherwise than the catalog shard, object by object. Rejects as above. */
export async function schemaDifferences(
  shards: readonly Shard[],
  catalogShard: Shard,
  query: ShardQuery,
): Promise<readonly SchemaDifference[]> {
  const expected = await objectsOf(catalogShard, query);
  const found: SchemaDifference[] = [];
  for (const shard of shards) {
    found.push(...compare(shard, await objectsOf(shard, query), catalogShard, expected));
  }
  return found;
}

/** Descriptions by kind and name. */
type Objects = ReadonlyMap<string, string>;

async function objectsOf(shard: Shard, query: ShardQuery): Promise<Objects> {
  const [, ...rows] = await query(shard, objectsQuery, TIMEOUT_MS);
  return new Map(rows.map(([kind, name, description]) => [`${kind}\0${name}`, description ?? '']));
}

function compare(
  shard: Shard,
  own: Objects,
  catalogShard: Shard,
  expected: Objects,
): readonly SchemaDifference[] {
  const found: SchemaDifference[] = [];
  const there = `on "${catalogShard.name}"`;
  for (const [key, description] of expected) {
    const here = own.get(key);
    if (here === description || isPartOfMissing(key, own, expected)) continue;
    const difference =
      here === undefined ? 'missing' : `${short(here)}; ${there}: ${short(description)}`;
    found.push(named(shard, key, difference));
  }
  for (const key of own.keys()) {
    if (expected.has(key) || isPartOfMissing(key, expected, own)) continue;
    found.push(named(shard, key, `not there ${there}`));
  }
  return found;
}

/** Columns and constraints of a table that one side has not are not told one by one. */
function isPartOfMissing(key: string, objects: Objects, others: Objects): boolean {
  const [kind, name = ''] = key.split('\0');
  const table =
    kind === 'column'
      ? name.replace(/\.("([^"]|"")*"|[^."]+)$/, '')
      : kind === 'constraint' || kind === 'trigger'
        ? name.replace(/^.* of /, '')
        : null;
  if (table === null) return false;
  return relationKinds.some(
    (each) => others.has(`${each}\0${table}`) && !objects.has(`${each}\0${table}`),
  );
}

const relationKinds = ['table', 'view', 'materialized view'];

function named(shard: Shard, key: string, difference: string): SchemaDifference {
  const [kind = '', object = ''] = key.split('\0');
  return { shard: shard.name, kind, object, difference };
}

function short(description: string): string {
  const line = description.replace(/\s+/g, ' ').trim();
  return line.length <= SHOWN_MAX ? line : `${line.slice(0, SHOWN_MAX)}...`;
}

/** Tables, by `schema.name`, of which a shard has other columns, or columns of other types; and what differs. */
export function unevenTables(differences: readonly SchemaDifference[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { shard, kind, object, difference } of differences) {
    if (kind !== 'column') continue;
    const [schema = '', table = '', column = ''] = partsOf(object);
    const key = `${schema}.${table}`;
    if (!found.has(key)) found.set(key, `column "${column}" on shard "${shard}": ${difference}`);
  }
  return found;
}

/** The names in a dotted name, without their quotes. */
function partsOf(dotted: string): string[] {
  const parts = dotted.match(/"(?:[^"]|"")*"|[^.]+/g) ?? [];
  return parts.map((part) =>
    part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part,
  );
}
