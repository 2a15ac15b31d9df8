import type { BackendConnection } from '../backend/postgres/connection.js';
import { CAPTURE, DROP } from '../backend/postgres/expected-replies.js';
import { unnamedText } from '../backend/postgres/prepared-text.js';
import type { GatherSpec, ValueLink } from '../planner/plan.js';
import { quoteIdentifier } from '../sql/quote.js';
import {
  arrayColumn,
  arrayParameters,
  binaryArray,
  TEXT_ARRAY,
  type ArrayColumn,
} from './array-parameter.js';
import { PARAMETERS_MAX } from './parameter-room.js';
import { bindFor, BindParts, NO_VALUES, type ValuesOf } from './bind-parts.js';
import { hasTypes, travelsInBinary, type ResultColumn } from './described-columns.js';
import type { PortalPart } from './portal/portal-part.js';
import { BinaryFeed, type GatherFeed } from './gather-feed.js';
import {
  createTable,
  finalText,
  inPlaceRelation,
  onlyValues,
  unnestRelation,
  type Combine,
} from './gather-final.js';
import type { GatherRows } from './gather-rows.js';
import { TextFeed } from './gather-text-feed.js';

/** From here on the planner's guesses of a table nobody has looked at cost more than the look. */
const ANALYZE_ROWS_MIN = 10_000;
/** A sub-select for each row of another table: from here on an index pays within some rows of it. */
const INDEX_ROWS_MIN = 50;
/**
 * ANALYZE reads 300 rows times this (analyze.c): 3,000 tell unique columns from others, which is what
 * joins need, in 5 ms for 100,000 rows; the default of 100 takes 30 ms.
 */
const STATISTICS_TARGET = 10;

/** What the temporary table of an input holds; 'none': there is no table, its rows are all the home's own. */
export type TableWay = 'all' | 'others' | 'none';

/**
 * Off while own rows are read in place: a UNION ALL has no statistics, and joins of unknown size are
 * taken for huge ones, which sorting or a nested loop would suit (and machine code: jit).
 */
export const HASH_JOIN_SETTINGS = ['enable_nestloop', 'enable_mergejoin', 'jit'] as const;

/** Turns them off until the end of the transaction, or until END_HASH_JOINS_SQL. */
export const HASH_JOINS_SQL = settingAll("'off'");
export const END_HASH_JOINS_SQL = settingAll('NULL');

/** `value` NULL: what the session has. */
function settingAll(value: string): string {
  const calls = HASH_JOIN_SETTINGS.map(
    (name) => `pg_catalog.set_config('${name}', ${value}, true)`,
  );
  return `SELECT ${calls.join(', ')}`;
}

export interface GatherScriptOptions {
  readonly spec: GatherSpec;
  /** Columns of each input. */
  readonly columns: readonly (readonly ResultColumn[])[];
  /** The client's Bind message from behind the statement's name. */
  readonly bind: Buffer;
  /** What backends that read inputs have in the places of its last values; absent: these values. */
  readonly valuesOf?: ValuesOf | undefined;
  /** Type OIDs of all the client's parameters. */
  readonly paramTypes: readonly number[];
  /** Names of the temporary tables, as SQL, one for each input. */
  readonly tables: readonly string[];
  readonly combine: Combine;
  /** `Catalog.textOnlyTypes`. */
  readonly textOnlyTypes: ReadonlySet<number> | undefined;
  /**
   * No tables are made: columns of types that have no array here travel as text, which is cast to
   * the type of this name. Null: it has none. Absent: tables take them.
   */
  readonly typeSql?: ((type: number) => string | null) | undefined;
  /** The final statement is bound as this portal; absent: it is executed. */
  readonly portal?: PortalPart | undefined;
}

/** The statements of one gather as its backends get them, by the extended protocol without Sync. */
export class GatherScript {
  /** Null: some input cannot travel as arrays. */
  private readonly arrays: readonly (readonly ArrayColumn[])[] | null;
  private readonly options: GatherScriptOptions;
  private readonly bind: BindParts;
  /** How the rows of each input travel into a table. */
  private readonly formats: readonly ('text' | 'binary')[];
  /** Some of the arrays hold texts of other types. */
  private readonly hasTextArrays: boolean;
  /** What each input is read by, where only rows with certain values are. */
  private readonly asked: InputText[];

  constructor(options: GatherScriptOptions) {
    this.options = options;
    this.bind = new BindParts(options.bind);
    this.arrays = arraysOf(options);
    this.formats = options.columns.map((columns) =>
      columns.every((column) => travelsInBinary(column, options.textOnlyTypes)) ? 'binary' : 'text',
    );
    this.hasTextArrays =
      this.arrays?.some((columns, input) =>
        columns.some((_, column) => !this.isOwnType(input, column)),
      ) === true;
    const { spec, paramTypes } = options;
    this.asked = spec.inputs.map(({ sql }) => ({ sql, bind: this.bind, types: paramTypes }));
  }

