import type { ColumnRef } from '@pgsql/types';
import { stringOf } from './ast.js';
import { Variable, type Entry, type Level } from './model.js';
import type { CatalogRelation } from '../keyspace/catalog.js';

/** A column that a name may mean; `variable` null: an expression or something unknown. */
export interface ScopeColumn {
  readonly name: string;
  readonly variable: Variable | null;
}

/**
 * One name space item, as PostgreSQL's parser keeps them (parse_relation.c, ParseNamespaceItem).
 */
export interface ScopeItem {
  /** Alias or table name; null: an unnamed join. */
  readonly name: string | null;
  /** Schema, where the item can be called `schema.table`. */
  readonly schema: string | null;
  readonly columns: readonly ScopeColumn[];
  /** It may have more columns than are known here. */
  readonly open: boolean;
  /**
   * Its columns can be called without a prefix (those of a join's sides go through the join's own
   * item).
   */
  readonly columnsVisible: boolean;
  /** A base table, whose system columns can be called too. */
  readonly relation: CatalogRelation | null;
}

/** The names visible at one place of a query; `parent` those of the queries around it. */
export interface Scope {
  readonly level: Level;
  readonly items: readonly ScopeItem[];
  readonly parent: Scope | null;
}

export type ResolvedColumn =
  | { readonly kind: 'column'; readonly variable: Variable | null; readonly level: Level }
  | { readonly kind: 'systemColumn'; readonly name: string }
  /** A whole row, or every column of something. */
  | { readonly kind: 'star'; readonly items: readonly ScopeItem[] | null }
  /** No column: an error that PostgreSQL will raise, or `row.function`. */
  | { readonly kind: 'none'; readonly field: string };

/** The one system column that means something on more than one shard. */
export const TABLE_OID = 'tableoid';
const systemColumns = new Set(['ctid', TABLE_OID, 'xmin', 'xmax', 'cmin', 'cmax']);
const UNKNOWN_FIELD = { kind: 'none', field: '' } as const;

/** What a column reference means at a place, found from the inside outwards. */
export function resolveColumn(reference: ColumnRef, scope: Scope): ResolvedColumn {
  const fields = reference.fields ?? [];
  const names = fields.map(stringOf);
  const last = names.at(-1) ?? null;
  if (last === null) {
    if (fields.length === 1) return { kind: 'star', items: null };
    const item = findItem(names.slice(0, -1), scope);
    return item === null ? UNKNOWN_FIELD : { kind: 'star', items: [item.item] };
  }
  if (fields.length === 1) return resolveBare(last, scope);
  const found = findItem(names.slice(0, -1), scope);
  if (found === null) {
    // `row.field.subfield`, `column.field`: an expression over something that does not name a key
    // by itself.
    return { kind: 'none', field: last };
  }
  const column = columnOf(found.item, last, found.level);
  if (column !== null) return column;
  if (found.item.open) return { kind: 'column', variable: null, level: found.level };
  return { kind: 'none', field: last };
}

function resolveBare(name: string, scope: Scope): ResolvedColumn {
  for (let place: Scope | null = scope; place !== null; place = place.parent) {
    const matches: ResolvedColumn[] = [];
    let open = false;
    for (const item of place.items) {
      if (!item.columnsVisible) continue;
      open ||= item.open;
      const column = columnOf(item, name, place.level);
      if (column !== null) matches.push(column);
    }
    if (matches.length === 1) return matches[0]!;
    if (matches.length > 1) return { kind: 'none', field: name };
    // Something here may have a column of this name: nothing further out may be believed.
    if (open) return { kind: 'column', variable: null, level: place.level };
  }
  for (let place: Scope | null = scope; place !== null; place = place.parent) {
    const item = place.items.find((candidate) => candidate.name === name);
    if (item !== undefined) return { kind: 'star', items: [item] };
  }
  return { kind: 'none', field: name };
}

function columnOf(item: ScopeItem, name: string, level: Level): ResolvedColumn | null {
  let found: ScopeColumn | null = null;
  for (const column of item.columns) {
    if (column.name !== name) continue;
    if (found !== null) return { kind: 'column', variable: null, level };
    found = column;
  }
  if (found !== null) return { kind: 'column', variable: found.variable, level };
  if (item.relation !== null && systemColumns.has(name)) return { kind: 'systemColumn', name };
  return null;
}

/** The item that `table` or `schema.table` names. */
function findItem(
  names: readonly (string | null)[],
  scope: Scope,
): { item: ScopeItem; level: Level } | null {
  const name = names.at(-1) ?? null;
  const schema = names.length > 1 ? (names.at(-2) ?? null) : null;
  for (let place: Scope | null = scope; place !== null; place = place.parent) {
    for (const item of place.items) {
      if (item.name !== name || name === null) continue;
      if (schema === null || item.schema === schema) return { item, level: place.level };
    }
  }
  return null;
}

/**
 * The variable of a base table's column, made when it is first asked for; null where there is no
 * such column.
 */
export function tableVariable(
  entry: Entry,
  relation: CatalogRelation,
  name: string,
): Variable | null {
  const known = entry.variables.get(name);
  if (known !== undefined) return known;
  const column = relation.columns.find((candidate) => candidate.name === name);
  if (column === undefined) return null;
  const variable = new Variable(entry, name, column.type, column.deterministicCollation);
  entry.variables.set(name, variable);
  return variable;
}
