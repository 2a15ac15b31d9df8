import type { Node, SelectStmt, TypeName } from '@pgsql/types';
import type { CatalogColumn } from '../../keyspace/catalog.js';
import type { Keyspace } from '../../keyspace/topology.js';
import type { Analysis } from '../analysis.js';
import { bodyOf, forEachChild, kindOf, selectOf } from '../ast.js';
import { namesCollation, typesMayCollate } from '../collations.js';
import type { Level, Occurrence } from '../model.js';
import type { Tables } from '../placement.js';
import type { GatherInput, ShardSelector } from '../plan.js';
import { driverShards } from '../selectors.js';
import { splitQuery } from '../splitting.js';
import type { StatementContext } from '../statement-context.js';
import type { ViewUse } from '../views.js';
import { ColumnUse } from './column-use.js';
import { estimatedRows, type Home } from './home.js';
import { isPlainQuery } from './plain-expressions.js';
import { findSelect, type SelectPlace } from './select-place.js';
import { hasDefaultCollation } from './table-input.js';
import type { StatementText } from './text-edits.js';

/** A sub-select or WITH query that shards answer alone, so that only its rows travel. */
interface PushedQuery {
  readonly select: SelectStmt;
  readonly input: GatherInput;
  readonly place: SelectPlace;
  /** Whose columns the input has; null: one that tells whether there are rows. */
  readonly level: Level | null;
}

/** What is asked of every candidate. */
export interface Search {
  readonly tables: Tables;
  readonly home: Home;
  readonly text: StatementText;
  readonly analysis: Analysis;
  readonly context: StatementContext;
}

/** The outermost queries below the statement's own that can be pushed to shards as they stand. */
export function pushedQueries(statement: SelectStmt, search: Search): PushedQuery[] {
  const out: PushedQuery[] = [];
  const visit = (node: Node): void => {
    const select = candidateOf(node);
    const exists = 'SubLink' in node && node.SubLink.subLinkType === 'EXISTS_SUBLINK';
    const pushed = select === null ? null : pushedQuery(select, exists, search);
    if (pushed === null) forEachChild(bodyOf(node), visit);
    else {
      out.push(pushed);
      // What the query is compared with stands beside it.
      if ('SubLink' in node && node.SubLink.testexpr !== undefined) visit(node.SubLink.testexpr);
    }
  };
  forEachChild(statement, visit);
  return out;
}

/** The query of a place where a query stands in parentheses. */
export function candidateOf(node: Node): SelectStmt | null {
  if ('RangeSubselect' in node) return selectOf(node.RangeSubselect.subquery);
  if ('CommonTableExpr' in node) return selectOf(node.CommonTableExpr.ctequery);
  return 'SubLink' in node ? selectOf(node.SubLink.subselect) : null;
}

/** `exists`: all that matters is whether the query has a row, so that each shard gives one at most. */
function pushedQuery(select: SelectStmt, exists: boolean, search: Search): PushedQuery | null {
  const { analysis, context } = search;
  const level = analysis.queries.get(select);
  if (level === undefined || analysis.correlated.has(level)) return null;
  const below = levelsBelow(level, analysis);
  const shards = shardsOf(level, below, search);
  if (shards === null) return null;
  const columns = exists ? ['sg_row'] : columnsOf(level);
  if (columns === null || !standsAlone(select, below, analysis)) return null;
  const used = usedColumns(select, analysis);
  const place = findSelect(select, search.text, context);
  if (place === null) return null;
  const plain = !analysis.readsCatalog && hasDefaultCollations(select, used, analysis);
  const collations = plain || exists ? null : outputCollations(select, level, analysis);
  const input: GatherInput = {
    label: labelOf(below, search.tables),
    shards,
    sql: exists ? `SELECT true AS sg_row WHERE EXISTS (${place.sql})` : place.sql,
    columns,
    primaryKey: null,
    defaultCollations: plain,
    ...(collations === null ? {} : { collations }),
    estimatedRows: guess(select, below, search.tables),
  };
  return { select, input, place, level: exists ? null : level };
}

/** No more rows than the largest of its tables has, and few where they are chosen or counted. */
function guess(
  select: SelectStmt,
  below: ReadonlySet<Level>,
  { sharded, reference, unsharded }: Tables,
): number | null {
  const sizes = [...sharded, ...reference, ...unsharded]
    .filter(({ entry }) => below.has(entry.level))
    .map(estimatedRows);
  if (sizes.some((rows) => rows === null)) return null;
  const rows = Math.max(1, ...sizes.map(Number));
  const { whereClause, groupClause } = select;
  return whereClause === undefined && groupClause === undefined ? rows : Math.ceil(rows / 32);
}

/** The shards that answer a view alone; null: they do not. */
export function viewShards(view: ViewUse, search: Search): ShardSelector | null {
  const { analysis } = search;
  if (!isPlainQuery(view.select, analysis)) return null;
  return shardsOf(view.level, levelsBelow(view.level, analysis), search);
}

/** The query with all that stand in it, views included. */
export function levelsBelow(top: Level, analysis: Analysis): Set<Level> {
  const out = new Set<Level>();
  for (const level of analysis.levels) {
    let ancestor: Level | null = level;
    while (ancestor !== null && ancestor !== top) ancestor = ancestor.parent;
    if (ancestor === top) out.add(level);
  }
  return out;
}

