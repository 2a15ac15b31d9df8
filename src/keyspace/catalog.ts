/**
 * What the shards' catalogs say of the one schema that they all hold. Loaded at start and after
 * DDL; frozen.
 */
export interface Catalog {
  /** Grows by one at each load; plans made under another version are stale. */
  readonly version: number;
  /** Names of all schemas; absent: not loaded, and taken to be those of `relations` and `public`. */
  readonly schemas?: ReadonlySet<string>;
  /** By `schema.name`; system schemas included (their relations by name and kind, with columns). */
  readonly relations: ReadonlyMap<string, CatalogRelation>;
  /**
   * Functions, aggregates and procedures outside pg_catalog and information_schema, by bare name.
   */
  readonly functions: ReadonlyMap<string, readonly CatalogFunction[]>;
  /**
   * Symbols of user-defined operators whose functions are neither IMMUTABLE nor written in C (they
   * may do anything).
   */
  readonly operators: ReadonlySet<string>;
  /**
   * A user-defined `=`, `<` or the like between built-in types exists, so that `column = value` may
   * not mean equality.
   */
  readonly comparisonsOverloaded?: boolean;
  /** Built-in volatile functions by bare name (random, nextval, clock_timestamp...). */
  readonly volatileBuiltins: ReadonlySet<string>;
  /** Built-in aggregate and window function names. */
  readonly aggregates: ReadonlySet<string>;
  readonly windowFunctions: ReadonlySet<string>;
  /** Built-in set-returning functions. */
  readonly setReturning: ReadonlySet<string>;
  /**
   * Type name (`int8`, `schema.mood`) to OID on the catalog shard; domains give their base type in
   * `domainBase`.
   */
  readonly types: ReadonlyMap<string, number>;
  /** Bare names of domains with a default that is no constant. Absent: there are none. */
  readonly computingDomains?: ReadonlySet<string>;
  /**
   * OIDs of types whose values have no binary form, or one that means something else on another
   * server: it holds OIDs (regclass). Types made of such ones too. Absent: not loaded.
   */
  readonly textOnlyTypes?: ReadonlySet<number>;
  /**
   * The database's default collation orders text by its UTF-8 bytes (C, POSIX, and the provider
   * `builtin`; the encoding is UTF8). False or absent: by rules that are the server's own.
   */
  readonly textByBytes?: boolean;
  /** Enums, and arrays of them, by the OIDs of the types. Absent: not loaded. */
  readonly enums?: ReadonlyMap<number, EnumLabels>;
  /**
   * OIDs of types made by users whose values, or parts of them, have a collation other than the default that no column
   * tells: domains, rows, and what is made of such. Absent: not loaded.
   */
  readonly collatedTypes?: ReadonlySet<number>;
  /** What `pg_settings` lists, as it is written there. Absent: not loaded. */
  readonly settingNames?: ReadonlySet<string>;
  /** By `schema.name`: tables that have other columns on some shard, and what differs. Absent: none is known. */
  readonly uneven?: ReadonlyMap<string, string>;
  /** What is known of lookups, by their tables (`schema.name`). Absent: nothing. */
  readonly lookups?: ReadonlyMap<string, CatalogLookup>;
}

export interface EnumLabels {
  /** In the enum's order. */
  readonly labels: readonly string[];
  readonly isArray: boolean;
}

export interface CatalogLookup {
  /** Of its values, as SQL. */
  readonly type: string;
  /** The OID of that type. */
  readonly typeOid: number;
  /** Texts of its values mean the same whatever a session has set; or are dates or timestamps, which are looked at. */
  readonly plainTexts: boolean;
  /** The unique constraint, or index, of the column alone; null: there is none. */
  readonly constraint: string | null;
  /** Its table holds an entry for every row. */
  readonly ready: boolean;
}

