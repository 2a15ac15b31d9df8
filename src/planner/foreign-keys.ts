import type { CatalogRelation } from '../keyspace/catalog.js';
import type { Names } from './names.js';

/** Whether foreign keys may refer to rows of the table. */
export function isReferenced({ referencedBy }: CatalogRelation): boolean {
  return referencedBy === undefined || referencedBy.length > 0;
}

/**
 * The tables whose rows foreign keys may change along with those of a table: those that refer to it, those that refer
 * to them, and so on. Null: that is not known.
 */
export function referringTables(
  relation: CatalogRelation,
  { catalog }: Names,
): ReadonlySet<CatalogRelation> | null {
  const found = new Set<CatalogRelation>();
  // A Set iterates over what is added while it is walked.
  const referred = new Set([relation]);
  for (const { referencedBy } of referred) {
    if (referencedBy === undefined) return null;
    for (const name of referencedBy) {
      const other = catalog.relations.get(name);
      if (other === undefined) return null;
      found.add(other);
      referred.add(other);
    }
  }
  return found;
}
