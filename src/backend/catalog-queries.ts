/*
 * What the planner must know of the one schema that all shards hold, as a few queries that run side by side. They use
 * only what PostgreSQL 14 to 18 have in common, and every role may run them.
 */

/** Node trees name functions by OID; these are the fields that do (PostgreSQL 18, primnodes.h). */
const FUNCTION_FIELDS = `':(?:funcid|opfuncid|aggfnoid|winfnoid|elemfuncid|resultfunc) ([0-9]+)'`;
/** OIDs from here on are not part of PostgreSQL itself (transam.h, FirstNormalObjectId). */
const FIRST_USER_OID = 16384;
const USER_SCHEMA = `NOT IN ('pg_catalog', 'information_schema')`;

/** What the system schemas hold never changes while a server runs; what is temporary is one session's. */
export type Schemas = 'all' | 'user' | 'temporary';
const PERMANENT = `c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't'`;
/** Which relations are meant, of `pg_class c` in `pg_namespace n`; indexes only of temporary tables. */
const relationsOf: Readonly<Record<Schemas, string>> = {
  all: `${PERMANENT} AND n.nspname <> 'pg_toast'`,
  user: `${PERMANENT} AND n.nspname NOT IN ('pg_toast', 'pg_catalog', 'information_schema')`,
  temporary: 'n.oid = pg_catalog.pg_my_temp_schema()',
};

/** The collation `l` orders text by bytes, and these are UTF-8's. */
const COLLATION_BY_BYTES = `current_setting('server_encoding') = 'UTF8'
  AND (l.collprovider = 'b' OR l.collprovider = 'c' AND l.collcollate IN ('C', 'POSIX'))`;
/** pg_proc.dat: nextval(regclass). */
const NEXTVAL_OID = 1574;
/** What may stand around what a default computes: casts to the column's type, and to the domain that this is. */
const INTO_DOMAIN = '(?:[{]COERCETODOMAIN :arg )?';
const CAST = `${INTO_DOMAIN}(?:[{](?:COERCEVIAIO|FUNCEXPR [^{]*:funcformat [12]) [^{]*)?`;
const CAST_END = '(?:[^{}]*[}]){0,2}$';
/**
 * The default `d` is the next value of a sequence, at most cast to the column's type, and nothing else. Told from the
 * node tree: pg_get_expr would wait for whoever has the table locked.
 */
const ONLY_NEXTVAL =
  `d.tree ~ ('^${CAST}' ||` +
  ` '[{]FUNCEXPR :funcid ${NEXTVAL_OID} [^{]*[{]CONST :consttype 2205 [^{}]*[}][^{}]*[}]${CAST_END}')`;
/**
 * The default `d` is the time of the transaction: the type that it has before it is cast to the column's. 1299 and 2647
 * are now() and transaction_timestamp() (pg_proc.dat), operators those of SQLValueFunctionOp (primnodes.h).
 */
const ONLY_MOMENT = `CASE pg_catalog.substring(d.tree,
    '^${INTO_DOMAIN}(?:[{](?:COERCEVIAIO|FUNCEXPR [^{]*:funcformat 2) [^{]*)?' ||
    '[{](FUNCEXPR :funcid (?:1299|2647)|SQLVALUEFUNCTION :op [0-7]) [^{}]*[}]${CAST_END}')
  WHEN 'FUNCEXPR :funcid 1299' THEN 'timestamptz'
  WHEN 'FUNCEXPR :funcid 2647' THEN 'timestamptz'
  WHEN 'SQLVALUEFUNCTION :op 0' THEN 'date'
  WHEN 'SQLVALUEFUNCTION :op 1' THEN 'timetz'
  WHEN 'SQLVALUEFUNCTION :op 3' THEN 'timestamptz'
  WHEN 'SQLVALUEFUNCTION :op 5' THEN 'time'
  WHEN 'SQLVALUEFUNCTION :op 7' THEN 'timestamp' END`;
/**
 * The default `d` is a call without arguments, at most cast to the column's type, of a function that makes a UUID:
 * built in, of pgcrypto or of uuid-ossp. Its version.
 */
