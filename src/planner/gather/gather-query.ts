import type { RangeVar, SelectStmt } from '@pgsql/types';
import type { CatalogRelation } from '../../keyspace/catalog.js';
import type { Analysis } from '../analysis.js';
import { stringsOf } from '../ast.js';
import type { Occurrence } from '../model.js';
import { tablesOf, type Tables } from '../placement.js';
import type {
  ColumnTerm,
  FinalPiece,
  GatherInput,
  GatherSpec,
  KeyInterval,
  KeySource,
  ShardSelector,
} from '../plan.js';
import { refuse } from '../refusals.js';
import { TABLE_OID } from '../scopes.js';
import { movedSample } from '../samples.js';
import type { StatementContext } from '../statement-context.js';
import { columnsOfTerm } from '../terms.js';
import type { ViewUse } from '../views.js';
import { ColumnUse } from './column-use.js';
import { homeOf, type Home } from './home.js';
import { levelsBelow, pushedQueries, viewShards, type Search } from './pushed-queries.js';
import { tableInput, viewInput } from './table-input.js';
import { hideTableOids, TABLE_NAME, withTableOids } from './table-oids.js';
import { StatementText } from './text-edits.js';
import { withValueLinks, type Origin } from './value-links.js';
import { widenGroup } from './wider-group.js';
import { WholeRows } from './whole-rows.js';

/**
 * Plans any query over tables of any keyspaces: what the tables hold is read where it is, filtered
 * and cut to the columns that are needed, and one server, the home, runs the statement's own text
 * over it. The spec holds every literal of the text, so the plan serves texts with the same ones
 * only. Throws Refused for what would not give PostgreSQL's own answer.
 *
 *     SELECT ... FROM orders o JOIN settings ON ...
 *                     ------        --------
 *                     input 0       input 1           final: the text with these two replaced
 */
export function gatherQuery(
  statement: SelectStmt,
  analysis: Analysis,
  context: StatementContext,
): GatherSpec {
  refuseEffects(analysis, TABLE_OID);
  const tables = tablesOf(analysis);
  const home = homeOf(tables, analysis);
  context.constants.dependOnAll();
  // What shards answer alone would tell numbers of their own.
  const pushes = analysis.systemColumn === null;
  const gathering = new Gathering(tables, home, { pushes, shares: true }, analysis, context);
  const final = gathering.text(statement, context);
  // What was found by the values of one sample does not go with another one.
  const links = analysis.sampled.size === 0;
  const inputs = links ? withValueLinks(gathering.inputs, gathering.origins) : gathering.inputs;
  const readsInPlace = isReadOnce(inputs, tables, home, analysis);
  return { inputs, home: home.shards, final, ...(readsInPlace ? { readsInPlace } : {}) };
}

/** The statement's own text with tables replaced, each by an input of which `origins` has the table. */
export interface TableInputs {
  readonly text: readonly FinalPiece[];
  readonly inputs: readonly GatherInput[];
  readonly origins: readonly Origin[];
}

/**
 * The same with nothing but the tables that `holds` denies in their own places. Throws Refused as above.
 * @param shares whether tables that are read alike are one input
 */
export function tableInputs(
  statement: SelectStmt,
  home: Home,
  shares: boolean,
  analysis: Analysis,
  context: StatementContext,
): TableInputs {
  refuseEffects(analysis, null);
  const ways = { pushes: false, shares };
  const gathering = new Gathering(tablesOf(analysis), home, ways, analysis, context);
  const text = gathering.text(statement, context);
  return { text, inputs: gathering.inputs, origins: gathering.origins };
}

/** Nothing of the statement is computed row by row over an input, or over a table of the home's. */
function isReadOnce(
  inputs: readonly GatherInput[],
  tables: Tables,
  home: Home,
  analysis: Analysis,
): boolean {
  const others = [...tables.reference, ...tables.unsharded];
  return (
    analysis.correlated.size === 0 &&
    analysis.levels.every((level) => !level.recursive) &&
    tables.system.length === 0 &&
    others.every(({ table, entry }) => !home.holds(table!, entry)) &&
    inputs.every(({ primaryKey, lookups }) => primaryKey === null && lookups === undefined)
  );
}

interface Ways {
  /** Queries in the statement may be inputs, where shards answer them alone. */
  readonly pushes: boolean;
  /** Tables that are read alike are one input. */
  readonly shares: boolean;
}

/** The inputs of one statement, found while its text, and those of views in it, are put together. */
class Gathering {
  readonly inputs: GatherInput[] = [];
  /** Of each input. */
  readonly origins: Origin[] = [];
  readonly #tables: Tables;
  readonly #home: Home;
  readonly #ways: Ways;
  readonly #analysis: Analysis;
  readonly #context: StatementContext;

  /** @param context of the statement itself, which the literals of shard keys are in */
  constructor(
    tables: Tables,
    home: Home,
    ways: Ways,
    analysis: Analysis,
    context: StatementContext,
  ) {
    this.#tables = tables;
    this.#home = home;
    this.#ways = ways;
    this.#analysis = analysis;
    this.#context = context;
  }

