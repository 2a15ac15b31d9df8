import type { Catalog, CatalogColumn } from '../../keyspace/catalog.js';
import { quoteQualified } from '../../sql/quote.js';

/** OIDs from here on are not part of PostgreSQL itself (transam.h, FirstNormalObjectId). */
export const FIRST_USER_OID = 16384;

const namesByCatalog = new WeakMap<Catalog, ReadonlyMap<number, string>>();

/**
 * SQL of a column's type if it is an array of something made by users; null for every other type.
 * The binary form of an array names its elements' type by OID, which is another one on every
 * server, so such arrays travel as text.
 */
export function userArrayType(column: CatalogColumn, catalog: Catalog): string | null {
  if (column.type < FIRST_USER_OID) return null;
  let names = namesByCatalog.get(catalog);
  if (names === undefined) {
    names = userArrayTypes(catalog);
    namesByCatalog.set(catalog, names);
  }
  return names.get(column.type) ?? null;
}

/** PostgreSQL puts an underscore before the element type's name (18, pg_type.c makeArrayTypeName). */
function userArrayTypes(catalog: Catalog): Map<number, string> {
  const out = new Map<number, string>();
  for (const [path, oid] of catalog.types) {
    const dot = path.indexOf('.');
    if (dot < 0 || path[dot + 1] !== '_') continue;
    out.set(oid, quoteQualified(path.slice(0, dot), path.slice(dot + 1)));
  }
  return out;
}