const ONLY_UUID = `(SELECT CASE WHEN u.proname = 'uuidv7' THEN '7' ELSE '4' END
        FROM pg_catalog.pg_proc u JOIN pg_catalog.pg_language ul ON ul.oid = u.prolang
        WHERE u.oid = pg_catalog.substring(d.tree,
          '^${CAST}[{]FUNCEXPR :funcid ([0-9]+) [^{}]*:args <>[^{}]*[}]${CAST_END}')::oid
          AND u.proname IN ('gen_random_uuid', 'uuidv4', 'uuid_generate_v4', 'uuidv7')
          AND ul.lanname IN ('internal', 'c'))`;
/** pg_collation.dat: the entry `default`. */
const DEFAULT_COLLATION_OID = 100;

/** Triggers and rules that take part in statements, of `pg_class c`. */
/** But for those that keep lookups, which change nothing. */
const TRIGGERS = `pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
  AND t.tgfoid NOT IN (SELECT s.oid FROM pg_catalog.pg_proc s
                       WHERE s.pronamespace = pg_catalog.to_regnamespace('shardgate'))`;
const RULES = `pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'`;

/** schema, name, kind, triggers or rules, reading policies, parent, primary key (JSON), owner, ..., triggers (JSON) */
export const relationsQuery = (schemas: Schemas): string => `
SELECT n.nspname, c.relname, c.relkind,
       EXISTS (SELECT 1 FROM ${TRIGGERS}) OR EXISTS (SELECT 1 FROM ${RULES}),
       c.relrowsecurity AND EXISTS (
         SELECT 1 FROM pg_catalog.pg_policy p,
                LATERAL (SELECT coalesce(p.polqual::text, '') || coalesce(p.polwithcheck::text, '') AS tree) x
         WHERE p.polrelid = c.oid
           AND (x.tree ~ '[{](SUBLINK|SUBPLAN|QUERY) '
                OR EXISTS (SELECT 1 FROM pg_catalog.regexp_matches(x.tree, ${FUNCTION_FIELDS}, 'g') m
                           WHERE m[1]::oid >= ${FIRST_USER_OID}))),
       (SELECT pn.nspname || '.' || pc.relname
        FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class pc ON pc.oid = i.inhparent
        JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
        WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1),
       (SELECT pg_catalog.json_agg(a.attname ORDER BY k.position)
        FROM pg_catalog.pg_index i,
             LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, position)
        JOIN pg_catalog.pg_attribute a ON a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND i.indisprimary AND i.indimmediate
          AND i.indisvalid AND k.position <= i.indnkeyatts),
       CASE WHEN c.relkind = 'S' THEN (
         SELECT o.nspname || '.' || t.relname
         FROM pg_catalog.pg_depend d
         JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
         JOIN pg_catalog.pg_namespace o ON o.oid = t.relnamespace
         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
           AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
           AND d.deptype IN ('a', 'i') LIMIT 1) END,
       (SELECT pg_catalog.json_agg(DISTINCT a.attname)
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum > 0
          AND (a.attnum = ANY (i.indkey) OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)),
       (SELECT pg_catalog.json_agg(DISTINCT rn.nspname || '.' || r.relname)
        FROM pg_catalog.pg_constraint f
        JOIN pg_catalog.pg_class r ON r.oid = f.conrelid
        JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
        WHERE f.confrelid = c.oid AND f.contype = 'f'),
       EXISTS (SELECT 1 FROM pg_catalog.pg_constraint f
        WHERE f.confrelid = c.oid AND f.conrelid = c.oid AND f.contype = 'f'),
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
          pg_catalog.pg_get_triggerdef(x.oid), fn.nspname, f.proname, l.lanname, f.prosrc) ORDER BY x.tgname)
        FROM (SELECT t.oid, t.tgfoid, t.tgname FROM ${TRIGGERS} AND NOT EXISTS (SELECT 1 FROM ${RULES})) x
        JOIN pg_catalog.pg_proc f ON f.oid = x.tgfoid
        JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
        JOIN pg_catalog.pg_language l ON l.oid = f.prolang),
       (SELECT pg_catalog.json_agg(u.key)
        FROM (SELECT pg_catalog.json_agg(a.attname) AS key
              FROM pg_catalog.pg_index i,
                   LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, position)
              JOIN pg_catalog.pg_attribute a ON a.attnum = k.attnum
              WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND i.indisunique AND i.indimmediate
                AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
              GROUP BY i.indexrelid
              HAVING pg_catalog.bool_and(i.indcollation[k.position - 1] = a.attcollation)
              ORDER BY i.indexrelid) u)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE ${relationsOf[schemas]}`;