export interface CatalogRelation {
  readonly schema: string;
  readonly name: string;
  /**
   * pg_class.relkind: r table, p partitioned, v view, m materialized view, S sequence, f foreign, c
   * composite.
   */
  readonly kind: string;
  readonly hasTriggersOrRules: boolean;
  /** Those that are not disabled. Absent: not known, or it has rules. */
  readonly triggers?: readonly CatalogTrigger[];
  /** It is one session's own, on the backend that the session keeps. */
  readonly temporary?: true;
  /** Row security policies that read other tables or call user-defined functions. */
  readonly hasReadingPolicies?: boolean;
  /** Parent by inheritance or partitioning, as `schema.name`; null for most. */
  readonly parent: string | null;
  /** In attnum order, dropped ones left out. */
  readonly columns: readonly CatalogColumn[];
  /**
   * Columns of the primary key, in its order, if it is not deferrable: then a query may group by it
   * and use the other columns. Null: none.
   */
  readonly primaryKey?: readonly string[] | null;
  /**
   * Views outside the system schemas: the SELECT (without semicolon). Names of pg_catalog stand
   * alone, all others with their schema.
   */
  readonly viewDefinition?: string;
  /**
   * The definition may stand in the view's place: no security_barrier, and no row security on what
   * it reads itself but with security_invoker. (It then reads with the caller's privileges, not the
   * owner's.)
   */
  readonly viewIsPlain?: boolean;
  /** Views WITH CHECK OPTION. */
  readonly viewChecks?: boolean;
  /**
   * Tables: rows on all shards together, as their servers estimate; those of a reference table
   * count once a shard. Rounded to a power of two, so that a table which grows does not make a new
   * catalog each time. Null or absent: not known.
   */
  readonly estimatedRows?: number | null;
  /** Sequences: the table, as `schema.name`, with one of whose columns it is dropped. */
  readonly owner?: string;
  /** Columns that a unique index or exclusion constraint looks at, or may. Absent: not known. */
  readonly uniqueColumns?: readonly string[];
  /**
   * Lists of columns of which no two rows have the same values, NULL apart: those of unique indexes, not deferrable,
   * of all rows, in the columns' own collations. Absent: not known.
   */
  readonly uniqueKeys?: readonly (readonly string[])[];
  /** Tables, as `schema.name`, with foreign keys that refer to its rows. Absent: not known. */
  readonly referencedBy?: readonly string[];
  /** A foreign key leads from its rows to rows of its own. Absent: not known. */
  readonly refersToItself?: boolean;
}

export interface CatalogTrigger {
  /** CREATE TRIGGER ... */
  readonly definition: string;
  readonly function: TriggerFunction;
}

export interface TriggerFunction {
  readonly schema: string;
  readonly name: string;
  readonly language: string;
  readonly source: string;
}

export interface CatalogColumn {
  readonly name: string;
  /** Type OID; for a domain, that of its base type. */
  readonly type: number;
  /**
   * pg_attribute.atttypmod (for a domain its pg_type.typtypmod); -1 or absent: none.
   * `Vindex.mapper` takes it.
   */
  readonly typmod?: number;
  /** False: `=` on this column does not mean equal bytes, so hashing it would be wrong. */
  readonly deterministicCollation: boolean;
  /**
   * The database's default (types without collation too); one that orders by UTF-8 bytes, whatever
   * the default is; or another one. Absent: not known.
   */
  readonly collation?: 'default' | 'bytes' | 'other';
  /** As SQL, with its schema, where it is not the default. */
  readonly collationName?: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /**
   * What the default computes: a value that is the same on every shard at any time, one that
   * changes (`now()`, `random()`), the next value of a sequence, or whatever a user-defined
   * function does. Absent: not known.
   */
  readonly defaultKind?: 'constant' | 'changing' | 'sequence' | 'function';
  /**
   * The default is the time of the transaction as this built-in type, at most cast to the column's
   * own. Absent: it is something else.
   */
  readonly moment?: 'timestamptz' | 'timestamp' | 'date' | 'timetz' | 'time';
  /** GENERATED ALWAYS AS (...) STORED or VIRTUAL. */
  readonly generated: boolean;
  /** '' none, 'a' ALWAYS, 'd' BY DEFAULT. */
  readonly identity: '' | 'a' | 'd';
  /**
   * The sequence, as `schema.name`, whose next value is all that the default (or identity) is.
   * Absent: none, or it is a part of a larger expression.
   */
  readonly sequence?: string;
  /** The default is nothing but a new UUID of this version. */
  readonly uuid?: 4 | 7;
}

export interface CatalogFunction {
  readonly schema: string;
  readonly name: string;
  /** pg_proc.prokind: f, p, a, w. */
  readonly kind: string;
  /** pg_proc.provolatile: i, s, v. */
  readonly volatility: string;
  /**
   * Internal and C functions of extensions cannot be told from their text; SQL and PL ones may read
   * tables.
   */
  readonly language: string;
  /** Its body, where it is for triggers. */
  readonly triggerSource?: string;
  /**
   * SQL and PL/pgSQL: what it runs, and the defaults of its arguments. Absent: not known.
   */
  readonly body?: string;
  /** What it gives is of one of `Catalog.collatedTypes`. Absent: not known. */
  readonly givesCollated?: boolean;
  /** OIDs of the types of its arguments, in no order; 0: a domain. Absent: not known. */
  readonly takes?: readonly number[];
  /** Absent: not known. */
  readonly returnsSet?: boolean;
}
