import type {
  ColumnRef,
  CommonTableExpr,
  FuncCall,
  Node,
  RangeTableSample,
  RangeVar,
  SelectStmt,
  SubLink,
} from '@pgsql/types';
import type { CatalogColumn, CatalogRelation } from '../keyspace/catalog.js';
import type { TextParser } from '../sql/parser.js';
import type { Entry, Level, Occurrence, Variable } from './model.js';
import type { Names } from './names.js';
import type { Params } from './params.js';
import type { PlannedEffect } from './plan.js';
import type { Scope } from './scopes.js';
import type { TextConstants } from './values.js';
import type { ViewUse } from './views.js';

/** WITH queries visible at a place, the nearest first. */
export interface CteScope {
  readonly ctes: ReadonlyMap<string, Cte>;
  readonly parent: CteScope | null;
}

export interface Cte {
  readonly level: Level;
  /** Names from `WITH name (a, b)`; fewer than the columns are allowed. */
  readonly columns: readonly string[];
  /** Its query is still being analysed: a recursive reference, whose columns bind nothing. */
  open: boolean;
}

/** A reference to a CTE: its columns beside the outputs of the CTE's query. */
export interface CteUse {
  readonly level: Level;
  readonly columns: readonly (readonly [column: Variable, output: Variable])[];
}

/** Where an expression stands: the columns and WITH queries that it can see. */
export interface Place {
  readonly scope: Scope;
  readonly ctes: CteScope | null;
}

/** A WHERE or ON condition, and the entries whose rows may be read without those that fail it. */
export interface Condition {
  readonly node: Node;
  readonly place: Place;
  readonly restricts: (entry: Entry) => boolean;
}

/** A reference to a row of a base table or view as one value. */
export interface WholeRow {
  readonly relation: CatalogRelation;
  /** False: it may be a column of something of which the columns are not known. */
  readonly isCertain: boolean;
}

/**
 * The parts of the walk that its other parts need without importing them, since queries nest in
 * everything.
 */
export interface QueryWalker {
  /** Analyses a query below `parent`; `scope` is what it sees of the queries around it. */
  query(
    select: SelectStmt,
    parent: Level | null,
    scope: Scope | null,
    ctes: CteScope | null,
    analysis: Analysis,
  ): Level;
  /** Analyses an INSERT, UPDATE, DELETE or MERGE inside a WITH clause. */
  modification(node: Node, parent: Level, ctes: CteScope | null, analysis: Analysis): Level;
}

/**
 * Everything the planner learns of one statement in one walk. Filled by queries.ts, expressions.ts
 * and facts.ts; read by routing.ts, which decides where the statement goes.
 */
export class Analysis {
  readonly names: Names;
  readonly params: Params;
  /** Of the text that is being walked: a view's definition is another one. */
  constants: TextConstants;
  readonly walker: QueryWalker;
  readonly parser: TextParser;
  readonly occurrences: Occurrence[] = [];
  /** Entry to its base table. */
  readonly tables = new Map<Entry, Occurrence>();
  /** Where each base table stands in the tree. */
  readonly ranges = new Map<RangeVar, Occurrence>();
  readonly views = new Map<RangeVar, ViewUse>();
  /** References to WITH queries; null: of a recursive one to itself. */
  readonly cteRanges = new Map<RangeVar, Level | null>();
  readonly conditions: Condition[] = [];
  /** References to whole rows of base tables, such as `o` in `row_to_json(o)`. */
  readonly wholeRows = new Map<ColumnRef, WholeRow>();
  readonly levels: Level[] = [];
  /** What the clauses of a plain SELECT see. */
  readonly places = new Map<Level, Place>();
  /** The level of each SELECT statement. */
  readonly queries = new Map<SelectStmt, Level>();
  /** Levels that refer, or may refer, to columns of queries around them. */
  readonly correlated = new Set<Level>();
  readonly unknownRelations: RangeVar[] = [];
  readonly sublinks = new Map<SubLink, Level>();
  /** Levels of the columns seen while an aggregate's arguments are walked; null outside. */
  columnLevels: Set<Level> | null = null;
  /** A system column (`ctid`, `xmin`...), which has a meaning on its own shard only. */
  systemColumn: string | null = null;
  /** Tables of which TABLESAMPLE takes some rows, with that clause. */
  readonly sampled = new Map<Entry, RangeTableSample>();
  /** A volatile function, or one whose value differs from shard to shard (`now()`). */
  volatileFunction: string | null = null;
  /** Functions of the user that may tell the time of the transaction or statement. */
  readonly tellsMoment = new Set<string>();
  /**
   * A function or cast that reads the system catalogs, so that every session must ask the same
   * shard.
   */
  readsCatalog = false;
  /** A function is called that may be another one for a domain than for its base type, as which arrays hold it. */
  tellsDomains = false;
  /** Calls that change something although the statement only reads (`nextval`). */
  writes = false;
  /** Calls in whose place the proxy will write values. */
  replaced: ReadonlySet<FuncCall> = new Set();
  /** Calls of set_config, in order. */
  readonly effects: PlannedEffect[] = [];
  /** String constants such as 'now', whose value depends on when each shard reads them. */
  clockText: string | null = null;
  stringConstants = 0;
  /** Data-modifying statements inside WITH clauses. */
  nestedWrites = 0;
  /** The levels of those in the statement's own WITH clause. */
  readonly changes = new Map<CommonTableExpr, Level>();
  /** Columns of written tables that take their default. */
  readonly defaulted: { readonly occurrence: Occurrence; readonly column: CatalogColumn }[] = [];
  /** Advisory locks and notifications, for which all sessions must meet at one place. */
  meetsOthers = false;
  /** Edges into queries of WITH clauses, which hold only where the query is referred to once. */
  readonly cteUses: CteUse[] = [];
  /** False: the plan depends on values and serves one text only. */
  cacheable = true;

  constructor(
    names: Names,
    params: Params,
    constants: TextConstants,
    walker: QueryWalker,
    parser: TextParser,
  ) {
    this.parser = parser;
    this.names = names;
    this.params = params;
    this.constants = constants;
    this.walker = walker;
  }

  /** The variables of a sharded table's key columns, in their order; null for every other one. */
  keysOf({ table, entry }: Occurrence): readonly Variable[] | null {
    if (table?.type !== 'sharded') return null;
    const keys = table.keyColumns.map((name) => entry.variables.get(name));
    return keys.includes(undefined) ? null : (keys as Variable[]);
  }
}
