import type { TypeName } from '@pgsql/types';
import type { Catalog } from '../keyspace/catalog.js';
import { quoteIdentifier } from '../sql/quote.js';

/** By the catalog's own map, which is made anew with each catalog. */
const namesOf = new WeakMap<Catalog['types'], ReadonlyMap<number, string>>();

/** A type without modifier, for casts, whatever the search path is. Null: it is not known. */
export function typeNode(type: number, catalog: Catalog): TypeName | null {
  const path = typePath(type, catalog);
  if (path === null) return null;
  return { names: path.map((sval) => ({ String: { sval } })), typemod: -1 };
}

/** The same as SQL; null also where its text cannot be read. */
export function typeSql(type: number, catalog: Catalog): string | null {
  if (unreadable.has(type)) return null;
  return typePath(type, catalog)?.map(quoteIdentifier).join('.') ?? null;
}

/** No value of these can be read from its text (PostgreSQL 18, pg_type.dat): record, record[]. */
const unreadable: ReadonlySet<number> = new Set([2249, 2287]);

/** Schema and name. */
function typePath(type: number, { types }: Catalog): readonly string[] | null {
  let names = namesOf.get(types);
  if (names === undefined) {
    names = new Map([...types].map(([name, oid]) => [oid, name]));
    namesOf.set(types, names);
  }
  const name = names.get(type);
  if (name === undefined) return null;
  const dot = name.indexOf('.');
  return dot < 0 ? ['pg_catalog', name] : [name.slice(0, dot), name.slice(dot + 1)];
}
