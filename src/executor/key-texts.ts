import type { Catalog, CatalogColumn } from '../keyspace/catalog.js';
import { keyColumnMapper } from '../keyspace/key-columns.js';
import { KeyspaceIdCell } from '../keyspace/keyspace-id.js';
import type { ShardedTable } from '../keyspace/topology.js';
import { TypeOid } from '../keyspace/type-oids.js';
import { MAPPED, NO_MATCH, type MapOutcome } from '../keyspace/vindex.js';

/** Shard keys as texts, one a column, as a shard writes them; null: NULL. */
export type KeyTexts = readonly (string | null)[];

/** Maps the stored keys of a table, read as texts. */
export interface KeyTextMapper {
  /** The key's columns. */
  readonly columns: readonly CatalogColumn[];
  /** Writes the keyspace id of a key; NO_MATCH where a part of it is NULL. */
  map(key: KeyTexts, out: KeyspaceIdCell): MapOutcome;
}

/** Null where the table or a column of its key is not there, or is of a type that cannot be mapped. */
export function keyTextMapper(
  table: ShardedTable,
  { relations }: Pick<Catalog, 'relations'>,
): KeyTextMapper | null {
  const { schema, name, keyColumns, vindex } = table;
  const relation = relations.get(`${schema}.${name}`);
  const parts = keyColumns.flatMap((key, place) => {
    const column = relation?.columns.find((candidate) => candidate.name === key);
    if (column === undefined) return [];
    const { type, typmod } = column;
    const mapper = keyColumnMapper(table, place, type, TypeOid.unknown, typmod ?? -1);
    return mapper === null ? [] : [{ column, mapper, cell: new KeyspaceIdCell() }];
  });
  if (parts.length < keyColumns.length) return null;
  const cells = parts.map(({ cell }) => cell);
  return {
    columns: parts.map(({ column }) => column),
    map(key, out) {
      for (const [place, { mapper, cell }] of parts.entries()) {
        const text = key[place] ?? null;
        if (text === null) return NO_MATCH;
        const bytes = Buffer.from(text);
        const outcome = mapper.text(bytes, 0, bytes.length, parts.length === 1 ? out : cell);
        if (outcome !== MAPPED) return outcome;
      }
      if (parts.length > 1) vindex.parts!.combine(cells, out);
      return MAPPED;
    },
  };
}