/**
 * schema, table, column, base type, type modifier, deterministic, not null, default, generated, identity, kind of
 * default, collation, its name unless it is the default, sequence, time, version of UUIDs; in attnum order. A domain
 * counts as its base type, with the modifier nearest to the column; its default is that of columns without one.
 */
export const columnsQuery = (schemas: Schemas): string => `
WITH RECURSIVE domain_types (oid, base, typmod) AS (
  SELECT t.oid, t.typbasetype, t.typtypmod FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
  UNION ALL
  SELECT d.oid, t.typbasetype, CASE WHEN d.typmod = -1 THEN t.typtypmod ELSE d.typmod END
  FROM domain_types d JOIN pg_catalog.pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
), base_types AS (
  SELECT d.oid, d.base, d.typmod
  FROM domain_types d JOIN pg_catalog.pg_type t ON t.oid = d.base WHERE t.typtype <> 'd'
), defaults AS (
  SELECT d.oid, d.adrelid, d.adnum, d.adbin::text AS tree FROM pg_catalog.pg_attrdef d
  UNION ALL
  SELECT NULL, a.attrelid, a.attnum, t.typdefaultbin::text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  WHERE t.typtype = 'd' AND t.typdefaultbin IS NOT NULL AND NOT a.atthasdef
), default_calls AS (
  SELECT d.adrelid, d.adnum,
         bool_or(p.proname = 'nextval' AND p.pronamespace = 'pg_catalog'::regnamespace) AS sequence,
         bool_or(p.oid >= ${FIRST_USER_OID} AND p.provolatile <> 'i') AS of_user,
         bool_or(p.provolatile <> 'i') AS changing
  FROM defaults d, LATERAL pg_catalog.regexp_matches(d.tree, ${FUNCTION_FIELDS}, 'g') m
  JOIN pg_catalog.pg_proc p ON p.oid = m[1]::oid
  GROUP BY d.adrelid, d.adnum
)
SELECT n.nspname, c.relname, a.attname,
       coalesce(b.base, a.atttypid),
       CASE WHEN a.atttypmod = -1 THEN coalesce(b.typmod, -1) ELSE a.atttypmod END,
       coalesce(l.collisdeterministic, true),
       a.attnotnull, d.tree IS NOT NULL AND a.attgenerated = '', a.attgenerated <> '', a.attidentity,
       CASE WHEN d.tree IS NULL OR a.attgenerated <> '' THEN ''
            WHEN ${ONLY_UUID} IS NOT NULL THEN 'changing'
            WHEN f.of_user THEN 'function'
            WHEN f.sequence OR d.tree ~ '[{]NEXTVALUEEXPR ' THEN 'sequence'
            WHEN f.changing OR d.tree ~ '[{](SQLVALUEFUNCTION|COERCEVIAIO|ARRAYCOERCEEXPR) ' THEN 'changing'
            ELSE 'constant' END,
       CASE WHEN a.attcollation IN (0, ${DEFAULT_COLLATION_OID}) THEN 'default'
            WHEN ${COLLATION_BY_BYTES} THEN 'bytes'
            ELSE 'other' END,
       CASE WHEN a.attcollation NOT IN (0, ${DEFAULT_COLLATION_OID}) THEN (
         SELECT pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname)
         FROM pg_catalog.pg_namespace ln WHERE ln.oid = l.collnamespace) END,
       CASE WHEN a.attidentity <> '' OR ${ONLY_NEXTVAL} THEN (
         SELECT sn.nspname || '.' || s.relname
         FROM pg_catalog.pg_depend p
         JOIN pg_catalog.pg_class s ON s.relkind = 'S'
           AND s.oid = CASE WHEN a.attidentity = '' THEN p.refobjid ELSE p.objid END
         JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
         WHERE p.classid = CASE WHEN a.attidentity = '' THEN 'pg_catalog.pg_attrdef'::regclass
                                ELSE 'pg_catalog.pg_class'::regclass END
           AND p.refclassid = 'pg_catalog.pg_class'::regclass
           AND CASE WHEN a.attidentity = '' THEN p.objid = d.oid
                    ELSE p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype = 'i' END
         LIMIT 1) END,
       ${ONLY_MOMENT},
       CASE WHEN d.tree IS NOT NULL THEN ${ONLY_UUID} END
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN base_types b ON b.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
LEFT JOIN defaults d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN default_calls f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND ${relationsOf[schemas]}
ORDER BY a.attrelid, a.attnum`;

