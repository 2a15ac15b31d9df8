import type { KeyMapper } from '../keyspace/vindex.js';
import type { Keyspace, Lookup, Shard, ShardedTable } from '../keyspace/topology.js';
import type { SqlStateName } from '../errors/sqlstates.js';
import type { ShapeUsage } from '../metrics/shape-usage.js';
import type { CutName } from '../sql/cut-names.js';
import type { Literals } from '../sql/literals.js';
import type { TextPosition } from '../sql/position.js';
import type { Pace } from '../util/pace.js';
import type { CursorUse } from './plan-cursors.js';
import type { KeyRanges, KeysApart, KeyTerm, LookupTerm, StoredKey } from './plan-keys.js';

/**
 * Where one statement goes. Immutable, shared by every execution of its shape: values are named
 * here ("literal 2", "parameter 0") and read at execution. Closed: every runner table is a
 * `Record<Plan['kind'], ...>`.
 */
export type Plan =
  | RoutePlan
  | InsertSplitPlan
  | CopyFromPlan
  | BroadcastPlan
  | FillPlan
  | LocalPlan
  | RefusePlan
  | EmptyPlan;

interface PlanBase {
  /** The verb for metrics and logs: select, insert, update, delete, merge, copy, ddl, utility... */
  readonly verb: string;
  /**
   * Whether a transaction that ran this has something to commit (writes, row locks, or calls that
   * may write).
   */
  readonly writes: boolean;
  /** What it uses or leaves behind that belongs to a server session; absent: nothing. */
  readonly touches?: readonly SessionState[];
  /** Where executions are counted; absent: nowhere. */
  readonly usage?: ShapeUsage;
  /** Lookups that must be kept up with what it changes; absent: none. */
  readonly maintains?: readonly Lookup[];
  /**
   * It tells the time of its transaction. In one that has begun on another shard it is planned anew,
   * for that time to be filled in (`PlanContext.oneMoment`). Absent: it does not.
   */
  readonly tellsTime?: true;
}

/**
 * What a server session has beyond its transactions. Locks are on the catalog shard, so that
 * clients meet there.
 */
export type SessionState =
  /** Session-level advisory locks are taken. */
  | 'advisoryLock'
  /** They are released: nothing is left behind that was not there. */
  | 'advisoryUnlock'
  /** Temporary tables are read or written. */
  | 'temporary'
  /** Temporary tables are made, changed or dropped. */
  | 'temporaryDdl'
  /** A server has taken values of a sequence by itself, or set one. */
  | 'nextval'
  | 'setval'
  /** NOTIFY: sent when the transaction commits. */
  | 'notify';

/**
 * The statement's text goes unchanged to the selected shards; one shard's answer passes through as
 * bytes.
 */
export interface RoutePlan extends PlanBase {
  readonly kind: 'route';
  readonly shards: ShardSelector;
  /** What happens when the selector names more than one shard. */
  readonly many: ManyShards;
  /**
   * What a successful execution changes in the session's settings, in order (`set_config`); null:
   * nothing.
   */
  readonly effects: readonly PlannedEffect[] | null;
  /** What a statement has to do with an SQL cursor. */
  readonly cursor: CursorUse | null;
  /** The statement runs COPY, so that the answer switches to copy mode. */
  readonly copy: 'none' | 'in' | 'out';
  /**
   * It runs code of which nobody knows what it touches (`function "add_job"`), on the catalog shard: the server tells
   * it when it has run. Absent: it does not.
   */
  readonly hidden?: string;
  /**
   * It reads few rows, changes nothing and may run twice, so that it may share a batch with statements of other
   * sessions; absent: it does not.
   */
  readonly pace?: Pace;
}

