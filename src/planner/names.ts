import type { RangeVar, TypeName } from '@pgsql/types';
import type { Catalog, CatalogFunction, CatalogRelation } from '../keyspace/catalog.js';
import type { Keyspace, Shard, Table, Topology } from '../keyspace/topology.js';
import { qualifiedName, rangeVarText } from './ast.js';
import type { ChangedTable } from './lookups.js';
import type { SessionState } from './plan.js';
import { refuse } from './refusals.js';
import { NO_WISH, type Wish } from './wishes/wish.js';
import { refuseReserved, RESERVED_SCHEMA, RESERVED_TABLE } from './reserved-schema.js';

export type ResolvedRelation =
  | { readonly kind: 'system'; readonly relation: CatalogRelation }
  | { readonly kind: 'table'; readonly relation: CatalogRelation; readonly table: Table }
  | { readonly kind: 'unknown' };

const systemSchemas = new Set(['pg_catalog', 'information_schema', 'pg_toast']);
/** What they show is known to the session, not to the servers (planner/session-views.ts). */
export const sessionViews: ReadonlySet<string> = new Set(['pg_prepared_statements', 'pg_cursors']);
const NONE: readonly CatalogFunction[] = [];
const NO_STAND_INS: ReadonlyMap<string, StandIn> = new Map();
/** A keyspace of temporary tables alone, where the catalog shard is one of several. */
const temporaryKeyspaces = new WeakMap<Topology, Keyspace>();

/** The temporary relations of a session. */
export interface TemporaryTables {
  /** Equal for equal relations. */
  readonly key: string;
  /** By bare name; indexes among them. */
  readonly relations: ReadonlyMap<string, CatalogRelation>;
}

export interface HiddenCode {
  /** `function "add_job"`. */
  readonly subject: string;
  /** As the end of a sentence about it. */
  readonly reason: string;
}

/** A relation that a statement made of another one has in place of a table, by a name of its own. */
export interface StandIn {
  readonly relation: CatalogRelation;
  readonly table: Table;
}

/**
 * Finds what names mean: relations, types and functions, by the session's search path, as
 * PostgreSQL does (PostgreSQL 18, 5.10.3: pg_catalog comes first unless the path names it).
 */
export class Names {
  readonly topology: Topology;
  readonly catalog: Catalog;
  /** What the statement that is planned now was found to use of a server session. */
  readonly touched = new Set<SessionState>();
  /** Code that it was found to run, of which nobody knows what it touches; null: none. */
  hidden: HiddenCode | null = null;
  /** What it was found to change, where lookups must be kept up with that. */
  readonly changed: Set<ChangedTable>;
  /** Where the session, or a comment, wants it to go. */
  readonly wish: Wish;
  /** The user tables that it was found to name, or that belong to what it names. */
  readonly used: Set<Table>;
  /** What is made without a schema is temporary. */
  readonly createsTemporary: boolean;
  readonly #temporary: TemporaryTables | null;
  readonly #path: readonly string[];
  readonly #searchPath: readonly string[];
  readonly #standIns: ReadonlyMap<string, StandIn>;

  constructor(
    topology: Topology,
    catalog: Catalog,
    searchPath: readonly string[],
    temporary: TemporaryTables | null = null,
    standIns: ReadonlyMap<string, StandIn> = NO_STAND_INS,
    from: Pick<Names, 'changed' | 'wish' | 'used'> | Wish = NO_WISH,
  ) {
    const isNames = 'changed' in from;
    this.wish = isNames ? from.wish : from;
    this.changed = isNames ? from.changed : new Set();
    this.used = isNames ? from.used : new Set();
    this.#searchPath = searchPath;
    this.#standIns = standIns;
    this.topology = topology;
    this.catalog = catalog;
    this.#temporary = temporary;
    this.createsTemporary = searchPath[0] === 'pg_temp';
    const path = searchPath.includes('pg_catalog') ? searchPath : ['pg_catalog', ...searchPath];
    this.#path = path.includes('pg_temp') ? path : ['pg_temp', ...path];
  }

  /** The same names, and those of stand-ins, which come before all others. */
  withStandIns(standIns: ReadonlyMap<string, StandIn>): Names {
    const { topology, catalog } = this;
    return new Names(topology, catalog, this.#searchPath, this.#temporary, standIns, this);
  }

  /** Built-in operators and functions come before those of users for the same types. */
  get builtinsFirst(): boolean {
    return this.#path.find((schema) => schema !== 'pg_temp') === 'pg_catalog';
  }

  /** The catalog's relation of this name; null where there is none. */
  find(schema: string | null, name: string): CatalogRelation | null {
    const standIn = schema === null ? this.#standIns.get(name) : undefined;
    if (standIn !== undefined) return standIn.relation;
    const temporary = this.#temporary?.relations.get(name);
    if (temporary !== undefined && schema === 'pg_temp') return this.#touch(temporary);
    if (schema !== null) return this.catalog.relations.get(`${schema}.${name}`) ?? null;
    for (const candidate of this.#path) {
      if (candidate === 'pg_temp' && temporary !== undefined) return this.#touch(temporary);
      const relation = this.catalog.relations.get(`${candidate}.${name}`);
      if (relation !== undefined) return relation;
    }
    return null;
  }

  #touch(relation: CatalogRelation): CatalogRelation {
    this.touched.add('temporary');
    return relation;
  }

