import { FIRST_USER_OID } from '../../keyspace/type-oids.js';

const USER_OBJECTS = `n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'`;

/**
 * kind (t type, r relation), schema, name (of the elements for an array type), is array type, OID, is row type; and
 * one row of kind s with the time at which the server was started.
 */
export const serverOidsQuery = `
SELECT 't', n.nspname, coalesce(e.typname, t.typname), e.oid IS NOT NULL, t.oid, t.typtype = 'c'
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid
WHERE t.oid >= ${FIRST_USER_OID} AND ${USER_OBJECTS}
UNION ALL
SELECT 'r', n.nspname, c.relname, false, c.oid, false
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid >= ${FIRST_USER_OID} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND ${USER_OBJECTS}
UNION ALL
SELECT 's', '', extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text, false, 0::oid, false`;

/** What one server calls the types and relations that users made. Names tell them apart, not OIDs. */
export interface ServerOids {
  readonly types: ReadonlyMap<string, number>;
  readonly relations: ReadonlyMap<string, number>;
  /** When the server was started, to the microsecond: it tells servers apart, whatever they are called. */
  readonly startedAt: string;
  /** The types among them whose binary values have OIDs in them. */
  readonly containers: ReadonlyMap<number, Container>;
}

/** How a value holds others. */
export type Container = 'array' | 'row';

/** Reads the rows of `serverOidsQuery`, in text format. */
export function serverOidsOf(rows: readonly (readonly (string | null)[])[]): ServerOids {
  const types = new Map<string, number>();
  const relations = new Map<string, number>();
  const containers = new Map<number, Container>();
  let startedAt = '';
  for (const [kind, schema, name, isArray, oid, isRow] of rows) {
    if (kind === 's') {
      startedAt = name ?? '';
      continue;
    }
    // No name has a zero byte in it.
    const key = `${schema}\0${name}${isArray === 't' ? '\0' : ''}`;
    (kind === 't' ? types : relations).set(key, Number(oid));
    if (isArray === 't') containers.set(Number(oid), 'array');
    else if (isRow === 't') containers.set(Number(oid), 'row');
  }
  return { types, relations, containers, startedAt };
}