  /** With the values that the backend has for itself. */
  private bindOf(backend: BackendConnection, bind: Buffer): Buffer {
    return bindFor(backend, bind, this.options.valuesOf);
  }

  /** Every input can travel in parameters, as far as its types and the number of parameters are concerned. */
  get fitsParameters(): boolean {
    const { arrays, options } = this;
    if (arrays === null) return false;
    const count = arrays.reduce((sum, columns) => sum + columns.length, options.paramTypes.length);
    return count <= PARAMETERS_MAX;
  }

  /** Rows of some input travel as text, which is written and read under the session's settings. */
  get needsText(): boolean {
    return this.hasTextArrays || this.formats.includes('text');
  }

  /** The final statement is not executed: its description is all that it answers. */
  get opensPortal(): boolean {
    return this.options.portal !== undefined;
  }

  /** What the input is read by where that is small; null: by itself. */
  linkOf(input: number): ValueLink | null {
    const link = this.options.spec.inputs[input]!.link ?? null;
    return link !== null && this.isOwnType(link.input, link.column) ? link : null;
  }

  /** From now on the input is read where its link's column has one of these values. */
  restrict(input: number, values: readonly Buffer[]): void {
    const { spec, paramTypes } = this.options;
    const { sql, link } = spec.inputs[input]!;
    const { elementOid, arrayOid } = this.arrays![link!.input]![link!.column]!;
    const array = binaryArray(values, elementOid);
    this.asked[input] = {
      sql: onlyValues(sql, link!.name, paramTypes.length + 1),
      bind: new BindParts(this.bind.withValues([array])),
      types: [...paramTypes, arrayOid],
    };
  }

  /** `rowsMax` 0: all. */
  runInput(backend: BackendConnection, input: number, rowsMax: number): void {
    const { sql, bind, types } = this.asked[input]!;
    const own = this.bindOf(backend, bind.withResults(this.formatOf(input)));
    this.send(backend, sql, own, rowsMax, types, true);
  }

  /** Whether an input's RowDescription has the columns that were learnt: any others would be misread. */
  gives(input: number, buffer: Buffer, start: number, end: number): boolean {
    return hasTypes(buffer, start, end, this.options.columns[input]!);
  }

  private formatOf(input: number): 'text' | 'binary' | readonly number[] {
    if (!this.hasTextArrays) return this.formats[input]!;
    return this.arrays![input]!.map((_, column) => (this.isOwnType(input, column) ? 1 : 0));
  }

  /** The elements of the column's array are of the column's type. */
  private isOwnType(input: number, column: number): boolean {
    return (
      this.arrays?.[input]?.[column]?.elementOid === this.options.columns[input]![column]!.type
    );
  }

  /** `withData`: with the rows that this backend has itself. */
  createTable(home: BackendConnection, input: number, withData: boolean): void {
    const { spec, tables } = this.options;
    const { sql, bind, types } = this.asked[input]!;
    const text = createTable(tables[input]!, spec.inputs[input]!.columns, sql, withData);
    this.send(home, text, this.bindOf(home, bind.withResults('text')), 0, types);
  }

  copyInto(home: BackendConnection, input: number): void {
    const table = this.options.tables[input]!;
    this.sendPlain(home, `COPY ${table} FROM STDIN (FORMAT ${this.formats[input]!})`);
  }

  /** What the rows of an input go through to the COPY. */
  feed(home: BackendConnection, input: number): GatherFeed {
    return this.formats[input] === 'binary' ? new BinaryFeed(home) : new TextFeed(home);
  }

  /** What a table needs once its rows are there; answers how many statements that takes. */
  finishTable(home: BackendConnection, input: number, rowCount: number): number {
    const { spec, tables } = this.options;
    const { primaryKey, lookups = [] } = spec.inputs[input]!;
    const table = tables[input]!;
    const statements: string[] = [];
    if (primaryKey !== null) {
      const columns = primaryKey.map(quoteIdentifier).join(', ');
      statements.push(`ALTER TABLE ${table} ADD PRIMARY KEY (${columns})`);
    }
    if (rowCount >= INDEX_ROWS_MIN) {
      for (const names of lookups) {
        const columns = names.map(quoteIdentifier).join(', ');
        statements.push(`CREATE INDEX ON ${table} (${columns})`);
      }
    }
    if (rowCount >= ANALYZE_ROWS_MIN) {
      const targets = spec.inputs[input]!.columns.map(
        (column) => `ALTER ${quoteIdentifier(column)} SET STATISTICS ${STATISTICS_TARGET}`,
      );
      statements.push(`ALTER TABLE ${table} ${targets.join(', ')}`, `ANALYZE ${table}`);
    }
    for (const statement of statements) this.sendPlain(home, statement);
    return statements.length;
  }