  /** The temporary relation that a name in DDL stands for; null: none. */
  temporary(range: RangeVar): CatalogRelation | null {
    const found = this.find(range.schemaname ?? null, range.relname ?? '');
    return found?.temporary === true ? found : null;
  }

  /** Whether a relation's name leads into the reserved schema, also where the catalog is older than that. */
  isReserved(schema: string | null, name: string): boolean {
    const found = this.find(schema, name)?.schema ?? schema;
    if (found !== null) return found === RESERVED_SCHEMA;
    return name === RESERVED_TABLE && this.#path.includes(RESERVED_SCHEMA);
  }

  #hasRelations(schema: string): boolean {
    for (const relation of this.catalog.relations.values()) {
      if (relation.schema === schema) return true;
    }
    return false;
  }

  /** The schema in which an unqualified CREATE makes its object. */
  creationSchema(): string {
    const exists = (schema: string): boolean =>
      schema === RESERVED_SCHEMA ||
      (this.catalog.schemas === undefined
        ? schema === 'public' || this.#hasRelations(schema)
        : this.catalog.schemas.has(schema));
    return this.#path.find((schema) => schema !== 'pg_catalog' && exists(schema)) ?? 'public';
  }

  /** What a table name in a statement stands for. Refuses what rows cannot be routed for. */
  relation(range: RangeVar): ResolvedRelation {
    const name = range.relname ?? '';
    const relation = this.find(range.schemaname ?? null, name);
    if (this.isReserved(range.schemaname ?? null, name)) refuseReserved();
    if (relation === null) return { kind: 'unknown' };
    if (systemSchemas.has(relation.schema)) {
      if (sessionViews.has(relation.name)) refuseSessionView(relation.name);
      return { kind: 'system', relation };
    }
    if (!'rpmS'.includes(relation.kind)) this.#refuseKind(range, relation);
    if (relation.kind === 'S') return this.#sequence(relation);
    const table = this.tableOf(relation);
    if (relation.kind === 'm' && table.keyspace.sharded) this.#refuseKind(range, relation);
    return { kind: 'table', relation, table };
  }

  /** The view, made by users, that a name in a statement stands for; null: anything else. */
  view(range: RangeVar): CatalogRelation | null {
    const relation = this.find(range.schemaname ?? null, range.relname ?? '');
    if (relation?.kind !== 'v' || systemSchemas.has(relation.schema)) return null;
    if (relation.viewDefinition === undefined) return null;
    // Its definition names tables without their schemas only where that is pg_catalog.
    return relation;
  }

  /**
   * The one shard that counts a sequence: where the configuration puts it; else with the unsharded
   * table that owns it; else the catalog shard.
   */
  sequenceHome(sequence: CatalogRelation): Shard {
    const { tables, catalogShard } = this.topology;
    const own = tables.get(`${sequence.schema}.${sequence.name}`);
    const table = own ?? (sequence.owner === undefined ? undefined : tables.get(sequence.owner));
    return table?.keyspace.sharded === false ? table.keyspace.shards[0]! : catalogShard;
  }

  /** A sequence of a sharded keyspace's server is asked as system catalogs are. */
  #sequence(relation: CatalogRelation): ResolvedRelation {
    const home = this.sequenceHome(relation);
    const keyspace = this.topology.keyspaces.find(({ name }) => name === home.keyspace)!;
    if (keyspace.sharded) return { kind: 'system', relation };
    const { schema, name } = relation;
    return { kind: 'table', relation, table: { type: 'sequence', keyspace, schema, name } };
  }

  /** Where the rows of a user table live. */
  tableOf(relation: CatalogRelation): Table {
    const standIn = this.#standIns.get(relation.name);
    if (standIn?.relation === relation) return standIn.table;
    const table = this.#ownTable(relation);
    this.used.add(table);
    return table;
  }

  #ownTable(relation: CatalogRelation): Table {
    if (relation.temporary === true) {
      const { name } = relation;
      return { type: 'unsharded', keyspace: this.#temporaryKeyspace(), schema: 'pg_temp', name };
    }
    const key = `${relation.schema}.${relation.name}`;
    const configured = this.topology.tables.get(key);
    if (configured !== undefined) return configured;
    const whole = this.wholeOf(relation);
    if (whole !== null) {
      const { schema, name } = relation;
      if (whole.partitioned) return { ...whole.table, schema, name };
      refuse(
        `table "${name}" is a part of table "${whole.table.name}" and cannot be used by its own name`,
        'Use declarative partitioning, or shard the tables one by one.',
      );
    }
    const keyspace = this.topology.defaultKeyspace;
    if (keyspace === null) {
      refuse(
        `table "${relation.name}" belongs to no keyspace`,
        `Name it under "tables" of a keyspace in the configuration, or set a default keyspace.`,
      );
    }
    return { type: 'unsharded', keyspace, schema: relation.schema, name: relation.name };
  }

  /** Temporary tables stand with the catalog shard's own tables, where these are all in one place. */
  #temporaryKeyspace(): Keyspace {
    const { keyspaces, catalogShard } = this.topology;
    const own = keyspaces.find(({ name }) => name === catalogShard.keyspace)!;
    if (!own.sharded) return own;
    const known = temporaryKeyspaces.get(this.topology);
    if (known !== undefined) return known;
    const made: Keyspace = {
      name: 'pg_temp',
      sharded: false,
      shards: [catalogShard],
      vindexes: new Map(),
      tables: new Map(),
      shardOf: () => catalogShard,
    };
    temporaryKeyspaces.set(this.topology, made);
    return made;
  }

  /** OID of a type that is not made by users; 0 for every other one. Arrays: the element's OID. */
  typeOid(type: TypeName): number {
    if (type.setof === true || type.pct_type === true) return 0;
    const { schema, name } = qualifiedName(type.names);
    const builtin = this.catalog.types.get(name) ?? 0;
    if (schema === 'pg_catalog') return builtin;
    if (schema !== null) return 0;
    for (const candidate of this.#path) {
      if (candidate === 'pg_catalog') {
        if (builtin !== 0) return builtin;
      } else if (this.catalog.types.has(`${candidate}.${name}`)) return 0;
    }
    return 0;
  }

  /** OID of a type, also of one made by users, as the catalog shard has it; null: not found by its name. */
  parameterTypeOid(type: TypeName): number | null {
    if (type.setof === true || type.pct_type === true) return null;
    const { schema, name } = qualifiedName(type.names);
    const stored = (type.arrayBounds?.length ?? 0) > 0 ? `_${name}` : name;
    const { types } = this.catalog;
    for (const candidate of schema === null ? this.#path : [schema]) {
      const oid = types.get(candidate === 'pg_catalog' ? stored : `${candidate}.${stored}`);
      if (oid !== undefined) return oid;
    }
    return null;
  }

  /** Functions made by users that a call of this name may reach. */
  userFunctions(schema: string | null, name: string): readonly CatalogFunction[] {
    if (schema === 'pg_catalog' || schema === 'information_schema') return NONE;
    const overloads = this.catalog.functions.get(name);
    if (overloads === undefined) return NONE;
    if (schema !== null) return overloads.filter((overload) => overload.schema === schema);
    return overloads.filter((overload) => this.#path.includes(overload.schema));
  }

  /**
   * The configured table whose rows a relation's rows are too; null: there is none.
   * `partitioned`: it is a partition, and has all of its columns.
   */
  wholeOf(
    relation: CatalogRelation,
  ): { readonly table: Table; readonly partitioned: boolean } | null {
    for (const parent of this.#parentsOf(relation)) {
      const table = this.topology.tables.get(`${parent.schema}.${parent.name}`);
      if (table !== undefined) return { table, partitioned: parent.kind === 'p' };
    }
    return null;
  }

  /** Whether two relations may have rows in common: one is a part of the other, or of the same whole. */
  shareRows(a: CatalogRelation, b: CatalogRelation): boolean {
    return a === b || this.#rootOf(a) === this.#rootOf(b);
  }

  #rootOf(relation: CatalogRelation): CatalogRelation {
    return this.#parentsOf(relation).at(-1) ?? relation;
  }

  /** The nearest first. */
  #parentsOf(relation: CatalogRelation): CatalogRelation[] {
    const out: CatalogRelation[] = [];
    let { parent } = relation;
    // Bounded, since a broken catalog must not hang the session; partition trees are a few levels
    // deep.
    while (parent !== null && out.length < 32) {
      const next = this.catalog.relations.get(parent);
      if (next === undefined) break;
      out.push(next);
      parent = next.parent;
    }
    return out;
  }

  #refuseKind(range: RangeVar, relation: CatalogRelation): never {
    const kinds: Readonly<Record<string, string>> = {
      v: 'view',
      m: 'materialized view',
      f: 'foreign table',
    };
    const kind = kinds[relation.kind] ?? 'relation';
    refuse(
      `${kind} "${rangeVarText(range)}" is not supported`,
      kind === 'view'
        ? 'Write its query in place of the view, so that its tables can be routed.'
        : 'Use an ordinary table that is named in the configuration.',
    );
  }
}

function refuseSessionView(name: string): never {
  refuse(`view "${name}" is not supported in this kind of statement`, 'Read it in a SELECT.');
}
