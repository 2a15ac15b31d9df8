import { loadCatalog } from '../../backend/catalog-loader.js';
import { differingShards, schemaDifferences } from '../../backend/schema/schema-differences.js';
import type { ShardQuery } from '../../backend/shard-query.js';
import { placedOtherwise } from '../../executor/audit/placements.js';
import type { Catalog, CatalogRelation } from '../../keyspace/catalog.js';
import { keyColumnRefusal } from '../../keyspace/key-columns.js';
import { shownName } from '../../keyspace/shown-name.js';
import {
  lookupKey,
  type Shard,
  type ShardedTable,
  type Table,
  type Topology,
} from '../../keyspace/topology.js';
import { suggest } from '../../util/suggest.js';
import { note, problem, type Finding } from './finding.js';

/** Differences that are told one by one; of more only the number. */
const SHOWN_MAX = 30;

/** Where shards have another schema than the catalog shard. Rejects where one cannot be asked. */
export async function schemaFindings(
  shards: readonly Shard[],
  catalogShard: Shard,
  query: ShardQuery,
): Promise<Finding[]> {
  const differing = await differingShards(shards, catalogShard, query);
  if (differing.length === 0) return [];
  const differences = await schemaDifferences(differing, catalogShard, query);
  const found = differences
    .slice(0, SHOWN_MAX)
    .map(({ shard, kind, object, difference }) =>
      problem(shard, `${kind} ${object}: ${difference}`, cureOf(kind, difference, catalogShard)),
    );
  const more = differences.length - SHOWN_MAX;
  if (more > 0)
    found.push(problem(null, `${more} more differences of schemas`, 'mend these first'));
  return found;
}

function cureOf(kind: string, difference: string, { name }: Shard): string {
  if (difference === 'missing') {
    return kind === 'table'
      ? `create it there as an empty shell, with what pg_dump --schema-only -t says of "${name}"`
      : `create it there as it is on "${name}"`;
  }
  if (difference.startsWith('not there')) {
    return `create it on all other shards, or drop it; DDL through Shardgate keeps shards alike`;
  }
  return `make it there what it is on "${name}"; DDL through Shardgate keeps shards alike`;
}

/** What the catalog shard has otherwise than the configuration says. Rejects where it cannot be asked. */
export async function tableFindings(
  topology: Topology,
  query: ShardQuery,
  timeoutMs: number,
): Promise<Finding[]> {
  const { catalogShard } = topology;
  const catalog = await loadCatalog((sql) => query(catalogShard, sql, timeoutMs), 1);
  // Shardgate makes those of lookups at its start.
  const made = new Set(topology.lookups.map(lookupKey));
  const tables = [...topology.tables].filter(([key]) => !made.has(key));
  const found = tables.flatMap(([, table]) => tableFinding(table, catalog) ?? []);
  const sharded = tables.flatMap(([, table]) => (table.type === 'sharded' ? [table] : []));
  const moved = await placedOtherwise(sharded, (sql) => query(catalogShard, sql, timeoutMs));
  return [...found, ...moved.map(placementFinding)];
}

function placementFinding({ schema, name }: ShardedTable): Finding {
  return note(
    null,
    `rows of table "${shownName(schema, name)}" were placed by another configuration`,
    'with this one in use, REPAIR moves them: PAUSE, RELOAD and REPAIR on the console',
  );
}

function tableFinding(table: Table, catalog: Catalog): Finding | null {
  const key = `${table.schema}.${table.name}`;
  const shown = shownName(table.schema, table.name);
  const relation = catalog.relations.get(key);
  if (relation === undefined) return missing(shown, table, catalog);
  if ((table.type === 'sequence') !== (relation.kind === 'S')) {
    const cure = relation.kind === 'S' ? 'write type: sequence' : 'leave type: sequence out';
    return problem(null, `"${shown}" is ${relation.kind === 'S' ? 'a' : 'no'} sequence`, cure);
  }
  if (table.type !== 'sharded') return null;
  for (const [place, name] of table.keyColumns.entries()) {
    const finding = keyFinding(table, place, name, shown, relation);
    if (finding !== null) return finding;
  }
  return null;
}

function keyFinding(
  table: ShardedTable,
  place: number,
  key: string,
  shown: string,
  relation: CatalogRelation,
): Finding | null {
  const column = relation.columns.find(({ name }) => name === key);
  if (column === undefined) {
    const meant = suggest(
      key,
      relation.columns.map(({ name }) => name),
    );
    const cure = meant === null ? 'name one of its columns' : `did you mean "${meant}"?`;
    return problem(null, `table "${shown}" has no column "${key}", its shard key`, cure);
  }
  const refusal = keyColumnRefusal(table, place, column.type);
  if (refusal !== null) {
    const message = `column "${key}" of table "${shown}" cannot be its shard key: ${refusal}`;
    return problem(null, message, 'choose another vindex or column');
  }
  if (!column.deterministicCollation) {
    return problem(
      null,
      `column "${key}" of table "${shown}" has a nondeterministic collation`,
      'choose another column as shard key, or give it a deterministic collation',
    );
  }
  return null;
}

function missing(shown: string, { type, keyspace }: Table, catalog: Catalog): Finding {
  const meant = suggest(shown, userTables(catalog));
  const cure = 'CREATE it through Shardgate, which makes it on every shard';
  return note(
    null,
    `there is no ${type === 'sequence' ? 'sequence' : 'table'} "${shown}" (keyspace "${keyspace.name}")`,
    meant === null ? cure : `name "${meant}" if that is meant; else ${cure}`,
  );
}

function userTables({ relations }: Catalog): string[] {
  const keys = [...relations.keys()].filter((key) => !SYSTEM_SCHEMAS.test(key));
  return keys.map((key) => key.replace(/^public\./, ''));
}

const SYSTEM_SCHEMAS = /^(pg_catalog|information_schema|shardgate)\./;
