import type { RangeVar } from '@pgsql/types';
import type { CatalogColumn, CatalogRelation } from '../../keyspace/catalog.js';
import { TypeOid } from '../../keyspace/type-oids.js';
import { quoteIdentifier, quoteQualified } from '../../sql/quote.js';
import type { Analysis } from '../analysis.js';
import type { Entry, Occurrence } from '../model.js';
import type { GatherInput, ShardSelector } from '../plan.js';
import type { StatementContext } from '../statement-context.js';
import { TABLE_OID } from '../scopes.js';
import { allWithin } from '../selectors.js';
import { isWhole, keyTerms } from '../terms.js';
import type { ViewUse } from '../views.js';
import { nameOf, type ColumnUse } from './column-use.js';
import { filtersOf } from './filters.js';
import { groupedColumns, namesOf } from './grouped-columns.js';
import { estimatedRows, ROWS_UNKNOWN } from './home.js';
import { lookupColumns } from './lookups.js';
import { semiJoinsOf } from './semi-joins.js';
import { TABLE_NAME, TABLE_NAME_SQL } from './table-oids.js';

/** A table or view where a statement names it, and where its rows are. */
interface Source {
  readonly range: RangeVar;
  readonly entry: Entry;
  readonly relation: CatalogRelation;
  readonly shards: ShardSelector;
  readonly tableRows: number | null;
  /** The table's TABLESAMPLE clause; '' where it has none. */
  readonly sample: string;
  /** Conditions on other tables of its shards. */
  readonly semiJoins: readonly string[];
}

/**
 * The rows and columns that the statement needs of a table where it stands.
 * @param sample its TABLESAMPLE clause
 */
export function tableInput(
  range: RangeVar,
  occurrence: Occurrence,
  sample: string,
  use: ColumnUse,
  analysis: Analysis,
  context: StatementContext,
): GatherInput {
  const { entry, relation } = occurrence;
  const shards = shardsOf(occurrence, analysis);
  const rows = estimatedRows(occurrence);
  const semiJoins = semiJoinsOf(occurrence, analysis, context);
  const source = { range, entry, relation, shards, tableRows: rows, sample, semiJoins };
  return sourceInput(source, use, analysis, context);
}

/** The rows and columns that the statement needs of a view whose shards answer alone. */
export function viewInput(
  view: ViewUse,
  shards: ShardSelector,
  use: ColumnUse,
  analysis: Analysis,
  context: StatementContext,
): GatherInput {
  const source = { ...view, shards, tableRows: null, sample: '', semiJoins: [] };
  return sourceInput(source, use, analysis, context);
}

function sourceInput(
  source: Source,
  use: ColumnUse,
  analysis: Analysis,
  context: StatementContext,
): GatherInput {
  const { range, relation, shards } = source;
  const columns = relation.columns.filter(({ name }) => use.needs(range, name));
  const tells = analysis.systemColumn === TABLE_OID && use.names(range, TABLE_OID);
  const none = columns.length === 0 && !tells;
  const list = columns.map(({ name }) => quoteIdentifier(name));
  if (tells) list.push(TABLE_NAME_SQL);
  if (none) list.push(`true AS ${NO_COLUMN}`);
  const filters = conditionsOf(source, analysis, context);
  const lookups = range.alias?.colnames === undefined ? lookupColumns(source.entry, analysis) : [];
  return {
    label: range.alias === undefined ? relation.name : `${relation.name} ${nameOf(range)}`,
    shards,
    sql: `SELECT ${list.join(', ')} FROM ${textOf(source, filters)}`,
    columns: [
      ...columns.map(({ name }) => name),
      ...(tells ? [TABLE_NAME] : []),
      ...(none ? [NO_COLUMN] : []),
    ],
    primaryKey: groupedKey(source, columns, analysis),
    ...(lookups.length === 0 ? {} : { lookups: [lookups] }),
    ...collationsOf(columns, tells, analysis),
    estimatedRows: guess(source, filters.length > 0),
  };
}