  /** A query's text with inputs in the places of what is not on the home. */
  text(select: SelectStmt, context: StatementContext): FinalPiece[] {
    const analysis = this.#analysis;
    const text = new StatementText(context);
    const search = { tables: this.#tables, home: this.#home, text, analysis, context };
    const pushed = this.#ways.pushes ? pushedQueries(select, search) : [];
    const skip = new Set(pushed.map((query) => query.select));
    for (const { input, place, level } of pushed) {
      const pieces = ['SELECT * FROM ', this.#add(input, level), ` AS ${INPUT_ALIAS}`];
      text.replace({ start: place.start, end: place.end, pieces });
    }
    const statement = { SelectStmt: select };
    const use = new ColumnUse(statement, skip);
    const moved = use.ranges.filter((range) => this.#moves(range));
    checkNames(moved, analysis);
    const rows = new WholeRows(statement, skip, moved, analysis);
    rows.giveTypes(text);
    if (analysis.systemColumn !== null) hideTableOids(select, use.ranges, analysis, text);
    for (const range of moved) text.replaceTable(range, this.#relation(range, use, rows, search));
    cutSchemas(use, moved, analysis, text);
    return text.pieces();
  }

  /** Whether a relation is not what the home has under its name. */
  #moves(range: RangeVar): boolean {
    const view = this.#analysis.views.get(range);
    if (view !== undefined) {
      const below = levelsBelow(view.level, this.#analysis);
      return [...this.#tables.sharded, ...this.#tables.reference, ...this.#tables.unsharded].some(
        ({ entry, table }) => below.has(entry.level) && !this.#home.holds(table!, entry),
      );
    }
    const occurrence = this.#analysis.ranges.get(range);
    const table = occurrence?.table ?? null;
    return table !== null && !this.#home.holds(table, occurrence!.entry);
  }

  /** What stands in the place of a table or view. */
  #relation(
    range: RangeVar,
    use: ColumnUse,
    rows: WholeRows,
    search: Search,
  ): readonly FinalPiece[] {
    const analysis = this.#analysis;
    const { context } = search;
    const view = analysis.views.get(range);
    if (view === undefined) {
      const occurrence = analysis.ranges.get(range)!;
      const sample = movedSample(occurrence, search.text, analysis);
      const input = tableInput(range, occurrence, sample, use, analysis, context);
      const { primaryKey } = input;
      if (input.columns.includes(TABLE_NAME)) return this.#withTableOids(input, occurrence);
      const isFree =
        primaryKey !== null && widenGroup(range, occurrence, input, search.text, analysis);
      const added = this.#add(isFree ? { ...input, primaryKey: null } : input, occurrence);
      return rows.typedRelation(range, [added], primaryKey !== null);
    }
    const shards = viewShards(view, search);
    if (shards !== null) {
      const added = this.#add(viewInput(view, shards, use, analysis, context), view.level);
      return rows.typedRelation(range, [added], false);
    }
    const bytes = Buffer.from(view.relation.viewDefinition!);
    const { length: end } = bytes;
    const inside = { ...context, bytes, textStart: 0, textEnd: end, start: 0, end };
    return rows.typedRelation(range, ['(', ...this.text(view.select, inside), ')'], false);
  }

  #withTableOids(input: GatherInput, occurrence: Occurrence): FinalPiece[] {
    if (input.primaryKey !== null) {
      refuse(
        `system column "${TABLE_OID}" over several shards beside GROUP BY that counts on the primary key is not supported`,
        'Name all the columns in GROUP BY.',
      );
    }
    return withTableOids(this.#add(input, occurrence), input);
  }

  /** Two samples of a table differ. */
  #isSampled(of: Origin['of']): boolean {
    return of !== null && 'entry' in of && this.#analysis.sampled.has(of.entry);
  }

  /** Where inputs may be shared, tables that are read alike have one. */
  #add(input: GatherInput, of: Origin['of']): { readonly kind: 'input'; readonly input: number } {
    const shares = this.#ways.shares && !this.#isSampled(of);
    const known = shares
      ? this.inputs.findIndex((other) => isSame(other, input, this.#context))
      : -1;
    if (known < 0) {
      this.origins.push({ of, shared: false });
      return { kind: 'input', input: this.inputs.push(input) - 1 };
    }
    this.origins[known]!.shared = true;
    const other = this.inputs[known]!;
    const lookups = distinct([...(other.lookups ?? []), ...(input.lookups ?? [])]);
    if (lookups.length > 0) this.inputs[known] = { ...other, lookups };
    return { kind: 'input', input: known };
  }
}

/** What a pushed query is called where it stood; nothing outside its parentheses sees it. */
export const INPUT_ALIAS = 'sg_rows';

/**
 * What a statement does besides reading is done where its rows are, and not where copies are.
 * @param allowed the system column that can be told; null: none
 */
function refuseEffects(analysis: Analysis, allowed: string | null): void {
  if (analysis.unknownRelations.length > 0) {
    const name = analysis.unknownRelations[0]!.relname ?? '';
    refuse(`relation "${name}" does not exist`, '', 'undefined_table');
  }
  if (analysis.nestedWrites > 0) {
    refuse(
      'a data-modifying WITH query over several shards is not supported',
      'Write in a statement of its own, or bind the shard key so that one shard can answer.',
    );
  }
  if (analysis.levels.some((level) => level.locking)) {
    refuse(
      'row locks over several shards are not supported in this statement',
      'Lock the rows of one shard by binding the shard key, or leave FOR UPDATE or FOR SHARE out.',
    );
  }
  if (analysis.systemColumn !== null && analysis.systemColumn !== allowed) {
    refuse(
      `system column "${analysis.systemColumn}" over several shards is not supported`,
      'Its values have a meaning on one shard only: bind the shard key, or use another column.',
    );
  }
  if (analysis.effects.length > 0) {
    refuse(
      'function "set_config" is only supported in a SELECT of its own',
      'Run SELECT set_config(...) without FROM, or SET, as a statement of its own.',
    );
  }
}

/** The table or view that a name in the statement means. */
function relationOf(range: RangeVar, analysis: Analysis): CatalogRelation {
  return (analysis.ranges.get(range) ?? analysis.views.get(range)!).relation;
}

/**
 * Tables of two schemas may share a name in one FROM list; what stands in their place may not. Where
 * PostgreSQL forbids that too, or a join's alias hides one of them, it is left to the server.
 */
export function checkNames(moved: readonly RangeVar[], analysis: Analysis): void {
  const bare = [...analysis.ranges, ...analysis.views].filter(([{ alias }]) => alias === undefined);
  const uses = new Map<RangeVar, Occurrence | ViewUse>(bare);
  for (const range of moved) {
    const own = uses.get(range);
    if (own === undefined) continue;
    const { entry, relation } = own;
    const isTwin = ({ entry: other, relation: its }: Occurrence | ViewUse): boolean =>
      other.level === entry.level && other.alias === entry.alias && its !== relation;
    if ([...uses.values()].some(isTwin)) {
      refuse(
        `two tables "${range.relname ?? ''}" without aliases in one FROM list are not supported`,
        'Give each of them an alias.',
      );
    }
  }
}

/** Columns written `schema.table.column` lose their schema. */
export function cutSchemas(
  use: ColumnUse,
  moved: readonly RangeVar[],
  analysis: Analysis,
  text: StatementText,
): void {
  const bare = new Set<string>();
  for (const range of moved) {
    const { schema, name } = relationOf(range, analysis);
    if (range.alias === undefined) bare.add(`${schema}.${name}`);
  }
  for (const reference of use.longReferences) {
    const names = stringsOf(reference.fields);
    const place = names.length - (names.length === reference.fields?.length ? 3 : 2);
    if (bare.has(`${names[place]}.${names[place + 1]}`)) text.cutSchema(reference);
  }
}

/**
 * The same text on the same shards: those of key values may differ where the texts agree. What is grouped by must read
 * the same relation wherever it is written.
 */
function isSame(a: GatherInput, b: GatherInput, context: StatementContext): boolean {
  return (
    a.sql === b.sql &&
    String(a.primaryKey) === String(b.primaryKey) &&
    keysOf(a.shards, context) === keysOf(b.shards, context)
  );
}

/** The values that choose the shards; equal texts for equal values. */
function keysOf(shards: ShardSelector, context: StatementContext): string {
  const ofColumns = (terms: readonly ColumnTerm[]): unknown[] =>
    terms.map(({ source, inputType, column }) => [valueOf(source, context), inputType, column]);
  switch (shards.kind) {
    case 'keys':
      return JSON.stringify(
        shards.groups.map((group) => group.map((term) => ofColumns(columnsOfTerm(term)))),
      );
    case 'all':
      return JSON.stringify(
        (shards.within ?? []).map(({ conditions }) =>
          conditions.map((intervals) => intervals.map((one) => endsOf(one, context))),
        ),
      );
    case 'lookup': {
      const values = shards.terms.map(({ source }) => valueOf(source, context));
      return JSON.stringify([shards.lookup.name, values]);
    }
    default:
      return '';
  }
}

function endsOf({ lower, upper }: KeyInterval, context: StatementContext): unknown[] {
  return [lower, upper].map((end) => end && [valueOf(end.source, context), end.inclusive]);
}

function valueOf(source: KeySource, context: StatementContext): unknown[] {
  if (source.kind === 'param' || source.kind === 'paramArray') return [source.kind, source.index];
  const { bytes, textStart, literals } = context;
  const text =
    source.kind === 'constant'
      ? source.bytes
      : bytes.subarray(
          textStart + literals.starts[source.index]!,
          textStart + literals.ends[source.index]!,
        );
  const negative = source.kind === 'literal' && source.negative;
  return [text === null ? null : Buffer.from(text).toString('hex'), negative];
}

function distinct(lists: readonly (readonly string[])[]): (readonly string[])[] {
  return [...new Map(lists.map((list) => [list.join('\0'), list])).values()];
}
