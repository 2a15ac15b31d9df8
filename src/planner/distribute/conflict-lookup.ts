import type { InsertStmt, OnConflictClause } from '@pgsql/types';
import { keyList } from '../../keyspace/key-columns.js';
import { lookupKey, type Lookup, type ShardedTable } from '../../keyspace/topology.js';
import type { Names } from '../names.js';
import { refuse } from '../refusals.js';

/**
 * The unique lookup that ON CONFLICT is about: a shard meets its own rows only, so the shard of the row that has the
 * value must be found first. Null: rows are met on their own shards. Throws Refused.
 */
export function conflictLookup(
  { onConflictClause: clause, relation }: InsertStmt,
  table: ShardedTable,
  names: Names,
): Lookup | null {
  const { catalog } = names;
  const uniques = (table.lookups ?? []).filter((lookup) => lookup.unique);
  const [first] = uniques;
  if (clause === undefined || first === undefined) return null;
  const { conname, indexElems = [], whereClause } = clause.infer ?? {};
  const constraintOf = (lookup: Lookup): string | null | undefined =>
    catalog.lookups?.get(lookupKey(lookup))?.constraint;
  // Every other unique constraint has the shard key in it.
  const isOther = (lookup: Lookup): boolean => {
    const own = constraintOf(lookup);
    return own !== undefined && own !== null && own !== conname;
  };
  if (conname !== undefined && uniques.every(isOther)) return null;
  const elements = indexElems.flatMap((node) => ('IndexElem' in node ? [node.IndexElem] : []));
  const columns = elements.map(({ name }) => name);
  if (table.keyColumns.every((name) => columns.includes(name))) return null;
  const [element, ...more] = elements;
  const isPlain =
    element !== undefined && element.collation === undefined && element.opclass === undefined;
  const found =
    conname !== undefined
      ? uniques.find((lookup) => constraintOf(lookup) === conname)
      : clause.infer === undefined
        ? uniques.length === 1 && first
        : isPlain && more.length === 0 && whereClause === undefined
          ? uniques.find((lookup) => lookup.column === element.name)
          : undefined;
  // The columns of a view may have other names.
  if (found && relation?.relname === table.name && catalog.lookups?.get(lookupKey(found))?.ready) {
    checkMet(clause, found, table, names);
    return found;
  }
  return refuse(
    `ON CONFLICT that may be about "${table.name}.${first.column}", which is unique over all shards, is not supported`,
    `Name the column alone, or the shard key: ON CONFLICT (${keyList(table)}); a lookup that is being built must be complete, and a transaction that has changed the schema over.`,
  );
}

/** The row that is met stays where it is, and the value that it is met by is the one that is given. */
function checkMet(
  { targetList = [] }: OnConflictClause,
  { column }: Lookup,
  { schema, name, keyColumns }: ShardedTable,
  { catalog }: Names,
): void {
  const key = targetList
    .map((node) => ('ResTarget' in node ? (node.ResTarget.name ?? '') : ''))
    .find((assigned) => keyColumns.includes(assigned));
  if (key !== undefined) {
    refuse(
      `setting the shard key "${name}.${key}" in ON CONFLICT about "${column}" is not supported: the row that is met may be on another shard`,
      `Leave "${key}" out of DO UPDATE.`,
    );
  }
  const { triggers = [] } = catalog.relations.get(`${schema}.${name}`) ?? {};
  const word = column.toLowerCase();
  const sets = triggers.find(
    ({ function: { language, source } }) =>
      language === 'internal' || source.toLowerCase().includes(word),
  );
  if (sets === undefined) return;
  refuse(
    `ON CONFLICT about "${name}.${column}", which trigger function "${sets.function.name}" may set, is not supported`,
    'Give the value as it is to be stored, and drop the trigger.',
  );
}