  /** The final statement with the rows of each input, from all its shards, in its parameters. */
  finalOverParameters(home: BackendConnection, rows: readonly (readonly GatherRows[])[]): void {
    const { spec, columns, paramTypes, combine } = this.options;
    const arrays = this.arrays!;
    const relations: string[] = [];
    const values: Buffer[] = [];
    const types = [...paramTypes];
    rows.forEach((parts, input) => {
      const { columns: names } = spec.inputs[input]!;
      const used = arrays[input]!;
      const { collations } = spec.inputs[input]!;
      relations.push(unnestRelation(names, used, types.length + 1, collations));
      const rowCount = parts.reduce((sum, part) => sum + part.rowCount, 0);
      const contents = parts.map((part) => part.content());
      values.push(...arrayParameters(contents, rowCount, used));
      types.push(...used.map((column) => column.arrayOid));
    });
    const text = finalText(spec, relations, columns, combine);
    this.sendFinal(home, text, this.bind.withValues(values), types);
  }

  /**
   * The final statement with tables of the inputs. `ways`: what the table of each holds; where the
   * home's rows are read in place, no statistics tell the planner how many rows a join has.
   */
  finalOverTables(home: BackendConnection, ways: readonly TableWay[]): void {
    const { spec, columns, tables, combine, bind, paramTypes } = this.options;
    const relations = spec.inputs.map((input, i) => {
      const table = tables[i]!;
      if (ways[i] === 'all') return table;
      return inPlaceRelation(input, ways[i] === 'others' ? table : null);
    });
    const text = finalText(spec, relations, columns, combine);
    this.sendFinal(home, text, this.bindOf(home, bind), paramTypes);
  }

  /** Until the end of the transaction, or `endHashJoins`. */
  preferHashJoins(home: BackendConnection): void {
    this.sendPlain(home, HASH_JOINS_SQL);
  }

  /** Answers how many statements that takes. */
  endHashJoins(home: BackendConnection): number {
    this.sendPlain(home, END_HASH_JOINS_SQL);
    return 1;
  }

  /** Answers how many statements that takes. */
  dropTables(home: BackendConnection, ways: readonly TableWay[]): number {
    const tables = this.options.tables.filter((_, input) => ways[input] !== 'none');
    if (tables.length === 0) return 0;
    this.sendPlain(home, `DROP TABLE ${tables.join(', ')}`);
    return 1;
  }

  /** Its columns are described too. */
  private sendFinal(
    home: BackendConnection,
    text: string,
    bind: Buffer,
    types: readonly number[],
  ): void {
    const { portal } = this.options;
    if (portal === undefined) {
      this.send(home, text, bind, 0, types, true);
      return;
    }
    portal.bind(text, types, bind);
    portal.describe();
  }

  private send(
    backend: BackendConnection,
    text: string,
    bind: Buffer,
    rowsMax = 0,
    types: readonly number[] = this.options.paramTypes,
    describe = false,
  ): void {
    const bindAction = describe ? CAPTURE : DROP;
    backend.statements.runUnnamed(unnamedText(text, types), bind, describe, rowsMax, bindAction);
  }

  /** A statement without parameters. */
  private sendPlain(backend: BackendConnection, text: string): void {
    this.send(backend, text, NO_VALUES, 0, NO_TYPES);
  }
}

const NO_TYPES: readonly number[] = [];

/** A statement that reads an input, and what it is bound to. */
interface InputText {
  readonly sql: string;
  readonly bind: BindParts;
  readonly types: readonly number[];
}

function arraysOf({ spec, columns, typeSql }: GatherScriptOptions): ArrayColumn[][] | null {
  const all: ArrayColumn[][] = [];
  for (const [input, { defaultCollations, collations, primaryKey }] of spec.inputs.entries()) {
    if (primaryKey !== null || (!defaultCollations && collations === undefined)) return null;
    const used: ArrayColumn[] = [];
    for (const column of columns[input]!) {
      const array = arrayColumn(column);
      const cast = array === null ? (typeSql?.(column.type) ?? null) : null;
      if (array === null && cast === null) return null;
      used.push(array ?? { ...TEXT_ARRAY, cast });
    }
    all.push(used);
  }
  return all;
}