/** The shards that answer the query together; null: none do, or the home has all it needs. */
function shardsOf(
  level: Level,
  below: ReadonlySet<Level>,
  { tables, home, analysis }: Search,
): ShardSelector | null {
  const inside = <T extends Occurrence>(list: readonly T[]): T[] =>
    list.filter(({ entry }) => below.has(entry.level));
  const sharded = inside(tables.sharded);
  const others = [...inside(tables.reference), ...inside(tables.unsharded)];
  const users = [...sharded, ...others];
  const keyspaces = new Set(users.map(({ table }) => table!.keyspace));
  const [keyspace] = keyspaces;
  if (keyspaces.size !== 1 || inside(tables.system).length > 0) return null;
  if (users.every(({ table, entry }) => home.holds(table!, entry))) return null;
  if (sharded.length === 0) return wholeShard(keyspace!);
  // The order of rows is lost when those of several shards come together.
  if ([...below].some((member) => member.ordered)) return null;
  const placement = {
    keyspace: keyspace!,
    sharded,
    reference: inside(tables.reference),
    unsharded: [],
    system: [],
  };
  const split = splitQuery(level, placement, analysis);
  return split.kind === 'split' ? driverShards(split, analysis) : null;
}

/** A shard that has all of the reference or unsharded tables of a keyspace. */
function wholeShard(keyspace: Keyspace): ShardSelector {
  return keyspace.sharded
    ? { kind: 'any', keyspace }
    : { kind: 'shard', shard: keyspace.shards[0]! };
}

/** The names of the query's columns; null where they are unknown, or not one name each. */
export function columnsOf(level: Level): string[] | null {
  if (level.openOutputs || level.outputs.length === 0) return null;
  const names = level.outputs.map(({ name }) => name ?? '?column?');
  return new Set(names).size === names.length ? names : null;
}

/** Values that have no type a table's column could have, or one that is not known here. */
const rowKinds = new Set(['RowExpr', 'RangeFunction', 'RangeTableFunc', 'JsonTable']);

/**
 * Whether shards find the same rows as one server would, with nothing of the statement around the
 * query, and in columns that a table may have.
 */
function standsAlone(select: SelectStmt, below: ReadonlySet<Level>, analysis: Analysis): boolean {
  return isPlainQuery(select, analysis) && hasOwnMeaning(select, below, analysis);
}

/** Whether a query means the same with nothing of the statement around it. */
export function hasOwnMeaning(
  select: SelectStmt,
  below: ReadonlySet<Level>,
  analysis: Analysis,
): boolean {
  let alone = true;
  const visit = (node: Node): void => {
    if (rowKinds.has(kindOf(node))) alone = false;
    if ('TypeCast' in node && isUnknownType(node.TypeCast.typeName, analysis)) alone = false;
    if ('RangeVar' in node) {
      const cte = analysis.cteRanges.get(node.RangeVar);
      if (cte !== undefined && (cte === null || !below.has(cte))) alone = false;
    }
    forEachChild(bodyOf(node), visit);
  };
  forEachChild(select, visit);
  return alone;
}

function isUnknownType(type: TypeName | undefined, analysis: Analysis): boolean {
  return type === undefined || analysis.names.typeOid(type) === 0;
}

/** The columns of tables and views that the query may speak of. */
export function usedColumns(select: SelectStmt, analysis: Analysis): CatalogColumn[] {
  const use = new ColumnUse({ SelectStmt: select });
  return use.ranges.flatMap((range) => {
    const { relation } = analysis.ranges.get(range) ?? analysis.views.get(range) ?? {};
    return (relation?.columns ?? []).filter(({ name }) => use.needs(range, name));
  });
}

/** Whether the query's text columns keep what they are in array parameters. */
export function keepsCollations(select: SelectStmt, analysis: Analysis): boolean {
  if (analysis.readsCatalog) return false;
  return hasDefaultCollations(select, usedColumns(select, analysis), analysis);
}

/** Of outputs that are columns of tables as they stand; null: some are not, or have one that is not known. */
function outputCollations(
  select: SelectStmt,
  level: Level,
  analysis: Analysis,
): (string | null)[] | null {
  if (analysis.readsCatalog || analysis.tellsDomains || namesCollation(select)) return null;
  const out: (string | null)[] = [];
  for (const { variable } of level.outputs) {
    const relation = variable === null ? undefined : analysis.tables.get(variable.entry)?.relation;
    const column = relation?.columns.find(({ name }) => name === variable!.name);
    const isDefault = column !== undefined && hasDefaultCollation(column);
    const collation = isDefault ? null : column?.collationName;
    if (collation === undefined) return null;
    out.push(collation);
  }
  return out;
}

function hasDefaultCollations(
  select: SelectStmt,
  used: readonly CatalogColumn[],
  { names, tellsDomains }: Analysis,
): boolean {
  if (tellsDomains || !used.every(hasDefaultCollation) || namesCollation(select)) return false;
  return !typesMayCollate(select, used, names);
}

/** `orders o, customers` */
export function labelOf(below: ReadonlySet<Level>, tables: Tables): string {
  const all = [...tables.sharded, ...tables.reference, ...tables.unsharded];
  const names = all
    .filter(({ entry }) => below.has(entry.level))
    .map(({ entry, relation }) =>
      entry.alias === relation.name ? relation.name : `${relation.name} ${entry.alias}`,
    );
  return names.join(', ');
}