export type ShardSelector =
  /** This shard (an unsharded keyspace). */
  | { readonly kind: 'shard'; readonly shard: Shard }
  /**
   * Any one shard of the keyspace, or of the whole cluster; the transaction's own where it has one.
   */
  | { readonly kind: 'any'; readonly keyspace: Keyspace | null }
  /** The cluster's catalog shard. */
  | { readonly kind: 'catalog' }
  /**
   * The shards of the key values. Every group must give the same one shard, or `many` decides over
   * their union.
   */
  | {
      readonly kind: 'keys';
      readonly keyspace: Keyspace;
      readonly groups: readonly (readonly KeyTerm[])[];
    }
  /** All shards of the keyspace; where `within` is given, those of keys that are in any of these. */
  | { readonly kind: 'all'; readonly keyspace: Keyspace; readonly within?: readonly KeyRanges[] }
  /** The shards of the keyspace that a lookup tells for these values; all of them where it is not asked. */
  | {
      readonly kind: 'lookup';
      readonly keyspace: Keyspace;
      readonly lookup: Lookup;
      /** Of its values: the type as SQL, and its OID. */
      readonly type: string;
      readonly typeOid: number;
      readonly terms: readonly LookupTerm[];
    }
  /** The shard that is wished for, if all of these key values lead there; else the statement is refused. */
  | {
      readonly kind: 'agreed';
      readonly keyspace: Keyspace;
      readonly shard: Shard;
      readonly groups: readonly (readonly KeyTerm[])[];
    }
  /** No shards of its own: `many` always decides (tables of several keyspaces). */
  | { readonly kind: 'nowhere' };

export type ManyShards =
  /** Rows of all shards, in any order. */
  | { readonly kind: 'concat' }
  /** Every shard gives one row of bigints, all made by count: they add up, column by column. */
  | { readonly kind: 'counts' }
  /** Rows of all shards in one order, and cut. */
  | { readonly kind: 'merge'; readonly merge: MergeSpec }
  /** Rows are brought together on one server, which runs the statement over them. */
  | { readonly kind: 'gather'; readonly gather: GatherSpec }
  /** Small tables are read first and sent to the shards of a larger one, which join them there. */
  | { readonly kind: 'ship'; readonly ship: ShipSpec }
  /** Rows of tables are dealt to shards by the values that join them; each shard joins its part. */
  | { readonly kind: 'deal'; readonly deal: DealSpec }
  /** UPDATE and DELETE: what they need of other shards is read first and given to each of theirs. */
  | { readonly kind: 'spread'; readonly spread: SpreadSpec }
  /**
   * The plan for several shards would hold the literals of the text; so it is made when it is needed
   * (`PlanContext.knowsValues`), and the plan for one shard serves all of them: of UPDATE and DELETE, and of SELECT
   * where values lead to one shard as a rule.
   */
  | { readonly kind: 'replan' }
  /** UPDATE of the shard key: rows go to the shard that they belong to afterwards. */
  | { readonly kind: 'move'; readonly move: MoveSpec }
  /** What it writes is read first, then each row goes to the shard that it belongs to. */
  | { readonly kind: 'distribute'; readonly distribute: DistributeSpec }
  /** EXPLAIN: tells how the statement would run. */
  | { readonly kind: 'explain'; readonly explain: ExplainSpec }
  /** UPDATE and DELETE: the affected-row counts add up; RETURNING rows are concatenated. */
  | { readonly kind: 'addTags' }
  /** COPY TO STDOUT: copy data of all shards in one stream. */
  | {
      readonly kind: 'copyConcat';
      readonly format: 'text' | 'csv' | 'binary';
      readonly header: boolean;
    }
  /** COPY of a query TO STDOUT: its rows, as the query alone gives them, are written as copy data. */
  | { readonly kind: 'copyRows'; readonly source: SourceQuery; readonly format: CopyOutFormat }
  | { readonly kind: 'refuse'; readonly refusal: Refusal };

/** How COPY TO writes rows; characters and texts as bytes of UTF-8. */
export type CopyOutFormat =
  | { readonly kind: 'binary' }
  | {
      readonly kind: 'text';
      readonly delimiter: number;
      readonly nullText: Uint8Array;
      readonly header: boolean;
    }
  | {
      readonly kind: 'csv';
      readonly delimiter: number;
      readonly quote: number;
      readonly escape: number;
      readonly nullText: Uint8Array;
      readonly header: boolean;
      /** Quotes stand around every value but NULL. */
      readonly quotesAll: boolean;
    };

/** A streaming merge of sorted shards; memory does not grow with the result. */
export interface MergeSpec {
  /**
   * What every shard runs in place of the text, with the client's parameters: the client's columns,
   * then one hidden column for each sort key; sorted; LIMIT raised by OFFSET.
   */
  readonly sql: string;
  /** The client's columns; the hidden ones follow. */
  readonly visibleColumns: number;
  /** In the order of the hidden columns; none: rows of all shards in any order. */
  readonly keys: readonly MergeKey[];
  /** Null: no LIMIT. */
  readonly limit: RowCount | null;
  readonly offset: RowCount | null;
  readonly withTies: boolean;
  /**
   * The rows of the result are to be locked, and no others: `sql` without its LIMIT, to be cut for
   * each shard. Absent: nothing is locked that is not in the result.
   */
  readonly locking?: string;
  /** The same answer made by a server, for keys of types or collations that are not compared here. */
  readonly fallback: GatherSpec;
}

