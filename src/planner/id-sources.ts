import type { CatalogColumn, CatalogRelation } from '../keyspace/catalog.js';
import type { Shard, Table, TableIds } from '../keyspace/topology.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { quoteQualified } from '../sql/quote.js';
import type { Names } from './names.js';
import type { FillSlot, IdSource } from './plan.js';
import { refuse } from './refusals.js';

/** A column whose values the proxy makes, where an INSERT gives none. */
export interface IdColumn {
  readonly column: CatalogColumn;
  readonly source: IdSource;
  /** What stands behind the value; absent: nothing. */
  readonly cast?: string;
}

/** The value of a column, as it stands in a text. */
export function valueOf({ source, cast }: IdColumn): (string | FillSlot)[] {
  return cast === undefined ? [{ source }] : [{ source }, cast];
}

/**
 * The columns of a table whose values the proxy makes: what `ids` says, and sequences that no shard
 * may count by itself. One source for all shards makes them unique, whatever becomes of the shards.
 */
export function idColumns(relation: CatalogRelation, table: Table, names: Names): IdColumn[] {
  const { ids } = table;
  const found: IdColumn[] = [];
  for (const column of relation.columns) {
    const source =
      ids?.column === column.name
        ? configuredSource(ids, column, relation, names)
        : (defaultSource(column, names) ?? uuidSource(column, table));
    if (source !== null) found.push({ column, source });
  }
  if (ids !== undefined && !relation.columns.some(({ name }) => name === ids.column)) {
    refuse(
      `table "${relation.name}" has no column "${ids.column}", for which ids are configured`,
      'Correct ids.column in the configuration or the table.',
    );
  }
  return found;
}

/**
 * The columns whose default is the time of the transaction, for rows that several shards store: each
 * has a time of its own.
 */
export function momentColumns(relation: CatalogRelation, shards: readonly Shard[]): IdColumn[] {
  const source: IdSource = { kind: 'moment', of: 'transaction', shards };
  return relation.columns.flatMap((column) => {
    if (column.moment === undefined) return [];
    const cast = column.moment === 'timestamptz' ? '' : `::pg_catalog.${column.moment}`;
    return [{ column, source, cast: `::pg_catalog.timestamptz${cast}` }];
  });
}

const idTypes: Readonly<Record<TableIds['from'], readonly number[]>> = {
  snowflake: [TypeOid.int8, TypeOid.numeric],
  sequence: [TypeOid.int2, TypeOid.int4, TypeOid.int8, TypeOid.numeric],
  uuidv7: [TypeOid.uuid, TypeOid.text, TypeOid.varchar],
};

function configuredSource(
  ids: TableIds,
  column: CatalogColumn,
  relation: CatalogRelation,
  names: Names,
): IdSource {
  if (column.generated || !idTypes[ids.from].includes(column.type)) {
    refuse(
      `column "${relation.name}.${column.name}" cannot hold ids of ${ids.from}`,
      ids.from === 'uuidv7' ? 'Make it a uuid column.' : 'Make it a bigint column.',
    );
  }
  if (ids.from !== 'sequence') return { kind: ids.from };
  const name = ids.sequence ?? column.sequence;
  if (name === undefined) {
    refuse(
      `column "${relation.name}.${column.name}" has no sequence of its own`,
      'Write ids: { ..., sequence: NAME } in the configuration, or make it an identity column.',
    );
  }
  const sequence = names.catalog.relations.get(name);
  if (sequence?.kind !== 'S') {
    refuse(
      `sequence "${name}", configured for ids of table "${relation.name}", does not exist`,
      'CREATE SEQUENCE through Shardgate.',
      'undefined_table',
    );
  }
  return sequenceSource(sequence, names);
}

/** Null: the column has no sequence of its own. */
function defaultSource(column: CatalogColumn, names: Names): IdSource | null {
  const sequence =
    column.sequence === undefined ? undefined : names.catalog.relations.get(column.sequence);
  return sequence?.kind === 'S' ? sequenceSource(sequence, names) : null;
}

/** New UUIDs, where a server cannot make them: it is the value that tells which one, or all need the same. */
function uuidSource({ name, uuid }: CatalogColumn, table: Table): IdSource | null {
  const tells = table.type === 'sharded' && table.keyColumns.includes(name);
  if (uuid === undefined || !table.keyspace.sharded || !(tells || table.type === 'reference')) {
    return null;
  }
  return { kind: uuid === 4 ? 'uuidv4' : 'uuidv7' };
}

/** Whether the values are the proxy's own, one for each row that it sees. */
export function isMadeByRow({ source: { kind } }: IdColumn): boolean {
  return kind === 'snowflake' || kind === 'uuidv4' || kind === 'uuidv7';
}

/**
 * Whether the one server that has the table's rows counts all of these too: it can fill them in by itself.
 */
export function countsItself({ keyspace }: Table, ids: readonly IdColumn[]): boolean {
  if (keyspace.sharded) return false;
  return ids.every(({ source }) => 'shard' in source && source.shard === keyspace.shards[0]);
}

/** The next values of a sequence. */
export function sequenceSource(sequence: CatalogRelation, names: Names): IdSource {
  const { schema, name } = sequence;
  const shard = names.sequenceHome(sequence);
  return { kind: 'sequence', shard, name: quoteQualified(schema, name) };
}
