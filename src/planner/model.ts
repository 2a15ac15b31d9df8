import type { WindowDef } from '@pgsql/types';
import type { CatalogColumn, CatalogRelation } from '../keyspace/catalog.js';
import type { Table } from '../keyspace/topology.js';
import type { KeySource } from './plan.js';

/**
 * What the analysis knows of one statement: query levels, the tables that occur in them, and one
 * variable for each column that anything was said about.
 *
 *     Level ──< Entry (FROM item) ──< Variable (column) ──> Variable   "my value can only be that one's"
 *                     │                         └─────────> KeyValues  "... or one of these"
 *                     └ Occurrence (a base table)
 *
 * An edge t.k -> x means: rows of t whose k differs from x do not matter for the statement's
 * result, so t may be read without them. Edges are directed because outer joins are: ON binds the
 * nullable side by the other, never back.
 */
export class Variable {
  readonly entry: Entry;
  readonly name: string;
  /** Type OID; 0 where the planner does not know it. */
  readonly type: number;
  /** False: equal values of this column may differ in their bytes. */
  readonly deterministic: boolean;
  readonly sources: Variable[] = [];
  readonly bindings: KeyValues[] = [];
  /** All of them hold for rows that matter. */
  readonly ranges: ValueRanges[] = [];

  constructor(entry: Entry, name: string, type: number, deterministic: boolean) {
    this.entry = entry;
    this.name = name;
    this.type = type;
    this.deterministic = deterministic;
  }
}

/** One alternative set of values (`=`: one value, IN: several) that a column was compared with. */
export interface KeyValues {
  readonly values: readonly KeyValue[];
  /** The column that the comparison names: untyped values take its type. */
  readonly site: Variable;
  /**
   * The column is set to these values, which converts them: only values of its own type stay what
   * they are.
   */
  readonly stored?: boolean;
}

/** Intervals of values, in one of which a column is. */
export interface ValueRanges {
  readonly intervals: readonly ValueInterval[];
  /** The column that is compared, as in `KeyValues`. */
  readonly site: Variable;
  /** The bounds are one LIKE pattern. */
  readonly pattern?: boolean;
}

/** Null: without an end on that side. */
export interface ValueInterval {
  readonly lower: ValueBound | null;
  readonly upper: ValueBound | null;
}

export interface ValueBound {
  readonly value: KeyValue;
  readonly inclusive: boolean;
}

export interface KeyValue {
  readonly source: KeySource;
  /** Type OID of a literal or of the cast around a value; 0: an uncast parameter. */
  readonly type: number;
}

/**
 * One item of a FROM list that yields rows: a base table, a derived table (or CTE reference), or
 * something opaque.
 */
export class Entry {
  readonly level: Level;
  readonly kind: 'table' | 'derived' | 'opaque';
  readonly variables = new Map<string, Variable>();
  /** Its rows may be null-extended by an outer join of its level. */
  nullable = false;
  /** Derived tables: the query below. */
  readonly query: Level | null;

  /** The name it goes by in its level; '' where it has none. */
  readonly alias: string;

  constructor(
    level: Level,
    kind: 'table' | 'derived' | 'opaque',
    alias: string,
    query: Level | null = null,
  ) {
    this.level = level;
    this.kind = kind;
    this.alias = alias;
    this.query = query;
    level.entries.push(this);
  }
}

/** A base table where it stands in the statement. */
export interface Occurrence {
  readonly entry: Entry;
  readonly relation: CatalogRelation;
  /** Null: a system catalog. */
  readonly table: Table | null;
  /** The target of an INSERT, UPDATE, DELETE or MERGE; else it is only read. */
  readonly written: boolean;
  /** A function that the statement calls uses it. */
  readonly inFunction?: true;
  /** The statement writes it by way of this view. */
  readonly through?: TargetView;
}

/** A view that is written in place of the one table below it. */
export interface TargetView {
  readonly relation: CatalogRelation;
  readonly columns: readonly TargetColumn[];
  /** Its definition, or that of a view below it, has sub-selects. */
  readonly looksAround: boolean;
}