/** What EXPLAIN of a statement over several shards was asked for. */
export interface ExplainSpec {
  readonly of: ManyShards;
  /** The explained statement; what its shards run where `of` has no SQL of its own. */
  readonly sql: string;
  /** Options for the shards' own EXPLAIN but FORMAT, as SQL: `ANALYZE, BUFFERS off`; may be empty. */
  readonly options: string;
  readonly analyze: boolean;
  /** It is run, and changes or locks rows: the shards must not run their parts once more to tell of them. */
  readonly once: boolean;
  /** The shards' own plans are shown too. */
  readonly verbose: boolean;
  readonly format: 'text' | 'json';
}

export interface SortKey {
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export interface MergeKey extends SortKey {
  /** Text compares by its bytes: its collation is C, or orders as that does. False: it is left to `fallback`. */
  readonly textByBytes: boolean;
}

/** A LIMIT or OFFSET; a null value is none. Negative ones are errors 2201W and 2201X. */
export type RowCount =
  | { readonly kind: 'constant'; readonly value: bigint | null }
  /** `$index+1`, an int8. */
  | { readonly kind: 'param'; readonly index: number };

/**
 * Inputs are read from their shards and brought to one server, the home, which runs the final
 * statement over them: what comes out is PostgreSQL's own answer.
 */
export interface GatherSpec {
  readonly inputs: readonly GatherInput[];
  /** Where the final statement runs. Tables that are not inputs are there. */
  readonly home: ShardSelector;
  /** The final statement, with the client's parameters; its inputs and partial results are filled in. */
  readonly final: readonly FinalPiece[];
  /**
   * Every relation of the final statement is an input, and is read once: the home may read its own
   * rows of them where they are.
   */
  readonly readsInPlace?: boolean;
  /**
   * It puts the time of its transaction into rows. Servers that join a transaction have a time of
   * their own, so it cannot run inside of one.
   */
  readonly tellsMoment?: boolean;
}

export type FinalPiece =
  | string
  /** The relation of an input; an alias always follows in the text. */
  | { readonly kind: 'input'; readonly input: number }
  /**
   * An aggregate made of the partial results in these columns of an input; `alias` is what the
   * input is called there. How depends on the columns' types (src/planner/aggregates).
   */
  | {
      readonly kind: 'combine';
      readonly aggregate: string;
      readonly input: number;
      readonly alias: string;
      readonly columns: readonly number[];
    };

export interface GatherInput {
  /** For messages and EXPLAIN: `orders o`. */
  readonly label: string;
  readonly shards: ShardSelector;
  /** A SELECT that every one of its shards runs, with the client's parameters. At least one column. */
  readonly sql: string;
  /** What the final statement calls its columns. */
  readonly columns: readonly string[];
  /** The final statement may rely on it (GROUP BY); null: none. */
  readonly primaryKey: readonly string[] | null;
  /**
   * Columns, of types that indexes take whatever the value, by which a sub-select looks its rows up
   * for each row of the query around it: worth an index where they are many.
   */
  readonly lookups?: readonly (readonly string[])[];
  /**
   * Its text columns have the database's default collation, so that it may travel as arrays in
   * parameters; else only as a temporary table, which keeps collations.
   */
  readonly defaultCollations: boolean;
  /** Else, where they are known: the collation of each column, as SQL; null: the default. */
  readonly collations?: readonly (string | null)[];
  /** Over all shards, guessed from the catalog and the conditions; null: not known. */
  readonly estimatedRows: number | null;
  /** Where another input is small, only rows with the values that it has are needed. */
  readonly link?: ValueLink;
}

/** Rows are needed only where their column `name` equals a value of another input's column. */
export interface ValueLink {
  readonly input: number;
  /** 0-based, of that input. Its type is built in, as the other's is. */
  readonly column: number;
  readonly name: string;
  /** The column is the shard key, and these are values of it; null: they tell no shard. */
  readonly key: { readonly keyspace: Keyspace; readonly mapper: KeyMapper } | null;
}

/**
 * A statement that needs rows of other shards, or what its WITH queries change: these are read first,
 * all of them, and then the shards that are named run the statement's own text over them and their
 * own rows. So a row is locked, checked again and changed as PostgreSQL does it; tags add up.
 */
export interface SpreadSpec {
  readonly inputs: readonly SpreadInput[];
  /** Those that may have rows of the target; any one for a SELECT. */
  readonly shards: ShardSelector;
  /** The statement, with the client's parameters; its inputs are filled in. */
  readonly apply: readonly FinalPiece[];
  /** It changes rows itself. */
  readonly writes: boolean;
  /** Its parts may change rows of one table, since they are bound to different keys; else it is refused. */
  readonly apart: readonly (KeysApart & { readonly refusal: Refusal })[];
}

export interface SpreadInput {
  /** For EXPLAIN: `orders o`. */
  readonly label: string;
  readonly source: SourceQuery;
  /** What the statement calls its columns. */
  readonly columns: readonly string[];
  /** The collation of each column, as SQL; null: the default, as all have where it is absent. */
  readonly collations?: readonly (string | null)[];
}

/**
 * A SELECT whose small tables are read first and sent to the shards of a larger one. There each is
 * what a reference table is: every shard has all of it. So the statement splits, and what comes of it
 * is merged or aggregated as of any other that does:
 *
 *     SELECT p.kind, sum(o.amount) FROM orders o JOIN products p ON p.id = o.product GROUP BY 1
 *     products --> rows --> each shard of orders: SELECT ... FROM orders o JOIN <products p> ...
 */
export interface ShipSpec {
  readonly inputs: readonly ShippedInput[];
  /** The statement with the marks of inputs in the places of their tables; its plan merges or gathers. */
  readonly statement: SourceQuery & { readonly plan: RoutePlan };
  /** The same answer where the inputs' types cannot be sent. */
  readonly otherwise: GatherSpec;
}

export interface ShippedInput extends SpreadInput {
  /** What stands in its place in SQL; an alias always follows. It occurs nowhere else in the text. */
  readonly mark: string;
  readonly estimatedRows: number;
}

/**
 * A SELECT over large tables that are joined by other columns than their shard keys. Their rows are
 * dealt to the shards by the hash of the values that join them, into temporary tables; a table whose
 * shard key that is stays. There they are tables sharded by these columns, so the statement splits:
 *
 *     SELECT count(*) FROM orders o JOIN visits v ON o.product = v.product
 *     each shard: COPY <orders by product>, <visits by product>; SELECT count(*) ...; added up
 */
export interface DealSpec {
  /** Of the shards that rows are dealt to. */
  readonly keyspace: Keyspace;
  readonly inputs: readonly DealtInput[];
  /** The statement with the marks of inputs in the places of their tables; its plan merges or gathers. */
  readonly statement: SourceQuery & { readonly plan: RoutePlan };
  /** The same answer on one server. */
  readonly otherwise: GatherSpec;
}

export interface DealtInput {
  /** For messages and EXPLAIN: `orders o`. */
  readonly label: string;
  readonly shards: ShardSelector;
  /** A SELECT that every one of its shards runs, with the client's parameters. */
  readonly sql: string;
  /** What the statement calls its columns. */
  readonly columns: readonly string[];
  /** `GatherInput.collations`. */
  readonly collations?: readonly (string | null)[];
  /** The column by which its rows are dealt. */
  readonly key: string;
  /** Says where a row goes: a keyspace id as SQL (int8), over a relation `sg_rows` with these columns. */
  readonly id: string;
  /** What stands in its place in SQL; an alias always follows. It occurs nowhere else in the text. */
  readonly mark: string;
  readonly estimatedRows: number | null;
}

/**
 * An UPDATE that sets the shard key. The rows are locked, and so read as they are, with the values
 * that they get; then each is changed where it is, or leaves for the shard of its new key:
 *
 *     lock, on each shard of the target --> rows --> stay, or leave and arrive, by their places
 */
export interface MoveSpec {
  readonly keyspace: Keyspace;
  /** Those that may have rows of the target. */
  readonly shards: ShardSelector;
  /** The new key, where it is one for all rows. */
  readonly newKey: KeyTerm | null;
  /**
   * SELECT ... FOR UPDATE with the client's parameters: the columns that name a row's place (ctid;
   * for partitioned tables the partition too), the old key, and all that the row is to hold.
   */
  readonly lock: string;
  /** What the other texts call its columns. */
  readonly columns: readonly string[];
  readonly placeColumns: number;
  /** Where the columns of the row's old key begin among its columns, and the columns of its new one. */
  readonly key: { readonly old: number; readonly new: StoredKey };
  /** With the client's parameters; piece `input` 0 is the relation of the rows. */
  readonly stay: readonly FinalPiece[];
  readonly leave: readonly FinalPiece[];
  readonly arrive: readonly FinalPiece[];
  /** It joins the target, so that a row may come more than once; the first one counts. */
  readonly repeats: boolean;
  /**
   * Rows that change what a unique constraint looks at: those that move, or all of them. Whether
   * they are in each other's way is a matter of their order on one server.
   */
  readonly unique: 'none' | 'moved' | 'all';
  /** Non-null: no row may leave. */
  readonly refusal: Refusal | null;
}

/**
 * What a statement writes is read first, all of it; then each row goes where it belongs:
 *
 *     source, anywhere --> rows --> destination of each --> apply, on each shard over its rows
 *
 * All of it is one statement of the unit of work. Parameters and result are described by the text
 * of the client, on any shard.
 */
export interface DistributeSpec {
  readonly source: SourceQuery;
  /**
   * Values that each row gets behind those of the source, as text; the columns of `destination` and
   * `apply` count them. Absent: none.
   */
  readonly made?: readonly IdSource[];
  readonly destination: Destination;
  readonly apply: ApplySpec;
  /** The source's column that is true of a row with a key that the statement deletes: refused. Absent: none is. */
  readonly clash?: number;
  /** The rows may be applied in turns: none of them looks at what another one has written. */
  readonly inTurns: boolean;
}

/** A statement made of the client's, that gives rows (planner/distribute/source-query.ts). */
export interface SourceQuery {
  /** With the client's parameters. A shard describes its columns by it. */
  readonly sql: Uint8Array;
  /** The places of literals in `sql`, by which the terms in `plan` name values. */
  readonly literals: Literals;
  /** How it is answered. */
  readonly plan: RoutePlan | InsertSplitPlan | BroadcastPlan;
}

export type Destination =
  /**
   * The shard of the key, as INSERT stores it: errors for NULL and values without a shard are the
   * same. The types of its columns in the source may be any that the table's vindex maps.
   */
  | {
      readonly kind: 'key';
      readonly keyspace: Keyspace;
      readonly table: ShardedTable;
      /** In the order of the key's columns. */
      readonly columns: readonly DestinationColumn[];
      /** A row whose value is there already goes to the shard of the row that has it. */
      readonly claim?: UniqueClaim;
    }
  /**
   * Every one of these shards gets all rows. `each`: it does with them what is to be done with its own rows, and the
   * answers are put together; absent: their answers are the same.
   */
  | { readonly kind: 'copies'; readonly shards: readonly Shard[]; readonly each?: true };

/** ON CONFLICT about values that are unique over all shards. */
export interface UniqueClaim {
  readonly lookup: Lookup;
  /** 0-based, of the source. */
  readonly column: number;
}

export interface DestinationColumn {
  /** 0-based, of the source. */
  readonly column: number;
  /** Of the stored column: type OID, type modifier, `table.column`. */
  readonly columnType: number;
  readonly columnTypmod: number;
  readonly name: string;
}

/** The column of the rows' numbers in what shards run over them. */
export const ROW_NUMBER = 'sg_row';

/** What shards do with their rows. */
export interface ApplySpec {
  /**
   * With the client's parameters; piece `input` 0 is the relation of the rows. Columns of types that
   * do not travel in arrays are of type text there, and so are constants without a type: cast them
   * (planner/type-names.ts).
   */
  readonly sql: readonly FinalPiece[];
  /** What the text calls the source's columns. */
  readonly columns: readonly string[];
  /**
   * OIDs of the types that the text casts them to; 0 for any. Absent: it casts none that has another
   * type.
   */
  readonly types?: readonly number[];
  /**
   * Rows that the client gets: none; in any order; exactly one for each row of the source, in the
   * source's order; one for some of them, in that order: the text then has one column more, the number
   * of the row, which it finds in an int4 column `ROW_NUMBER` behind those of the source.
   */
  readonly returning: 'none' | 'rows' | 'each' | 'numbered';
  /** Shards without rows run it too; else they are left out, but for one where none has any. */
  readonly everywhere?: boolean;
}

export interface Refusal {
  readonly state: SqlStateName;
  readonly message: string;
  readonly detail?: string;
  readonly hint: string;
}

export type { TextPosition };
export type { CursorUse } from './plan-cursors.js';
export type {
  ColumnTerm,
  KeyBound,
  KeyInterval,
  KeyRanges,
  KeysApart,
  KeySource,
  KeyTerm,
  LookupTerm,
  StoredColumn,
  StoredKey,
  TupleTerm,
} from './plan-keys.js';

/**
 * INSERT .. VALUES into a sharded table. Rows of one shard: the text passes unchanged; else it is
 * cut by row.
 */
export interface InsertSplitPlan extends PlanBase {
  readonly kind: 'insertSplit';
  readonly keyspace: Keyspace;
  readonly table: string;
  readonly rows: readonly {
    /** From the row's `(` to behind its `)`. */
    readonly start: TextPosition;
    readonly end: TextPosition;
    readonly key: KeyTerm;
  }[];
  /** Each row gives one row to the client (RETURNING), told in the order of VALUES. */
  readonly returning: boolean;
}

/**
 * COPY table FROM STDIN into a sharded table (split by key) or a reference table (copied to every
 * shard).
 */
export interface CopyFromPlan extends PlanBase {
  readonly kind: 'copyFrom';
  readonly keyspace: Keyspace;
  readonly table: string;
  /** Null: a reference table. */
  readonly key: StoredKey | null;
  /** Those of `fill` included. */
  readonly columnCount: number;
  readonly format: CopyFormat;
  /** Columns that the data leaves out: shards are sent values behind those of each row. */
  readonly fill?:
    | {
        readonly columns: readonly {
          readonly name: string;
          /** OID; for a domain, that of its base type. */
          readonly type: number;
          readonly source: IdSource;
        }[];
        /** Where the list of columns ends in the text. */
        readonly at: TextPosition;
      }
    | undefined;
}

export type CopyFormat =
  | {
      readonly kind: 'text';
      readonly delimiter: number;
      readonly nullText: Uint8Array;
      readonly header: boolean;
      /** DEFAULT 'string' option: a field equal to it takes the column's default. */
      readonly defaultText: Uint8Array | null;
    }
  | {
      readonly kind: 'csv';
      readonly delimiter: number;
      readonly quote: number;
      readonly escape: number;
      readonly nullText: Uint8Array;
      readonly header: boolean;
      readonly defaultText: Uint8Array | null;
      /** FORCE_NOT_NULL / FORCE_NULL on the columns of the shard key. */
      readonly forceNotNull: boolean;
      readonly forceNull: boolean;
    }
  | { readonly kind: 'binary' };

/** The text runs unchanged on every shard of the keyspace, or of the cluster (`keyspace` null). */
export interface BroadcastPlan extends PlanBase {
  readonly kind: 'broadcast';
  readonly keyspace: Keyspace | null;
  /** DDL: the catalog is loaded again afterwards. */
  readonly ddl: boolean;
  /** False: Postgres forbids it inside a transaction (CREATE INDEX CONCURRENTLY, VACUUM). */
  readonly transactional: boolean;
  /** What Postgres calls it when it does so; absent where `steps` says it. */
  readonly command?: string;
  /** Whose answer the client gets; absent: the first shard's. */
  readonly answers?: Shard;
  /** The shards run this in place of the text. */
  readonly created?: CreatedTable;
  /** The shards run `sql` in place of the text; the client is told this tag. */
  readonly instead?: { readonly sql: string; readonly tag: string };
  /**
   * It is about what all databases of a server have in common, so one shard of each server runs it.
   * `alters`: the roles that it changes, of which none may be one that Shardgate connects as; for messages, what
   * it does to them. `databases`: it is about what they own, so every shard runs it; two of one server cannot.
   */
  readonly servers?: {
    readonly command: string;
    readonly alters: readonly string[];
    readonly databases?: true;
  };
  /** Columns that rows of several shards get values for. */
  readonly added?: AddedColumns;
  /** Told when it has succeeded. */
  readonly notice?: DdlNotice;
  /** Each shard commits it by itself; what has been done is written down, so that it can be gone on with. */
  readonly steps?: DdlSteps;
}

/** What a client is told of an object that it has made. */
export interface DdlNotice {
  readonly message: string;
  readonly hint: string;
}

/** DDL that PostgreSQL forbids in a transaction. */
export interface DdlSteps {
  /** Its command tag. */
  readonly tag: string;
  /** What Postgres calls it where a transaction is open. */
  readonly command: string;
  /** By what it is seen how far a shard has come that was cut off; null: it runs there again. */
  readonly trace: DdlTrace | null;
}

/** Names are SQL text, with a schema where the statement has one. */
export type DdlTrace =
  /** A new index of the table; `name` null: the server chooses it. */
  | { readonly kind: 'index'; readonly table: string; readonly name: string | null }
  | { readonly kind: 'dropped'; readonly index: string }
  /** A table or index. */
  | { readonly kind: 'rebuilt'; readonly relation: string }
  | { readonly kind: 'detached'; readonly table: string; readonly partition: string };

/**
 * ADD COLUMN with values that the shards must not make each by itself. They run the statement; then what they have
 * made is brought together.
 */
export interface AddedColumns {
  /** As SQL. */
  readonly table: string;
  /** Columns that count up: each shard has begun anew, so its values are shifted. */
  readonly counted: readonly string[];
  /** Of a reference table: columns whose values every copy makes otherwise. They get those of the copy on `source`. */
  readonly copied: readonly string[];
  readonly source: Shard;
  /** The statement with the time of the transaction in defaults that tell it; null: none does. */
  readonly time: FillPlan | null;
  /** Gives these columns their own defaults back. */
  readonly defaults: readonly string[];
}

/** CREATE TABLE AS. */
export interface CreatedTable {
  /** Makes the table without rows. */
  readonly ddl: string;
  /** The rows that it begins with, planned once it is there; null: none. */
  readonly insert: string | null;
  readonly ifNotExists: boolean;
}

/**
 * The statement lacks values that the proxy makes: they are filled into its text, which is then
 * planned as if the client had given them.
 */
export interface FillPlan extends PlanBase {
  readonly kind: 'fill';
  /** In the order of the text; they do not overlap. */
  readonly edits: readonly FillEdit[];
}

/** What stands in place of `[start, end)`. */
export interface FillEdit {
  readonly start: TextPosition;
  readonly end: TextPosition;
  readonly pieces: readonly (string | FillSlot)[];
}

/** A value of one execution: as literal of unknown type, or as parameter. */
export interface FillSlot {
  readonly source: IdSource;
}

export type IdSource =
  | { readonly kind: 'snowflake' | 'uuidv4' | 'uuidv7' }
  /** The next value. `name`: `schema.name`, each quoted where it must be. */
  | { readonly kind: 'sequence'; readonly shard: Shard; readonly name: string }
  /** The value that the session got last, of this sequence or of any. `bareName`: for messages. */
  | { readonly kind: 'currval'; readonly name: string; readonly bareName: string }
  /** The same of the sequence that parameter `index` (0-based) names. */
  | { readonly kind: 'currvalOf'; readonly index: number }
  | { readonly kind: 'lastval' }
  /**
   * The time at which the session's transaction or statement began, as text of a timestamptz: what the
   * first server of the transaction says; where none has joined yet, one of these is asked (any shard
   * for none).
   */
  | {
      readonly kind: 'moment';
      readonly of: 'transaction' | 'statement';
      readonly shards: readonly Shard[];
    }
  /** The process id that the client was given at login. */
  | { readonly kind: 'ownPid' }
  /** The channels that the session listens to, as an array. */
  | { readonly kind: 'channels' }
  /** What the session has prepared, as a JSON array of rows; `types`: those of parameters are asked for. */
  | { readonly kind: 'preparedStatements'; readonly types: boolean }
  /** The cursors that the session has open, in the same form; `scrolls`: whether they scroll is asked for. */
  | { readonly kind: 'cursors'; readonly scrolls: boolean }
  /** A client's query or session is ended, and it is told whether there is such a one: `t`, `f`. */
  | {
      readonly kind: 'signal';
      readonly signal: 'cancel' | 'terminate';
      readonly pid: ProcessPid;
    };

/** The process id that a client means; `index`: a parameter, 0-based. */
export type ProcessPid =
  | { readonly kind: 'constant'; readonly pid: number }
  | { readonly kind: 'param'; readonly index: number }
  | { readonly kind: 'own' };

/** Handled by the session itself, with a backend's help where settings must be checked. */
export interface LocalPlan extends PlanBase {
  readonly kind: 'local';
  readonly command: LocalCommand;
}

export type LocalCommand =
  /** BEGIN or START TRANSACTION; `isolation` in lower case where given; `readOnly` absent: not said. */
  | { readonly kind: 'begin'; readonly isolation: string | null; readonly readOnly?: boolean }
  | { readonly kind: 'commit'; readonly chain: boolean }
  | { readonly kind: 'rollback'; readonly chain: boolean }
  /** PREPARE TRANSACTION: a ROLLBACK where the transaction has failed, else refused. */
  | { readonly kind: 'prepareTransaction' }
  | { readonly kind: 'savepoint' | 'release' | 'rollbackTo'; readonly name: string }
  /** Runs on a backend, which checks it; on success it joins the session's settings. */
  | {
      readonly kind: 'set';
      readonly effect: SettingEffect;
      /**
       * Further settings of the same statement (SET TRANSACTION ISOLATION LEVEL ..., READ ONLY).
       */
      readonly more?: readonly SettingEffect[];
    }
  /** SET CONSTRAINTS; `named`: some of them, which must exist. */
  | { readonly kind: 'constraints'; readonly named: boolean }
  | { readonly kind: 'discard'; readonly what: 'all' | 'plans' | 'sequences' | 'temp' }
  /** `name` null: all. */
  | { readonly kind: 'deallocate'; readonly name: string | null }
  /** At once, or when the transaction commits. */
  | { readonly kind: 'listen'; readonly channel: string }
  /** `channel` null: all. */
  | { readonly kind: 'unlisten'; readonly channel: string | null }
  | PrepareCommand
  | ExecuteCommand;

/** SQL PREPARE. */
export interface PrepareCommand {
  readonly kind: 'prepare';
  readonly name: string;
  /** OIDs as the catalog shard has them, by 0-based parameter; 0: left to the server. */
  readonly paramTypes: readonly number[];
  /** The statement that is prepared. */
  readonly query: string;
  /** The whole text that has prepared it. */
  readonly source: string;
  /** Characters of the whole text in front of it, for the positions of errors. */
  readonly offset: number;
}

/** SQL EXECUTE, and EXPLAIN of it. */
export interface ExecuteCommand {
  readonly kind: 'execute';
  readonly name: string;
  readonly argumentCount: number;
  /** The arguments where all of them are constants; null: a server must compute them. */
  readonly constants: readonly ArgumentConstant[] | null;
  /** The text between the parentheses; and how many characters of the whole text stand before it. */
  readonly args: string;
  readonly offset: number;
  /** `EXPLAIN ... ` as it stands in front of EXECUTE; null: it is executed. */
  readonly explain: string | null;
}

/** A constant argument of EXECUTE; a string's type is not known yet. `text` null: NULL. */
export interface ArgumentConstant {
  readonly kind: 'string' | 'integer' | 'decimal' | 'boolean' | 'null';
  readonly text: string | null;
}

/** What `set_config` will have changed; its arguments may be parameters. */
export interface PlannedEffect extends SettingEffect {
  /** The parameters (0-based) that are arguments; null: the argument is a constant. */
  readonly params?: {
    readonly name: number | null;
    readonly value: number | null;
    readonly local: number | null;
  };
}

export interface SettingEffect {
  /** Lower-cased setting name; `*` with value null is RESET ALL. */
  readonly name: string;
  /** Value as `set_config` takes it; null: reset to default. Lists are quoted (`"a", b`). */
  readonly value: string | null;
  /** SET LOCAL, SET TRANSACTION: ends with the transaction. */
  readonly local: boolean;
}

export interface RefusePlan extends PlanBase {
  readonly kind: 'refuse';
  readonly refusal: Refusal;
}

/** Nothing but blanks, comments and semicolons. */
export interface EmptyPlan extends PlanBase {
  readonly kind: 'empty';
}

/** One text, planned: its statements in order. */
export interface PlannedText {
  readonly statements: readonly PlannedStatement[];
  /**
   * One plan that carries the whole text as it stands, exactly as one Postgres would run it: the
   * only statement's plan; or, for several statements that all go to one and the same place, a
   * route or broadcast. Null: the statements go to different places and must be run one by one.
   */
  readonly whole: Plan | null;
  /** Highest `$n` used. */
  readonly paramCount: number;
  /** Names that PostgreSQL would cut, and tell the client so. */
  readonly cutNames: readonly CutName[];
  /** Catalog and topology versions it was made under. */
  readonly catalogVersion: number;
  readonly topologyVersion: number;
}

export interface PlannedStatement {
  readonly plan: Plan;
  /** Highest `$n` used. */
  readonly paramCount: number;
  /** The statement's own bytes within the text. */
  readonly start: TextPosition;
  readonly end: TextPosition;
}