/**
 * schema, name, kind, volatility, language, body of one for triggers, body, OIDs of the types that it gives, and of
 * those that it takes (0: a domain), gives a set. An aggregate is as volatile as the functions it is made of.
 */
export const functionsQuery = `
SELECT n.nspname, p.proname, p.prokind,
       CASE WHEN p.prokind <> 'a' THEN p.provolatile::text ELSE (
         SELECT CASE WHEN bool_or(f.provolatile = 'v') THEN 'v' WHEN bool_or(f.provolatile = 's') THEN 's' ELSE 'i' END
         FROM pg_catalog.pg_aggregate a
         JOIN pg_catalog.pg_proc f ON f.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggmfinalfn)
         WHERE a.aggfnoid = p.oid) END,
       l.lanname, CASE WHEN p.prorettype = 'pg_catalog.trigger'::regtype THEN p.prosrc END,
       CASE WHEN p.prokind IN ('f', 'p') AND l.lanname IN ('sql', 'plpgsql') THEN
         coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)
           || coalesce(E'\\n' || pg_catalog.pg_get_expr(p.proargdefaults, 0), '') END,
       p.prorettype::text || coalesce((
         SELECT string_agg(' ' || a.type::text, '')
         FROM unnest(p.proallargtypes, p.proargmodes) AS a (type, mode) WHERE a.mode IN ('o', 'b', 't')), ''),
       (SELECT string_agg(CASE WHEN y.typtype = 'd' THEN 0 ELSE y.oid END::text, ' ')
        FROM unnest(p.proargtypes::oid[]) AS a (type) JOIN pg_catalog.pg_type y ON y.oid = a.type),
       p.proretset
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname ${USER_SCHEMA}`;

/**
 * symbol, its function may read tables, is a comparison of built-in types. Operators of extensions written in C only
 * compute, though some depend on settings (pg_trgm's %).
 */
export const operatorsQuery = `
SELECT o.oprname, p.provolatile <> 'i' AND l.lanname NOT IN ('c', 'internal'),
       o.oprname IN ('=', '<', '<=', '>', '>=', '~~') AND o.oprleft < ${FIRST_USER_OID} AND o.oprright < ${FIRST_USER_OID}
FROM pg_catalog.pg_operator o
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname ${USER_SCHEMA}`;

/** name, kind, is volatile, returns a set: built-in functions, as far as they are anything but plain */
export const builtinsQuery = `
SELECT DISTINCT p.proname, p.prokind, p.provolatile = 'v', p.proretset
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace
  AND (p.prokind <> 'f' OR p.provolatile = 'v' OR p.proretset)`;

/** schema, name, OID, is a domain with a default that is no constant */
export const typesQuery = `
SELECT n.nspname, t.typname, t.oid, t.typtype = 'd' AND coalesce(t.typdefaultbin::text !~ '^[{]CONST ', false)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'`;

/** name; those that sessions make up are not listed, since nobody has made any here */
export const settingNamesQuery = 'SELECT name FROM pg_catalog.pg_settings';

/** What types are made of. */
const TYPE_PARTS = `parts (type, part) AS (
  SELECT oid, typelem FROM pg_catalog.pg_type WHERE typcategory = 'A'
  UNION ALL
  SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typtype = 'd'
  UNION ALL
  SELECT t.oid, a.atttypid
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
  WHERE t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT rngtypid, rngsubtype FROM pg_catalog.pg_range
  UNION ALL
  SELECT rngmultitypid, rngtypid FROM pg_catalog.pg_range
)`;