/** A column that a statement may write to. */
export interface TargetColumn {
  /** What the statement calls it. */
  readonly name: string;
  /** The table's column, with the default that it has here; null: it is computed. */
  readonly column: CatalogColumn | null;
}

export interface OutputColumn {
  /** Null: no name that SQL text could refer to. */
  readonly name: string | null;
  /** The column that is passed on unchanged; null for an expression. */
  readonly variable: Variable | null;
  /** Which item of the select list it comes from; several have that of their star. */
  readonly target?: number;
}

/** A FULL JOIN of two items of a FROM list, whose rows no other join extends with NULLs. */
export interface FullJoin {
  readonly left: Entry;
  readonly right: Entry;
  /** Columns of the sides that must be equal for rows to meet; hashing may rely on it. */
  readonly equal: readonly (readonly [Variable, Variable])[];
}

/** One SELECT, VALUES, set operation or data-modifying statement. */
export class Level {
  readonly parent: Level | null;
  readonly entries: Entry[] = [];
  fullJoins: FullJoin[] = [];
  outputs: OutputColumn[] = [];
  /** The outputs hold a `*` over something whose columns are unknown. */
  openOutputs = false;
  aggregates = false;
  /** Its only outputs are plain calls of count, which add up over shards. */
  countsOnly = false;
  windows = false;
  /** The OVER clause of each window function; null: of one that is no function call. */
  readonly windowCalls: (WindowDef | null)[] = [];
  /** The bare columns that each window function partitions by; null: cannot be told. */
  partitions: readonly ReadonlySet<Variable>[] | null = null;
  distinct = false;
  distinctOn = false;
  /** The bare columns of DISTINCT ON, or of a DISTINCT select list. */
  distinctVariables: ReadonlySet<Variable> = new Set();
  grouped = false;
  /** The bare columns of GROUP BY; null: GROUPING SETS, or no GROUP BY that could be followed. */
  groupVariables: ReadonlySet<Variable> | null = null;
  having = false;
  ordered = false;
  limited = false;
  locking = false;
  /** Aliases after FOR UPDATE OF; null: all of them. */
  lockedNames: readonly string[] | null = null;
  values = false;
  /**
   * An INSERT, UPDATE, DELETE or MERGE: what RETURNING gives out says nothing of what is changed.
   */
  modifies = false;
  /** An INSERT: its one entry is the target. */
  inserts = false;
  recursive = false;
  /** The arms of a set operation; empty for every other query. */
  arms: Level[] = [];
  /** The set operation, in upper case; null for every other query. */
  operation: 'UNION ALL' | 'UNION' | 'OTHER' | null = null;
  /** How often a CTE's query is referred to; 1 for every other query. */
  references = 1;

  constructor(parent: Level | null) {
    this.parent = parent;
  }
}

/**
 * Whether a value of one type equals a value of the other exactly if their bytes (as a vindex reads
 * them) agree.
 */
export function sameFamily(a: number, b: number): boolean {
  return a !== 0 && typeFamily(a) === typeFamily(b);
}

const INT8 = 20;
const TEXT = 25;

/** int2, int4 and int8 hash alike, as text and varchar do; every other type stands for itself. */
export function typeFamily(type: number): number {
  if (type === 21 || type === 23) return INT8;
  if (type === 1043) return TEXT;
  return type;
}

/** Every variable whose value `start` can only have, itself included. */
export function reachable(start: Variable): Set<Variable> {
  const seen = new Set([start]);
  // A Set iterates over what is added while it is walked, so this is the breadth-first search.
  for (const variable of seen) for (const source of variable.sources) seen.add(source);
  return seen;
}

/** Whether equal values of two columns have the same hash. */
export function hashAlike(a: Variable, b: Variable): boolean {
  return sameFamily(a.type, b.type) && a.deterministic && b.deterministic;
}

/** Says that `from` can only have the value of `to`, if hashing may rely on it. */
export function addEdge(from: Variable, to: Variable): void {
  if (!hashAlike(from, to)) return;
  if (from !== to && !from.sources.includes(to)) from.sources.push(to);
}
