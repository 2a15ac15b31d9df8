import type { Node } from '@pgsql/types';
import type { CatalogRelation } from '../keyspace/catalog.js';
import {
  lookupCost,
  lookupKey,
  type Lookup,
  type Table,
  type Topology,
} from '../keyspace/topology.js';
import { TypeOid } from '../keyspace/type-oids.js';
import type { Analysis } from './analysis.js';
import { isReferenced } from './foreign-keys.js';
import { reachable, sameFamily, type KeyValues, type Variable } from './model.js';
import type { ShardedOccurrence } from './placement.js';
import type { LookupTerm, ShardSelector } from './plan.js';
import { refuse } from './refusals.js';
import { inputTypeOf } from './terms.js';

/** A table that a statement changes. */
export interface ChangedTable {
  readonly table: Table;
  readonly relation: CatalogRelation;
}

/** The lookups that must be kept up with what a statement changes. */
export function maintainedLookups(node: Node, changed: Iterable<ChangedTable>): readonly Lookup[] {
  const found = new Set<Lookup>();
  const tables = [...changed];
  // It may have been analysed more than once.
  if (tables.every((one) => leavesLookups(node, one))) return [];
  for (const { table, relation } of tables) {
    if (!table.keyspace.sharded) continue;
    if (table.type === 'sharded') for (const lookup of table.lookups ?? []) found.add(lookup);
    if (isReferenced(relation) && mayCascade(node)) {
      for (const other of table.keyspace.tables.values()) {
        if (other.type === 'sharded') for (const lookup of other.lookups ?? []) found.add(lookup);
      }
    }
  }
  return [...found];
}

/**
 * Whether an UPDATE sets other columns only: none with a lookup, of the shard key, or that foreign keys may
 * refer to; and nothing else makes values out of them. What its triggers told then would fail the statement.
 */
function leavesLookups(node: Node, { table, relation }: ChangedTable): boolean {
  if (!('UpdateStmt' in node) || table.type !== 'sharded') return false;
  const { relation: target, targetList = [], withClause } = node.UpdateStmt;
  const { columns, kind, uniqueColumns } = relation;
  // The columns of a view may have other names.
  if (withClause !== undefined || target?.relname !== relation.name) return false;
  if (kind !== 'r' || relation.hasTriggersOrRules || uniqueColumns === undefined) return false;
  const watched = (table.lookups ?? []).map(({ column }) => column);
  if (columns.some(({ name, generated }) => generated && watched.includes(name))) return false;
  const kept = new Set([...watched, ...table.keyColumns, ...uniqueColumns]);
  return targetList.every((item) => 'ResTarget' in item && !kept.has(item.ResTarget.name ?? ''));
}

/** Whether foreign keys may take what is changed to other tables. */
function mayCascade(node: Node): boolean {
  if ('CopyStmt' in node) return false;
  if (!('InsertStmt' in node)) return true;
  const { onConflictClause, withClause } = node.InsertStmt;
  return onConflictClause !== undefined || withClause !== undefined;
}

/** Refuses to change by hand what is kept for a lookup or a directory. */
export function refuseIndexWrite(
  changed: Iterable<ChangedTable>,
  { lookups, directories }: Topology,
): void {
  for (const { relation } of changed) {
    const isDirectory = directories.some(
      ({ table }) => table.schema === relation.schema && table.name === relation.name,
    );
    if (isDirectory) {
      refuse(
        `table "${relation.name}" is kept by Shardgate: it tells the shards of keys`,
        'MOVE on the console gives a key another shard.',
      );
    }
    const lookup = lookups.find(
      ({ index }) => index.schema === relation.schema && index.name === relation.name,
    );
    if (lookup === undefined) continue;
    refuse(
      `table "${relation.name}" is kept by Shardgate for column "${lookup.column}" of table "${lookup.table}"`,
      `Change table "${lookup.table}": its rows are followed.`,
    );
  }
}

/**
 * The shards that a lookup tells for a table whose shard key is bound to nothing, the cheapest one for
 * its values; null where no column with a lookup is bound to values either.
 */
export function lookupSelector(
  occurrence: ShardedOccurrence,
  analysis: Analysis,
): ShardSelector | null {
  const { table, entry, relation } = occurrence;
  const { lookups: known } = analysis.names.catalog;
  let best: ShardSelector | null = null;
  let leastCost = Infinity;
  for (const lookup of table.lookups ?? []) {
    const column = relation.columns.find(({ name }) => name === lookup.column);
    const variable = entry.variables.get(lookup.column);
    const state = known?.get(lookupKey(lookup));
    if (column === undefined || variable === undefined || state?.ready !== true) continue;
    if (!state.plainTexts) continue;
    const terms = termsOf(variable, analysis);
    const { type, typeOid } = state;
    const cost = lookupCost(lookup) * (terms?.length ?? Infinity);
    if (terms === null || cost >= leastCost) continue;
    leastCost = cost;
    best = { kind: 'lookup', keyspace: table.keyspace, lookup, type, typeOid, terms };
  }
  return best;
}

function termsOf(column: Variable, analysis: Analysis): LookupTerm[] | null {
  let best: LookupTerm[] | null = null;
  for (const variable of reachable(column)) {
    for (const binding of variable.bindings) {
      if (best !== null && best.length <= binding.values.length) continue;
      best = boundTerms(binding, column, analysis) ?? best;
    }
  }
  return best;
}

function boundTerms(binding: KeyValues, column: Variable, analysis: Analysis): LookupTerm[] | null {
  const terms: LookupTerm[] = [];
  if (binding.stored === true) return null;
  for (const value of binding.values) {
    const inputType = inputTypeOf(value, binding.site, analysis);
    if (inputType === null) return null;
    const type = inputType === TypeOid.unknown ? binding.site.type : inputType;
    if (type !== column.type && !sameFamily(type, column.type)) return null;
    terms.push({ source: value.source, inputType: type });
  }
  return terms;
}