/** OIDs of the types of `Catalog.textOnlyTypes`. An empty int2vector or oidvector cannot be read in binary. */
export const textOnlyTypesQuery = `
WITH RECURSIVE ${TYPE_PARTS}, text_only (oid) AS (
  SELECT oid FROM pg_catalog.pg_type
  WHERE typtype = 'b' AND (typsend = 0 OR typreceive = 0
    OR (typnamespace = 'pg_catalog'::regnamespace AND typcategory = 'N' AND typname LIKE 'reg%')
    OR oid IN ('pg_catalog.int2vector'::regtype, 'pg_catalog.oidvector'::regtype))
  UNION
  SELECT p.type FROM parts p JOIN text_only t ON t.oid = p.part
)
SELECT oid FROM text_only`;

/** OID, that of its array type, label: enums, in the order of their labels */
export const enumsQuery = `
SELECT t.oid, t.typarray, e.enumlabel
FROM pg_catalog.pg_enum e
JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
ORDER BY t.oid, e.enumsortorder`;

/** OIDs of the types of `Catalog.collatedTypes`. */
export const collatedTypesQuery = `
WITH RECURSIVE ${TYPE_PARTS}, collated (oid) AS (
  SELECT t.oid
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  WHERE n.nspname ${USER_SCHEMA}
    AND (t.typtype = 'd' AND t.typcollation NOT IN (0, ${DEFAULT_COLLATION_OID})
      OR t.typtype = 'c' AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attcollation NOT IN (0, ${DEFAULT_COLLATION_OID})))
  UNION
  SELECT p.type FROM parts p JOIN collated c ON c.oid = p.part
)
SELECT oid FROM collated`;

/** Names of all schemas: CREATE makes its object in the first of the search path that exists. */
export const schemasQuery = `SELECT nspname FROM pg_catalog.pg_namespace`;

/**
 * schema, view, definition, is plain, has a CHECK OPTION. The empty search path of this one statement makes
 * pg_get_viewdef qualify names; the CASE makes sure that it is set before. A view is not plain if it is a security
 * barrier, or reads, with its owner's privileges, a table whose row security may treat owner and caller differently.
 */
export const viewsQuery = `
WITH unqualified AS MATERIALIZED (
  SELECT pg_catalog.set_config('search_path', '', true) AS path
), reads_secured AS (
  SELECT DISTINCT r.ev_class
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_catalog.pg_class'::regclass
  JOIN pg_catalog.pg_class t ON t.oid = d.refobjid AND t.relrowsecurity
)
SELECT n.nspname, c.relname,
       CASE WHEN u.path = '' THEN pg_catalog.pg_get_viewdef(c.oid) END,
       NOT EXISTS (SELECT 1 FROM pg_catalog.pg_options_to_table(c.reloptions) o
                   WHERE o.option_name = 'security_barrier' AND o.option_value::bool)
         AND (NOT EXISTS (SELECT 1 FROM reads_secured s WHERE s.ev_class = c.oid)
           OR EXISTS (SELECT 1 FROM pg_catalog.pg_options_to_table(c.reloptions) o
                      WHERE o.option_name = 'security_invoker' AND o.option_value::bool)),
       EXISTS (SELECT 1 FROM pg_catalog.pg_options_to_table(c.reloptions) o
               WHERE o.option_name = 'check_option')
FROM unqualified u, pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.relpersistence <> 't' AND n.nspname ${USER_SCHEMA}`;

/**
 * Whether the default collation orders by bytes, those of UTF-8. The provider is known from PostgreSQL 15 on (before
 * that all were libc's), `builtin` from 17 on; read through JSON, as a column that is not there would be an error. What
 * the C library makes of any other name is its own affair, of `C.UTF-8` too.
 */
export const collationQuery = `
SELECT pg_catalog.pg_encoding_to_char(d.encoding) = 'UTF8'
       AND CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c')
             WHEN 'b' THEN true
             WHEN 'c' THEN d.datcollate IN ('C', 'POSIX')
             ELSE false END
FROM pg_catalog.pg_database d
WHERE d.datname = current_database()`;
