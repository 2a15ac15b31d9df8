import type { Catalog } from '../keyspace/catalog.js';

/** By the catalog's own map, which is made anew with each catalog. */
const namesOf = new WeakMap<Catalog['types'], ReadonlyMap<number, string>>();

/**
 * A type as SQL writes it in a cast, without modifier, whatever the search path is. Null: the
 * catalog does not know it.
 */
export function typeName(type: number, { types }: Catalog): string | null {
  let names = namesOf.get(types);
  if (names === undefined) {
    names = new Map([...types].map(([name, oid]) => [oid, name]));
    namesOf.set(types, names);
  }
  const name = names.get(type);
  if (name === undefined) return null;
  const dot = name.indexOf('.');
  if (dot < 0) return `pg_catalog.${quoted(name)}`;
  return `${quoted(name.slice(0, dot))}.${quoted(name.slice(dot + 1))}`;
}

/** In quotes always: `pg_catalog.char` is character(1), `pg_catalog."char"` is not. */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
