import type { Catalog, CatalogRelation } from '../keyspace/catalog.js';

const systemSchemas = new Set(['pg_catalog', 'information_schema']);
const byName = new WeakMap<Catalog, ReadonlyMap<string, readonly CatalogRelation[]>>();

/** Relations of users that have this name, whatever their schema and kind. */
export function relationsNamed(catalog: Catalog, name: string): readonly CatalogRelation[] {
  let known = byName.get(catalog);
  if (known === undefined) {
    const users = [...catalog.relations.values()].filter(
      ({ schema }) => !systemSchemas.has(schema),
    );
    known = grouped(users);
    byName.set(catalog, known);
  }
  return known.get(name) ?? [];
}

function grouped(relations: readonly CatalogRelation[]): Map<string, CatalogRelation[]> {
  const groups = new Map<string, CatalogRelation[]>();
  for (const relation of relations) {
    const same = groups.get(relation.name);
    if (same === undefined) groups.set(relation.name, [relation]);
    else same.push(relation);
  }
  return groups;
}