/** Conditions that rows must meet to be needed. */
function conditionsOf(source: Source, analysis: Analysis, context: StatementContext): string[] {
  // Under other names the conditions would have to be written anew.
  if (source.range.alias?.colnames !== undefined) return [];
  return [...filtersOf(source.entry, analysis, context), ...source.semiJoins];
}

/** Nobody knows what conditions leave of a table: a key little, others some of it. */
function guess({ shards, tableRows }: Source, filtered: boolean): number | null {
  const keyed = shards.kind === 'keys' && shards.groups.flat().every(isWhole);
  const part = keyed ? KEY_PART : filtered ? FILTERED_PART : 1;
  if (tableRows === null && part === 1) return null;
  return Math.ceil((tableRows ?? ROWS_UNKNOWN) / part);
}

const KEY_PART = 1000;
const FILTERED_PART = 32;

type Collations = Pick<GatherInput, 'defaultCollations' | 'collations'>;

/** `tells`: the name of the row's table stands behind the columns. */
function collationsOf(
  columns: readonly CatalogColumn[],
  tells: boolean,
  { readsCatalog, tellsDomains }: Analysis,
): Collations {
  if (tellsDomains) return { defaultCollations: false };
  if (columns.every(hasDefaultCollation)) return { defaultCollations: !readsCatalog };
  const isKnown = (column: CatalogColumn): boolean =>
    hasDefaultCollation(column) || column.collationName !== undefined;
  if (readsCatalog || !columns.every(isKnown)) return { defaultCollations: false };
  const collations = columns.map(({ collationName }) => collationName ?? null);
  if (tells) collations.push(null);
  return { defaultCollations: false, collations };
}

/** The table with its conditions. */
function textOf({ range, relation, sample }: Source, filters: readonly string[]): string {
  const name = quoteQualified(relation.schema, relation.name);
  const table = range.inh === true ? name : `ONLY ${name}`;
  if (filters.length === 0) return `${table}${sample}`;
  const alias = range.alias === undefined ? '' : ` AS ${quoteIdentifier(nameOf(range))}`;
  return `${table}${alias}${sample} WHERE ${filters.join(' AND ')}`;
}

/** Stands for rows of which no column is needed. */
const NO_COLUMN = 'sg_row';

/** The shards that hold rows of a table that matter. */
function shardsOf(occurrence: Occurrence, analysis: Analysis): ShardSelector {
  const table = occurrence.table!;
  const { keyspace } = table;
  if (!keyspace.sharded) return { kind: 'shard', shard: keyspace.shards[0]! };
  if (table.type !== 'sharded') return { kind: 'any', keyspace };
  const sharded = { ...occurrence, table };
  const terms = keyTerms(sharded, analysis);
  if (terms === null) return allWithin([sharded], analysis);
  return { kind: 'keys', keyspace, groups: [terms] };
}

/**
 * The primary key, where GROUP BY may hold it, so that other columns follow from it (PostgreSQL 18,
 * 7.2.3).
 */
function groupedKey(
  { entry, relation }: Source,
  columns: readonly CatalogColumn[],
  analysis: Analysis,
): readonly string[] | null {
  const { level } = entry;
  const key = relation.primaryKey ?? null;
  if (!level.grouped || key === null) return null;
  if (!key.every((name) => columns.some((column) => column.name === name))) return null;
  const grouped = groupedColumns(level, analysis);
  if (grouped === null) return key;
  const names = namesOf(grouped.some, entry);
  if (columns.every(({ name }) => names.has(name))) return null;
  return key.every((name) => names.has(name)) ? key : null;
}

const collatedTypes: ReadonlySet<number> = new Set([
  TypeOid.text,
  TypeOid.varchar,
  TypeOid.bpchar,
  TypeOid.name,
  0,
]);

/**
 * Columns that keep what they are as elements of array parameters. The type `name` and, where the
 * catalog does not tell, every type of text are taken to have a collation of their own.
 */
export function hasDefaultCollation({ type, collation }: CatalogColumn): boolean {
  if (collation !== undefined) return collation === 'default';
  return !collatedTypes.has(type);
}
